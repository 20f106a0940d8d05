# SPDX-License-Identifier: BSD-2-Clause
"""The lab, the verified load and the reservation client, as scenario tests see them."""
import contextlib
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
REPO = HERE.parent.parent
BUILD = pathlib.Path(os.environ.get("SANDEM_BUILD", REPO / "build")).resolve()
TARGET = "iqn.2026-11.io.sandem:demo"
LUN = 0
GROUP = "g0"
CLONE = "ms-g0"
# By hand, where pacemaker does not do it.
START_DAEMON = ("mkdir -p /run/sandem /var/lib/sandem; setsid sandemd -c /etc/sandem/sandem.yaml --node $(hostname) "
                "--run-dir /run/sandem --state-dir /var/lib/sandem >>/var/log/sandem/sandemd.log 2>&1 &")


def wall_ms():
    return int(time.time() * 1000)


def await_true(what, check, seconds):
    """Until check() is true; what names the awaited state in the error."""
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"after {seconds} s still not so: {what}")
        time.sleep(0.02)


class Lab:
    """One lab; every method is a verb of tests/cluster/lab or a command inside a node."""

    def __init__(self, name, nodes=2, build=BUILD):
        self.name, self.build = name, build
        self.nodes = [f"node-{chr(ord('a') + i)}" for i in range(nodes)]

    def argv(self, *args):
        return [str(HERE / "lab"), "--name", self.name, *map(str, args)]

    def run(self, *args, check=True, timeout=120):
        done = subprocess.run(self.argv(*args), text=True, capture_output=True, timeout=timeout,
                              env={**os.environ, "SANDEM_BUILD": str(self.build)})
        if check and done.returncode != 0:
            raise RuntimeError(f"lab {' '.join(map(str, args))}: exit {done.returncode}\n"
                               f"{done.stdout}{done.stderr}")
        return done

    def exec(self, node, *args, **kw):
        return self.run("exec", node, *args, **kw)

    def up(self, *options):
        return self.run("up", "--nodes", len(self.nodes), "--owner", os.getpid(), *options)

    def down(self):
        self.run("down")

    def portal(self, node):
        return f"10.77.0.{self.nodes.index(node) + 1}:3260"

    def owner(self):
        """The node on which pacemaker has promoted the group, or None."""
        return self.run("owner", GROUP, check=False).stdout.strip() or None

    def peer(self, node):
        return next(n for n in self.nodes if n != node)

    def ctl(self, node, *args):
        """sandemctl --json on the node; None when its daemon does not answer."""
        done = self.exec(node, "sandemctl", "--json", "--timeout", "5", *args, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def serving(self, node):
        status = self.ctl(node, "status")
        return bool(status) and status["state"] == "serving"

    def await_owner(self, node, seconds=40):
        """Until node owns the group, by its own word."""
        def owns():
            status = self.ctl(node, "group", "list")
            return status and any(g["name"] == GROUP and g["state"] == "active"
                                  for g in status["groups"])
        await_true(f"{node} owns {GROUP}", owns, seconds)

    def settle(self, seconds=60):
        """Until every powered node is online, its daemon serves, and pacemaker has nothing to do."""
        self.run("wait", seconds)
        for node in self.nodes:
            await_true(f"sandemd serves on {node}", lambda n=node: self.serving(n), seconds)
        await_true("the group is promoted somewhere", self.owner, seconds)
        self.run("wait", seconds)

    def await_forwarding(self):
        """Until one node owns the group, and the other forwards."""
        def forwarding():
            states = [self.ctl(n, "group", "list") for n in self.nodes]
            return all(states) and sorted(s["groups"][0]["state"] for s in states) == ["active", "nonoptimized"]
        await_true("one node owns the group, the other forwards", forwarding, 40)

    def crm(self, *args):
        """crm on a node that is powered on."""
        last = None
        for node in self.nodes:
            last = self.exec(node, "crm", *args, check=False)
            if last.returncode == 0:
                return last
        raise RuntimeError(f"crm {' '.join(args)}: {last.stdout}{last.stderr}")

    def move(self, node):
        """A planned move; afterwards the group stays where it is of its own accord."""
        self.crm("resource", "move", CLONE, node)
        self.await_owner(node)
        self.run("wait")
        self.crm("resource", "clear", CLONE)

    def restore(self):
        """From whatever a scenario left behind to: all nodes on, online, one owner."""
        self.run("heal", check=False)
        for node in self.nodes:
            self.run("resume", node, check=False)
        on = [n for n in self.nodes if self.powered(n)]
        for node in set(self.nodes) - set(on):
            if on: # or the fencing that is still to come hits the node that has just been started
                await_true(f"{node} is known to be off", lambda n=node: self.known_off(on[0], n), 60)
            self.run("start", node)
        self.run("wait", 60)
        self.exec(self.nodes[0], "sh", "-c", f"crm_resource --clear --resource {CLONE}; "
                  + "".join(f"crm_standby --node {n} --delete; " for n in self.nodes)
                  + "crm_resource --cleanup")
        self.settle()

    def known_off(self, by, node):
        """The cluster manager knows that the node is gone, and has fenced it where that was due."""
        seen = self.exec(by, "crm_mon", "-1", "--output-as", "xml", check=False).stdout
        found = re.search(rf'<node name="{node}" [^>]*>', seen)
        return found and 'online="false"' in found[0] and 'unclean="false"' in found[0]

    @contextlib.contextmanager
    def delayed_fencing(self, node, seconds=5):
        """The device that would end the node waits: of two that shoot at each other this one wins."""
        device = ("crm_resource", "--resource", f"fence-{node}")

        def some():
            return next(n for n in self.nodes if self.powered(n))
        self.exec(some(), *device, "--set-parameter", "pcmk_delay_base", "--parameter-value", f"{seconds}s")
        self.run("wait")
        try:
            yield
        finally:
            self.exec(some(), *device, "--delete-parameter", "pcmk_delay_base", check=False)

    def daemon_pid(self, node):
        """The host's pid of the node's sandemd."""
        for group in pathlib.Path("/sys/fs/cgroup").glob(f"**/sandem-{self.name}/{node}/cgroup.procs"):
            for pid in group.read_text().split():
                if pathlib.Path(f"/proc/{pid}/comm").read_text() == "sandemd\n":
                    return int(pid)
        raise RuntimeError(f"no sandemd on {node}")

    def restart_daemon(self, node):
        """Its sandemd is killed; until pacemaker has started another."""
        pid = self.daemon_pid(node)
        self.exec(node, "sh", "-c", "kill -9 $(cat /run/sandem/sandemd.pid)")

        def another():
            with contextlib.suppress(RuntimeError, OSError):
                return self.daemon_pid(node) != pid
            return False
        await_true(f"the daemon of {node} runs again", another, 40)

    def powered(self, node):
        return f"{node}: on" in self.run("fence", "state", check=False).stdout


class Shell:
    """A shell inside a node that takes one command after the other: some ms each."""

    def __init__(self, lab, node):
        self.process = subprocess.Popen(lab.argv("exec", node, "sh"), text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, command):
        """(exit status, output)."""
        self.process.stdin.write(f"{{ {command}\n}} 2>&1 </dev/null; echo \"<$?>\"\n")
        out = []
        for line in self.process.stdout:
            if line.startswith("<") and line.endswith(">\n"):
                return int(line[1:-2]), "".join(out)
            out.append(line)
        raise RuntimeError(f"the shell has ended at: {command}")

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


class Mover:
    """Moves the group from node to node without pacemaker, at random moments, until it is ended."""

    def __init__(self, lab, seed, pause=(0.0, 0.12)):
        self.lab, self.pause, self.random = lab, pause, random.Random(seed)
        self.moves, self.error, self.stop = 0, None, threading.Event()
        self.shell = {n: Shell(lab, n) for n in lab.nodes}
        self.thread = threading.Thread(target=self.run)

    def order(self, node, verb):
        status, out = self.shell[node](f"sandemctl --timeout 20 group {verb} {GROUP}")
        if status:
            raise RuntimeError(f"{verb} on {node}: {out}")

    def run(self):
        owner = self.lab.owner()
        try:
            while not self.stop.wait(self.random.uniform(*self.pause)):
                to = self.random.choice([n for n in self.lab.nodes if n != owner])
                self.order(owner, "demote")
                self.order(to, "promote")
                owner, self.moves = to, self.moves + 1
        except Exception as e:     # told by the thread that waits
            self.error = e

    def __enter__(self):
        self.home = self.lab.owner()
        self.lab.crm("configure", "property", "maintenance-mode=true")
        self.lab.run("wait")
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.stop.set()
        self.thread.join(60)
        for node in self.lab.nodes:
            if node != self.home:
                self.shell[node](f"sandemctl group demote {GROUP}")
        self.shell[self.home](f"sandemctl group promote {GROUP}")
        for shell in self.shell.values():
            shell.close()
        self.lab.crm("configure", "property", "maintenance-mode=false")
        self.lab.settle()
        if self.error and not exc[0]:
            raise self.error


class Load:
    """sandem-load on the initiator host, over a path to every node."""

    def __init__(self, lab, *options, nodes=None):
        self.lab = lab
        self.dir = tempfile.TemporaryDirectory(prefix="sandem-load-")
        base = pathlib.Path(self.dir.name)
        self.events, self.out, self.err = base / "events", base / "out", base / "err"
        paths = [a for n in nodes or lab.nodes for a in ("--portal", lab.portal(n))]
        argv = lab.argv("exec", "init", BUILD / "sandem-load", *paths, "--target", TARGET,
                        "--lun", LUN, "--qd", 16, "--block", 4096, "--mix", 70, "--span", "64M",
                        "--json", "--events", self.events, "--verify-at-end", *options)
        with open(self.out, "w") as out, open(self.err, "w") as err:
            self.process = subprocess.Popen(argv, stdout=out, stderr=err)

    def read_events(self):
        if not self.events.exists():
            return []
        return [json.loads(line) for line in self.events.read_text().splitlines(keepends=True)
                if line.endswith("\n")]

    def await_running(self, seconds=30):
        def running():
            self.check_alive()
            return any(e["event"] == "running" for e in self.read_events())
        await_true("I/O flows", running, seconds)

    def check_alive(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"sandem-load ended early ({self.process.returncode}): "
                               f"{self.err.read_text()[-2000:]}{self.out.read_text()[-2000:]}")

    def interim(self):
        """A report of the run so far."""
        before = self.out.read_text().count("\n")
        self.process.send_signal(signal.SIGUSR1)

        def fresh():
            self.check_alive()
            return self.out.read_text().count("\n") > before
        await_true("sandem-load reports", fresh, 10)
        return json.loads(self.out.read_text().splitlines()[before])

    def await_flow(self, ios=200, seconds=60):
        """Until so many more I/Os have been completed: the paths work again."""
        def done():
            now = self.interim()
            return now["reads"] + now["writes"]
        first = done()
        await_true("I/O flows again", lambda: done() >= first + ios, seconds)

    def longest_gap(self, since_ms):
        """ms; gaps below sandem-load's threshold of 100 ms count as None."""
        gaps = [e["length_ms"] for e in self.read_events()
                if e["event"] == "gap" and e["start_ms"] + e["length_ms"] >= since_ms]
        return max(gaps, default=None)

    def stop(self, seconds=120):
        """The final report, after everything written was read once more."""
        self.check_alive()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(seconds)
        return json.loads(self.out.read_text().splitlines()[-1])

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.dir.cleanup()


@contextlib.contextmanager
def load(lab, *options, **kw):
    runner = Load(lab, *options, **kw)
    try:
        runner.await_running()
        yield runner
    finally:
        runner.close()


def assert_clean(report):
    """No error that an initiator noticed, nothing lost, stale or corrupt (P6, P7)."""
    keys = ("errors", "lost", "stale", "corrupt")
    wrong = {k: report[k] for k in keys if report[k] != 0}
    assert not wrong, f"{wrong}: {report['errors_by_cause']} {report['findings'][:5]}"
    assert report["verify"]["complete"], f"not everything was re-read: {report['verify']}"
    assert report["writes"] > 0 and report["reads"] > 0


class Host:
    """An initiator: one I_T nexus per node it talks through."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, f"iqn.2026-11.io.sandem.test:{name}"

    def argv(self, node, verb, **options):
        argv = [BUILD / "tests/cluster/pr_client", "--portal", self.lab.portal(node), "--target",
                TARGET, "--lun", LUN, "--initiator", self.name]
        for key, value in options.items():
            argv += [f"--{key.replace('_', '-')}"] + ([] if value is True else [str(value)])
        return self.lab.argv("exec", "init", *argv, verb)

    def __call__(self, node, verb, **options):
        done = subprocess.run(self.argv(node, verb, **options), text=True, capture_output=True,
                              timeout=60)
        if not done.stdout:
            raise RuntimeError(f"pr_client {verb}: exit {done.returncode}: {done.stderr}")
        return json.loads(done.stdout.splitlines()[-1])

    def good(self, node, verb, **options):
        answer = self(node, verb, **options)
        assert answer["status"] == "GOOD", f"{self.name} through {node}: {answer}"
        return answer

    def start(self, node, verb, **options):
        return subprocess.Popen(self.argv(node, verb, **options), text=True,
                                stdout=subprocess.PIPE)

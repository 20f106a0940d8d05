# SPDX-License-Identifier: BSD-2-Clause
"""
All nodes at once: kill -9 of every daemon, power loss of every node, in the middle of I/O and of
PERSISTENT RESERVE OUT with APTPL (P1, P6; SPC-4 5.13.5).

What this lab can't show: the nodes share one kernel, so what a node has written but not flushed
survives its power cut. That a store which lies is found is the simulator's part.

SANDEM_POWER_ROUNDS: power losses in the middle of APTPL registrations instead of 3; SANDEM_SEED
repeats a run.
"""
import json
import os
import random
import time

import pytest

import labtools

ROUNDS = int(os.environ.get("SANDEM_POWER_ROUNDS", "3"))
SEED = int(os.environ.get("SANDEM_SEED") or random.randrange(1 << 32))


@pytest.mark.parametrize("gap", [0, 0.05, 1], ids=["at-once", "50-ms", "1-s"])
@pytest.mark.parametrize("first", [0, 1], ids=["a-first", "b-first"])
def test_kill_9_of_both_daemons(pair, figures, first, gap):
    """Pacemaker starts them again, in whatever order: nobody is needed, and nobody is refused."""
    with labtools.load(pair) as load:
        since = labtools.wall_ms()
        shells = [labtools.Shell(pair, n) for n in pair.nodes]
        for i, shell in enumerate([shells[first], shells[1 - first]]):
            time.sleep(gap * i)
            assert shell("kill -KILL $(cat /run/sandem/sandemd.pid)")[0] == 0
        for shell in shells:
            shell.close()
        load.await_flow()
        longest = load.longest_gap(since)
        pair.settle()
        report = load.stop()
    figures(f"gap {longest} ms")
    labtools.assert_clean(report)


def test_power_loss_of_both_one_long_after_the_other(pair, figures):
    """A node that comes back alone does not serve: the other may have gone on without it (P4)."""
    draw = random.Random(f"{SEED} order")
    first, last = draw.sample(pair.nodes, 2)
    host = labtools.Host(pair, "power")
    host.good(first, "register-ignore", sa_key=0x77)
    host.good(first, "clear", key=0x77)
    host.good(first, "register", sa_key=0x5a, aptpl=True)
    host.good(last, "register-ignore", sa_key=0x5b, aptpl=True)
    with labtools.load(pair) as load:
        since = labtools.wall_ms()
        pair.run("kill", *pair.nodes)
        pair.run("start", first)
        labtools.await_true(f"{first} is online", lambda: first in pair.exec(
            first, "crm_node", "-l", check=False).stdout, 30)
        end = time.monotonic() + 4      # "long after": longer than membership, elections and starts take
        while time.monotonic() < end:
            assert not pair.serving(first), f"{first} serves alone"
            time.sleep(0.1)
        pair.run("start", last)
        pair.settle(90)
        load.await_flow()
        gap = load.longest_gap(since)
        report = load.stop()
    labtools.assert_clean(report)
    for node in pair.nodes:
        assert sorted(host.good(node, "read-keys")["keys"]) == ["0x5a", "0x5b"], f"through {node}"
    figures(f"{first} first, seed {SEED}, gap {gap} ms")
    host.good(first, "clear", key=0x5a)


# ---- power loss in the middle of registrations ---------------------------------------------------


@pytest.fixture
def plain():
    """Corosync and sandemd alone, so that a power loss and the start after it take two
    seconds."""
    lab = labtools.Lab(f"t{os.getpid()}-power")
    lab.up("--bare")
    yield lab
    lab.down()


def power_on(lab, order, gap):
    for node in order:
        lab.run("start", node, "--corosync")
        shell = labtools.Shell(lab, node)
        shell(labtools.START_DAEMON)
        shell.close()
        time.sleep(gap)
    for node in order:
        labtools.await_true(f"{node} serves", lambda n=node: lab.serving(n), 60)


class Stream:
    """A nexus that registers with one key after the other, under APTPL."""

    def __init__(self, lab, number, start):
        self.host, self.node = labtools.Host(lab, f"stream{number}"), lab.nodes[number % 2]
        self.process = self.host.start(self.node, "register-loop", sa_key=start, aptpl=True, timeout=60)
        self.acknowledged = start

    def await_running(self):
        assert "acknowledged" in self.process.stdout.readline()

    def end(self):
        """The last key that was acknowledged, or 0. The client waits for an answer that can't
        come."""
        self.process.kill()
        for line in self.process.stdout.read().splitlines():
            if line.endswith("}") and "acknowledged" in line and "verb" not in line:
                self.acknowledged = json.loads(line)["acknowledged"]
        self.process.wait()


def keys_of(lab, node):
    """Initiator → the key with which it is registered, as a node tells it."""
    answer = labtools.Host(lab, "reader").good(node, "read-full-status")
    return {r["initiator"].split(",")[0]: int(r["key"], 0) for r in answer["registrants"]}


def cut_the_power(lab, draw):
    """Both within the same moment; or one, and the other a little later."""
    nodes = draw.sample(lab.nodes, 2)
    if draw.random() < 0.5:
        lab.run("kill", *nodes)
        return "both at once"
    lab.run("kill", nodes[0])
    time.sleep(draw.uniform(0, 1.5))
    lab.run("kill", nodes[1])
    return f"{nodes[1]} after {nodes[0]}"


def test_power_loss_in_the_middle_of_aptpl_registrations(plain, figures):
    """Every acknowledged registration is there afterwards; of each nexus the one without an
    answer may be, too."""
    draw = random.Random(f"{SEED} aptpl")
    total = losses = unknown = 0
    plain.run("kill", *plain.nodes)
    power_on(plain, plain.nodes, 0)
    for number in range(ROUNDS):
        streams = [Stream(plain, i, (number + 1) << 32) for i in range(4)]
        for s in streams:
            s.await_running()
        time.sleep(draw.uniform(0, 0.6))
        how = cut_the_power(plain, draw)
        for s in streams:
            s.end()
        order = draw.sample(plain.nodes, 2)
        power_on(plain, order, draw.choice([0, 0, 3]))
        for node in plain.nodes:
            keys = keys_of(plain, node)
            for s in streams:
                key = keys.get(s.host.name, 0)
                assert key in (s.acknowledged, s.acknowledged + 1), (
                    f"seed {SEED}, round {number} ({how}, then {order}): {s.host.name} through {node} has {key:#x}, "
                    f"acknowledged was {s.acknowledged:#x}")
                unknown += key != s.acknowledged
        total += sum(s.acknowledged - ((number + 1) << 32) for s in streams)
        losses += 1
    figures(f"seed {SEED}: {losses} power losses, {total} acknowledged registrations, none lost; "
            f"{unknown // 2} without an answer were kept")
    assert total > 20 * losses


# ---- who may begin alone, and who has to wait ---------------------------------------------------


def start_daemon(lab, node):
    shell = labtools.Shell(lab, node)
    shell(labtools.START_DAEMON)
    shell.close()


def kill_daemon(lab, node):
    """The host stays up, and with it corosync and its quorum."""
    shell = labtools.Shell(lab, node)
    assert shell("kill -KILL $(cat /run/sandem/sandemd.pid)")[0] == 0
    shell.close()
    labtools.await_true(f"the daemon of {node} is gone", lambda: lab.ctl(node, "status") is None, 10)


def both_serve(lab):
    for node in lab.nodes:
        labtools.await_true(f"{node} serves", lambda n=node: lab.serving(n), 30)


def await_waiting(lab, node, missing):
    """It says for whom it waits, and what can be done."""
    def why():
        status = lab.ctl(node, "cluster", "status")
        return status and status["state"] == "joining" and status["why"].startswith("waiting") and status["why"]
    text = labtools.await_true(f"{node} waits", why, 10)
    assert f"node {missing}" in text and f"cluster resolve --keep {node}" in text
    end = time.monotonic() + 3      # longer than an exchange, a membership and a start take
    while time.monotonic() < end:
        assert not lab.serving(node), f"{node} serves alone"
        time.sleep(0.1)


@pytest.fixture
def serving(plain):
    plain.run("kill", *plain.nodes)
    power_on(plain, plain.nodes, 0)
    both_serve(plain)
    return plain


@pytest.mark.parametrize("last", [0, 1], ids=["a-last", "b-last"])
def test_the_state_of_the_last_man_is_waited_for(serving, last):
    """The node that is back first has quorum, and an old state: it waits for the one that went on without it (P1, P6)."""
    man, other = serving.nodes[last], serving.nodes[1 - last]
    host = labtools.Host(serving, "lastman")
    host.good(man, "register", sa_key=0x5a, aptpl=True)
    kill_daemon(serving, other)
    host.good(man, "register", key=0x5a, sa_key=0x5b, aptpl=True)
    kill_daemon(serving, man)
    start_daemon(serving, other)
    await_waiting(serving, other, man)
    start_daemon(serving, man)
    both_serve(serving)
    for node in serving.nodes:
        assert host.good(node, "read-keys")["keys"] == ["0x5b"], f"through {node}"


def test_the_last_man_begins_alone(serving):
    """Who was the last one needs nobody, whether the other was stopped or killed."""
    a, b = serving.nodes
    host = labtools.Host(serving, "alone")
    host.good(a, "register", sa_key=0x5a, aptpl=True)
    for number, end in enumerate((lambda n: serving.ctl(n, "shutdown"), lambda n: kill_daemon(serving, n))):
        end(b)
        labtools.await_true(f"{b} is out", lambda: serving.ctl(b, "status") is None, 10)
        host.good(a, "register", key=0x5a + number, sa_key=0x5b + number, aptpl=True)
        kill_daemon(serving, a)
        start_daemon(serving, a)
        labtools.await_true(f"{a} serves alone", lambda: serving.serving(a), 30)
        assert host.good(a, "read-keys")["keys"] == [hex(0x5b + number)]
        start_daemon(serving, b)
        both_serve(serving)


def test_the_operator_goes_on_without_the_last_man(serving):
    """Its node is lost for good; when it comes back all the same, it is refused and nothing is merged."""
    a, b = serving.nodes
    host = labtools.Host(serving, "resolve")
    host.good(b, "register", sa_key=0x5a, aptpl=True)
    kill_daemon(serving, a)
    host.good(b, "register", key=0x5a, sa_key=0x5b, aptpl=True)
    kill_daemon(serving, b)
    start_daemon(serving, a)
    await_waiting(serving, a, b)
    assert serving.ctl(a, "cluster", "resolve", "--keep", a) is not None
    labtools.await_true(f"{a} serves", lambda: serving.serving(a), 30)
    assert host.good(a, "read-keys")["keys"] == ["0x5a"]
    start_daemon(serving, b)
    labtools.await_true(f"{b} is refused", lambda: (serving.ctl(b, "status") or {}).get("state") == "diverged", 30)
    assert serving.ctl(b, "cluster", "resolve", "--keep", a) is not None
    both_serve(serving)
    assert host.good(b, "read-keys")["keys"] == ["0x5a"]


@pytest.mark.parametrize("gap", [0, 0.05, 1], ids=["at-once", "50-ms", "1-s"])
def test_kill_9_one_after_the_other_and_either_first(serving, figures, gap):
    """Registrations go on until nobody is left; whoever is started first, all that was acknowledged is there, and
    nobody is refused (P6)."""
    draw = random.Random(f"{SEED} staggered {gap}")
    waited = 0
    for number, order in enumerate((serving.nodes, serving.nodes[::-1]) * 2):
        streams = [Stream(serving, i, (number + 1) << 32) for i in range(2)]
        for s in streams:
            s.await_running()
        shells = [labtools.Shell(serving, n) for n in order]
        for i, shell in enumerate(shells):
            time.sleep(gap * i)
            assert shell("kill -KILL $(cat /run/sandem/sandemd.pid)")[0] == 0
            shell.close()
        for s in streams:
            s.end()
        back = draw.sample(serving.nodes, 2)
        start_daemon(serving, back[0])
        time.sleep(draw.choice([0, 2]))
        waited += not serving.serving(back[0])
        start_daemon(serving, back[1])
        both_serve(serving)
        for node in serving.nodes:
            keys = keys_of(serving, node)
            for s in streams:
                assert keys.get(s.host.name, 0) in (s.acknowledged, s.acknowledged + 1), (
                    f"seed {SEED}, gap {gap}, {order} then {back}: {s.host.name} through {node}")
    figures(f"seed {SEED}: 4 times, {waited} times the first had to wait for the second")

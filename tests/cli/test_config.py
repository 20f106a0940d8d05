# SPDX-License-Identifier: BSD-2-Clause
"""sandemctl config …: LUNs, targets and access lists of a running node change, all of a file or nothing of it; initiators
that are logged in hear of it, and those of other LUNs notice nothing."""
import json
import os
import signal
import subprocess
import threading
import time

import pytest

from conftest import BUILD, SANDEMCTL, SANDEMD, Daemon
from initiator import Initiator

TARGET = "iqn.2026-11.io.sandem:one"
LUNS_CHANGED, POWER_ON = (0x3f, 0x0e), (0x29, 0x00)
NOT_SUPPORTED = (5, 0x25, 0)
MIB = 1 << 20


class Node(Daemon):
    """One node with a sandem.yaml, without corosync."""

    target = TARGET

    def doc(self, luns=(0,), targets=None, **more):
        doc = {"cluster": {"name": "one", "log": "local"},
               "nodes": [{"name": "node-a", "id": 1, "portals": [self.portal]}],
               "groups": [{"name": "g0"}],
               "luns": [self.lun(n) for n in luns],
               "targets": targets or [self.of(TARGET, luns)]}
        return {**doc, **more}

    def lun(self, n, **more):
        return {"name": f"disk{n}", "group": "g0", "handler": "file", "path": os.path.join(self.dir, f"d{n}.img"),
                "size": "32M", "create": True, **more}

    @staticmethod
    def of(name, luns, initiators=("iqn.*",)):
        return {"name": name, "luns": [{"lun": n, "name": f"disk{n}"} for n in luns], "initiators": list(initiators)}

    def file(self, doc, name="next.yaml"):
        """YAML is a superset of JSON."""
        path = os.path.join(self.dir, name)
        with open(path, "w") as f:
            f.write(doc if isinstance(doc, str) else json.dumps(doc, indent=1))
        return path

    def start(self, doc=None, wait=True):
        if doc:
            self.file(doc, "sandem.yaml")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [SANDEMD, "-c", os.path.join(self.dir, "sandem.yaml"), "--node", "node-a", "--state-dir", self.state_dir,
                 "--run-dir", self.run_dir], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if wait:
            self.wait_active()
            self.json("config", "history")
        return self

    def apply(self, doc):
        done = self.ctl("config", "apply", self.file(doc), "--yes")
        assert done.returncode == 0, done
        return done.stdout

    def refused(self, doc, *words):
        """Names object, cause, next step; and nothing has changed."""
        before = self.ctl("config", "show").stdout
        done = self.ctl("config", "apply", self.file(doc), "--yes")
        assert done.returncode == 1, done
        for word in words:
            assert word in done.stderr, done.stderr
        assert self.ctl("config", "show").stdout == before
        return done.stderr

    def generation(self):
        return self.json("config", "show")["generation"]

    def lun_names(self):
        return sorted(l["name"] for l in self.json("lun", "list")["luns"])

    def hit(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def node(tmp_path):
    n = Node(tmp_path)
    yield n
    try:
        if n.process and n.process.poll() is None:
            assert n.stop() == 0, n.output()[-4000:]  # in order, and under ASan without a leak
    finally:
        if n.process and n.process.poll() is None:
            n.process.kill()
            n.process.wait()


def luns(initiator):
    data = initiator.run([0xa0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0], read=1024).good()
    return [data[8 + i + 1] for i in range(0, int.from_bytes(data[:4], "big"), 8)]


def at(initiator, lun):
    initiator.lun = bytes([0, lun]) + bytes(6)
    return initiator


def rtpis(node, target):
    """Relative target port identifier of the port, by VPD page 83h of its LUN."""
    class Here:
        portal = node.portal
    Here.target = target
    with Initiator(Here, isid=9) as i:
        at(i, next(l for l in luns(i)))
        i.ready()
        page = i.run([0x12, 1, 0x83, 4, 0, 0], read=1024).good()
    found, p = [], 4
    while p < len(page):
        if page[p + 1] & 0x3f == 0x14:  # association target port, relative target port identifier
            found.append(int.from_bytes(page[p + 6:p + 8], "big"))
        p += 4 + page[p + 3]
    return found


def test_a_lun_comes_and_goes(node):
    node.start(node.doc())
    with Initiator(node) as i:
        i.ready()
        assert luns(i) == [0]
        out = node.apply(node.doc(luns=(0, 1)))
        assert "add LUN disk1" in out and "generation 2 is in force" in out
        assert i.attentions() == [LUNS_CHANGED]
        assert luns(i) == [0, 1]
        assert LUNS_CHANGED not in i.attentions()
        at(i, 1)
        assert POWER_ON in i.attentions()
        i.write(5, b"n" * 512).good()
        node.apply(node.doc())
        assert i.read(5).sense == NOT_SUPPORTED
        at(i, 0)
        assert i.attentions() == [LUNS_CHANGED]
        assert luns(i) == [0]
        i.write(0, b"a" * 512).good()
    assert node.lun_names() == ["disk0"]
    with open(os.path.join(node.dir, "d1.img"), "rb") as f:  # closed in order: what was written is there
        assert f.read(6 * 512)[-512:] == b"n" * 512


def test_a_removed_lun_has_its_identity_when_it_comes_back(node):
    node.start(node.doc(luns=(0, 1)))
    naa = {l["name"]: l["naa"] for l in node.json("lun", "list")["luns"]}
    node.apply(node.doc())
    node.apply(node.doc(luns=(0, 1)))
    assert {l["name"]: l["naa"] for l in node.json("lun", "list")["luns"]} == naa


def test_no_io_of_another_lun_suffers(node):
    """P8: sandem-load verifies every block of disk0 while disk1 and disk2 come and go with I/O on them."""
    node.start(node.doc(daemon={"reactors": 2}))
    events = os.path.join(node.dir, "events")
    load = subprocess.Popen([os.path.join(BUILD, "sandem-load"), "--portal", node.portal, "--target", TARGET, "--lun", "0",
                             "--qd", "8", "--block", "4096", "--mix", "50", "--span", "16M", "--json", "--events", events,
                             "--verify-at-end"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 20
        while not (os.path.exists(events) and "running" in open(events).read()):
            assert load.poll() is None and time.monotonic() < end, load.communicate()
            time.sleep(0.02)
        for _ in range(5):
            node.apply(node.doc(luns=(0, 1, 2)))
            with Initiator(node, lun=1, isid=2) as i:
                i.ready()
                stop = threading.Event()

                def write_until_it_goes():
                    while not stop.is_set():
                        a = i.write(0, b"w" * 4096)
                        if a.sense == NOT_SUPPORTED:
                            return stop.set()
                        assert a.status == 0 or a.sense[0] == 6, a
                writer = threading.Thread(target=write_until_it_goes)
                writer.start()
                node.apply(node.doc())
                writer.join(20)
                assert stop.is_set()
        load.send_signal(signal.SIGTERM)
        report = json.loads(load.communicate(timeout=60)[0].splitlines()[-1])
    finally:
        load.kill()
        load.wait()
    assert {k: report[k] for k in ("errors", "lost", "stale", "corrupt")} == dict.fromkeys(
        ("errors", "lost", "stale", "corrupt"), 0), report
    assert report["writes"] > 0 and report["verify"]["complete"]


def test_access_lists(node):
    mine, other = "iqn.2026-11.test:mine", "iqn.2026-11.test:other"
    node.start(node.doc())
    with Initiator(node, name=mine) as i, Initiator(node, name=other, isid=2) as o:
        i.ready()
        o.ready()
        node.apply(node.doc(targets=[node.of(TARGET, [0], [mine])]))
        assert i.attentions() == []  # its LUNs have not changed
        i.write(0, b"x" * 512).good()
        assert o.read(0).sense == NOT_SUPPORTED  # shut out, though it is logged in
        assert luns(o) == []
    with pytest.raises(AssertionError):
        Initiator(node, name=other, isid=3)


def test_targets_keep_their_ports(node):
    """Registrations name relative target ports: a target that goes must not move those behind it."""
    second, third = TARGET + "2", TARGET + "3"
    node.start(node.doc(targets=[node.of(TARGET, [0]), node.of(second, [0])]))
    before = rtpis(node, second)
    assert before and before != rtpis(node, TARGET)
    node.apply(node.doc(targets=[node.of(second, [0])]))
    assert rtpis(node, second) == before
    with pytest.raises(AssertionError):
        rtpis(node, TARGET)
    node.apply(node.doc(targets=[node.of(third, [0]), node.of(second, [0])]))
    assert rtpis(node, second) == before and rtpis(node, third) != before
    node.stop()
    node.start()
    assert rtpis(node, second) == before


def test_resize_and_threshold(node):
    node.start(node.doc())
    with Initiator(node) as i:
        i.ready()
        doc = node.doc()
        doc["luns"][0]["size"] = "48M"
        assert "size 33554432 -> 50331648" in node.apply(doc)
        end = time.monotonic() + 10
        while (0x2a, 0x09) not in i.attentions():  # the owner tells the log after the generation is in force
            assert time.monotonic() < end
            time.sleep(0.02)
        assert i.capacity() == 48 * 2048
    doc["luns"][0]["size"] = "16M"
    node.refused(doc, "LUN disk0", "50331648", "not cut", "leave size")


def test_a_group_comes_and_goes(node):
    both = [{"name": "g0"}, {"name": "g1"}]
    with_lun = {**node.doc(luns=(0, 1), groups=both), "luns": [node.lun(0), node.lun(1, group="g1")]}

    def groups():
        return [(g["name"], g["owner"]) for g in node.json("group", "list")["groups"]]

    node.start(node.doc())
    with Initiator(node) as i:
        i.ready()
        assert "add group g1" in node.apply(with_lun)
        assert groups() == [("g0", "node-a"), ("g1", None)]
        assert i.attentions() == [LUNS_CHANGED]
        i.write(0, b"a" * 512).good()
        assert node.ctl("group", "promote", "g1").returncode == 0
        i.attentions()
        at(i, 1).attentions()
        i.write(5, b"n" * 512).good()
        assert node.stop() == 0
    node.start()  # what there is, the store says; the file has one group
    assert groups() == [("g0", "node-a"), ("g1", None)]
    assert node.ctl("group", "promote", "g1").returncode == 0
    with Initiator(node) as i:
        i.attentions()
        at(i, 1).attentions()
        assert i.read(5).data[:512] == b"n" * 512
        node.apply(node.doc(groups=both))
        node.refused(node.doc(), "group g1: it has an owner, node node-a", "resource")
        assert node.ctl("group", "demote", "g1").returncode == 0
        assert "remove group g1" in node.apply(node.doc())
        assert groups() == [("g0", "node-a")]
        gone = node.ctl("group", "promote", "g1")
        assert gone.returncode == 2 and "there is none of that name" in gone.stderr, gone
        at(i, 0).attentions()
        i.write(0, b"b" * 512).good()
    node.hit()
    node.start()
    assert groups() == [("g0", "node-a")]


REFUSALS = [
    (lambda n: n.doc(cluster={"name": "two", "log": "local"}), ("cluster", "restart sandemd")),
    (lambda n: n.doc(groups=[{"name": "g1"}], luns=[], targets=[n.of(TARGET, [])]),
     ("group g0: LUN disk0 is in it", "without its LUNs first")),
    (lambda n: n.doc(nodes=[{"name": "node-a", "id": 2, "portals": [n.portal]}]), ("nodes", "restart sandemd")),
    (lambda n: n.doc(iscsi={"queue_depth": "7"}), ("iscsi",)),
    (lambda n: n.doc(luns=(), targets=[n.of(TARGET, [0])]), ("next.yaml:", "disk0", "LUN")),
    (lambda n: n.doc(luns=(0, 0)), ("next.yaml:", "luns[1].name", "disk0")),
    (lambda n: "cluster: {name: one\n", ("next.yaml:",)),
    (lambda n: {**n.doc(), "luns": [n.lun(0, path="/elsewhere")]}, ("LUN disk0: path", "without the LUN first")),
    (lambda n: {**n.doc(), "luns": [n.lun(0), n.lun(1, path="/nowhere/at/all", create=False)]},
     ("node node-a can't take it", "LUN disk1", "/nowhere/at/all")),
    (lambda n: {**n.doc(), "luns": [n.lun(0), n.lun(1, path="/nowhere/at/all")]},
     ("node node-a can't take it", "LUN disk1", "can't be created", "make the directory")),
]


@pytest.mark.parametrize("case", range(len(REFUSALS)))
def test_what_can_not_be_is_refused_whole(node, case):
    node.start(node.doc())
    doc, words = REFUSALS[case]
    node.refused(doc(node), *words)
    assert node.generation() == 1 and node.lun_names() == ["disk0"]
    assert not os.path.exists(os.path.join(node.dir, "d1.img"))


def test_check_and_diff_change_nothing(node):
    node.start(node.doc())
    file = node.file(node.doc(luns=(0, 1)))
    diff = node.json("config", "diff", file)
    assert diff["base"] == 1 and diff["refused"] == 0
    assert [c["change"] for c in diff["changes"]] == ["add LUN", "change target"]
    assert node.ctl("config", "check", file).stdout.startswith("good: 2 change(s)")
    bad = node.ctl("config", "check", node.file(node.doc(groups=[{"name": "g9"}], luns=(), targets=[node.of(TARGET, [])]), "bad"))
    assert bad.returncode == 1 and "group g0" in bad.stderr
    asked = subprocess.run([SANDEMCTL, "--run-dir", node.run_dir, "config", "apply", file], stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, timeout=20)
    assert asked.returncode == 2 and "--yes" in asked.stderr
    assert node.ctl("config", "diff", os.path.join(node.dir, "none.yaml")).returncode == 2
    assert node.generation() == 1
    same = node.ctl("config", "apply", node.file(node.doc()), "--yes")
    assert same.returncode == 0 and node.generation() == 1  # no difference makes no generation


def test_history_and_rollback(node):
    node.start(node.doc())
    for n in range(2, 20):
        node.apply(node.doc(luns=(0, n)))
    history = node.json("config", "history")["generations"]
    assert [g["generation"] for g in history] == list(range(4, 20))  # so many are kept
    old = node.json("config", "show", "5")
    done = node.ctl("config", "rollback", "5", "--yes")
    assert done.returncode == 0 and "generation 20" in done.stdout, done
    now = node.json("config", "show")
    assert now["text"] == old["text"] and now["note"] == "rollback to 5"
    assert node.lun_names() == ["disk0", "disk5"]
    for bad in ("1", "77"):
        done = node.ctl("config", "rollback", bad, "--yes")
        assert done.returncode == 1 and f"generation {bad}" in done.stderr and "config history" in done.stderr
    assert node.ctl("config", "rollback", "x", "--yes").returncode == 2
    node.stop()
    node.start()
    assert node.lun_names() == ["disk0", "disk5"]
    assert [g["generation"] for g in node.json("config", "history")["generations"]] == list(range(5, 21))


def control(node, verb, **args):
    import socket
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(os.path.join(node.run_dir, "control.sock"))
        s.sendall(json.dumps({"verb": verb, "args": args}).encode() + b"\n")
        return json.loads(s.makefile().readline())


def test_the_first_of_two_admins_wins(node):
    node.start(node.doc())
    ours, theirs = (json.dumps(node.doc(luns=(0, n))) for n in (1, 2))
    base = control(node, "config diff", text=ours)["result"]["base"]
    assert control(node, "config apply", text=theirs, base=base)["ok"]
    lost = control(node, "config apply", text=ours, base=base)
    assert not lost["ok"] and lost["error"]["code"] == "refused"
    for word in ("generation 2", "compared with 1", "config diff"):
        assert word in lost["error"]["message"]
    assert node.lun_names() == ["disk0", "disk2"]
    for bad in ({}, {"text": 5}, {"text": ours, "base": "1"}, {"text": ours, "base": 0}):
        answer = control(node, "config apply", **bad)
        assert not answer["ok"] and answer["error"]["code"] == "usage", answer
    large = control(node, "config apply", text="#" * (210 << 10))
    assert not large["ok"] and "at most" in large["error"]["message"]


def test_the_replicated_one_counts_at_the_start(node):
    node.start(node.doc())
    assert not node.json("config", "show")["file_differs"]
    node.apply(node.doc(luns=(0, 1)))
    assert node.json("config", "show")["file_differs"]
    node.stop()
    node.start()
    assert node.lun_names() == ["disk0", "disk1"]
    assert "differs from generation 2" in node.output()
    node.stop()
    node.start(node.doc(luns=(0, 1), daemon={"reactors": 2}))  # the daemon's section is each node's own
    assert not node.json("config", "show")["file_differs"]
    node.stop()
    node.start(node.doc(luns=(0, 1), iscsi={"queue_depth": "64"}))  # what can't change online comes from the file
    assert node.lun_names() == ["disk0", "disk1"]


def test_killed_in_the_middle_it_is_all_or_none(node):
    node.start(node.doc())
    before = ["disk0"]
    for n in range(12):
        want = (0, n + 1)
        ctl = subprocess.Popen([SANDEMCTL, "--run-dir", node.run_dir, "config", "apply", node.file(node.doc(luns=want)),
                                "--yes"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.0015 * n)  # another moment each time
        node.hit()
        acknowledged = ctl.wait(20) == 0
        node.start()
        show = node.json("config", "show")
        now = node.lun_names()
        names = sorted(l["name"] for l in json.loads(show["text"])["luns"])
        assert now == names, (now, names)
        if acknowledged:
            assert now == [f"disk{k}" for k in want]
        assert now in (before, [f"disk{k}" for k in want])
        before = now


def test_standalone_has_the_command_line(daemon):
    daemon.start()
    for verb in (("show",), ("history",), ("diff", __file__), ("rollback", "1", "--yes")):
        done = daemon.ctl("config", *verb)
        assert done.returncode == 1 and "--standalone" in done.stderr and "command line" in done.stderr

# SPDX-License-Identifier: BSD-2-Clause
"""
Task management concerns the commands of every node (SAM-5 clause 7; P1, P2).

Topology: two nodes, the one that does not own the group forwards; hosts x and y write through one of them each, host m
manages the logical unit. While /run/slow exists on the owner each write takes SLOW seconds to reach the medium.
"""
import json

import pytest

import labtools

SLOW = 2
X_LBA, Y_LBA = 0, 8
CONFIG = """\
cluster: {{name: {name}}}
nodes:
  - {{name: node-a, id: 1, portals: ["10.77.0.1:3260"]}}
  - {{name: node-b, id: 2, portals: ["10.77.0.2:3260"]}}
groups: [{{name: g0, non_owner: forward}}]
luns:
  - name: disk0
    group: g0
    handler: file
    path: /srv/disk0.img
    size: 1G
    direct: false
    fault: {{delay: {slow}s, op: write, trigger: /run/slow}}
targets:
  - name: iqn.2026-11.io.sandem:demo
    luns: [{{lun: 0, name: disk0}}]
    initiators: ["iqn.*"]
"""


@pytest.fixture(scope="module")
def slow_pair(tmp_path_factory):
    lab = labtools.Lab(f"t{labtools.os.getpid()}-tmf")
    config = tmp_path_factory.mktemp("tmf") / "sandem.yaml"
    config.write_text(CONFIG.format(name=lab.name, slow=SLOW))
    lab.up("--forward", "--config", config)
    yield lab
    lab.down()


@pytest.fixture
def pair(slow_pair):
    slow_pair.await_forwarding()
    return slow_pair


class Writer:
    """A host that writes 1, 2, 3 … to one block."""

    def __init__(self, pair, name, node, lba):
        self.node, self.lba = node, lba
        self.reader = labtools.Host(pair, f"{name}-reader")     # a nexus of its own
        self.process = labtools.Host(pair, name).start(node, "write-loop", lba=lba, timeout=20)
        assert json.loads(self.process.stdout.readline()) == {"event": "writing"}

    def on_medium(self):
        return self.reader.good(self.node, "read", lba=self.lba)["value"]

    def end(self):
        out, _ = self.process.communicate(timeout=30)
        return json.loads(out.splitlines()[-1])


def await_stuck(writers):
    """Each has a write at the medium that takes its time: two reads, apart by more than a write takes, see the same."""
    for w in writers:
        labtools.await_true("the write is under way", lambda w=w: w.on_medium() == w.on_medium(), 10)


def watcher(pair, name, node):
    process = labtools.Host(pair, name).start(node, "await-ua", timeout=20)
    assert json.loads(process.stdout.readline()) == {"event": "waiting"}
    return process


def told(process):
    out, _ = process.communicate(timeout=30)
    return json.loads(out.splitlines()[-1])["unit_attentions"]


@pytest.mark.parametrize("via", ["owner", "other"])
def test_lun_reset_ends_the_writes_of_every_node(pair, figures, via):
    owner = pair.owner()
    other = pair.peer(owner)
    watchers = [watcher(pair, f"w-{n}", n) for n in pair.nodes]
    writers = [Writer(pair, "x", owner, X_LBA), Writer(pair, "y", other, Y_LBA)]
    pair.exec(owner, "touch", "/run/slow")
    try:
        await_stuck(writers)
        answer = labtools.Host(pair, "m").good(owner if via == "owner" else other, "lun-reset", timeout=20)
        at_answer = [w.on_medium() for w in writers]
        ends = [w.end() for w in writers]
    finally:
        pair.exec(owner, "rm", "/run/slow")
    for w, end, then in zip(writers, ends, at_answer):
        assert end["status"] == "TASK ABORTED", end     # TAS=1, by another I_T nexus
        assert end["ended_ms"] - answer["done_ms"] < 500, "it ended long after the reset was answered"
        assert w.on_medium() == then, "a write reached the medium after the reset was answered"
        assert end["acknowledged"] <= then <= end["acknowledged"] + 1
    for process in watchers:
        assert "29/03" in told(process)
    figures(f"ended {[answer['done_ms'] - e['ended_ms'] for e in ends]} ms before the answer")


def test_clear_task_set_ends_what_the_other_node_forwards(pair):
    owner = pair.owner()
    writers = [Writer(pair, "x", owner, X_LBA), Writer(pair, "y", pair.peer(owner), Y_LBA)]
    pair.exec(owner, "touch", "/run/slow")
    try:
        await_stuck(writers)
        labtools.Host(pair, "m").good(owner, "clear-task-set", timeout=20)
        for w in writers:
            assert w.end()["status"] == "TASK ABORTED"
    finally:
        pair.exec(owner, "rm", "/run/slow")

# SPDX-License-Identifier: BSD-2-Clause
"""
Who has lost quorum lets nothing to a medium (P4): a pair with a quorum device on a third host,
and three nodes.

Fencing of the loser is held back, so that it lives and would write if it could; how soon nothing
of it reaches the medium any more is measured at the backing file.
"""
import contextlib
import json
import os
import struct

import pytest

import labtools

UNAVAILABLE = 3
SLACK_MS = 1500         # synchronising, a busy machine
DEVICE_MS = 5000        # sync_timeout: corosync waits so long for what the quorum device says
FREE_LBA = 1 << 20      # behind what loads write


@pytest.fixture(scope="module")
def module_qdevice_pair():
    lab = labtools.Lab(f"t{os.getpid()}-qd")
    lab.up("--qdevice")
    yield lab
    lab.down()


@pytest.fixture
def qdevice_pair(module_qdevice_pair):
    if module_qdevice_pair.exec("arb", "pgrep", "-x", "corosync-qnetd", check=False).returncode:
        module_qdevice_pair.run("qnetd")
    module_qdevice_pair.restore()
    return module_qdevice_pair


@pytest.fixture
def three():
    lab = labtools.Lab(f"t{os.getpid()}-tri", 3)
    lab.up()
    yield lab
    lab.down()


def own(lab, node):
    if lab.owner() != node:
        lab.move(node)
        lab.settle()


def quorate(lab, node):
    return "Quorate:          Yes" in lab.exec(node, "corosync-quorumtool", "-s", check=False).stdout


def membership_ms(lab, node):
    """How long corosync takes to find members gone: the loss of the token, and the consensus
    about it."""
    def get(key):
        return int(lab.exec(node, "corosync-cmapctl", "-g", f"runtime.config.totem.{key}").stdout.split()[-1])
    return get("token") + get("consensus")


def on_medium(lab, lba):
    """The number that write-loop has last left on the medium."""
    with open(f"/tmp/sandem-lab-{lab.name}/srv/disk0.img", "rb") as f:
        f.seek(lba * 512)
        return struct.unpack(">Q", f.read(8))[0]


def own_state(lab, node):
    """What the node's port says of itself."""
    groups = labtools.Host(lab, "asker")(node, "rtpg")["groups"]
    return next((g["state"] for g in groups if g["id"] == lab.nodes.index(node) + 1), None)


class Writer:
    """Writes through one node as fast as it can until a write is not done."""

    def __init__(self, lab, node):
        self.lab = lab
        host = labtools.Host(lab, "writer")
        self.process = host.start(node, "write-loop", lba=FREE_LBA, value=on_medium(lab, FREE_LBA), timeout=20)
        assert json.loads(self.process.stdout.readline()) == {"event": "writing"}

    def end(self):
        return json.loads(self.process.communicate(timeout=60)[0].splitlines()[-1])


def assert_silent(lab, seconds=1.0):
    """Nothing is written any more, for so long."""
    before = on_medium(lab, FREE_LBA)
    with pytest.raises(TimeoutError):
        labtools.await_true("a write", lambda: on_medium(lab, FREE_LBA) != before, seconds)
    return before


def lose_the_owner(lab, figures, cut, slack_ms=SLACK_MS):
    """The owner loses quorum while it writes; gives it as it then is."""
    owner = lab.owner()
    limit_ms = membership_ms(lab, owner) + slack_ms
    writer = Writer(lab, owner)
    since = labtools.wall_ms()
    cut()
    labtools.await_true(f"{owner} has lost quorum", lambda: not quorate(lab, owner), 20)
    end = writer.end()
    stopped = end["good_ms"] - since
    figures(f"last write of the owner that lost quorum {stopped} ms after the cut (limit {limit_ms}); "
            f"then '{end['status']}'")
    assert end["status"] != "GOOD" and stopped < limit_ms, end
    assert end["acknowledged"] <= assert_silent(lab) <= end["acknowledged"] + 1
    answer = labtools.Host(lab, "writer")(owner, "write", lba=FREE_LBA, value=1 << 40, timeout=5)
    assert answer["status"] != "GOOD", answer
    assert on_medium(lab, FREE_LBA) != 1 << 40
    assert own_state(lab, owner) in (UNAVAILABLE, None)
    assert not lab.serving(owner)
    return owner


# ---- a pair with a quorum device -------------------------------------------------------------------


def test_partition_of_the_pair(qdevice_pair, figures):
    """One half keeps the device's vote and serves; the other, the owner, stops by itself, long
    before it is fenced."""
    lab = qdevice_pair
    own(lab, "node-b")      # of two equal halves the device keeps that with the lowest id
    with lab.delayed_fencing("node-b", 8):
        owner = lose_the_owner(lab, figures, lambda: lab.run("partition"), SLACK_MS + DEVICE_MS)
        assert quorate(lab, "node-a")
        lab.await_owner("node-a")       # after the fencing
        assert not lab.powered(owner)
    host = labtools.Host(lab, "after")
    host.good("node-a", "write", lba=FREE_LBA, value=7)
    assert host.good("node-a", "read", lba=FREE_LBA)["value"] == 7


def test_the_quorum_device_dies(qdevice_pair, figures):
    """Two of three votes are left: nobody notices."""
    lab = qdevice_pair
    owner = lab.owner()
    with labtools.load(lab) as load:
        since = labtools.wall_ms()
        lab.exec("arb", "pkill", "-9", "-x", "corosync-qnetd")
        labtools.await_true("the vote is gone", lambda: "Total votes:      2" in lab.exec(
            owner, "corosync-quorumtool", "-s", check=False).stdout, 30)
        load.await_flow()
        gap = load.longest_gap(since)
        assert all(lab.serving(n) for n in lab.nodes) and lab.owner() == owner
        lab.run("qnetd")
        labtools.await_true("the vote is back", lambda: "Total votes:      3" in lab.exec(
            owner, "corosync-quorumtool", "-s", check=False).stdout, 30)
        report = load.stop()
    figures("gap " + ("below 100 ms" if gap is None else f"{gap} ms"))
    assert gap is None or gap < 500, "that is half a token"
    labtools.assert_clean(report)


def test_partition_without_the_quorum_device(qdevice_pair, figures):
    """Neither half has quorum: nobody serves, nobody is fenced; when they see each other again
    all goes on."""
    lab = qdevice_pair
    lab.exec("arb", "pkill", "-9", "-x", "corosync-qnetd")
    labtools.await_true("the vote is gone", lambda: "Total votes:      2" in lab.exec(
        "node-a", "corosync-quorumtool", "-s", check=False).stdout, 30)
    owner = lose_the_owner(lab, figures, lambda: lab.run("partition"), SLACK_MS + DEVICE_MS)
    for node in lab.nodes:
        labtools.await_true(f"{node} does not serve", lambda n=node: not lab.serving(n), 20)
        assert lab.powered(node)
    lab.run("heal")
    lab.settle(90)
    host = labtools.Host(lab, "after")
    host.good(lab.owner(), "write", lba=FREE_LBA, value=9)
    assert host.good(lab.owner(), "read", lba=FREE_LBA)["value"] == 9
    figures(f"{owner} was the owner, {lab.owner()} is")


@contextlib.contextmanager
def frozen_without_quorum(lab):
    """Pacemaker lets what runs run on where quorum is lost; as it is set up it stops everything, sandemd too."""
    lab.crm("configure", "property", "no-quorum-policy=freeze")
    lab.run("wait")
    try:
        yield
    finally:
        lab.crm("configure", "property", "no-quorum-policy=stop")


def test_the_vote_moves_to_who_was_parted(qdevice_pair, figures):
    """The half that went on loses the quorum device, and the other half gets its vote: it does not go
    on with what it has in memory before the first is known to be off."""
    lab = qdevice_pair
    own(lab, "node-b")
    with frozen_without_quorum(lab), lab.delayed_fencing("node-b", 40), lab.delayed_fencing("node-a", 8):
        lab.run("partition")
        labtools.await_true("node-b has lost quorum", lambda: not quorate(lab, "node-b"), 20)
        labtools.await_true("node-a has the vote", lambda: quorate(lab, "node-a") and lab.serving("node-a"), 20)
        assert not lab.serving("node-b")
        lab.exec("node-a", "pkill", "-9", "-x", "corosync-qdevice"[:15])     # as the kernel names it
        labtools.await_true("node-b has the device's vote", lambda: quorate(lab, "node-b"), 30)
        since = labtools.wall_ms()
        labtools.await_true("node-b says for whom it waits", lambda: "waiting for node node-a" in (
            lab.ctl("node-b", "status") or {"why": ""})["why"], 5)
        while lab.powered("node-a"):
            assert not lab.serving("node-b") or not lab.powered("node-a")
        labtools.await_true("node-b serves", lambda: lab.serving("node-b"), 20)
        figures(f"node-b serves {labtools.wall_ms() - since} ms after it has the vote")
        lab.await_owner("node-b")
    labtools.Host(lab, "after").good("node-b", "write", lba=FREE_LBA, value=10)


# ---- three nodes --------------------------------------------------------------------------------------


def test_the_owner_is_parted_from_the_other_two(three, figures):
    owner = three.owner()
    with three.delayed_fencing(owner, 8):
        lose_the_owner(three, figures, lambda: three.run("partition", "cluster", owner))
        successor = labtools.await_true("a survivor is promoted", lambda: (
            (o := three.owner()) not in (None, owner) and o), 60)
    assert not three.powered(owner)
    three.await_owner(successor)
    labtools.Host(three, "after").good(successor, "write", lba=FREE_LBA, value=8)

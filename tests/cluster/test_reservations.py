# SPDX-License-Identifier: BSD-2-Clause
"""
Persistent reservations are one state of the cluster (P1, P2; SPC-4 5.13).

Topology: hosts x, y, z, each with a nexus through node a and one through node b. The medium is reached
through the owner of the group; reservations are made and reported through every port in every state.
"""
import json

import pytest

import labtools

WRITE_EXCLUSIVE_REGISTRANTS_ONLY = 5
KEY_X, KEY_Y = 0xA1, 0xB2
CONFLICT = "RESERVATION CONFLICT"
STANDBY = "02/04/0b"


@pytest.fixture
def hosts(pair):
    """Hosts x, y, z; the logical unit has no registrant when the test begins and ends."""
    def clear():
        sweeper = labtools.Host(pair, "sweeper")
        sweeper.good("node-a", "register-ignore", sa_key=0x77)
        sweeper.good("node-a", "clear", key=0x77)
    clear()
    yield [labtools.Host(pair, n) for n in "xyz"]
    pair.restore()
    clear()


def reserve_through_a(x):
    x.good("node-a", "register", sa_key=KEY_X)
    x.good("node-a", "reserve", key=KEY_X, type=WRITE_EXCLUSIVE_REGISTRANTS_ONLY)


def seen(host, node):
    """What a node reports: (keys, reservation, PRgeneration)."""
    keys = host.good(node, "read-keys")
    return keys["keys"], host.good(node, "read-reservation")["reservation"], keys["generation"]


def assert_excluded(pair, host, node):
    """No write through the node; the owner says why, a standby port may have said its state first."""
    answer = host(node, "write")
    if node != pair.owner() and answer["status"] == "CHECK CONDITION":
        assert answer["sense"]["text"] == STANDBY, f"through {node}: {answer}"
    else:
        assert answer["status"] == CONFLICT, f"through {node}: {answer}"


def assert_kept(pair, hosts, expected, nodes):
    """Reported alike through each of the nodes, and enforced."""
    z = hosts[2]
    for node in nodes:
        assert seen(z, node) == expected, f"through {node}"
        assert_excluded(pair, z, node)
    z.good(pair.owner(), "read")    # type 5 excludes writes only (SPC-4 table 70)


def own(pair, node):
    """The node owns the group, and stays the owner for the test."""
    if pair.owner() != node:
        pair.move(node)
        pair.settle()


def test_made_through_a_known_and_enforced_through_b(pair, hosts):
    x, _, z = hosts
    own(pair, "node-b")
    z.good("node-b", "write", value=1)
    reserve_through_a(x)
    expected = ([hex(KEY_X)], {"key": hex(KEY_X), "scope": 0, "type": 5},
                z.good("node-a", "read-keys")["generation"])
    assert_kept(pair, hosts, expected, pair.nodes)
    # the registration is of one nexus: the same host through b is another (SPC-4 5.13.6)
    assert x("node-b", "write")["status"] == CONFLICT
    x.good("node-b", "register", sa_key=KEY_X)
    x.good("node-b", "write", value=2)
    assert z.good("node-b", "read")["value"] == 2
    for node in pair.nodes:
        registrants = z.good(node, "read-full-status")["registrants"]
        assert {(r["initiator"].split(",")[0], r["key"]) for r in registrants} == {(x.name, hex(KEY_X))}
        assert len({r["relative_target_port"] for r in registrants}) == 2
        assert sum(r["holder"] for r in registrants) == 1


def test_release_through_a_frees_through_b(pair, hosts):
    x, _, z = hosts
    own(pair, "node-b")
    reserve_through_a(x)
    assert z("node-b", "write")["status"] == CONFLICT
    x.good("node-a", "release", key=KEY_X, type=WRITE_EXCLUSIVE_REGISTRANTS_ONLY)
    z.good("node-b", "write", value=3)
    assert z.good("node-b", "read")["value"] == 3


def test_survives_a_move_both_ways(pair, hosts):
    x, _, z = hosts
    reserve_through_a(x)
    expected = seen(z, "node-b")
    assert expected[0] == [hex(KEY_X)]
    for _ in pair.nodes:
        pair.move(pair.peer(pair.owner()))
        pair.settle()
        assert_kept(pair, hosts, expected, pair.nodes)
        if pair.owner() == "node-a":
            x.good("node-a", "write", value=4)


def test_survives_the_death_of_the_node_it_was_made_through(pair, hosts):
    x, _, z = hosts
    own(pair, "node-a")
    reserve_through_a(x)
    x.good("node-a", "write", value=5)
    expected = seen(z, "node-b")
    assert expected[0] == [hex(KEY_X)]
    pair.run("kill", "node-a")
    pair.await_owner("node-b")
    assert seen(z, "node-b") == expected
    assert z("node-b", "write")["status"] == CONFLICT
    assert z.good("node-b", "read")["value"] == 5
    pair.run("start", "node-a")
    pair.settle()
    assert_kept(pair, hosts, expected, pair.nodes)      # the rejoined node has learned it
    own(pair, "node-a")
    assert_kept(pair, hosts, expected, pair.nodes)
    x.good("node-a", "write", value=6)


def test_while_a_node_is_lost_it_is_answered_only_after_fencing(pair, hosts):
    """A node that fell silent may be quorate for itself and win the race: nothing is acknowledged without it (P1)."""
    x, _, z = hosts
    own(pair, "node-b")
    lost = "is lost and may still be writing"

    def told():
        return pair.exec("node-b", "grep", "-c", lost, "/var/log/sandem/sandemd.log", check=False).stdout

    before = told()
    pair.run("kill", "node-a")
    x.good("node-b", "register", sa_key=KEY_X)
    assert told() != before, "the registration was answered before the loss was noticed"
    status = pair.ctl("node-b", "status")
    assert status["members"] == ["node-b"] and status["unfenced"] == []
    assert "node-a: off" in pair.run("fence", "state").stdout
    assert seen(z, "node-b")[0] == [hex(KEY_X)]
    pair.run("start", "node-a")
    pair.settle()
    assert seen(z, "node-a")[0] == [hex(KEY_X)]


@pytest.mark.parametrize("writing", ["node-a", "node-b"])
@pytest.mark.parametrize("verb", ["preempt", "preempt-abort"])
def test_preempt_through_the_peer_ends_the_writes(pair, hosts, verb, writing, figures):
    """When PREEMPT returns GOOD no write of the excluded nexus reaches the medium any more (P2)."""
    x, y, z = hosts
    peer = pair.peer(writing)
    own(pair, writing)
    x.good(writing, "register", sa_key=KEY_X)
    x.good(writing, "reserve", key=KEY_X, type=WRITE_EXCLUSIVE_REGISTRANTS_ONLY)
    y.good(peer, "register", sa_key=KEY_Y)
    writer = x.start(writing, "write-loop", timeout=8)
    assert json.loads(writer.stdout.readline()) == {"event": "writing"}
    done = y.good(peer, verb, key=KEY_Y, sa_key=KEY_X, type=WRITE_EXCLUSIVE_REGISTRANTS_ONLY)
    at_answer = z.good(writing, "read")["value"]
    out, _ = writer.communicate(timeout=30)
    end = json.loads(out.splitlines()[-1])
    # a write that was aborted for another nexus ends with TASK ABORTED (SAM-5 5.3.1, TAS=1), at once
    allowed = {CONFLICT} if verb == "preempt" else {CONFLICT, "TASK ABORTED"}
    assert end["status"] in allowed, end
    assert end["ended_ms"] - done["done_ms"] < 2000, "the writer waited for its own timeout"
    assert x(writing, "write", value=9)["status"] == CONFLICT
    assert z.good(writing, "read")["value"] == at_answer, "a write reached the medium after GOOD"
    # the last write may have been done and then aborted; an acknowledged one must be there
    assert end["acknowledged"] <= at_answer <= end["acknowledged"] + 1
    for node in pair.nodes:
        assert seen(z, node)[:2] == ([hex(KEY_Y)], {"key": hex(KEY_Y), "scope": 0, "type": 5})
    figures(f"{at_answer} writes, the writer was told {end['ended_ms'] - done['done_ms']} ms after GOOD")

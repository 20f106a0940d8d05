# SPDX-License-Identifier: BSD-2-Clause
"""
Persistent reservations are one state of the cluster (P1, P2; SPC-4 5.13).

Topology: hosts x, y, z, each with a nexus through node a and one through node b.
"""
import json

import pytest

import labtools

WRITE_EXCLUSIVE_REGISTRANTS_ONLY = 5
KEY_X, KEY_Y = 0xA1, 0xB2
CONFLICT = "RESERVATION CONFLICT"


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


def assert_kept(pair, hosts, expected, nodes):
    """Reported alike and enforced through each of the nodes."""
    x, _, z = hosts
    for node in nodes:
        assert seen(z, node) == expected, f"through {node}"
        assert z(node, "write")["status"] == CONFLICT, f"through {node}"
        z.good(node, "read")    # type 5 excludes writes only (SPC-4 table 70)
    if "node-a" in nodes:
        x.good("node-a", "write", value=1)


def test_made_through_a_known_and_enforced_through_b(pair, hosts):
    x, _, z = hosts
    reserve_through_a(x)
    expected = ([hex(KEY_X)], {"key": hex(KEY_X), "scope": 0, "type": 5},
                z.good("node-a", "read-keys")["generation"])
    assert_kept(pair, hosts, expected, pair.nodes)
    # the registration is of one nexus: the same host through b is another (SPC-4 5.13.6)
    assert x("node-b", "write")["status"] == CONFLICT
    x.good("node-b", "register", sa_key=KEY_X)
    x.good("node-b", "write", value=2)
    assert z.good("node-a", "read")["value"] == 2
    registrants = z.good("node-b", "read-full-status")["registrants"]
    assert {(r["initiator"].split(",")[0], r["key"]) for r in registrants} == {(x.name, hex(KEY_X))}
    assert len({r["relative_target_port"] for r in registrants}) == 2


def test_release_through_a_frees_through_b(pair, hosts):
    x, y, z = hosts
    reserve_through_a(x)
    assert z("node-b", "write")["status"] == CONFLICT
    x.good("node-a", "release", key=KEY_X, type=WRITE_EXCLUSIVE_REGISTRANTS_ONLY)
    z.good("node-b", "write", value=3)
    assert y.good("node-a", "read")["value"] == 3


def test_survives_a_move_both_ways(pair, hosts):
    x, _, z = hosts
    reserve_through_a(x)
    expected = seen(z, "node-b")
    assert expected[0] == [hex(KEY_X)]
    for _ in pair.nodes:
        to = pair.peer(pair.owner())
        pair.move(to)
        assert_kept(pair, hosts, expected, pair.nodes)
        pair.settle()


def test_survives_the_death_of_the_node_it_was_made_through(pair, hosts):
    x, _, z = hosts
    pair.owner() == "node-a" or pair.move("node-a")
    reserve_through_a(x)
    expected = seen(z, "node-b")
    assert expected[0] == [hex(KEY_X)]
    pair.run("kill", "node-a")
    pair.await_owner("node-b")
    assert_kept(pair, hosts, expected, ["node-b"])
    pair.run("start", "node-a")
    pair.settle()
    assert_kept(pair, hosts, expected, pair.nodes)      # the rejoined node has learned it


@pytest.mark.parametrize("owner", ["node-a", "node-b"])
@pytest.mark.parametrize("verb", ["preempt", "preempt-abort"])
def test_preempt_through_b_ends_the_writes_through_a(pair, hosts, verb, owner, figures):
    """When PREEMPT returns GOOD no write of the excluded nexus reaches the medium any more (P2)."""
    x, y, z = hosts
    pair.owner() == owner or pair.move(owner)
    reserve_through_a(x)
    y.good("node-b", "register", sa_key=KEY_Y)
    writer = x.start("node-a", "write-loop", timeout=8)
    assert json.loads(writer.stdout.readline()) == {"event": "writing"}
    done = y.good("node-b", verb, key=KEY_Y, sa_key=KEY_X, type=WRITE_EXCLUSIVE_REGISTRANTS_ONLY)
    at_answer = y.good("node-b", "read")["value"]
    out, _ = writer.communicate(timeout=30)
    end = json.loads(out.splitlines()[-1])
    # a write that was aborted for another nexus gets no status, or TASK ABORTED (SAM-5 5.3.1)
    allowed = {CONFLICT} if verb == "preempt" else {CONFLICT, "TASK ABORTED", "timed out"}
    assert end["status"] in allowed, end
    assert x("node-a", "write", value=9)["status"] == CONFLICT
    assert y.good("node-b", "read")["value"] == at_answer, "a write reached the medium after GOOD"
    assert z.good("node-a", "read")["value"] == at_answer, "node a reads something else"
    # the last write may have been done and then aborted; an acknowledged one must be there
    assert end["acknowledged"] <= at_answer <= end["acknowledged"] + 1
    assert seen(z, "node-a")[:2] == ([hex(KEY_Y)], {"key": hex(KEY_Y), "scope": 0, "type": 5})
    figures(f"{at_answer} writes, the writer was told {end['ended_ms'] - done['done_ms']} ms after GOOD")

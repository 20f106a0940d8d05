# SPDX-License-Identifier: BSD-2-Clause
"""
Ports of the node that does not own the group forward to the owner (non_owner: forward).

Topology: two nodes, the initiator host has a path to each and sends through both in turn, unless a scenario says otherwise. The
nodes' link is TCP port 3261 between them.
"""
import json
import os
import subprocess

import pytest

import labtools

BOTH = ("--path-policy", "roundrobin")
WRITE_EXCLUSIVE_REGISTRANTS_ONLY = 5
KEY_X, KEY_Y = 0xA1, 0xB2
CONFLICT = "RESERVATION CONFLICT"


def here(pair, node):
    """The state of the node's own ports, by its own word."""
    status = pair.ctl(node, "group", "list")
    return status and next(g["state"] for g in status["groups"] if g["name"] == labtools.GROUP)


def await_forwarding(pair):
    """Both paths are usable."""
    def both():
        return sorted(str(here(pair, n)) for n in pair.nodes) == ["active", "nonoptimized"]
    labtools.await_true("one node owns the group, the other forwards", both, 40)


@pytest.fixture
def pair(forward_pair):
    await_forwarding(forward_pair)
    return forward_pair


def show(gap):
    return "below 100 ms" if gap is None else f"{gap:.0f} ms"


def assert_used(report):
    for path in report["paths"]:
        assert path["ios"] > 0, f"no I/O through {path['path']}"


def reset_link(pair, node):
    """The node's connections to its peer end at once, with whatever is on them."""
    pair.exec(node, "ss", "-K", "-tn", "dport", "=", "3261")


def test_the_path_through_the_other_node_alone(pair, figures):
    other = pair.peer(pair.owner())
    with labtools.load(pair, nodes=[other]) as load:
        load.await_flow(5000)
        report = load.stop()
    labtools.assert_clean(report)
    path = report["paths"][0]
    assert path["state"] == "active/non-optimized"      # as REPORT TARGET PORT GROUPS says
    assert path["failures"] == 0 and report["retries"] == 0
    figures(f"{report['reads'] + report['writes']} I/O, p50 {report['latency_us']['all']['p50']} us")


def test_conformance_through_the_other_node(pair, figures):
    """Media commands of every kind, executed at the owner, are what the standards say (tests/conformance)."""
    other = pair.peer(pair.owner())
    families = "CompareAndWrite|OrWrite|Prefetch|Read6|Read10|Read12|Read16|Verify10|Verify16|Write10|Write16|WriteVerify10|Reserve6"
    done = subprocess.run(
        pair.argv("exec", "init", labtools.REPO / "tests/conformance/run", "--only", rf"ALL\.({families})\.",
                  "--url", f"iscsi://{pair.portal(other)}/{labtools.TARGET}/{labtools.LUN}"),
        text=True, capture_output=True, timeout=200)
    summary = done.stdout.splitlines()[-1]
    assert done.returncode == 0 and " 0 failed" in summary, done.stdout[-3000:] + done.stderr
    figures(summary)


def test_moves_under_load_through_both(pair, figures):
    with labtools.load(pair, *BOTH) as load:
        gaps = []
        for _ in range(4):
            to = pair.peer(pair.owner())
            since = labtools.wall_ms()
            pair.move(to)
            await_forwarding(pair)
            load.await_flow()
            gaps.append(load.longest_gap(since))
            pair.settle()
            pair.crm("resource", "clear", labtools.CLONE)
        report = load.stop()
    figures("gaps: " + ", ".join(map(show, gaps)))
    labtools.assert_clean(report)
    assert_used(report)


def test_moves_seen_through_one_path_only(pair, figures):
    """An initiator that knows a single node never notices where the group is."""
    only = pair.nodes[0]
    with labtools.load(pair, nodes=[only]) as load:
        since = labtools.wall_ms()
        for _ in range(3):
            pair.move(pair.peer(pair.owner()))
            await_forwarding(pair)
            pair.settle()
            pair.crm("resource", "clear", labtools.CLONE)
        load.await_flow()
        gap = load.longest_gap(since)
        report = load.stop()
    figures(f"longest gap {show(gap)}")
    labtools.assert_clean(report)


@pytest.mark.parametrize("end", ["kill -9", "power cut", "pause"])
def test_the_owner_ends(pair, figures, end):
    owner = pair.owner()
    survivor = pair.peer(owner)
    with labtools.load(pair, *BOTH) as load:
        since = labtools.wall_ms()
        if end == "kill -9":
            pair.exec(owner, "sh", "-c", "kill -9 $(cat /run/sandem/sandemd.pid)")
        else:
            pair.run("kill" if end == "power cut" else "pause", owner)
        pair.await_owner(survivor)
        load.await_flow()
        gap = load.longest_gap(since)
        report = load.stop()
    figures(f"gap {show(gap)}")
    labtools.assert_clean(report)


def test_the_forwarding_node_ends(pair, figures):
    other = pair.peer(pair.owner())
    with labtools.load(pair, *BOTH) as load:
        since = labtools.wall_ms()
        pair.exec(other, "sh", "-c", "kill -9 $(cat /run/sandem/sandemd.pid)")
        load.await_flow()
        pair.settle()
        await_forwarding(pair)
        gap = load.longest_gap(since)
        report = load.stop()
    figures(f"gap {show(gap)}")
    labtools.assert_clean(report)


def test_link_cut(pair, figures):
    """Only the link is cut: the port turns to standby, the other path carries on, and it comes back."""
    other = pair.peer(pair.owner())
    with labtools.load(pair, *BOTH) as load:
        since = labtools.wall_ms()
        pair.run("partition", "link")
        labtools.await_true("the port is standby", lambda: here(pair, other) == "standby", 20)
        load.await_flow()
        pair.run("heal")
        await_forwarding(pair)
        load.await_flow()
        gap = load.longest_gap(since)
        report = load.stop()
    figures(f"gap {show(gap)}")
    labtools.assert_clean(report)


@pytest.mark.parametrize("policy", ["both", "forwarded only"])
def test_connections_of_the_link_are_reset(pair, figures, policy):
    """Each reset loses frames in both directions; none is done twice, none is lost, the port's state stays (P6)."""
    other = pair.peer(pair.owner())
    resets = 30
    options = {"nodes": [other]} if policy == "forwarded only" else {}
    with labtools.load(pair, *BOTH, "--mix", 30, "--qd", 64, **options) as load:
        since = labtools.wall_ms()
        for _ in range(resets):
            reset_link(pair, other)
            load.await_flow(500)
        assert here(pair, other) == "nonoptimized"
        gap = load.longest_gap(since)
        report = load.stop()
    figures(f"{resets} resets, gap {show(gap)}, retries {report['retries']}")
    labtools.assert_clean(report)
    assert all(p["failures"] == 0 for p in report["paths"]), report["paths"]


def test_move_while_the_link_is_cut(pair, figures):
    with labtools.load(pair, *BOTH) as load:
        since = labtools.wall_ms()
        pair.run("partition", "link")
        to = pair.peer(pair.owner())
        pair.move(to)
        load.await_flow()
        pair.run("heal")
        await_forwarding(pair)
        gap = load.longest_gap(since)
        report = load.stop()
    figures(f"gap {show(gap)}")
    labtools.assert_clean(report)


@pytest.mark.parametrize("verb", ["preempt", "preempt-abort"])
@pytest.mark.parametrize("through", ["owner", "other"])
def test_preempt_ends_forwarded_writes(pair, figures, verb, through):
    """The excluded nexus writes through the forwarding node; PREEMPT comes through either (P2)."""
    owner = pair.owner()
    other = pair.peer(owner)
    preempting = owner if through == "owner" else other
    x, y, z = (labtools.Host(pair, f"{n}-{verb}-{through}") for n in "xyz")
    sweeper = labtools.Host(pair, "sweeper")
    sweeper.good(owner, "register-ignore", sa_key=0x77)
    sweeper.good(owner, "clear", key=0x77)
    x.good(other, "register", sa_key=KEY_X)
    x.good(other, "reserve", key=KEY_X, type=WRITE_EXCLUSIVE_REGISTRANTS_ONLY)
    y.good(preempting, "register", sa_key=KEY_Y)
    writer = x.start(other, "write-loop", timeout=8)
    assert json.loads(writer.stdout.readline()) == {"event": "writing"}
    y.good(preempting, verb, key=KEY_Y, sa_key=KEY_X, type=WRITE_EXCLUSIVE_REGISTRANTS_ONLY)
    at_answer = z.good(owner, "read")["value"]
    out, _ = writer.communicate(timeout=30)
    end = json.loads(out.splitlines()[-1])
    allowed = {CONFLICT} if verb == "preempt" else {CONFLICT, "TASK ABORTED", "timed out"}
    assert end["status"] in allowed, end
    assert x(other, "write", value=9)["status"] == CONFLICT
    assert x(owner, "write", value=9)["status"] == CONFLICT
    assert z.good(owner, "read")["value"] == at_answer, "a write reached the medium after GOOD"
    assert z.good(other, "read")["value"] == at_answer
    assert end["acknowledged"] <= at_answer <= end["acknowledged"] + 1
    y.good(preempting, "clear", key=KEY_Y)
    figures(f"{at_answer} forwarded writes")


@pytest.fixture
def tls_pair():
    lab = labtools.Lab(f"t{os.getpid()}-tls")
    lab.up("--forward", "--link-tls")
    await_forwarding(lab)
    yield lab
    lab.down()


def test_by_tls(tls_pair, figures):
    """link_tls: through the other node alone, while connections of the link break, over a move and back."""
    pair = tls_pair
    other = pair.peer(pair.owner())
    with labtools.load(pair, nodes=[other]) as load:
        for _ in range(5):
            reset_link(pair, other)
            load.await_flow(500)
        since = labtools.wall_ms()
        pair.move(other)
        await_forwarding(pair)
        load.await_flow()
        pair.settle()
        pair.crm("resource", "clear", labtools.CLONE)
        gap = load.longest_gap(since)
        report = load.stop()
    figures(f"5 resets; gap of the move {show(gap)}")
    labtools.assert_clean(report)

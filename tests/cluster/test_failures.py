# SPDX-License-Identifier: BSD-2-Clause
"""Unplanned ends under verified I/O over both paths: nothing acknowledged is lost (P4, P5, P6)."""
import pytest

import labtools


def fail_over(pair, load, fail):
    """fail(owner), then until the peer owns the group and I/O flows; gives (new owner, gap)."""
    owner = pair.owner()
    to = pair.peer(owner)
    since = labtools.wall_ms()
    fail(owner)
    pair.await_owner(to)
    load.await_flow()
    return to, load.longest_gap(since)


def show(gap):
    return "below 100 ms" if gap is None else f"{gap:.0f} ms"


def slowest(report):
    return f"; slowest I/O {report['latency_us']['all']['max'] / 1000:.0f} ms"


def kill_daemon(pair, node):
    pair.exec(node, "sh", "-c", "kill -9 $(cat /run/sandem/sandemd.pid)")


def test_kill_9_of_the_owner(pair, figures):
    with labtools.load(pair) as load:
        owner, gap = fail_over(pair, load, lambda n: kill_daemon(pair, n))
        pair.settle()       # pacemaker starts the killed daemon again, it rejoins
        assert pair.owner() == owner, "a daemon that comes back must not take the group back"
        report = load.stop()
    figures(f"gap {show(gap)}" + slowest(report))
    labtools.assert_clean(report)


def test_kill_9_of_the_other(pair, figures):
    with labtools.load(pair) as load:
        owner = pair.owner()
        since = labtools.wall_ms()
        kill_daemon(pair, pair.peer(owner))
        load.await_flow()
        pair.settle()
        assert pair.owner() == owner
        gap = load.longest_gap(since)
        report = load.stop()
    figures(f"gap {show(gap)}" + slowest(report))
    labtools.assert_clean(report)


def test_power_cut_of_the_owner_and_rejoin(pair, figures):
    with labtools.load(pair) as load:
        dead = pair.owner()
        owner, gap = fail_over(pair, load, lambda n: pair.run("kill", n))
        assert f"turning off of {dead} successful" in pair.run("fence", "state").stdout
        pair.run("start", dead)
        pair.settle()
        members = pair.ctl(dead, "status")["members"]
        assert sorted(members) == pair.nodes
        # what the rejoined node has learned is good enough to own the group
        since = labtools.wall_ms()
        pair.move(dead)
        load.await_flow()
        back = load.longest_gap(since)
        report = load.stop()
    figures(f"gap {show(gap)}; move back to the rejoined node: {show(back)}" + slowest(report))
    labtools.assert_clean(report)


def test_power_cut_of_the_other(pair, figures):
    with labtools.load(pair) as load:
        owner = pair.owner()
        since = labtools.wall_ms()
        pair.run("kill", pair.peer(owner))
        labtools.await_true("the dead node is fenced", lambda: (
            f"turning off of {pair.peer(owner)} successful" in pair.run("fence", "state").stdout), 30)
        load.await_flow()
        assert pair.owner() == owner
        gap = load.longest_gap(since)
        report = load.stop()
    figures(f"gap {show(gap)}" + slowest(report))
    labtools.assert_clean(report)


def test_owner_paused_until_fenced(pair, figures):
    with labtools.load(pair) as load:
        _, gap = fail_over(pair, load, lambda n: pair.run("pause", n))
        report = load.stop()
    figures(f"gap {show(gap)}" + slowest(report))
    labtools.assert_clean(report)


def test_corosync_of_the_owner_is_killed(pair, figures):
    """The owner's daemon lives on without its cluster until it is fenced: no quorum, no medium."""
    with labtools.load(pair) as load:
        _, gap = fail_over(pair, load, lambda n: pair.exec(n, "pkill", "-9", "-x", "corosync"))
        report = load.stop()
    figures(f"gap {show(gap)}" + slowest(report))
    labtools.assert_clean(report)


@pytest.mark.parametrize("loser", ["owner", "other"])
def test_nodes_lose_each_other(pair, figures, loser):
    """Both still reach the initiator; one is fenced, the other serves on (P4, P5)."""
    owner = pair.owner()
    lost = owner if loser == "owner" else pair.peer(owner)
    survivor = pair.peer(lost)
    device = ("crm_resource", "--resource", f"fence-{survivor}")
    # a head start for the survivor: the device that would end it waits
    pair.exec(owner, *device, "--set-parameter", "pcmk_delay_base", "--parameter-value", "5s")
    try:
        pair.run("wait")
        with labtools.load(pair) as load:
            since = labtools.wall_ms()
            pair.run("partition")
            labtools.await_true(f"{lost} is fenced", lambda: not pair.powered(lost), 40)
            pair.await_owner(survivor)
            load.await_flow()
            gap = load.longest_gap(since)
            report = load.stop()
    finally:
        pair.exec(survivor, *device, "--delete-parameter", "pcmk_delay_base")
    figures(f"gap {show(gap)}" + slowest(report))
    labtools.assert_clean(report)

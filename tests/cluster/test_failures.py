# SPDX-License-Identifier: BSD-2-Clause
"""Unplanned ends under verified I/O over both paths: nothing acknowledged is lost (P4, P5, P6)."""
import contextlib
import json
import subprocess

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
    with pair.delayed_fencing(survivor), labtools.load(pair) as load:
        since = labtools.wall_ms()
        pair.run("partition")
        labtools.await_true(f"{lost} is fenced", lambda: not pair.powered(lost), 40)
        pair.await_owner(survivor)
        load.await_flow()
        gap = load.longest_gap(since)
        report = load.stop()
    figures(f"gap {show(gap)}" + slowest(report))
    labtools.assert_clean(report)


@pytest.mark.parametrize("which", ["owner", "other"])
def test_a_daemon_stops_for_longer_than_the_token(pair, figures, which):
    """SIGSTOP, four tokens long, then it goes on: its node is a member all the while, so nothing is acknowledged without
    it (P1) and nothing is taken from it (P6)."""
    node = pair.owner() if which == "owner" else pair.peer(pair.owner())
    asked = labtools.Host(pair, "stopped")
    with labtools.load(pair) as load:
        since = labtools.wall_ms()
        shell = labtools.Shell(pair, node)
        shell("kill -STOP $(cat /run/sandem/sandemd.pid)")
        register = asked.start(pair.peer(node), "register-ignore", sa_key=0x51)
        with pytest.raises(subprocess.TimeoutExpired):
            register.wait(4)
        resumed = labtools.wall_ms()  # the answer may come before the shell's
        shell("kill -CONT $(cat /run/sandem/sandemd.pid)")
        answer = json.loads(register.communicate(timeout=30)[0])
        shell.close()
        assert answer["status"] == "GOOD" and answer["done_ms"] >= resumed, answer
        for n in pair.nodes:
            assert "0x51" in asked.good(n, "read-keys")["keys"], f"through {n}"
        pair.settle()
        load.await_flow()
        gap = load.longest_gap(since)
        report = load.stop()
    asked.good(pair.peer(node), "clear", key=0x51)
    figures(f"gap {show(gap)}, registration answered {answer['done_ms'] - resumed} ms after SIGCONT")
    labtools.assert_clean(report)


def test_the_owner_pauses_and_comes_back_before_it_is_fenced(pair, figures):
    """Its peer has lost it, nobody may own the group yet; it wakes up as an owner of the past, and ends by being fenced
    or by joining again (P5, P6)."""
    owner = pair.owner()
    with pair.delayed_fencing(owner, 6), labtools.load(pair) as load:
        since = labtools.wall_ms()
        pair.run("pause", owner)
        labtools.await_true("its peer has lost it", lambda: pair.ctl(
            pair.peer(owner), "status")["members"] == [pair.peer(owner)], 20)
        pair.run("resume", owner)
        load.await_flow()
        gap = load.longest_gap(since)
        # a shot that was ordered while it was away comes after the delay, also when it is back by then
        with contextlib.suppress(TimeoutError):
            labtools.await_true("the delayed shot", lambda: not pair.powered(owner), 12)
        pair.restore()
        load.await_flow()
        report = load.stop()
    figures(f"gap {show(gap)}, the owner was {owner}, now it is {pair.owner()}")
    labtools.assert_clean(report)

# SPDX-License-Identifier: BSD-2-Clause
"""Planned moves under verified I/O over both paths: no error, nothing lost (P6, P7).

SANDEM_MOVES: how many instead of 5.
"""
import os
import statistics

import labtools

MOVES = int(os.environ.get("SANDEM_MOVES", "5"))


def gap_text(gaps):
    listed = [g for g in gaps if g is not None]
    below = len(gaps) - len(listed)
    if not listed:
        return f"{len(gaps)} moves, every gap below 100 ms"
    return (f"{len(gaps)} moves, gap median "
            f"{statistics.median(g or 0 for g in gaps):.0f} ms, max {max(listed):.0f} ms"
            f" ({below} below 100 ms): " + " ".join("<100" if g is None else f"{g:.0f}" for g in gaps))


def move_under_load(pair, load, move):
    """One change of owner; gives the gap that the initiator saw."""
    since = labtools.wall_ms()
    move()
    load.await_flow()
    return load.longest_gap(since)


def test_moves_by_crm(pair, figures):
    with labtools.load(pair) as load:
        gaps = []
        for _ in range(MOVES):
            to = pair.peer(pair.owner())
            gaps.append(move_under_load(pair, load, lambda n=to: pair.move(n)))
            pair.settle()
        report = load.stop()
    figures(gap_text(gaps) + f"; slowest I/O {report['latency_us']['all']['max'] / 1000:.0f} ms")
    labtools.assert_clean(report)


def test_node_standby_and_online(pair, figures):
    with labtools.load(pair) as load:
        gaps = []
        for _ in range(2):
            owner = pair.owner()

            def standby(node=owner):
                pair.crm("node", "standby", node)
                pair.await_owner(pair.peer(node))
            gaps.append(move_under_load(pair, load, standby))
            pair.crm("node", "online", owner)
            pair.settle()
        report = load.stop()
    figures(gap_text(gaps) + f"; slowest I/O {report['latency_us']['all']['max'] / 1000:.0f} ms")
    labtools.assert_clean(report)

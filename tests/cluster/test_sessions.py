# SPDX-License-Identifier: BSD-2-Clause
"""
One view of every session on every node.

Topology: two nodes; the initiator host logs in to each.
"""
import labtools


def sessions(pair, node):
    """{(node, peer address)} that this node lists, of the load's initiator; and how many rows."""
    answer = pair.ctl(node, "session", "list")
    rows = answer["sessions"] if answer else []
    return {(r["node"], r["initiator"], r["target"], r["isid"], r["peer"]) for r in rows}


def test_each_node_lists_the_sessions_of_all(pair, figures):
    a, b = pair.nodes
    with labtools.load(pair) as load:
        load.await_flow()
        labtools.await_true("both nodes list both sessions", lambda: len(sessions(pair, a)) == 2 and
                            sessions(pair, a) == sessions(pair, b), 10)
        assert {s[0] for s in sessions(pair, a)} == {a, b}
        other = pair.peer(pair.owner())
        pair.exec(other, "sh", "-c", "kill -9 $(cat /run/sandem/sandemd.pid)")
        labtools.await_true("those of the lost node are gone",
                            lambda: {s[0] for s in sessions(pair, pair.peer(other))} == {pair.peer(other)}, 20)
        pair.settle()
        labtools.await_true("they are back", lambda: len(sessions(pair, a)) == 2 and
                            sessions(pair, a) == sessions(pair, b), 30)
        report = load.stop()
    labtools.assert_clean(report)
    labtools.await_true("none is left", lambda: not sessions(pair, a) and not sessions(pair, b), 10)
    figures("two sessions, on both nodes")

# SPDX-License-Identifier: BSD-2-Clause
"""
Mode parameters are the same through every node, and the saved ones outlive them all (P1).

Topology: two nodes; two initiator ports on each.
"""
import labtools

CLIENT = labtools.REPO / "tests/cluster/mode_client.py"


def client(pair, job):
    owner = pair.owner()
    portals = [pair.portal(n) for n in (owner, pair.peer(owner))]
    pair.exec("init", "/usr/bin/python3", CLIENT, job, *portals, labtools.TARGET)


def test_mode_select_through_the_other_node(pair, figures):
    client(pair, "select")
    client(pair, "clock")
    away = pair.peer(pair.owner())
    pair.crm("node", "standby", away)  # its daemon ends and, coming back, takes the state from its peer
    labtools.await_true("the daemon has ended", lambda: not pair.serving(away), 40)
    pair.crm("node", "online", away)
    pair.settle()
    client(pair, "after-rejoin")
    for node in pair.nodes:
        pair.run("kill", node)
    for node in pair.nodes:
        pair.run("start", node)
    pair.settle()
    client(pair, "check")
    client(pair, "clean")
    figures("told once to each on both nodes; a node that was away has the values, the clock, too; the saved value is there "
            "after a power cut of both")

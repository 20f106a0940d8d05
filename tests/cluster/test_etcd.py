# SPDX-License-Identifier: BSD-2-Clause
"""Two nodes with `store: {type: etcd}`, etcd on the arbitrator: it may go while I/O runs; a node that was left behind and comes
back alone does not serve."""
import json

import pytest

import labtools


@pytest.fixture(scope="module")
def module_etcd_pair():
    import os
    lab = labtools.Lab(f"t{os.getpid()}-etcd")
    lab.up("--etcd")
    yield lab
    lab.down()


@pytest.fixture
def etcd_pair(module_etcd_pair):
    module_etcd_pair.restore()
    return module_etcd_pair


def store(lab, node):
    status = lab.ctl(node, "status")
    return status and status["store"]


def told(lab):
    """etcd has the configuration and the history that the nodes have."""
    stores = [store(lab, n) for n in lab.nodes]
    shown = lab.ctl(lab.nodes[0], "config", "show")
    return shown and all(s and s["reachable"] and s["newest"] and s["newest"]["config"] == shown["generation"]
                         for s in stores)


def etcd(lab, signal):
    lab.exec("arb", "pkill", f"-{signal}", "-x", "etcd")


def test_etcd_pauses_under_load(etcd_pair, figures):
    lab = etcd_pair
    labtools.await_true("etcd is told", lambda: told(lab), 30)
    with labtools.load(lab) as load:
        etcd(lab, "STOP")
        labtools.await_true("both say so", lambda: all((s := store(lab, n)) and not s["reachable"] for n in lab.nodes), 60)
        since = labtools.wall_ms()
        load.await_flow()
        lab.move(lab.peer(lab.owner()))
        load.await_flow()
        etcd(lab, "CONT")
        labtools.await_true("etcd catches up", lambda: told(lab), 60)
        load.await_flow()
        labtools.assert_clean(load.stop())
        figures(f"a move without etcd, longest gap {load.longest_gap(since)} ms")


def test_a_node_left_behind_waits(etcd_pair):
    """Node B is down while A goes on; then A is off, and B comes back alone: its state is stale, and it knows."""
    lab = etcd_pair
    behind = lab.peer(lab.owner())
    ahead = lab.peer(behind)
    labtools.await_true("etcd is told", lambda: told(lab), 30)
    before = store(lab, ahead)["newest"]["generation"]
    lab.crm("node", "standby", behind)
    labtools.await_true("its daemon has ended", lambda: not lab.serving(behind), 60)
    labtools.await_true("A serves alone", lambda: len(lab.ctl(ahead, "status")["members"]) == 1, 30)
    text = lab.ctl(ahead, "config", "show")["text"]
    lab.exec(ahead, "sh", "-c", f"cat >/tmp/next.yaml <<'E'\n{text.replace('size: 1G', 'size: 1100M')}\nE\n"
             "sandemctl config apply --yes /tmp/next.yaml")
    labtools.await_true("etcd knows that A went on", lambda: store(lab, ahead)["newest"]["generation"] > before, 40)
    lab.crm("node", "standby", ahead)
    labtools.await_true("A's daemon has ended", lambda: not lab.serving(ahead), 60)
    lab.crm("node", "online", behind)
    status = labtools.await_true("B is up", lambda: lab.ctl(behind, "status"), 60)
    labtools.await_true("B waits", lambda: f"waiting for node {ahead}," in
                        (lab.ctl(behind, "status") or {"why": ""})["why"], 30)
    assert not lab.serving(behind), status
    lab.crm("node", "online", ahead)
    lab.settle(90)
    assert {n: lab.ctl(n, "config", "show")["text"] for n in lab.nodes} == {
        n: lab.ctl(ahead, "config", "show")["text"] for n in lab.nodes}
    assert "1100M" in json.dumps(lab.ctl(behind, "config", "show")["text"])

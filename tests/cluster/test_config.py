# SPDX-License-Identifier: BSD-2-Clause
"""The configuration as replicated state: a change is in force on all nodes or on none, whatever happens to a node meanwhile."""
import json
import pathlib
import subprocess

import pytest

import labtools
from test_resize import watch

MIB = 1 << 20


def shown(pair, node):
    return pair.ctl(node, "config", "show")


def luns(pair, node):
    listed = pair.ctl(node, "lun", "list")
    return sorted(l["name"] for l in listed["luns"]) if listed else None


def text_with(pair, node, *names, owner_path=None):
    """The text in force with the LUNs disk0 and names; as many LUN numbers."""
    head = "\n".join(line for line in shown(pair, node)["text"].splitlines()
                     if line.startswith(("cluster:", "nodes:", "  - {name: node-", "groups:")))
    rows = [f'  - {{name: disk0, group: g0, handler: file, path: /srv/disk0.img, size: 1G, direct: false}}']
    rows += [f'  - {{name: {n}, group: g0, handler: file, path: {owner_path or f"/srv/{n}.img"}, size: 16M, '
             f'create: true}}' for n in names]
    maps = ", ".join(f"{{lun: {i}, name: {n}}}" for i, n in enumerate(("disk0", *names)))
    return "\n".join([head, "luns:", *rows, "targets:", f"  - name: {labtools.TARGET}", f"    luns: [{maps}]",
                      '    initiators: ["iqn.*"]', ""])


def start(pair, node, text):
    argv = pair.argv("exec", node, "sandemctl", "--json", "config", "apply", "-", "--yes")
    process = subprocess.Popen(argv, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    process.stdin.write(text)
    process.stdin.close()
    process.stdin = None
    return process


def apply(pair, node, text):
    process = start(pair, node, text)
    out, err = process.communicate(timeout=90)
    return process.returncode, out, err


def applied(pair, node, text):
    code, out, err = apply(pair, node, text)
    assert code == 0, err
    return json.loads(out)["generation"]


def hit(pair, node):
    pair.exec(node, "sh", "-c", "kill -9 $(cat /run/sandem/sandemd.pid)", check=False)


@pytest.fixture
def clean(pair):
    """One LUN, on both nodes."""
    node = pair.nodes[0]
    labtools.await_true("there is a generation", lambda: shown(pair, node), 20)
    applied(pair, node, text_with(pair, node))
    return pair


def test_in_force_on_all_nodes_under_load(clean, figures):
    pair = clean
    owner = pair.owner()
    with labtools.load(pair) as load:
        for node in (owner, pair.peer(owner)):
            number = applied(pair, node, text_with(pair, node, "extra"))
            for n in pair.nodes:  # P1: when it is answered every node has it
                assert shown(pair, n)["running"] == number and luns(pair, n) == ["disk0", "extra"]
            assert {l["name"]: l["open"] for l in pair.ctl(owner, "lun", "list")["luns"]} == {"disk0": True, "extra": True}
            load.await_flow()
            number = applied(pair, node, text_with(pair, node))
            for n in pair.nodes:
                assert shown(pair, n)["running"] == number and luns(pair, n) == ["disk0"]
        load.await_flow()
        report = load.stop()
        labtools.assert_clean(report)
        figures(f"4 changes under load, {report['reads'] + report['writes']} I/Os, no error")


def test_a_new_threshold_is_told(clean):
    """It stands in a mode page (1Ch/02h): every I_T nexus, through whichever node, hears MODE PARAMETERS CHANGED."""
    pair, node = clean, clean.nodes[0]

    def text(percent):
        """disk0 makes way at LUN 0, where the watch looks."""
        plain = text_with(pair, node, "space")
        return plain.replace("create: true", f"create: true, thin: true, thin_threshold: {percent}").replace(
            "{lun: 0, name: disk0}, {lun: 1, name: space}", "{lun: 0, name: space}, {lun: 1, name: disk0}")

    applied(pair, node, text(5))
    with watch(pair) as w:
        applied(pair, node, text(5))
        assert all(seen["attentions"] == [] for seen in w.look().values())
        applied(pair, node, text(7))
        told = {n: [] for n in pair.nodes}

        def all_heard():
            for n, seen in w.look().items():
                told[n] += seen["attentions"]
            return all(told.values())

        labtools.await_true("it is told", all_heard, 10)
        assert all(heard == [[0x2a, 0x01]] for heard in told.values()), told


def test_one_node_refuses_and_nothing_changes(clean):
    pair = clean
    owner = pair.owner()
    before = {n: shown(pair, n) for n in pair.nodes}
    code, _, err = apply(pair, pair.peer(owner), text_with(pair, owner, "extra", owner_path="/nowhere/extra.img"))
    assert code == 1
    for word in (f"node {owner} can't take it", "LUN extra", "/nowhere/extra.img", "make the directory", "nothing was changed"):
        assert word in err, err
    assert {n: shown(pair, n) for n in pair.nodes} == before


def test_two_admins(clean):
    pair = clean
    a, b = pair.nodes
    base = shown(pair, a)["generation"]
    both = [start(pair, n, text_with(pair, n, f"of-{n}")) for n in (a, b)]
    ends = [(p.communicate(timeout=90), p.returncode) for p in both]
    assert sorted(code for _, code in ends) in ([0, 1], [0, 0]), ends
    for (_, err), code in ends:
        assert code == 0 or "somebody was faster" in err or "another configuration is being applied" in err, err
    won = sum(code == 0 for _, code in ends)
    assert shown(pair, a) == {**shown(pair, b), "file_differs": shown(pair, a)["file_differs"]}
    assert shown(pair, a)["generation"] == base + won
    assert luns(pair, a) == luns(pair, b) and len(luns(pair, a)) == 2


def test_a_node_that_was_down_has_it_when_it_comes_back(clean):
    pair = clean
    owner = pair.owner()
    peer = pair.peer(owner)
    pair.crm("node", "standby", peer)
    labtools.await_true("the daemon has ended", lambda: not pair.serving(peer), 60)
    number = applied(pair, owner, text_with(pair, owner, "meanwhile"))
    pair.crm("node", "online", peer)
    pair.settle()
    assert shown(pair, peer)["running"] == number and luns(pair, peer) == ["disk0", "meanwhile"]
    assert shown(pair, peer)["file_differs"]
    pair.move(peer)
    opened = {l["name"]: l["open"] for l in pair.ctl(peer, "lun", "list")["luns"]}
    assert opened == {"disk0": True, "meanwhile": True}
    pair.run("wait")
    done = pair.exec(peer, "sandemctl", "config", "rollback", str(number - 1), "--yes", check=False)
    assert done.returncode == 0, done
    for n in pair.nodes:
        assert luns(pair, n) == ["disk0"]


@pytest.mark.parametrize("victim", ("asker", "other"))
def test_killed_in_the_middle_it_is_all_or_none(clean, victim):
    """SIGKILL for the daemon that was asked, or for the other one, at another moment of the change each time."""
    pair = clean
    for round in range(3):
        owner = labtools.await_true("the group has an owner", pair.owner, 60)
        asker = pair.peer(owner)
        before = luns(pair, owner)
        want = sorted({"disk0", f"r{round}"})
        process = start(pair, asker, text_with(pair, asker, f"r{round}"))
        if round:
            labtools.await_true("it is under way", lambda: process.poll() is not None
                                or any(shown(pair, n) for n in pair.nodes), 10)
        hit(pair, asker if victim == "asker" else owner)
        process.communicate(timeout=90)
        pair.settle(90)
        labtools.await_true("both serve", lambda: all(shown(pair, n) for n in pair.nodes), 60)
        a, b = (shown(pair, n) for n in pair.nodes)
        assert (a["generation"], a["running"], a["text"]) == (b["generation"], b["running"], b["text"])
        assert luns(pair, pair.nodes[0]) == luns(pair, pair.nodes[1])
        assert luns(pair, pair.nodes[0]) in (before, want)
        if process.returncode == 0:
            assert luns(pair, pair.nodes[0]) == want


def roll(pair, edit):
    """sandem.yaml is edited alike on every node, then one after the other is restarted, its groups on the other one."""
    for node in pair.nodes:
        pair.exec(node, "sed", "-i", edit, "/etc/sandem/sandem.yaml")
    for node in pair.nodes:
        pair.crm("node", "standby", node)
        labtools.await_true("the daemon has ended", lambda n=node: not pair.serving(n), 60)
        pair.run("wait", 60)
        pair.crm("node", "online", node)
        pair.settle()


def discovered(pair, node):
    said = pair.exec("init", "iscsi-ls", f"iscsi://{pair.portal(node)}").stdout
    return sorted(word.removeprefix("Portal:") for word in said.split() if word.startswith("Portal:"))


def test_other_portals_one_node_after_the_other(clean):
    """They are each file's: nodes differ in them meanwhile and take each other in, and initiators notice nothing."""
    pair = clean
    before = discovered(pair, pair.nodes[0])
    more = sorted(p for old in before for p in (old, old.replace(":3260,", ":3270,")))
    with labtools.load(pair) as load:
        roll(pair, r's/"\([0-9.]*\):3260"/"\1:3260", "\1:3270"/')
        assert all(discovered(pair, n) == more for n in pair.nodes)
        load.await_flow()
        labtools.assert_clean(load.stop())
    roll(pair, r's/, "[0-9.]*:3270"//')
    assert all(discovered(pair, n) == before for n in pair.nodes)

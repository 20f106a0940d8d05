# SPDX-License-Identifier: BSD-2-Clause
"""LUN groups come and go while the others serve: on all nodes or on none, known to pacemaker afterwards."""
import json
import subprocess

import pytest

import labtools
from test_config import applied, apply, hit, shown, start
from test_resize import watch

NEW = "g1"
CRM = (labtools.REPO / "configs/sandem.crm").read_text()


def text(pair, groups=(), luns=(), non_owner="standby"):
    """The configuration of disk0 in g0, with groups besides, and LUNs (name, group) that are LUN 1, 2 …"""
    now = next(filter(None, (shown(pair, n) for n in pair.nodes)))
    head = "\n".join(line for line in now["text"].splitlines()
                     if line.startswith(("cluster:", "nodes:", "  - {name: node-")))
    rows = ", ".join(["{name: g0}", *(f"{{name: {g}, non_owner: {non_owner}}}" for g in groups)])
    media = ["  - {name: disk0, group: g0, handler: file, path: /srv/disk0.img, size: 1G, direct: false}"]
    media += [f"  - {{name: {n}, group: {g}, handler: file, path: /srv/{n}.img, size: 128M, create: true, "
              f"direct: false}}" for n, g in luns]
    maps = ", ".join(f"{{lun: {i}, name: {n}}}" for i, n in enumerate(("disk0", *(n for n, _ in luns))))
    return "\n".join([head, f"groups: [{rows}]", "luns:", *media, "targets:", f"  - name: {labtools.TARGET}",
                      f"    luns: [{maps}]", '    initiators: ["iqn.*"]', ""])


def groups(pair, node):
    listed = pair.ctl(node, "group", "list")
    return {g["name"]: g for g in listed["groups"]} if listed else None


def diff(pair, node, wanted):
    done = subprocess.run(pair.argv("exec", node, "sandemctl", "--json", "config", "diff", "-"), input=wanted,
                          text=True, capture_output=True, timeout=60)
    return [(c["change"], c["name"]) for c in json.loads(done.stdout)["changes"]]


def lines_for(group):
    """As docs/sandem.yaml.md says: g0's lines of the example with the group's name."""
    at = CRM.index("primitive g0"), CRM.index("# Tells sandemd")
    return CRM[at[0]:at[1]].replace("g0", group)


def manage(pair, group):
    subprocess.run(pair.argv("exec", pair.nodes[0], "crm", "configure", "load", "update", "-"), check=True,
                   input=lines_for(group), text=True, capture_output=True, timeout=60)


def unmanage(pair, group):
    if f"ms-{group}" not in pair.crm("configure", "show").stdout:
        return
    pair.crm("resource", "stop", f"ms-{group}")
    pair.run("wait", 60)
    pair.crm("configure", "delete", f"c-{group}-sandemd", f"o-sandemd-{group}", f"ms-{group}", group)
    pair.run("wait", 60)


def await_owner(pair, group, node=None):
    def owner():
        listed = [groups(pair, n) for n in pair.nodes]
        found = [n for n, g in zip(pair.nodes, listed) if g and group in g and g[group]["state"] == "active"]
        return found[0] if found and node in (None, found[0]) else None
    return labtools.await_true(f"{group} has an owner", owner, 40)


def monitor(pair, node, group):
    return pair.exec(node, "env", "OCF_ROOT=/usr/lib/ocf", "OCF_RESOURCE_INSTANCE=probe",
                     "OCF_RESKEY_CRM_meta_timeout=20000", f"OCF_RESKEY_name={group}",
                     "/usr/lib/ocf/resource.d/sandem/group", "monitor", check=False).returncode


@pytest.fixture
def plain(pair):
    """g0 with one LUN on both nodes, before and after."""
    labtools.await_true("there is a generation", lambda: shown(pair, pair.nodes[0]), 20)
    applied(pair, pair.nodes[0], text(pair))
    yield pair
    pair.restore()
    unmanage(pair, NEW)
    if NEW in groups(pair, pair.nodes[0]):
        applied(pair, pair.nodes[0], text(pair, (NEW,)))
    applied(pair, pair.nodes[0], text(pair))


def test_a_group_comes_moves_and_goes_under_load(plain, figures):
    pair, a, b = plain, *plain.nodes
    with labtools.load(pair) as load:
        assert all(monitor(pair, n, NEW) == 7 for n in pair.nodes)
        assert diff(pair, a, text(pair, (NEW,))) == [("add group", NEW)]
        number = applied(pair, b, text(pair, (NEW,)))
        for n in pair.nodes:  # P1: when it is answered every node has it
            assert shown(pair, n)["running"] == number
            assert list(groups(pair, n)) == ["g0", NEW] and groups(pair, n)[NEW]["owner"] is None
            assert monitor(pair, n, NEW) == 7
        applied(pair, a, text(pair, (NEW,), [("d1", NEW)]))
        manage(pair, NEW)
        first = await_owner(pair, NEW)
        pair.run("wait", 60)
        other = pair.peer(first)
        with labtools.load(pair, "--lun", 1) as second:
            pair.crm("resource", "move", f"ms-{NEW}", other)
            await_owner(pair, NEW, other)
            second.await_flow()
            pair.crm("resource", "clear", f"ms-{NEW}")
            pair.run("wait", 60)
            applied(pair, b, text(pair, (NEW,), [("d1", NEW), ("d2", NEW)]))
            assert {x["name"]: x["open"] for x in pair.ctl(other, "lun", "list")["luns"]}["d2"]
            on_new = second.stop()
        labtools.assert_clean(on_new)
        code, _, err = apply(pair, a, text(pair))
        assert code == 1 and f"group {NEW}: LUN d1 is in it; apply the configuration without its LUNs first" in err, err
        applied(pair, a, text(pair, (NEW,)))
        code, _, err = apply(pair, a, text(pair))
        assert code == 1 and f"group {NEW}: it has an owner" in err and "crm resource stop" in err, err
        unmanage(pair, NEW)
        assert diff(pair, b, text(pair)) == [("remove group", NEW)]
        number = applied(pair, b, text(pair))
        for n in pair.nodes:
            assert shown(pair, n)["running"] == number and list(groups(pair, n)) == ["g0"]
            assert monitor(pair, n, NEW) == 7
        done = pair.exec(a, "sandemctl", "config", "rollback", str(number - 1), "--yes", check=False)
        assert done.returncode == 0, done
        assert all(list(groups(pair, n)) == ["g0", NEW] for n in pair.nodes)
        load.await_flow()
        report = load.stop()
    labtools.assert_clean(report)
    figures(f"a group added, promoted, moved, removed; {report['reads'] + report['writes']} I/Os of another one, "
            f"{on_new['reads'] + on_new['writes']} of its own, no error")


def test_a_node_that_was_down_has_the_group_when_it_comes_back(plain):
    pair = plain
    owner = pair.owner()
    peer = pair.peer(owner)
    pair.crm("node", "standby", peer)
    labtools.await_true("the daemon has ended", lambda: not pair.serving(peer), 60)
    applied(pair, owner, text(pair, (NEW,), [("d1", NEW)]))
    manage(pair, NEW)
    await_owner(pair, NEW, owner)
    with labtools.load(pair, "--lun", 1, nodes=[owner]) as load:
        pair.crm("node", "online", peer)
        pair.settle()
        assert list(groups(pair, peer)) == ["g0", NEW] and groups(pair, peer)[NEW]["owner"] == owner
        load.await_flow()
        labtools.assert_clean(load.stop())
    pair.crm("resource", "move", f"ms-{NEW}", peer)
    await_owner(pair, NEW, peer)
    pair.crm("resource", "clear", f"ms-{NEW}")
    pair.run("wait", 60)
    hit(pair, peer)  # the new group's owner: fenced, and the other one has it
    await_owner(pair, NEW, owner)
    pair.settle(90)
    assert list(groups(pair, peer)) == ["g0", NEW]  # from its own store


@pytest.mark.parametrize("victim", ("asker", "other"))
def test_killed_in_the_middle_it_is_all_or_none(plain, victim):
    pair = plain
    for round in range(2):
        owner = labtools.await_true("the group has an owner", pair.owner, 60)
        asker = pair.peer(owner)
        wanted = text(pair, (NEW,), [("d1", NEW)]) if round == 0 else text(pair)
        process = start(pair, asker, wanted)
        if round:
            labtools.await_true("it is under way", lambda: process.poll() is not None
                                or any(shown(pair, n) for n in pair.nodes), 10)
        hit(pair, asker if victim == "asker" else owner)
        process.communicate(timeout=90)
        pair.settle(90)
        labtools.await_true("both serve", lambda: all(shown(pair, n) for n in pair.nodes), 60)
        x, y = (shown(pair, n) for n in pair.nodes)
        assert (x["generation"], x["running"], x["text"]) == (y["generation"], y["running"], y["text"])
        both = [sorted(groups(pair, n)) for n in pair.nodes]
        assert both[0] == both[1] and both[0] in (["g0"], ["g0", NEW])
        if process.returncode == 0 and round == 0:
            assert both[0] == ["g0", NEW]
        applied(pair, asker, text(pair, both[0][1:]))


def test_forwarding_needs_links(plain):
    pair = plain
    code, _, err = apply(pair, pair.nodes[0], text(pair, (NEW,), non_owner="forward"))
    assert code == 1 and "needs links between the nodes" in err and "nothing was changed" in err, err
    assert all(list(groups(pair, n)) == ["g0"] for n in pair.nodes)


def test_non_owners_forward_or_do_not(forward_pair):
    """Under load through both paths: a change of what the non-owner does, back and forth."""
    pair = forward_pair
    pair.await_forwarding()

    def states():
        return sorted(groups(pair, n)["g0"]["state"] for n in pair.nodes)

    def of(non_owner):
        return text(pair).replace("{name: g0}", f"{{name: g0, non_owner: {non_owner}}}")

    with labtools.load(pair) as load, watch(pair) as w:
        for node, non_owner, state in zip(pair.nodes, ("standby", "forward"), ("standby", "nonoptimized")):
            applied(pair, node, of(non_owner))
            assert states() == sorted(["active", state])
            heard = {n: seen["attentions"] for n, seen in w.look().items()}  # SPC-4 5.15.2.6
            assert all(h == [[0x2a, 0x06]] for h in heard.values()), heard
            load.await_flow()
        labtools.assert_clean(load.stop())

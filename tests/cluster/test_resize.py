# SPDX-License-Identifier: BSD-2-Clause
"""A LUN grows on its owner: every nexus of every node hears of it, every node reports it, also after moves and restarts."""
import contextlib
import json
import subprocess
import sys

import labtools

MIB = 1 << 20
CAPACITY_CHANGED, ACCESS_CHANGED = [0x2a, 0x09], [0x2a, 0x06]
WATCH = labtools.HERE / "nexus_watch.py"


class Watch:
    def __init__(self, pair):
        self.pair = pair
        argv = pair.argv("exec", "init", sys.executable, WATCH, labtools.TARGET, *map(pair.portal, pair.nodes))
        self.process = subprocess.Popen(argv, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def look(self):
        """{node: {attentions, blocks, ready}}; the attentions are cleared by it."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        seen = json.loads(self.process.stdout.readline())
        return {n: seen[self.pair.portal(n)] for n in self.pair.nodes}


@contextlib.contextmanager
def watch(pair):
    w = Watch(pair)
    try:
        w.look()  # past the attentions of the login
        yield w
    finally:
        w.process.stdin.close()
        w.process.wait(20)


def size(pair, node):
    return pair.ctl(node, "lun", "list")["luns"][0]["size"]


def resize(pair, node, *to):
    return pair.exec(node, "sandemctl", "lun", "resize", "disk0", *to, check=False)


def test_grow_under_load_is_seen_through_every_node(pair):
    owner = pair.owner()
    peer = pair.peer(owner)
    before = size(pair, owner)
    after = before + 64 * MIB
    with labtools.load(pair) as load, watch(pair) as w:
        refused = resize(pair, peer, str(after))
        assert refused.returncode == 1 and "owner" in refused.stderr, refused
        assert all(s["attentions"] == [] for s in w.look().values())
        done = resize(pair, owner, str(after))
        assert done.returncode == 0, done
        for node, seen in w.look().items():
            assert seen["attentions"] == [CAPACITY_CHANGED], (node, seen)
            assert seen["blocks"] * 512 == after, (node, seen)
            assert size(pair, node) == after
        load.await_flow()
        labtools.assert_clean(load.stop())


def test_capacity_stays_over_move_and_restart(pair):
    owner = pair.owner()
    peer = pair.peer(owner)
    after = size(pair, owner) + 32 * MIB
    assert resize(pair, owner, str(after)).returncode == 0
    with watch(pair) as w:
        pair.move(peer)
        pair.settle()
        for node, seen in w.look().items():
            assert ACCESS_CHANGED in seen["attentions"] and CAPACITY_CHANGED not in seen["attentions"], (node, seen)
            assert seen["blocks"] * 512 == after, (node, seen)
        assert w.look()[peer]["ready"] is None
    pair.crm("resource", "clear", labtools.CLONE)
    pair.crm("node", "standby", owner)  # its daemon ends and, coming back, takes the state from its peer
    labtools.await_true("the daemon has ended", lambda: not pair.serving(owner), 40)
    pair.crm("node", "online", owner)
    pair.settle()
    for node in pair.nodes:
        assert size(pair, node) == after

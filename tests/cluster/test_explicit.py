# SPDX-License-Identifier: BSD-2-Clause
"""
SET TARGET PORT GROUPS moves the group, by way of pacemaker (explicit_alua: yes; agents/move_group).

Topology: two nodes; the initiator host asks through one of them, a second initiator watches through both.
"""
import contextlib
import json
import subprocess
import sys

import pytest

import labtools

ACTIVE, STANDBY, TRANSITIONING = 0, 2, 15
STATES_CHANGED = [0x2a, 0x06]
COMMAND_FAILED = [4, 0x67, 0x0a]
CONFIG = """\
cluster: {{name: {name}, explicit_alua: yes, move_program: /usr/sbin/move_group}}
nodes:
  - {{name: node-a, id: 1, portals: ["10.77.0.1:3260"]}}
  - {{name: node-b, id: 2, portals: ["10.77.0.2:3260"]}}
groups: [{{name: g0}}]
luns:
  - {{name: disk0, group: g0, handler: file, path: /srv/disk0.img, size: 1G, direct: false}}
targets:
  - name: iqn.2026-11.io.sandem:demo
    luns: [{{lun: 0, name: disk0}}]
    initiators: ["iqn.*"]
"""


@pytest.fixture(scope="module")
def explicit_pair(tmp_path_factory):
    lab = labtools.Lab(f"t{labtools.os.getpid()}-stpg")
    config = tmp_path_factory.mktemp("stpg") / "sandem.yaml"
    config.write_text(CONFIG.format(name=lab.name))
    lab.up("--config", config)
    yield lab
    lab.down()


@pytest.fixture
def pair(explicit_pair):
    explicit_pair.settle()
    return explicit_pair


def cdb(lab, node, cdb, data="", read=0):
    client = sys.executable, labtools.HERE / "cdb_client.py", labtools.TARGET, lab.portal(node)
    done = lab.exec("init", *client, cdb, data, read)
    return json.loads(done.stdout)


def tpg(lab, node):
    return lab.nodes.index(node) + 1


def set_groups(lab, through, *states):
    """SET TARGET PORT GROUPS with (state, target port group) in the list."""
    data = "00000000" + "".join(f"{state:02x}00{group:04x}" for state, group in states)
    return cdb(lab, through, f"a40a00000000{len(data) // 2:08x}0000", data)


def states(lab, through):
    """REPORT TARGET PORT GROUPS: {target port group: state}."""
    data = bytes.fromhex(cdb(lab, through, "a30a00000000000000ff0000", read=255)["data"])
    out, at = {}, 4
    while at < len(data):
        out[int.from_bytes(data[at + 2:at + 4], "big")] = data[at] & 15
        at += 8 + 4 * data[at + 7]
    return out


@contextlib.contextmanager
def watching(lab):
    """A function that tells {node: the unit attentions since the last call} of an I_T nexus to each."""
    portals = [lab.portal(n) for n in lab.nodes]
    watch = sys.executable, labtools.HERE / "nexus_watch.py", labtools.TARGET, *portals
    process = subprocess.Popen(lab.argv("exec", "init", *watch), text=True, bufsize=1, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)

    def look():
        process.stdin.write("\n")
        seen = json.loads(process.stdout.readline())
        return {n: seen[lab.portal(n)]["attentions"] for n in lab.nodes}
    try:
        look()
        yield look
    finally:
        process.stdin.close()
        process.wait(10)


def constraints(lab):
    return lab.exec(lab.nodes[0], "cibadmin", "--query", "--scope", "constraints").stdout


@pytest.mark.parametrize("through", ["the one that is to own it", "the owner"])
def test_a_group_is_moved(pair, figures, through):
    owner = pair.owner()
    to = pair.peer(owner)
    with labtools.load(pair) as load, watching(pair) as look:
        since = labtools.wall_ms()
        answer = set_groups(pair, owner if through == "the owner" else to, (ACTIVE, tpg(pair, to)))
        took = labtools.wall_ms() - since
        # GOOD: every node says so from then on (P1), and every other nexus has been told (SPC-4 5.15.2.6)
        assert answer["status"] == 0, answer
        for node in pair.nodes:
            assert states(pair, node) == {tpg(pair, to): ACTIVE, tpg(pair, owner): STANDBY}
        assert answer["after"] == []
        assert all(seen == [STATES_CHANGED] for seen in look().values())
        load.await_flow()
        gap = load.longest_gap(since)
        report = load.stop()
    pair.settle()
    assert pair.owner() == to
    labtools.await_true("the group is left free to move", lambda: "cli-prefer" not in constraints(pair), 30)
    labtools.assert_clean(report)
    figures(f"answered after {took} ms (with a login), gap {gap or 0:.0f} ms")


def test_what_is_so_already(pair):
    owner = pair.owner()
    both = (ACTIVE, tpg(pair, owner)), (STANDBY, tpg(pair, pair.peer(owner)))
    for node in pair.nodes:
        assert set_groups(pair, node, *both)["status"] == 0
    assert pair.owner() == owner


@pytest.mark.parametrize("asked, byte", [
    ([(ACTIVE, 9)], 6), ([(ACTIVE, 1), (ACTIVE, 2)], 8), ([(TRANSITIONING, 1)], 4),
    ([(STANDBY, 1), (STANDBY, 2)], None)])
def test_what_cannot_be(pair, asked, byte):
    answer = set_groups(pair, pair.nodes[0], *asked)
    assert answer["sense"] == [5, 0x26, 0x00], answer
    if byte:
        assert answer["specific"] == f"80{byte:04x}"


def test_a_node_that_pacemaker_does_not_use(pair):
    owner = pair.owner()
    to = pair.peer(owner)
    pair.crm("node", "standby", to)
    labtools.await_true("the daemon has been stopped", lambda: pair.ctl(to, "status") is None, 30)
    pair.run("wait")
    try:
        answer = set_groups(pair, owner, (ACTIVE, tpg(pair, to)))
        assert answer["sense"] == COMMAND_FAILED, answer
        assert pair.owner() == owner
    finally:
        pair.crm("node", "online", to)
        pair.settle()


@pytest.mark.parametrize("program", ["/etc/hostname", "/bin/false"])
def test_the_program_fails(pair, program):
    """It can't be run; it refuses."""
    owner = pair.owner()
    to = pair.peer(owner)
    pair.exec(owner, "mount", "--bind", program, "/usr/sbin/move_group")
    try:
        assert set_groups(pair, owner, (ACTIVE, tpg(pair, to)))["sense"] == COMMAND_FAILED
        assert states(pair, owner)[tpg(pair, owner)] == ACTIVE
    finally:
        pair.exec(owner, "umount", "/usr/sbin/move_group")

# SPDX-License-Identifier: BSD-2-Clause
"""A pair is upgraded node by node under verified I/O: no error, nothing lost, reservations kept (P1, P6, P7); and no
way back.

The older versions are built from this repository's history, or SANDEM_OLD_BUILD and SANDEM_OLD_BUILD_2 name the build directories
of the one that speaks version 1 of the protocol and of the one that speaks version 2.
"""
import os
import pathlib
import shutil
import subprocess

import pytest

import labtools
from test_config import applied, apply

NEW = 3  # version of the protocol
OLD = {  # by the version that it speaks
    1: ("ae00d541f575d91dab9420feee6e60dd660309e7", "SANDEM_OLD_BUILD"),    # 0.1.0
    2: ("670df01d6e108a7e04db1a1266264ddb27aaae70", "SANDEM_OLD_BUILD_2"),  # 0.2.0
}

KEY = 0xabc
EXCLUSIVE_ACCESS = 3
CONFIG = """
cluster: {{name: upgrade}}
nodes:
  - {{name: node-a, id: 1, portals: ["10.77.0.1:3260"]}}
  - {{name: node-b, id: 2, portals: ["10.77.0.2:3260"]}}
groups: [{{name: g0, non_owner: {non_owner}}}]
luns:
  - {{name: disk0, group: g0, handler: file, path: /srv/disk0.img, size: 1G, direct: false}}
  - {{name: disk1, group: g0, handler: file, path: /srv/disk1.img, size: 1M, direct: false}}
targets:
  - name: iqn.2026-11.io.sandem:demo
    luns: [{{lun: 0, name: disk0}}, {{lun: 1, name: disk1}}]
    initiators: ["iqn.*"]
"""


def run(*args, **kw):
    return subprocess.run(args, capture_output=True, text=True, **kw)


def build_of(version):
    commit, where = OLD[version]
    if os.environ.get(where):
        return pathlib.Path(os.environ[where]).resolve()
    tree = labtools.BUILD / "old" / commit
    if not (tree / "build/sandemctl").exists():
        shutil.rmtree(tree, ignore_errors=True)
        tree.mkdir(parents=True)
        found = run("git", "-C", labtools.REPO, "archive", f"--output={tree}/old.tar", commit)
        if found.returncode:
            pytest.skip(f"the history of this clone has no {commit[:9]}, and {where} names no build directory: "
                        f"{found.stderr.strip()}")
        run("tar", "-xf", tree / "old.tar", "-C", tree, check=True)
        made = run("make", "-C", tree, "build/sandemd", "build/sandemctl")
        assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-2000:]
    return tree / "build"


@pytest.fixture(params=[(1, "standby"), (1, "forward"), (2, "standby")],
                ids=lambda p: "{}-{}".format(*p))
def old_pair(request, tmp_path):
    """Two nodes of the older version; version and what the others do are in the id."""
    version, non_owner = request.param
    config = tmp_path / "sandem.yaml"
    config.write_text(CONFIG.format(non_owner=non_owner))
    lab = labtools.Lab(f"t{os.getpid()}-up{version}{non_owner[0]}", build=build_of(version))
    lab.old = version
    try:
        lab.up("--luns", 2, "--config", config)
        yield lab
    finally:
        lab.down()


def bring_programs(lab, node, build):
    """What the node starts from now on; by way of the shared disk, for a node does not see all of the host's directories."""
    for name in ("sandemd", "sandemctl"):
        there = pathlib.Path(f"/tmp/sandem-lab-{lab.name}/srv/{node}.{name}")
        there.unlink(missing_ok=True)  # it may run
        shutil.copy2(build / name, there)
        lab.exec(node, "sh", "-c", f"umount /usr/sbin/{name} 2>/dev/null; mount --bind /srv/{there.name} /usr/sbin/{name}")


def upgrade(lab, node):
    lab.crm("node", "standby", node)
    lab.await_owner(lab.peer(node))
    lab.run("wait")
    bring_programs(lab, node, labtools.BUILD)
    lab.crm("node", "online", node)
    lab.settle()


def protocol(lab, node):
    """The version in use, and the highest of each member."""
    status = lab.ctl(node, "cluster", "status")
    return status["protocol"], {m["node"]: m["protocol_max"] for m in status["members"]}


def assert_reserved(lab, holder):
    for node in lab.nodes:
        read = holder.good(node, "read-reservation", lun=1)["reservation"]
        assert read and read["type"] == EXCLUSIVE_ACCESS, f"{node}: {read}"
        assert holder.good(node, "read-keys", lun=1)["keys"], node


def start_old(lab, node):
    """The older program on a node that pacemaker leaves alone; what it says until it ends or for some seconds."""
    bring_programs(lab, node, build_of(lab.old))
    return lab.exec(node, "sh", "-c",
                    "mkdir -p /run/sandem; timeout 6 sandemd -c /etc/sandem/sandem.yaml --node $(hostname) "
                    "--run-dir /run/sandem --state-dir /var/lib/sandem 2>&1", check=False).stdout


def assert_no_way_back(lab, node):
    lab.crm("node", "standby", node)
    lab.await_owner(lab.peer(node))
    lab.run("wait")
    said = start_old(lab, node)
    assert "update sandemd" in said, said
    lab.exec(node, "mv", "/var/lib/sandem", "/var/lib/sandem.away")
    lab.exec(node, "mkdir", "/var/lib/sandem")
    said = start_old(lab, node)
    assert f"speaks protocol versions 1-{lab.old}" in said and "update the older one" in said, said
    lab.exec(node, "rm", "-rf", "/var/lib/sandem")
    lab.exec(node, "mv", "/var/lib/sandem.away", "/var/lib/sandem")
    bring_programs(lab, node, labtools.BUILD)
    lab.crm("node", "online", node)
    lab.settle()


def more_groups(lab):
    """g0 as the nodes have it, and one more."""
    return CONFIG.format(non_owner="standby").replace("groups: [", "groups: [{name: g1}, ")


def assert_groups_stay(lab):
    for node in lab.nodes:
        code, _, err = apply(lab, node, more_groups(lab))
        assert code == 1 and "group g1: groups can't change while the cluster runs" in err, err


def assert_groups_come(lab):
    number = applied(lab, lab.nodes[0], more_groups(lab))
    for node in lab.nodes:
        assert lab.ctl(node, "config", "show")["running"] == number
        assert sorted(g["name"] for g in lab.ctl(node, "group", "list")["groups"]) == ["g0", "g1"]


def test_node_by_node(old_pair, figures):
    lab = old_pair
    holder = labtools.Host(lab, "holder")
    holder.good("node-a", "register", sa_key=KEY, lun=1)
    holder.good("node-a", "reserve", key=KEY, type=EXCLUSIVE_ACCESS, lun=1)
    with labtools.load(lab) as load:
        first = lab.peer(lab.owner())
        second = lab.peer(first)
        since = labtools.wall_ms()
        upgrade(lab, first)
        assert protocol(lab, first) == (lab.old, {first: NEW, second: lab.old})
        if lab.old == 2:  # before there are no generations
            assert_groups_stay(lab)
        load.await_flow()
        lab.move(first)
        load.await_flow()
        lab.move(second)
        load.await_flow()
        upgrade(lab, second)
        assert protocol(lab, first) == protocol(lab, second) == (NEW, {first: NEW, second: NEW})
        load.await_flow()
        if lab.old == 2:
            assert_groups_come(lab)
            load.await_flow()
        gap = load.longest_gap(since)
        assert_no_way_back(lab, second)
        load.await_flow()
        report = load.stop()
    assert_reserved(lab, holder)
    labtools.assert_clean(report)
    figures(f"longest gap {gap or 0:.0f} ms in an upgrade with 4 moves, "
            f"{report['reads'] + report['writes']} I/Os, no error")

# SPDX-License-Identifier: BSD-2-Clause
"""A pair is upgraded node by node under verified I/O: no error, nothing lost, reservations kept (P1, P6, P7); and no
way back.

The older version is built from this repository's history, or SANDEM_OLD_BUILD names its build directory.
"""
import os
import pathlib
import shutil
import subprocess

import pytest

import labtools

OLD_COMMIT = "ae00d541f575d91dab9420feee6e60dd660309e7"  # 0.1.0, which speaks version 1 of the protocol only

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


@pytest.fixture(scope="module")
def old_build():
    if os.environ.get("SANDEM_OLD_BUILD"):
        return pathlib.Path(os.environ["SANDEM_OLD_BUILD"]).resolve()
    tree = labtools.BUILD / "old" / OLD_COMMIT
    if not (tree / "build/sandemctl").exists():
        shutil.rmtree(tree, ignore_errors=True)
        tree.mkdir(parents=True)
        found = run("git", "-C", labtools.REPO, "archive", f"--output={tree}/old.tar", OLD_COMMIT)
        if found.returncode:
            pytest.skip(f"the history of this clone has no {OLD_COMMIT[:9]}, and SANDEM_OLD_BUILD names no build directory: "
                        f"{found.stderr.strip()}")
        run("tar", "-xf", tree / "old.tar", "-C", tree, check=True)
        made = run("make", "-C", tree, "build/sandemd", "build/sandemctl")
        assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-2000:]
    return tree / "build"


@pytest.fixture(params=["standby", "forward"])
def old_pair(request, tmp_path, old_build):
    """Two nodes of the older version; what the others do is in the id."""
    config = tmp_path / "sandem.yaml"
    config.write_text(CONFIG.format(non_owner=request.param))
    lab = labtools.Lab(f"t{os.getpid()}-up{request.param[0]}", build=old_build)
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


def start_old(lab, node, old_build):
    """The older program on a node that pacemaker leaves alone; what it says until it ends or for some seconds."""
    bring_programs(lab, node, old_build)
    return lab.exec(node, "sh", "-c",
                    "mkdir -p /run/sandem; timeout 6 sandemd -c /etc/sandem/sandem.yaml --node $(hostname) "
                    "--run-dir /run/sandem --state-dir /var/lib/sandem 2>&1", check=False).stdout


def assert_no_way_back(lab, node, old_build):
    lab.crm("node", "standby", node)
    lab.await_owner(lab.peer(node))
    lab.run("wait")
    said = start_old(lab, node, old_build)
    assert "update sandemd" in said, said
    lab.exec(node, "mv", "/var/lib/sandem", "/var/lib/sandem.away")
    lab.exec(node, "mkdir", "/var/lib/sandem")
    said = start_old(lab, node, old_build)
    assert "speaks protocol versions 1-1" in said and "update the older one" in said, said
    lab.exec(node, "rm", "-rf", "/var/lib/sandem")
    lab.exec(node, "mv", "/var/lib/sandem.away", "/var/lib/sandem")
    bring_programs(lab, node, labtools.BUILD)
    lab.crm("node", "online", node)
    lab.settle()


def test_node_by_node(old_pair, old_build, figures):
    lab = old_pair
    holder = labtools.Host(lab, "holder")
    holder.good("node-a", "register", sa_key=KEY, lun=1)
    holder.good("node-a", "reserve", key=KEY, type=EXCLUSIVE_ACCESS, lun=1)
    with labtools.load(lab) as load:
        first = lab.peer(lab.owner())
        second = lab.peer(first)
        since = labtools.wall_ms()
        upgrade(lab, first)
        assert protocol(lab, first) == (1, {first: 2, second: 1})
        load.await_flow()
        lab.move(first)
        load.await_flow()
        lab.move(second)
        load.await_flow()
        upgrade(lab, second)
        assert protocol(lab, first) == protocol(lab, second) == (2, {first: 2, second: 2})
        load.await_flow()
        gap = load.longest_gap(since)
        assert_no_way_back(lab, second, old_build)
        load.await_flow()
        report = load.stop()
    assert_reserved(lab, holder)
    labtools.assert_clean(report)
    figures(f"longest gap {gap or 0:.0f} ms in an upgrade with 4 moves, "
            f"{report['reads'] + report['writes']} I/Os, no error")

# SPDX-License-Identifier: BSD-2-Clause
"""The lab itself: it is real, two do not collide, and nothing is left behind."""
import os
import pathlib
import signal
import subprocess
import sys

import pytest

import labtools


def traces(name):
    """What of a lab is left on this machine."""
    found = [str(p) for p in (*pathlib.Path("/run/netns").glob(f"sandem-{name}-*"),
                              *pathlib.Path("/tmp").glob(f"sandem-lab-{name}"),
                              *pathlib.Path("/sys/fs/cgroup").glob(f"sandem-{name}"),
                              *pathlib.Path("/sys/fs/cgroup").glob(f"unified/sandem-{name}"))]
    mounts = pathlib.Path("/proc/self/mounts").read_text()
    if f"sandem-lab-{name}" in mounts:
        found.append("a mount")
    return found


def links():
    return subprocess.run(["ip", "-o", "link"], text=True, capture_output=True).stdout.count("\n")


def test_two_labs_side_by_side(bare_lab):
    before = links()
    one, two = bare_lab("one"), bare_lab("two", 1)
    assert links() == before, "the host's network has changed"
    assert two.exec("node-a", "corosync-cmapctl", "totem.cluster_name").stdout.split()[-1] == two.name
    assert one.exec("node-a", "corosync-cmapctl", "totem.cluster_name").stdout.split()[-1] == one.name
    two.down()
    assert not traces(two.name)
    assert traces(one.name)
    one.run("wait", 20)
    one.down()
    one.down()
    assert not traces(one.name)


def test_three_nodes_with_qdevice_and_etcd(bare_lab):
    lab = bare_lab("three", 3, "--qdevice", "--etcd")
    quorum = lab.exec("node-c", "corosync-quorumtool", "-s", check=False).stdout
    assert "Quorate:          Yes" in quorum and "Qdevice" in quorum
    lab.exec("node-b", "env", "ETCDCTL_API=3", "etcdctl", "--endpoints", "http://arb:2379",
             "put", "sandem", "here")
    lab.run("kill", "node-a")
    labtools.await_true("node-a is fenced", lambda: (
        "turning off of node-a successful" in lab.run("fence", "state").stdout), 40)
    lab.run("start", "node-a")
    lab.run("wait", 60)


def test_fencing_ends_every_process_of_the_victim(bare_lab):
    lab = bare_lab("fence")
    lab.exec("node-a", "sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 &")
    group = next(p for p in (pathlib.Path(f"/sys/fs/cgroup/unified/sandem-{lab.name}"),
                             pathlib.Path(f"/sys/fs/cgroup/sandem-{lab.name}")) if p.exists())
    assert "populated 1" in (group / "node-a/cgroup.events").read_text()
    lab.exec("node-b", "stonith_admin", "--fence", "node-a")
    assert "populated 0" in (group / "node-a/cgroup.events").read_text()
    assert not lab.powered("node-a")


def test_partition_oneway_and_heal(bare_lab):
    """Frames are lost in the direction asked for, and only there."""
    lab = bare_lab("cut")

    def reaches(source, address):
        return lab.exec(source, "ping", "-c", "1", "-W", "1", address, check=False).returncode == 0
    assert reaches("init", "10.77.0.1") and reaches("init", "10.77.0.2")
    lab.run("partition", "cluster", "node-a")
    assert reaches("init", "10.77.0.1") and reaches("init", "10.77.0.2")
    done = lab.run("partition", "nosuch", check=False)
    assert done.returncode != 0 and "nosuch" in done.stderr
    lab.run("heal")


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_up_leaves_nothing(sig):
    lab = labtools.Lab(f"t{os.getpid()}-int")
    up = subprocess.Popen(lab.argv("up", "--bare"), stderr=subprocess.PIPE, text=True,
                          start_new_session=True,
                          preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    labtools.await_true("a node is booted", lambda: (
        pathlib.Path(f"/tmp/sandem-lab-{lab.name}/node-a.pid").exists()), 20)
    os.killpg(up.pid, sig)
    up.communicate(timeout=60)
    assert up.returncode != 0
    assert not traces(lab.name)


def test_a_lab_ends_with_its_owner():
    lab = labtools.Lab(f"t{os.getpid()}-own")
    owner = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        lab.run("up", "--bare", "--nodes", 1, "--owner", owner.pid)
        owner.kill()
        owner.wait()
        labtools.await_true("the lab has gone", lambda: not traces(lab.name), 20)
    finally:
        lab.down()


@pytest.mark.parametrize("args, said", [
    (["up", "--nodes", "0"], "from 1 to 16"),
    (["exec", "node-z", "true"], "no node 'node-z'"),
    (["kill"], "no node ''"),
    (["up", "--dir"], ""),
    (["fly"], "usage"),
])
def test_wrong_arguments_are_told(args, said):
    done = labtools.Lab(f"t{os.getpid()}-bad").run(*args, check=False)
    assert done.returncode != 0
    assert said in done.stderr
    assert not traces(f"t{os.getpid()}-bad")


def test_a_name_in_use_is_refused(bare_lab):
    lab = bare_lab("used", 1)
    done = lab.run("up", "--bare", check=False)
    assert done.returncode != 0 and "exists" in done.stderr
    assert lab.exec("node-a", "true").returncode == 0

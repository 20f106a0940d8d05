# SPDX-License-Identifier: BSD-2-Clause
"""Removable media: eject, load, prevention, and LUNs that some initiators may only read."""
import os
import signal
import subprocess

import pytest
from conftest import SANDEMD
from initiator import Initiator

NO_MEDIUM, PREVENTED = (2, 0x3a, 0), (5, 0x53, 2)
MEDIUM_CHANGED, CAPACITY_CHANGED = (0x28, 0), (0x2a, 9)
MIB = 1 << 20


def start_stop(i, start, eject=True):
    return i.run([0x1b, 0, 0, 0, (2 if eject else 0) | start, 0])


def eject(i):
    return start_stop(i, 0)


def load(i):
    return start_stop(i, 1)


def prevent(i, on):
    return i.run([0x1e, 0, 0, 0, int(on), 0])


@pytest.fixture
def removable(daemon):
    return daemon.start("--lun", f"{daemon.dir}/disk.img,size=16M,removable")


def lun(daemon):
    return daemon.json("lun", "list")["luns"][0]


def test_eject_and_load_by_initiators(removable):
    with Initiator(removable) as i, Initiator(removable, isid=2) as other:
        i.ready()
        other.ready()
        assert i.run([0x12, 0, 0, 0, 96, 0], read=96).good()[1] & 0x80  # RMB
        i.write(5, b"k" * 512).good()
        assert eject(i).status == 0
        assert lun(removable)["ejected"] and not lun(removable)["open"]
        for who in (i, other):
            assert who.run([0x00] + [0] * 5).sense == NO_MEDIUM
            assert who.read(5).sense == NO_MEDIUM
            assert who.run([0x25] + [0] * 9, read=8).sense == NO_MEDIUM
            assert who.run([0x12, 0, 0, 0, 96, 0], read=96).status == 0
        assert eject(other).status == 0  # it is out already
        assert load(other).status == 0
        assert other.attentions() == []  # who loads it knows
        assert i.attentions() == [MEDIUM_CHANGED]
        for who in (i, other):
            assert who.read(5).good() == b"k" * 512
        assert load(i).status == 0
        assert i.attentions() == []


def test_another_medium(removable):
    path = os.path.join(removable.dir, "disk.img")
    with Initiator(removable) as i:
        i.ready()
        assert removable.ctl("lun", "eject", "lun0").returncode == 0
        os.rename(path, path + ".old")
        with open(path, "wb") as f:
            f.write(b"new." * (24 * MIB // 4))
        loaded = removable.ctl("lun", "load", "lun0")
        assert loaded.returncode == 0 and "loaded" in loaded.stdout, loaded
        assert MEDIUM_CHANGED in i.attentions()
        assert i.read(0).good() == b"new." * 128
        assert i.capacity() == 16 * 2048  # what the configuration names


def test_prevention(removable):
    with Initiator(removable) as i, Initiator(removable, isid=2) as other:
        i.ready()
        other.ready()
        assert prevent(i, True).status == 0 and prevent(other, True).status == 0
        assert eject(i).sense == PREVENTED
        refused = removable.ctl("lun", "eject", "lun0")
        assert refused.returncode == 1 and "force" in refused.stderr
        assert prevent(i, False).status == 0
        assert eject(i).sense == PREVENTED  # the other one still does
        other.close()  # its nexus is lost, and its prevention with it
        for _ in range(200):
            if eject(i).status == 0:
                break
        assert i.run([0x00] + [0] * 5).sense == NO_MEDIUM
        assert load(i).status == 0
        i.ready()
        assert prevent(i, True).status == 0
        assert removable.ctl("lun", "eject", "lun0", "force").returncode == 0
        assert i.run([0x00] + [0] * 5).sense == NO_MEDIUM
        assert removable.ctl("lun", "load", "lun0").returncode == 0


def test_ejected_over_handover_and_restart(removable):
    path = os.path.join(removable.dir, "disk.img")
    with Initiator(removable) as i:
        i.ready()
        i.write(0, b"k" * 512).good()
    assert removable.ctl("lun", "eject", "lun0").returncode == 0
    refused = removable.ctl("lun", "resize", "lun0", "32M")
    assert refused.returncode == 1 and "lun load" in refused.stderr
    assert removable.ctl("group", "demote", "g0").returncode == 0
    assert removable.ctl("lun", "load", "lun0").returncode == 1
    assert removable.ctl("group", "promote", "g0").returncode == 0
    assert lun(removable)["ejected"]
    removable.stop(signal.SIGKILL)
    os.rename(path, path + ".away")
    removable.start("--lun", f"{path},removable")
    assert lun(removable)["ejected"]
    missing = removable.ctl("lun", "load", "lun0")
    assert missing.returncode == 1 and path in missing.stderr and lun(removable)["ejected"]
    os.rename(path + ".away", path)
    assert removable.ctl("lun", "load", "lun0").returncode == 0
    with Initiator(removable) as i:
        i.ready()
        assert i.read(0).good() == b"k" * 512


def test_starts_without_a_medium(daemon):
    path = os.path.join(daemon.dir, "later.img")
    daemon.start("--lun", f"{path},removable")
    with Initiator(daemon) as i:
        i.attentions()
        assert i.run([0x00] + [0] * 5).sense == NO_MEDIUM
        assert load(i).sense == NO_MEDIUM
        with open(path, "wb") as f:
            f.write(bytes(8 * MIB))
        assert load(i).status == 0
        i.ready()
        assert i.capacity() == 8 * 2048


def test_failed_flush_keeps_the_medium(daemon):
    daemon.start("--lun", f"{daemon.dir}/d.img,size=16M,removable,fault=error=ENOSPC:op=flush:count=1")
    with Initiator(daemon) as i:
        i.ready()
        i.write(0, b"x" * 512).good()
        assert eject(i).status == 2
        assert not lun(daemon)["ejected"]


def test_fixed_media_stay(daemon):
    daemon.start()
    with Initiator(daemon) as i:
        i.ready()
        assert eject(i).sense == (5, 0x24, 0)
        assert prevent(i, True).sense == (5, 0x24, 0)
        assert prevent(i, False).status == 0
        assert start_stop(i, 0, eject=False).status == 0
    for verb in ("eject", "load"):
        r = daemon.ctl("lun", verb, "lun0")
        assert r.returncode == 1 and "removable" in r.stderr, r
    assert daemon.ctl("lun", "eject", "lun0", "fast").returncode == 2


def test_eject_under_load(removable):
    """Commands of others end with GOOD or with 3A/00, never otherwise; what was answered GOOD is there."""
    with Initiator(removable) as i, Initiator(removable, isid=2) as other:
        i.ready()
        other.ready()
        written = {}
        for n in range(300):
            answer = other.write(n % 100, bytes([n & 255]) * 512)
            if answer.sense == NO_MEDIUM:
                assert load(i).status == 0
                i.attentions()
                assert other.attentions() == [MEDIUM_CHANGED]
            else:
                assert answer.status == 0
                written[n % 100] = bytes([n & 255]) * 512
            if n % 30 == 29:
                assert eject(i).status == 0
        if lun(removable)["ejected"]:
            assert load(i).status == 0
        i.attentions()
        for lba, data in written.items():
            assert i.read(lba).good() == data


FILE = """\
cluster: {{name: demo, log: local}}
nodes:
  - {{name: node-a, id: 1, portals: ["127.0.0.1:{port}"]}}
groups: [{{name: g0}}]
luns:
  - {{name: disk0, group: g0, path: {path}, size: 16M, create: true}}
targets:
  - name: iqn.2026-11.io.sandem:standalone
    acls:
      - {{initiators: ["iqn.2026-11.test:reader"], luns: [{{lun: 0, name: disk0, read_only: true}}]}}
      - {{initiators: ["iqn.2026-11.test:writer"], luns: [{{lun: 0, name: disk0}}]}}
"""


def test_read_only_for_some_initiators(daemon):
    file = os.path.join(daemon.dir, "sandem.yaml")
    with open(file, "w") as f:
        f.write(FILE.format(port=daemon.port, path=os.path.join(daemon.dir, "disk.img")))
    with open(daemon.log, "ab") as log:
        daemon.process = subprocess.Popen(
            [SANDEMD, "-c", file, "--node", "node-a", "--state-dir", daemon.state_dir, "--run-dir", daemon.run_dir],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    daemon.wait_active()
    with Initiator(daemon, name="iqn.2026-11.test:writer") as w, Initiator(daemon, name="iqn.2026-11.test:reader") as r:
        w.ready()
        r.ready()
        w.write(3, b"w" * 512).good()
        assert r.read(3).good() == b"w" * 512
        for cdb, data in (([0x8a] + [0] * 12 + [1, 0, 0], b"r" * 512), ([0x93, 1] + [0] * 11 + [1, 0, 0], b""),
                          ([0x89] + [0] * 12 + [1, 0, 0], bytes(1024))):
            assert r.run(cdb, data).sense == (7, 0x27, 0), cdb
        assert r.run([0x1a, 8, 0x3f, 0, 255, 0], read=255).good()[2] & 0x80  # WP
        assert not w.run([0x1a, 8, 0x3f, 0, 255, 0], read=255).good()[2] & 0x80
        assert w.read(3).good() == b"w" * 512
    with pytest.raises((AssertionError, ConnectionError)):
        Initiator(daemon, name="iqn.2026-11.test:stranger")

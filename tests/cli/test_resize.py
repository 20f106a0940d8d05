# SPDX-License-Identifier: BSD-2-Clause
"""lun resize: grows while in use, tells every nexus, survives; refuses what it can't do."""
import os
import resource
import signal

from initiator import Initiator

CAPACITY_CHANGED = (0x2a, 0x09)
MIB = 1 << 20


def size(daemon):
    return daemon.json("lun", "list")["luns"][0]["size"]


def test_grow_a_file(daemon):
    daemon.start()
    with Initiator(daemon) as i, Initiator(daemon, isid=2) as other:
        i.ready()
        other.ready()
        assert i.read(64 * 2048).sense == (5, 0x21, 0)
        grown = daemon.ctl("lun", "resize", "lun0", "96M")
        assert grown.returncode == 0 and str(96 * MIB) in grown.stdout, grown
        for who in (i, other):
            assert who.attentions() == [CAPACITY_CHANGED]
            assert who.capacity() == 96 * 2048
        i.write(96 * 2048 - 1, b"e" * 512).good()
        assert other.read(96 * 2048 - 1).good() == b"e" * 512
        assert daemon.ctl("lun", "resize", "lun0", "96M").returncode == 0
        assert i.attentions() == []  # no change, no news
    assert os.path.getsize(os.path.join(daemon.dir, "lun0.img")) == 96 * MIB


def test_grown_behind_its_back(daemon):
    daemon.start()
    with Initiator(daemon) as i:
        i.ready()
        os.truncate(os.path.join(daemon.dir, "lun0.img"), 80 * MIB)
        assert i.capacity() == 64 * 2048
        assert daemon.json("lun", "resize", "lun0")["size"] == 80 * MIB
        assert i.attentions() == [CAPACITY_CHANGED]
        assert i.capacity() == 80 * 2048


def test_size_outlives_daemon_and_handover(daemon):
    daemon.start()
    assert daemon.ctl("lun", "resize", "lun0", "100M").returncode == 0
    assert daemon.ctl("group", "demote", "g0").returncode == 0
    assert daemon.ctl("group", "promote", "g0").returncode == 0
    assert size(daemon) == 100 * MIB
    daemon.stop(signal.SIGKILL)
    daemon.start()
    assert size(daemon) == 100 * MIB
    with Initiator(daemon) as i:
        i.ready()
        assert i.capacity() == 100 * 2048


def test_refusals(daemon):
    daemon.start()
    for args, code, words in (
            (["lun0", "32M"], 1, ["lun0", "not cut"]),
            (["lun0", "64.5M"], 2, ["64.5M", "suffix"]),
            (["lun0", "99999P"], 2, ["99999P"]),
            (["lun0", str(65 * MIB + 1)], 1, ["block size"]),
            (["lun9"], 2, ["lun9", "lun list"]),
            (["lun0", "1G", "2G"], 2, ["2G"]),
            ([], 2, ["LUN"])):
        r = daemon.ctl("lun", "resize", *args)
        assert r.returncode == code, (args, r)
        for word in words:
            assert word in r.stderr, (args, r)
    assert size(daemon) == 64 * MIB
    assert daemon.ctl("group", "demote", "g0").returncode == 0
    r = daemon.ctl("lun", "resize", "lun0", "1G")
    assert r.returncode == 1 and "owner" in r.stderr and "group list" in r.stderr


def test_shrunk_medium_is_told(daemon):
    daemon.start()
    os.truncate(os.path.join(daemon.dir, "lun0.img"), 32 * MIB)
    r = daemon.ctl("lun", "resize", "lun0")
    assert r.returncode == 1 and "not cut" in r.stderr and str(32 * MIB) in r.stderr
    assert size(daemon) == 64 * MIB


def test_failed_growth_changes_nothing(daemon):
    """A file larger than its file system allows (RLIMIT_FSIZE)."""
    daemon.start()
    limit = 70 * MIB
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (limit, limit))
    r = daemon.ctl("lun", "resize", "lun0", "128M")
    assert r.returncode == 1 and "stays as it is" in r.stderr, r
    assert size(daemon) == 64 * MIB
    assert os.path.getsize(os.path.join(daemon.dir, "lun0.img")) == 64 * MIB

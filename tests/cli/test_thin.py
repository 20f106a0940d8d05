# SPDX-License-Identifier: BSD-2-Clause
"""Thin LUNs on a file system that runs full: a tmpfs of some MiB in a mount namespace of the daemon's own."""
import os
import struct
import subprocess
import time

import pytest
from conftest import SANDEMD, Daemon
from initiator import Initiator

THIN_THRESHOLD = (0x38, 0x07)
ALLOCATION_FAILED = (7, 0x27, 0x07)
CHUNK = 8192


class SmallDaemon(Daemon):
    """Its LUN 0 is a sparse file on a tmpfs that nobody else sees but through /proc/PID/root."""

    def start_on_tmpfs(self, fs_size, lun):
        mount = os.path.join(self.dir, "fs")
        os.mkdir(mount)
        script = 'mount -t tmpfs -o "size=$1" tmpfs "$2" && shift 2 && exec "$@"'
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", fs_size, mount, SANDEMD,
                 "--standalone", "--portal", self.portal, "--state-dir", self.state_dir, "--run-dir", self.run_dir,
                 "--lun", f"{mount}/disk.img,{lun}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.wait_active()
        self.inside = f"/proc/{self.process.pid}/root{mount}"
        return self


@pytest.fixture
def small(tmp_path):
    d = SmallDaemon(tmp_path)
    yield d
    if d.process and d.process.poll() is None:
        d.process.kill()
        d.process.wait()


def await_true(what, check, seconds=10):
    end = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < end, f"after {seconds} s still not so: {what}"
        time.sleep(0.02)
    return value


def resources(i):
    """Log page 0Ch: {parameter code: MiB}."""
    data = i.run([0x4d, 0, 0x4c, 0, 0, 0, 0, 1, 0, 0], read=256).good()
    out, at = {}, 4
    while at < len(data):
        out[int.from_bytes(data[at:at + 2], "big")] = int.from_bytes(data[at + 4:at + 8], "big")
        at += 4 + data[at + 3]
    return out


def lba_status(i, lba):
    data = i.run(struct.pack(">BBQIBB", 0x9e, 0x12, lba, 512, 0, 0), read=512).good()
    return [(*struct.unpack(">QI", data[at:at + 12]), data[at + 12]) for at in range(8, len(data), 16)]


def test_what_it_tells(small):
    small.start_on_tmpfs("8m", "size=64M,thin,thin_threshold=5")
    with Initiator(small) as i:
        i.ready()
        capacity = i.run(struct.pack(">BB8xIBB", 0x9e, 0x10, 32, 0, 0), read=32).good()
        assert capacity[14] & 0xc0 == 0xc0  # LBPME, LBPRZ
        b2 = i.run([0x12, 1, 0xb2, 0, 255, 0], read=255).good()
        assert b2[4] == 11 and b2[5] & 0xe4 == 0xe4 and b2[6] & 7 == 2
        page = i.run([0x5a, 8, 0x1c, 2, 0, 0, 0, 0, 255, 0], read=255).good()[8:]
        assert page[16] == 0x80 and page[17] == 1 and int.from_bytes(page[20:24], "big") == 64 * 5 // 100
        await_true("resources are measured", lambda: resources(i))
        assert resources(i) == {1: 8, 2: 0}
        for n in range(256):  # 2 MiB
            i.write(n * 16, b"d" * CHUNK).good()
        await_true("what was written is counted", lambda: resources(i) == {1: 6, 2: 2})


def test_holes(small):
    small.start_on_tmpfs("8m", "size=64M,thin")
    with Initiator(small) as i:
        i.ready()
        assert lba_status(i, 0) == [(0, 131072, 1)]
        i.write(1024, b"d" * CHUNK).good()
        i.write(1048, b"d" * 4096).good()
        assert lba_status(i, 0) == [(0, 1024, 1), (1024, 16, 0), (1040, 8, 1), (1048, 8, 0), (1056, 130016, 1)]
        i.unmap(1024, 16).good()
        assert lba_status(i, 1000) == [(1000, 48, 1), (1048, 8, 0), (1056, 130016, 1)]
        assert i.read(1024, 16).good() == bytes(CHUNK)


def test_full_file_system(small):
    """07/27/07 while there is no room (SBC-3 4.7.3.6); what was there stays readable; room makes it work again."""
    small.start_on_tmpfs("4m", "size=64M,thin")
    with Initiator(small) as i:
        i.ready()
        failed = None
        for n in range(1024):
            answer = i.write(n * 16, bytes([n & 255]) * CHUNK)
            if answer.status:
                failed = n
                break
        assert failed and answer.sense == ALLOCATION_FAILED
        assert i.read((failed - 1) * 16, 16).good() == bytes([(failed - 1) & 255]) * CHUNK
        assert i.write(0, b"o" * CHUNK).status == 0  # where there is room already
        i.unmap(16, 1024).good()
        assert i.write(failed * 16, b"n" * CHUNK).status == 0
        assert i.read(failed * 16, 16).good() == b"n" * CHUNK


def test_threshold_is_told_once_and_again(small):
    small.start_on_tmpfs("16m", "size=64M,thin,thin_threshold=10")  # 6.4 MiB
    with Initiator(small) as i, Initiator(small, isid=2) as other:
        i.ready()
        other.ready()
        filler = os.path.join(small.inside, "filler")
        for _ in range(2):
            with open(filler, "wb") as f:
                f.write(bytes(12 << 20))
            for who in (i, other):
                await_true("38/07", lambda w=who: THIN_THRESHOLD in w.attentions())
                assert who.ready() == []
            await_true("it is measured", lambda: resources(i)[1] == 4)
            assert i.attentions() == [] and other.attentions() == []  # low, but no news
            os.unlink(filler)
            await_true("room again", lambda: resources(i)[1] == 16)
        assert small.output().count("thin_threshold") == 2


@pytest.mark.parametrize("word", ["thin_threshold=100", "thin_threshold=-1", "thin_threshold="])
def test_wrong_threshold(daemon, word):
    daemon.start("--lun", f"{daemon.dir}/x.img,size=1M,{word}", wait=False)
    assert daemon.process.wait(20) == 2
    assert "thin_threshold" in daemon.output() and "percentage" in daemon.output()


def test_enospc_by_a_fault(daemon):
    daemon.start("--lun", f"{daemon.dir}/x.img,size=16M,thin,fault=error=ENOSPC:op=write+zero:count=1")
    with Initiator(daemon) as i:
        i.ready()
        assert i.write(0, b"x" * 512).sense == ALLOCATION_FAILED
        assert i.write(0, b"x" * 512).status == 0

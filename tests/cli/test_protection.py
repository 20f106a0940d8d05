# SPDX-License-Identifier: BSD-2-Clause
"""Protection information from the wire to the file beside the medium and back (SBC-3 4.22)."""
import os
import signal
import struct
import subprocess
import threading

import pytest
from initiator import Initiator

HEADER, BLOCK = 4096, 512
GUARD, APP, REF = (0xb, 0x10, 1), (0xb, 0x10, 2), (0xb, 0x10, 3)


def crc(data):
    out = 0
    for byte in data:
        out ^= byte << 8
        for _ in range(8):
            out = (out << 1 ^ 0x8bb7 if out & 0x8000 else out << 1) & 0xffff
    return out


def protected(fill, ref, app=0x1234):
    data = bytes([fill]) * BLOCK
    return data + struct.pack(">HHI", crc(data), app, ref)


def start(daemon, options, size="16M"):
    daemon.start("--lun", f"{daemon.dir}/disk.img,size={size},{options}")


def spoil(daemon, lba, byte):
    """Flips a bit of what is kept of a block: 0 guard, 2 application tag, 4 reference tag."""
    with open(f"{daemon.dir}/disk.img.dif", "r+b") as f:
        f.seek(HEADER + lba * 8 + byte)
        old = f.read(1)[0]
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([old ^ 4]))


def read(i, lba, blocks=1, protect=0):
    return i.run(struct.pack(">BBQIBB", 0x88, protect << 5, lba, blocks, 0, 0), read=blocks * (BLOCK + 8 * bool(protect)))


def write(i, lba, data, protect=0):
    n = len(data) // (BLOCK + 8 * bool(protect))
    return i.run(struct.pack(">BBQIBB", 0x8a, protect << 5, lba, n, 0, 0), data)


def cdb_32(sa, protect, lba, blocks, ref, app=0, mask=0):
    return struct.pack(">B6xBHBxQIHHI", 0x7f, 0x18, sa, protect << 5, lba, ref, app, mask, blocks)


def information(answer):
    assert answer.sense_data[0] == 0xf0
    return int.from_bytes(answer.sense_data[3:7], "big")


@pytest.mark.parametrize("byte, sense", [(0, GUARD), (4, REF)])
def test_type_1_what_is_kept_is_checked(daemon, byte, sense):
    start(daemon, "protection=1")
    with Initiator(daemon) as i:
        i.ready()
        blocks = protected(0x41, 70) + protected(0x42, 71) + protected(0x43, 72)
        assert write(i, 70, blocks, 1).status == 0
        assert read(i, 70, 3, 1).good() == blocks
        assert read(i, 70, 3).good() == b"".join(bytes([f]) * BLOCK for f in (0x41, 0x42, 0x43))
        spoil(daemon, 71, byte)
        for protect in (0, 1):
            bad = read(i, 70, 3, protect)
            assert bad.sense == sense and information(bad) == 71
        assert read(i, 70, 1).status == 0 and read(i, 72, 1).status == 0
        assert read(i, 70, 3, 3).status == 0  # 011b: nothing is checked
        assert write(i, 71, protected(0x44, 71), 1).status == 0
        assert read(i, 70, 3, 1).status == 0
    assert "does not match what is on the medium" in daemon.output()


def test_type_1_what_is_received_is_checked(daemon):
    start(daemon, "protection=1")
    with Initiator(daemon) as i:
        i.ready()
        good = protected(1, 5)
        assert write(i, 5, good, 1).status == 0
        assert write(i, 5, b"\2" + good[1:], 1).sense == GUARD
        bad = write(i, 4, protected(1, 4) + protected(1, 9), 1)
        assert bad.sense == REF and information(bad) == 5
        assert read(i, 5, 1, 1).good() == good
        assert write(i, 5, good, 6).sense == (5, 0x24, 0)
        assert i.run(cdb_32(9, 0, 5, 1, 5), read=BLOCK).sense == (5, 0x20, 0)  # READ (32) is for type 2


def test_a_medium_that_changes_is_found_out(daemon):
    """By initiators that know nothing of it, where the target owns application tags."""
    start(daemon, "protection=1,target_tags")
    with Initiator(daemon) as i:
        i.ready()
        assert write(i, 10, b"a" * 4096).status == 0
        assert read(i, 10, 8).good() == b"a" * 4096
        with open(f"{daemon.dir}/disk.img", "r+b") as f:
            f.seek(13 * BLOCK)
            f.write(b"b")
        bad = read(i, 10, 8)
        assert bad.sense == GUARD and information(bad) == 13
        assert read(i, 500, 8).good() == bytes(4096)  # never written: nothing is known of it


def test_type_2(daemon):
    start(daemon, "protection=2")
    with Initiator(daemon) as i:
        i.ready()
        blocks = protected(7, 0xabcd0000) + protected(8, 0xabcd0001)
        assert i.run(cdb_32(0x0b, 1, 20, 2, 0xabcd0000, 0x1234, 0xffff), blocks).status == 0
        assert i.run(cdb_32(9, 1, 20, 2, 0xabcd0000, 0x1234, 0xffff), read=len(blocks)).good() == blocks
        assert i.run(cdb_32(9, 1, 20, 2, 0xabcd0001), read=len(blocks)).sense == REF
        assert i.run(cdb_32(9, 1, 20, 2, 0xabcd0000, 0x1235, 0xffff), read=len(blocks)).sense == APP
        assert i.run(cdb_32(0x0a, 1, 20, 2, 0xabcd0000)).status == 0  # VERIFY (32)
        assert read(i, 20, 2).good() == b"\7" * BLOCK + b"\x08" * BLOCK
        assert read(i, 20, 2, 1).sense == (5, 0x20, 0)


def test_type_3(daemon):
    start(daemon, "protection=3")
    with Initiator(daemon) as i:
        i.ready()
        block = protected(7, 0x12345678)
        assert write(i, 20, block, 1).status == 0
        assert read(i, 20, 1, 1).good() == block
        spoil(daemon, 20, 4)
        assert read(i, 20).status == 0
        spoil(daemon, 20, 0)
        assert read(i, 20).sense == GUARD


def test_unmapped_blocks(daemon):
    start(daemon, "thin,protection=1,target_tags")
    with Initiator(daemon) as i:
        i.ready()
        assert write(i, 8, b"x" * 4096).status == 0
        assert i.unmap(9, 3).status == 0
        assert read(i, 9, 1, 1).good() == bytes(BLOCK) + b"\xff" * 8
        assert read(i, 8, 8).good() == b"x" * BLOCK + bytes(3 * BLOCK) + b"x" * 4 * BLOCK


def test_it_is_there_after_a_restart_and_a_kill(daemon):
    start(daemon, "protection=1")
    blocks = b"".join(protected(n, 100 + n) for n in range(8))
    with Initiator(daemon) as i:
        i.ready()
        assert write(i, 100, blocks, 1).status == 0
    assert daemon.stop() == 0
    start(daemon, "protection=1")
    with Initiator(daemon, isid=2) as i:
        i.ready()
        assert read(i, 100, 8, 1).good() == blocks
        assert write(i, 108, b"".join(protected(n, 108 + n) for n in range(8)), 1).status == 0
        daemon.stop(signal.SIGKILL)
    start(daemon, "protection=1")
    with Initiator(daemon, isid=3) as i:
        i.ready()
        assert read(i, 100, 16, 1).status == 0


def test_writes_of_the_same_blocks_at_once(daemon):
    """Data and what is kept of it are on two media; whoever wins, they fit, and nobody reads one without the other."""
    daemon.start("--reactors", "2", "--lun", f"{daemon.dir}/disk.img,size=1M,protection=1,target_tags")
    wrong = []

    def work(n):
        with Initiator(daemon, isid=n) as i:
            i.ready()
            for k in range(400):
                first, blocks = (k * 3 + n) % 8, 1 + (k + n) % 8
                if n % 2:
                    answer = write(i, first, bytes([(k * 7 + n) % 256]) * BLOCK * blocks)
                else:
                    answer = read(i, first, blocks)
                if answer.status:
                    wrong.append(answer)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 7)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    with Initiator(daemon, isid=9) as i:
        i.ready()
        assert read(i, 0, 16).status == 0


def test_resize(daemon):
    start(daemon, "protection=1,target_tags")
    with Initiator(daemon) as i:
        i.ready()
        assert daemon.ctl("lun", "resize", "lun0", "32M").returncode == 0
        i.ready()
        last = (32 << 20) // BLOCK - 1
        assert read(i, last).good() == bytes(BLOCK)
        assert write(i, last, protected(3, last), 1).status == 0
        assert read(i, last, 1, 1).status == 0


@pytest.mark.parametrize("options, why", [
    ("size=16M,protection=4", "is not a type of protection; use protection=1, 2 or 3"),
    ("null,size=16M,protection=1", "kept beside a file"),
])
def test_options_that_are_refused(daemon, options, why):
    r = subprocess.run([daemon_binary(), "--standalone", "--portal", daemon.portal, "--state-dir", daemon.state_dir,
                        "--run-dir", daemon.run_dir, "--lun", f"{daemon.dir}/disk.img,{options}"], capture_output=True,
                       text=True, timeout=20)
    assert r.returncode != 0 and why in r.stderr


def daemon_binary():
    from conftest import SANDEMD  # pylint: disable=import-outside-toplevel
    return SANDEMD


def test_another_type_is_refused(daemon):
    start(daemon, "protection=1")
    assert daemon.stop() == 0
    daemon.start("--lun", f"{daemon.dir}/disk.img,size=16M,protection=3", wait=False)
    with pytest.raises(AssertionError, match="did not come up"):
        daemon.wait_active(2)
    assert "holds protection information of type 1" in daemon.output()
    with open(f"{daemon.dir}/disk.img.dif", "rb") as f:
        assert f.read(8) == b"SandemPI"

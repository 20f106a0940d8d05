# SPDX-License-Identifier: BSD-2-Clause
"""POPULATE TOKEN and WRITE USING TOKEN ("offloaded data transfer") from one LUN to another, as an initiator sees them."""
import os
import struct
import time

import pytest
from initiator import Initiator

MIB = 1 << 20
CANCELLED, EXPIRED, UNKNOWN, DELETED = (5, 0x23, 8), (5, 0x23, 7), (5, 0x23, 4), (5, 0x23, 9)
DONE, FAILED, BACKGROUND, TERMINATED = 0x01, 0x02, 0x12, 0x60
ZEROES = struct.pack(">IHH504x", 0xffff0001, 0, 0x1f8)
IMMED, DEL_TKN = 1, 2


def ranges(*r):
    return b"".join(struct.pack(">QI4x", lba, blocks) for lba, blocks in r)


def third_party_out(i, sa, list_id, data):
    return i.run(struct.pack(">BB4xIIBB", 0x83, sa, list_id, len(data), 0, 0), data)


def populate(i, *r, list_id=1, timeout=0):
    d = ranges(*r)
    return third_party_out(i, 0x10, list_id, struct.pack(">HBBII2xH", 14 + len(d), 0, 0, timeout, 0, len(d)) + d)


def use(i, token, *r, list_id=2, offset=0, flags=0):
    d = ranges(*r)
    return third_party_out(i, 0x11, list_id,
                           struct.pack(">HB5xQ512s6xH", 534 + len(d), flags, offset, token, len(d)) + d)


def information(i, list_id):
    """(status, transfer count, token or None) by RECEIVE ROD TOKEN INFORMATION."""
    p = i.run(struct.pack(">BBI4xIBB", 0x84, 0x07, list_id, 1024, 0, 0), read=1024).good()
    assert len(p) == 4 + int.from_bytes(p[:4], "big")
    at = 32 + p[13]
    length = int.from_bytes(p[at:at + 4], "big")
    return p[5], int.from_bytes(p[16:24], "big"), p[at + 6:at + 4 + length] if length else None


def token_of(i, *r, **kw):
    populate(i, *r, list_id=9, **kw).good()
    status, _, token = information(i, 9)
    assert status == DONE and len(token) == 512
    return token


def path(daemon, n):
    return os.path.join(daemon.dir, f"d{n}.img")


@pytest.fixture
def disks(daemon):
    """Two LUNs of 256 MiB; the first begins with 64 MiB of noise."""
    noise = os.urandom(64 * MIB)
    with open(path(daemon, 0), "wb") as f:
        f.write(noise)
    daemon.start("--lun", path(daemon, 0) + ",size=256M", "--lun", path(daemon, 1) + ",size=256M")
    with Initiator(daemon, lun=0) as a, Initiator(daemon, lun=1, isid=2) as b:
        a.ready()
        b.ready()
        yield daemon, a, b, noise


def content(daemon, n, at, length):
    with open(path(daemon, n), "rb") as f:
        f.seek(at)
        return f.read(length)


def test_from_one_lun_to_another(disks):
    daemon, a, b, noise = disks
    token = token_of(a, (0, 65536), (65536, 65536))
    use(b, token, (4096, 131072)).good()
    assert information(b, 2) == (DONE, 131072, None)
    assert content(daemon, 1, 2 * MIB, 64 * MIB) == noise
    use(b, token, (0, 10), (300000, 20), offset=65530, flags=DEL_TKN).good()
    assert content(daemon, 1, 0, 5120) == noise[65530 * 512:65540 * 512]
    assert content(daemon, 1, 300000 * 512, 10240) == noise[65540 * 512:65560 * 512]
    assert use(b, token, (0, 10)).sense == DELETED


def test_zeroes(disks):
    daemon, a, _, noise = disks
    use(a, ZEROES, (16, 65536)).good()
    assert content(daemon, 0, 0, 8192) == noise[:8192]
    assert content(daemon, 0, 8192, 32 * MIB) == bytes(32 * MIB)
    assert content(daemon, 0, 8192 + 32 * MIB, MIB) == noise[8192 + 32 * MIB:][:MIB]


def test_background_and_progress(disks):
    daemon, a, b, noise = disks
    token = token_of(a, (0, 131072))
    use(b, token, (0, 131072), flags=IMMED).good()
    counts = []
    while True:
        status, count, _ = information(b, 2)
        counts.append(count)
        if status != BACKGROUND:
            break
    assert (status, counts[-1]) == (DONE, 131072)
    assert counts == sorted(counts)
    assert content(daemon, 1, 0, 64 * MIB) == noise


def test_background_is_aborted(disks):
    daemon, a, b, _ = disks
    use(a, ZEROES, (200000, 300000), flags=IMMED).good()  # many chunks
    abort = bytes([0x83, 0x1c]) + (2).to_bytes(4, "big") + bytes(10)
    answer = a.run(abort)
    status, count, _ = information(a, 2)
    if answer.sense:  # it was faster
        assert answer.sense == (5, 0x24, 0) and status == DONE
    else:
        assert status == TERMINATED and count < 300000
    a.read(0).good()


def test_what_ends_a_token(disks):
    _, a, b, _ = disks
    token = token_of(a, (100, 8))
    a.write(108, bytes(512)).good()
    use(b, token, (0, 8)).good()
    a.write(107, bytes(512)).good()
    assert use(b, token, (0, 8)).sense == CANCELLED
    assert information(b, 2)[0] == FAILED
    token = token_of(a, (100, 8), timeout=1)
    time.sleep(1.1)  # its life is a matter of time
    assert use(b, token, (0, 8)).sense == EXPIRED
    forged = bytearray(token)
    forged[8] ^= 1
    assert use(b, bytes(forged), (0, 8)).sense == UNKNOWN


def test_tokens_do_not_outlive_the_daemon(disks):
    daemon, a, b, _ = disks
    token = token_of(a, (0, 8))
    daemon.stop()
    daemon.start("--lun", path(daemon, 0) + ",size=256M", "--lun", path(daemon, 1) + ",size=256M")
    with Initiator(daemon, lun=1, isid=3) as i:
        i.ready()
        assert use(i, token, (0, 8)).sense == UNKNOWN

# SPDX-License-Identifier: BSD-2-Clause
"""MODE SELECT, SET TIMESTAMP and LOG SELECT as initiators see them: values, who is told, what is saved."""
import signal
import struct
import time

from initiator import Initiator

CHANGED, LOG_CHANGED, CLOCK_CHANGED = (0x2a, 0x01), (0x2a, 0x02), (0x2a, 0x10)
SOFTWARE_WRITE_PROTECTED = (7, 0x27, 0x02)
SWP, D_SENSE, WCE = 0x08, 0x04, 0x04


def sense(i, page, control=0):
    """The page's bytes; control: 0 current, 1 changeable, 2 default, 3 saved."""
    return i.run([0x1a, 0x08, control << 6 | page, 0, 255, 0], read=255).good()[4:]


def select(i, page, save=False):
    data = bytes(4) + bytes([page[0] & 0x3f]) + bytes(page[1:])
    return i.run([0x15, 0x10 | save, 0, 0, len(data), 0], data)


def control(i, byte, mask, on, save=False):
    page = bytearray(sense(i, 0x0a))
    page[byte] = page[byte] & ~mask | (mask if on else 0)
    return select(i, page, save)


def test_others_are_told_once(daemon):
    daemon.start()
    with Initiator(daemon, isid=1) as a, Initiator(daemon, isid=2) as b:
        a.ready(), b.ready()
        assert control(a, 2, D_SENSE, True).status == 0
        assert a.attentions() == []
        assert b.attentions() == [CHANGED]
        assert control(b, 2, D_SENSE, True).status == 0      # as it is: nobody is told
        assert a.attentions() == [] and b.attentions() == []
        assert sense(b, 0x0a)[2] == D_SENSE and sense(b, 0x0a, 2)[2] == 0


def test_sense_format_follows(daemon):
    daemon.start()
    with Initiator(daemon) as i:
        i.ready()
        assert i.run([0xff] + [0] * 9).sense_data[0] == 0x70
        assert control(i, 2, D_SENSE, True).status == 0
        assert i.run([0xff] + [0] * 9).sense_data[0] == 0x72


def test_software_write_protect(daemon):
    daemon.start()
    with Initiator(daemon, isid=1) as a, Initiator(daemon, isid=2) as b:
        a.ready(), b.ready()
        assert b.write(0, b"1" * 512).status == 0
        assert control(a, 4, SWP, True).status == 0
        assert b.attentions() == [CHANGED]
        assert b.write(0, b"2" * 512).sense == SOFTWARE_WRITE_PROTECTED
        assert b.run([0x1a, 0x08, 0x0a, 0, 255, 0], read=255).good()[2] & 0x80      # WP
        assert b.read(0).good() == b"1" * 512
        assert control(b, 4, SWP, False).status == 0
        assert b.write(0, b"2" * 512).status == 0


def test_saved_values_survive(daemon):
    daemon.start()
    with Initiator(daemon) as i:
        i.ready()
        page = bytearray(sense(i, 0x08))
        assert page[0] & 0x80 and page[2] & WCE
        page[2] &= ~WCE
        assert select(i, page, save=True).status == 0
        assert control(i, 2, D_SENSE, True).status == 0       # not saved
        assert sense(i, 0x08, 3)[2] & WCE == 0
    daemon.stop(signal.SIGKILL)
    daemon.start()
    with Initiator(daemon) as i:
        i.ready()
        assert sense(i, 0x08)[2] & WCE == 0 and sense(i, 0x08, 3)[2] & WCE == 0
        assert sense(i, 0x08, 2)[2] & WCE
        assert sense(i, 0x0a)[2] & D_SENSE == 0


def test_write_cache_is_flushed_before_the_answer(daemon):
    """A medium that does not take what its cache held is given up before MODE SELECT is answered, not some time later."""
    for page, byte, mask, on in (0x08, 2, WCE, False), (0x0a, 4, SWP, True):
        fault = "delay=200ms:error=EIO:op=sync:count=1"
        daemon.start("--lun", f"{daemon.dir}/disk{page}.img,size=16M,fault={fault}")
        with Initiator(daemon) as i:
            i.ready()
            assert i.write(0, b"x" * 512).status == 0
            now = bytearray(sense(i, page))
            now[byte] = now[byte] & ~mask | (mask if on else 0)
            start = time.monotonic()
            assert select(i, now).status == 0
            assert time.monotonic() - start >= 0.199
            assert i.read(0).sense[:2] == (2, 0x04)
        assert "flushing its write cache" in daemon.output()
        daemon.stop(signal.SIGKILL)


def test_reset_brings_the_saved_values_back(daemon):
    daemon.start()
    with Initiator(daemon, isid=1) as a, Initiator(daemon, isid=2) as b:
        a.ready(), b.ready()
        assert control(a, 2, D_SENSE, True, save=True).status == 0
        assert control(a, 2, D_SENSE, False).status == 0
        assert control(a, 4, SWP, True).status == 0
        assert b.attentions() == [CHANGED]
        assert a.lun_reset() == 0
        assert a.attentions() == [(0x29, 0x03)] and b.attentions() == [(0x29, 0x03)]
        for i in a, b:
            assert sense(i, 0x0a)[2] & D_SENSE and not sense(i, 0x0a)[4] & SWP
        assert b.write(0, b"x" * 512).status == 0


def clock(i):
    """(origin, ms)"""
    data = i.run([0xa3, 0x0f] + [0] * 7 + [12, 0, 0], read=12).good()
    return data[2] & 7, int.from_bytes(data[4:10], "big")


def test_clock(daemon):
    daemon.start()
    with Initiator(daemon, isid=1) as a, Initiator(daemon, isid=2) as b:
        a.ready(), b.ready()
        assert clock(b)[0] == 3 and abs(clock(b)[1] / 1000 - time.time()) < 2
        start = time.monotonic()
        assert a.run([0xa4, 0x0f] + [0] * 7 + [12, 0, 0], struct.pack(">4xHI2x", 1, 5)).status == 0
        assert a.attentions() == [] and b.attentions() == [CLOCK_CHANGED]
        for i in a, b:
            origin, ms = clock(i)
            assert origin == 2 and 0 <= ms - (1 << 32) - 5 <= (time.monotonic() - start) * 1000 + 2
        page = bytearray(i.run([0x1a, 0x08, 0x0a, 1, 255, 0], read=255).good()[4:])
        page[4] &= ~0x02                                      # SCSIP: the node's clock has precedence
        assert a.run([0x15, 0x10, 0, 0, 36, 0], bytes(4) + bytes([page[0] & 0x7f]) + bytes(page[1:])).status == 0
        assert b.attentions() == [CHANGED] and clock(b)[0] == 3
        assert a.run([0xa4, 0x0f] + [0] * 7 + [12, 0, 0], bytes(12)).sense == (5, 0x24, 0)


def test_log_reset(daemon):
    daemon.start()
    with Initiator(daemon, isid=1) as a, Initiator(daemon, isid=2) as b:
        a.ready(), b.ready()
        assert a.write(0, b"x" * 1024).status == 0

        def counts(page):
            return int.from_bytes(b.run([0x4d, 0, 0x40 | page, 0, 0, 0, 0, 1, 0, 0], read=256).good()[8:16], "big")
        assert counts(0x02) == 1024
        assert a.run([0x4c, 0x02, 0x42] + [0] * 7).status == 0
        assert a.attentions() == [] and b.attentions() == [LOG_CHANGED]
        assert counts(0x02) == 0
        assert a.write(0, b"x" * 512).status == 0
        assert counts(0x02) == 512

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Run on the initiator host by test_mode.py:
mode_client.py select|clock|after-rejoin|check|clean PORTAL-OWNER PORTAL-OTHER TARGET

select: MODE SELECT through the other node (WCE=0, saved; D_SENSE=1, not saved); every I_T nexus of both nodes but the
        one that did it is told once, both nodes report the values.
clock:  SET TIMESTAMP and LOG SELECT through the other node: the same answer through both, everybody else told once.
after-rejoin: the other node was away and has taken the state from the owner: it gives the same answers.
check:  after a restart of all nodes the saved value is there, the other one is not.
clean:  WCE=1 is saved again.
"""
import os
import sys
import types

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "cli"))
from initiator import Initiator  # noqa: E402
from test_mode import (CHANGED, CLOCK_CHANGED, D_SENSE, LOG_CHANGED, WCE, clock, control, select,  # noqa: E402
                       sense)

SET_CLOCK = 1 << 36  # ms: in the year 1972


def login(portal, target, isid):
    i = Initiator(types.SimpleNamespace(portal=portal, target=target), name="iqn.2026-11.test:mode", isid=isid)
    i.attentions()
    return i


def same_clock(*nexuses):
    """Nodes' clocks may differ by what is usual, the answer comes a little later: far from the nodes' own time."""
    for i in nexuses:
        origin, ms = clock(i)
        assert origin == 2 and 0 <= ms - SET_CLOCK < 120_000, (origin, ms)


def set_clock_and_reset_logs(a, b, c, d):
    list_ = bytes(4) + SET_CLOCK.to_bytes(6, "big") + bytes(2)
    assert d.run([0xa4, 0x0f] + [0] * 7 + [12, 0, 0], list_).status == 0
    for i in (a, b, c):
        assert i.attentions() == [CLOCK_CHANGED]
    same_clock(a, b, c, d)
    assert a.read(0, 8).status == 0
    assert d.run([0x4c, 0x02, 0] + [0] * 7).status == 0  # all pages
    for i in (a, b, c):
        assert i.attentions() == [LOG_CHANGED]
    assert d.attentions() == []
    for i in (a, d):
        read = i.run([0x4d, 0, 0x40 | 0x03, 0, 0, 0, 0, 1, 0, 0], read=256).good()
        assert int.from_bytes(read[8:16], "big") == 0


def main():
    job, owner, other, target = sys.argv[1:]
    with login(owner, target, 1) as a, login(owner, target, 2) as b, login(other, target, 3) as c, login(other, target, 4) as d:
        if job == "select":
            page = bytearray(sense(d, 0x08))
            page[2] &= ~WCE
            assert select(d, page, save=True).status == 0
            for i in (a, b, c):
                assert i.attentions() == [CHANGED]
            assert control(d, 2, D_SENSE, True).status == 0
            for i in (a, b, c):
                assert i.attentions() == [CHANGED]
            assert d.attentions() == []
            for i in (a, b, c, d):
                assert not sense(i, 0x08)[2] & WCE and sense(i, 0x0a)[2] & D_SENSE
        if job == "clock":
            set_clock_and_reset_logs(a, b, c, d)
            return
        if job == "after-rejoin":
            same_clock(a, b, c, d)
            for i in (a, b, c, d):
                assert not sense(i, 0x08)[2] & WCE and sense(i, 0x0a)[2] & D_SENSE
            return
        if job == "clean":
            page = bytearray(sense(d, 0x08))
            page[2] |= WCE
            assert select(d, page, save=True).status == 0
            return
        for i in (a, b, c, d):
            assert not sense(i, 0x08)[2] & WCE and not sense(i, 0x08, 3)[2] & WCE and sense(i, 0x08, 2)[2] & WCE
            assert not sense(i, 0x0a, 3)[2] & D_SENSE
            if job == "check":
                assert not sense(i, 0x0a)[2] & D_SENSE


main()

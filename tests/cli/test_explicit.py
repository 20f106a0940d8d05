# SPDX-License-Identifier: BSD-2-Clause
"""SET TARGET PORT GROUPS (SPC-4 6.45) and the management network addresses of one node: what the configuration offers
is what INQUIRY, REPORT SUPPORTED OPERATION CODES and the commands say. Moves are tests/cluster/test_explicit.py's."""
import struct

from initiator import Initiator
from test_config import node  # noqa: F401: a fixture

INVALID_OPCODE, BAD_CDB, BAD_LIST, LIST_LENGTH = (5, 0x20, 0), (5, 0x24, 0), (5, 0x26, 0), (5, 0x1a, 0)
ACTIVE, STANDBY = 0, 2
PATTERN = [0xa4, 0x0a, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0x04]  # CDB usage data; NACA


def cluster(**more):
    return {"cluster": {"name": "one", "log": "local", **more}}


def set_groups(i, data, length=None, flags=0):
    return i.run(struct.pack(">BBIIBB", 0xa4, 0x0a | flags, 0, len(data) if length is None else length, 0, 0), data)


def descriptor(state, group):
    return struct.pack(">BxH", state, group)


def tpgs(i):
    return i.run([0x12, 0, 0, 0, 96, 0], read=96).good()[5] >> 4 & 3


def supported(i):
    """CDB usage data, or None."""
    data = i.run(struct.pack(">BBBBHIBB", 0xa3, 0x0c, 2, 0xa4, 0x0a, 255, 0, 0), read=255).good()
    return list(data[4:]) if data[1] & 7 == 3 else None


def test_only_implicit(node):
    node.start(node.doc())
    with Initiator(node) as i:
        i.ready()
        assert tpgs(i) == 1
        assert supported(i) is None
        assert set_groups(i, bytes(4) + descriptor(ACTIVE, 1)).sense == INVALID_OPCODE


def test_explicit(node):
    node.start(node.doc(**cluster(explicit_alua=True)))
    with Initiator(node) as i:
        i.ready()
        assert tpgs(i) == 3
        assert supported(i) == PATTERN
        for good in (b"", bytes(4), bytes(4) + descriptor(ACTIVE, 1)):
            assert set_groups(i, good).status == 0
        for bad in (bytes(4) + descriptor(STANDBY, 1), bytes(4) + descriptor(ACTIVE, 2)):
            assert set_groups(i, bad).sense == BAD_LIST
        for wrong in (bytes(3), bytes(7), bytes(9)):
            assert set_groups(i, wrong).sense == BAD_CDB
        # residual overflow: less came than the CDB says; underflow: the rest is not looked at
        assert set_groups(i, bytes(4), length=8).sense == LIST_LENGTH
        assert set_groups(i, bytes(4) + descriptor(ACTIVE, 1) * 2, length=8).status == 0
        assert set_groups(i, bytes(4), flags=0x20).sense == BAD_CDB
        assert i.ready() == []


def test_management_addresses(node):
    node.start(node.doc(**cluster(management_url="https://san.example/x")))
    with Initiator(node) as i:
        i.ready()
        assert 0x85 in i.run([0x12, 1, 0, 0, 255, 0], read=255).good()[4:]
        page = i.run([0x12, 1, 0x85, 0, 255, 0], read=255).good()
        assert page == b"\0\x85\0\x1c" + b"\x41\0\0\x18" + b"https://san.example/x\0\0\0"

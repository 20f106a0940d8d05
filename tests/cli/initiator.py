# SPDX-License-Identifier: BSD-2-Clause
"""A small iSCSI initiator (RFC 7143) for CDBs of the tests' own: one connection, one command at a time, immediate data."""
import itertools
import socket
import struct

READ, WRITE, NONE = 0x40, 0x20, 0
IMMEDIATE_MAX = 8192


class Answer:
    def __init__(self, status, data, sense):
        self.status, self.data, self.sense_data = status, data, sense

    @property
    def sense(self):
        """(key, asc, ascq) of fixed or descriptor sense data; None without."""
        s = self.sense_data
        if not s:
            return None
        return (s[1] & 15, s[2], s[3]) if s[0] & 0x7e == 0x72 else (s[2] & 15, s[12], s[13])

    def __repr__(self):
        return f"<status {self.status:#x} sense {self.sense} data {self.data[:32].hex()}>"

    def good(self):
        assert self.status == 0, self
        return self.data


class Initiator:
    def __init__(self, daemon, lun=0, name="iqn.2026-11.test:cli", isid=1):
        host, port = daemon.portal.split(":")
        self.lun = bytes([0, lun]) + bytes(6)
        self.tags = itertools.count(1)
        self.cmd_sn, self.stat_sn = 1, 0
        self.socket = socket.create_connection((host, int(port)), timeout=20)
        self.login(name, daemon.target, isid)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    # ---- PDUs ----

    def send(self, header, data=b"", ahs=b""):
        head = bytearray(header)
        head[4] = len(ahs) // 4
        head[5:8] = len(data).to_bytes(3, "big")
        self.socket.sendall(bytes(head) + ahs + data + bytes(-len(data) % 4))

    def exactly(self, n):
        out = b""
        while len(out) < n:
            part = self.socket.recv(n - len(out))
            if not part:
                raise ConnectionError("the target closed the connection")
            out += part
        return out

    def receive(self):
        head = self.exactly(48)
        length = int.from_bytes(head[5:8], "big")
        return head, self.exactly(length + -length % 4)[:length]

    def login(self, name, target, isid):
        keys = {"InitiatorName": name, "TargetName": target, "SessionType": "Normal", "HeaderDigest": "None",
                "DataDigest": "None", "InitialR2T": "No", "ImmediateData": "Yes",
                "MaxRecvDataSegmentLength": "1048576"}
        text = b"".join(f"{k}={v}\0".encode() for k, v in keys.items())
        self.send(struct.pack(">BBBBI6sHIHHII16x", 0x43, 0x87, 0, 0, 0, bytes([0x80, 0, 0, 0, 0, isid]), 0,
                              next(self.tags), 0, 0, self.cmd_sn, 0), text)
        head, data = self.receive()
        assert head[0] == 0x23 and head[36] == 0 and head[1] & 0x80, (head.hex(), data)
        self.stat_sn = int.from_bytes(head[24:28], "big") + 1

    # ---- commands ----

    def run(self, cdb, data=b"", read=0):
        assert len(data) <= IMMEDIATE_MAX
        tag = next(self.tags)
        flags = 0x80 | 1 | (WRITE if data else READ if read else NONE)
        cdb, rest = bytes(cdb)[:16], bytes(cdb)[16:]  # what is longer has an extended CDB segment (11.2.2.3)
        ahs = struct.pack(">HBx", 1 + len(rest), 1) + rest if rest else b""
        self.send(struct.pack(">BBHI8sIIII16s", 0x01, flags, 0, 0, self.lun, tag, len(data) or read, self.cmd_sn,
                              self.stat_sn, cdb), data, ahs)
        self.cmd_sn += 1
        got = b""
        while True:
            head, segment = self.receive()
            opcode = head[0] & 0x3f
            if opcode == 0x25:
                got += segment
                if not head[1] & 1:
                    continue
                self.stat_sn = int.from_bytes(head[24:28], "big") + 1
                return Answer(head[3], got, b"")
            if opcode == 0x21:
                self.stat_sn = int.from_bytes(head[24:28], "big") + 1
                sense = segment[2:2 + int.from_bytes(segment[:2], "big")] if segment else b""
                return Answer(head[3], got, sense)
            assert opcode == 0x20, f"unexpected PDU {head.hex()}"  # a ping is no answer

    def lun_reset(self):
        """LOGICAL UNIT RESET (RFC 7143 11.5); the response code."""
        self.send(struct.pack(">BBHI8sIIII16x", 0x42, 0x80 | 5, 0, 0, self.lun, next(self.tags), 0xffffffff, self.cmd_sn,
                              self.stat_sn))
        head, _ = self.receive()
        assert head[0] == 0x22, head.hex()
        self.stat_sn = int.from_bytes(head[24:28], "big") + 1
        return head[2]

    def ready(self):
        """Past the unit attentions; what they were."""
        seen = []
        for _ in range(20):
            answer = self.run([0x00] + [0] * 5)
            if answer.sense is None or answer.sense[0] != 6:
                assert answer.status == 0, answer
                return seen
            seen.append(answer.sense[1:])
        raise AssertionError(f"unit attentions without end: {seen}")

    def attentions(self):
        """The pending unit attentions, whether or not the unit is ready behind them."""
        seen = []
        while (answer := self.run([0x00] + [0] * 5)).sense and answer.sense[0] == 6:
            seen.append(answer.sense[1:])
        return seen

    def read(self, lba, blocks=1, size=512):
        return self.run(struct.pack(">BBQIBB", 0x88, 0, lba, blocks, 0, 0), read=blocks * size)

    def write(self, lba, data, size=512):
        return self.run(struct.pack(">BBQIBB", 0x8a, 0, lba, len(data) // size, 0, 0), data)

    def unmap(self, lba, blocks):
        return self.run(struct.pack(">BBIBHB", 0x42, 0, 0, 0, 24, 0), struct.pack(">HHIQII", 22, 16, 0, lba, blocks, 0))

    def capacity(self):
        """Number of blocks by READ CAPACITY (16), READ CAPACITY (10) agreeing."""
        blocks = int.from_bytes(self.run(struct.pack(">BB8xIBB", 0x9e, 0x10, 32, 0, 0), read=32).good()[:8], "big") + 1
        short = int.from_bytes(self.run(bytes([0x25]) + bytes(9), read=8).good()[:4], "big") + 1
        assert short == min(blocks, 1 << 32)
        return blocks

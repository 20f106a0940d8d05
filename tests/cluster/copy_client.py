# SPDX-License-Identifier: BSD-2-Clause
"""Inside the initiator's host: third-party copies from LUN 0 to LUN 1 through the ports of a target. TARGET MAKER USER:
the portals through which a token is made and through which it is used. On each line of standard input a verb (below),
on each of standard output its outcome as JSON."""
import json
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from initiator import Initiator  # noqa: E402
from test_token_copy import information, populate, use  # noqa: E402

BLOCKS = 16
LID4_HEADER = ">B B H 11x B B 3x I 18x H H 2x"


class Portal:
    def __init__(self, target, portal):
        self.target, self.portal = target, portal


def naa(i):
    """The NAA designator (SPC-4 7.8.6.6)."""
    page, at = i.run([0x12, 1, 0x83, 4, 0, 0], read=1024).good(), 4
    while page[at + 1] & 0x3f != 3:
        at += 4 + page[at + 3]
    return page[at + 4:at + 4 + page[at + 3]]


class Copies:
    def __init__(self, target, maker, user):
        name = "iqn.2026-11.io.sandem.test:copy"
        self.source = Initiator(Portal(target, maker), lun=0, name=name, isid=1)
        self.destination = Initiator(Portal(target, user), lun=1, name=name, isid=2)
        self.second = Initiator(Portal(target, maker), lun=1, name=name, isid=3)
        self.data, self.token, self.at = b"", b"", 0

    def attentions(self):
        return [i.attentions() for i in (self.source, self.destination, self.second)]

    def write(self):
        """New data at the source."""
        self.attentions()
        self.data = os.urandom(BLOCKS * 512)
        self.source.write(0, self.data).good()

    def make(self):
        populate(self.source, (0, BLOCKS), list_id=9).good()
        status, _, self.token = information(self.source, 9)
        return status

    def use(self):
        """Sense; or what RECEIVE ROD TOKEN INFORMATION says, and whether the data is there through either port."""
        self.at = (self.at + 64) % 1024
        answer = use(self.destination, self.token, (self.at, BLOCKS))
        if answer.status:
            return {"sense": answer.sense}
        status, count, _ = information(self.destination, 2)
        return {"status": status, "count": count, "there": self.there(self.at)}

    def there(self, lba):
        return all(i.read(lba, BLOCKS).good() == self.data for i in (self.destination, self.second))

    def lid4(self):
        """EXTENDED COPY (LID4) from LUN 0 to LUN 1, in two segments; then RECEIVE COPY STATUS (LID4)."""
        cscd = b"".join(struct.pack(">BBHBBxB20sxBH", 0xe4, 0, 0, 1, 3, len(n), n, 0, 512)
                        for n in (naa(self.source), naa(self.second)))
        self.at = (self.at + 64) % 1024
        half = BLOCKS // 2
        segments = b"".join(struct.pack(">BBHHHxxHQQ", 2, 0, 24, 0, 1, half, half * k, self.at + half * k)
                            for k in (0, 1))
        header = struct.pack(LID4_HEADER, 1, 0, 0x20, 0, 0xff, 77, len(cscd), len(segments))
        data = header + cscd + segments
        answer = self.source.run(struct.pack(">BB8xIBB", 0x83, 1, len(data), 0, 0), data)
        if answer.status:
            return {"sense": answer.sense}
        p = self.source.run(struct.pack(">BBI4xIBB", 0x84, 5, 77, 256, 0, 0), read=256).good()
        return {"status": p[5], "count": int.from_bytes(p[16:24], "big") // 512,
                "segments": int.from_bytes(p[24:26], "big"), "there": self.there(self.at)}


copies = Copies(*sys.argv[1:])
for line in sys.stdin:
    print(json.dumps(getattr(copies, line.strip())()), flush=True)

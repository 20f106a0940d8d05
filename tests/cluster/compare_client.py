# SPDX-License-Identifier: BSD-2-Clause
"""Inside the initiator's host: counts in block 0 by COMPARE AND WRITE (SBC-4 5.3), through one portal, as one writer of
many. TARGET PORTAL WRITER. A block says (count, writer, serial number), so that no two are alike. Until its standard input
ends; then it prints as JSON every attempt: [from, to, outcome].

Outcomes: good; not (the status says that it was not executed, or that the block was another); maybe (aborted, or no
answer)."""
import json
import os
import select
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from initiator import Initiator  # noqa: E402

GOOD, ABORTED_COMMAND, TASK_ABORTED = 0, 0xb, 0x40
LBA, BLOCK, ANSWER_SECONDS, PAUSE_SECONDS = 0, 512, 5, 0.02
FORMAT = ">QQQ"


class Portal:
    def __init__(self, target, portal):
        self.target, self.portal = target, portal


def packed(state):
    return struct.pack(FORMAT, *state).ljust(BLOCK, b"\0")


def unpacked(block):
    return struct.unpack_from(FORMAT, block)


def outcome(answer):
    if answer.status == GOOD:
        return "good"
    aborted = answer.status == TASK_ABORTED or answer.sense and answer.sense[0] == ABORTED_COMMAND
    return "maybe" if aborted else "not"


class Writer:
    def __init__(self, target, portal, number):
        self.portal, self.number = Portal(target, portal), int(number)
        self.initiator, self.serial, self.attempts = None, 0, []

    def connected(self):
        if not self.initiator:
            self.initiator = Initiator(self.portal, name=f"iqn.2026-11.io.sandem.test:count{self.number}")
            self.initiator.socket.settimeout(ANSWER_SECONDS)
            self.initiator.attentions()
        return self.initiator

    def attempt(self):
        """Whether the block could be read just now; if so one attempt was made."""
        i = self.connected()
        answer = i.read(LBA)
        if answer.status != GOOD:
            return False
        was = unpacked(answer.data)
        self.serial += 1
        becomes = was[0] + 1, self.number, self.serial
        record = [was, becomes, "maybe"]
        self.attempts.append(record)
        answer = i.run(struct.pack(">BBQ3xBBB", 0x89, 0, LBA, 1, 0, 0), packed(was) + packed(becomes))
        record[2] = outcome(answer)
        return True

    def run(self):
        while not select.select([sys.stdin], [], [], 0)[0]:
            try:
                made = self.attempt()
            except (OSError, AssertionError):   # no connection, no answer, or no login just now
                if self.initiator:
                    self.initiator.close()
                self.initiator, made = None, False
            if not made:
                time.sleep(PAUSE_SECONDS)


writer = Writer(*sys.argv[1:])
socket.setdefaulttimeout(ANSWER_SECONDS)
writer.run()
print(json.dumps(writer.attempts))

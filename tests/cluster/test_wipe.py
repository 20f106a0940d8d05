# SPDX-License-Identifier: BSD-2-Clause
"""
SANITIZE in a cluster: it enters through the node that does not own the group, every node refuses other commands, and whoever
owns the group next goes on with it.
"""
import json
import sys

import labtools

IN_PROGRESS = [2, 0x04, 0x1b]
TEST_UNIT_READY = "000000000000"
REQUEST_SENSE = "0300000012" + "00"
PASSES = 24


def command(lab, node, cdb, data="", read=0):
    done = lab.exec("init", sys.executable, labtools.HERE / "cdb_client.py", labtools.TARGET, lab.portal(node), cdb, data, read)
    return json.loads(done.stdout)


def sanitize(lab, node):
    """OVERWRITE with IMMED and INVERT."""
    data = bytes([0x80 | PASSES, 0, 0, 4]) + b"WIPE"
    return command(lab, node, (bytes([0x48, 0x81, 0, 0, 0, 0, 0, 0, len(data), 0])).hex(), data.hex())


def progress(lab, node):
    """Of 65536, by REQUEST SENSE; None when nothing is in progress."""
    sense = bytes.fromhex(command(lab, node, REQUEST_SENSE, read=18)["data"])
    if [sense[2] & 15, sense[12], sense[13]] != IN_PROGRESS:
        return None
    assert sense[15] & 0x80, sense.hex()
    return int.from_bytes(sense[16:18], "big")


def read(lab, node, lba):
    return command(lab, node, (b"\x88\0" + lba.to_bytes(8, "big") + b"\0\0\0\x01\0\0").hex(), read=512)


def capacity(lab, node):
    return int.from_bytes(bytes.fromhex(command(lab, node, "9e10" + "00" * 8 + "00000020" + "0000", read=32)["data"])[:8], "big") + 1


def begin(pair):
    """(owner, other, blocks): a SANITIZE that entered through the node that forwards, and of which every node knows."""
    owner = pair.owner()
    other = pair.peer(owner)
    labtools.await_true("the other node forwards", lambda: read(pair, other, 0)["status"] == 0, 40)
    blocks = capacity(pair, owner)

    assert sanitize(pair, other)["status"] == 0
    for node in pair.nodes:
        assert command(pair, node, TEST_UNIT_READY)["sense"] == IN_PROGRESS, node
        assert read(pair, node, 0)["sense"] == IN_PROGRESS, node
        assert sanitize(pair, node)["sense"] == IN_PROGRESS, node
    return owner, other, blocks


def far_enough(pair, node):
    """The progress as the node knows it, which does not work on it."""
    labtools.await_true("progress is told to the other node", lambda: (progress(pair, node) or 0) > 1300, 20)
    return progress(pair, node)


def taken_over(pair, node):
    """How often the node has gone on with one that another had begun."""
    said = pair.exec(node, "grep", "-ac", "SANITIZE goes on here", "/var/log/sandem/sandemd.log", check=False)
    return int(said.stdout or 0)


def went_on(pair, node, before, times):
    """The node has gone on with it from there, to the end; it had done so `times` times before."""
    assert labtools.await_true("it goes on", lambda: max(progress(pair, node) or 65536, before) > before, 30)
    labtools.await_true("it is done", lambda: command(pair, node, TEST_UNIT_READY)["status"] == 0, 60)
    assert taken_over(pair, node) == times + 1, "it began again, or was done elsewhere"


def clean(pair, blocks):
    pattern = bytes(0xff ^ b for b in b"WIPE") if PASSES % 2 == 0 else b"WIPE"
    for node in pair.nodes:
        for lba in (0, blocks // 2, blocks - 1):
            assert read(pair, node, lba)["data"] == (pattern * 128).hex(), (node, lba)


def test_the_next_owner_goes_on(forward_pair, figures):
    pair = forward_pair
    owner, other, blocks = begin(pair)
    before, times = far_enough(pair, other), taken_over(pair, other)

    pair.run("kill", owner)
    labtools.await_true("the other node owns the group", lambda: pair.owner() == other, 40)
    went_on(pair, other, before, times)

    pair.run("start", owner)
    pair.settle()
    labtools.await_true("the other node forwards", lambda: read(pair, owner, 0)["status"] == 0, 40)
    clean(pair, blocks)
    figures(f"progress {100 * before // 65536} % when the owner died")


def test_a_planned_move(forward_pair, figures):
    """The move waits for a chunk, not for the operation, which the new owner carries on; nothing gets in between."""
    pair = forward_pair
    owner, other, blocks = begin(pair)
    before, times = far_enough(pair, other), taken_over(pair, other)

    since = labtools.wall_ms()
    pair.move(other)
    took = labtools.wall_ms() - since
    for node in pair.nodes:
        sense = command(pair, node, TEST_UNIT_READY)["sense"]
        assert sense == IN_PROGRESS, "it ended before the move: nothing was shown"
        assert read(pair, node, 0)["sense"] == IN_PROGRESS, node
    assert (progress(pair, owner) or 0) >= before, "it has lost ground"
    went_on(pair, other, before, times)
    labtools.await_true("the old owner forwards", lambda: read(pair, owner, 0)["status"] == 0, 40)
    clean(pair, blocks)
    assert pair.owner() == other
    figures(f"moved at {100 * before // 65536} % in {took} ms")

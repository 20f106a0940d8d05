# SPDX-License-Identifier: BSD-2-Clause
"""SANITIZE over the life of the daemon: what is cut short is not served as if it were whole."""
import os
import signal

from initiator import Initiator

IN_PROGRESS = (2, 0x04, 0x1b)
FAILED = (3, 0x31, 0x03)
BLOCK_ERASE = bytes([0x48, 0x02]) + bytes(8)
EXIT_FAILURE_MODE = bytes([0x48, 0x1f]) + bytes(8)
HUGE = ("--lun", "disk,null,size=512P,thin")
PATTERN = bytes([1, 0, 0, 1, 0x5a])


def overwrite(i, immed=True, ause=False):
    return i.run(bytes([0x48, 0x01 | 0x80 * immed | 0x20 * ause, 0, 0, 0, 0, 0, 0, len(PATTERN), 0]), PATTERN)


def ready_sense(i):
    i.attentions()
    return i.run(bytes(6)).sense


def cut_short(daemon, ause):
    """A daemon killed in the middle of an overwrite, started again."""
    daemon.start(*HUGE)
    with Initiator(daemon) as i:
        i.ready()
        overwrite(i, ause=ause).good()
        assert ready_sense(i) == IN_PROGRESS
    assert os.listdir(daemon.state_dir).count("lun0.wipe") == 1
    daemon.stop(signal.SIGKILL)
    daemon.start(*HUGE)
    assert "SANITIZE was cut short" in daemon.output()


def test_a_killed_daemon_remembers(daemon):
    cut_short(daemon, ause=False)
    with Initiator(daemon) as i:
        i.attentions()
        assert i.read(0).sense == FAILED
        assert i.write(0, bytes(512)).sense == FAILED
        assert i.run(EXIT_FAILURE_MODE).sense == (5, 0x24, 0)  # AUSE was 0
        overwrite(i).good()  # again: allowed
        assert ready_sense(i) == IN_PROGRESS


def test_failure_mode_is_left(daemon):
    cut_short(daemon, ause=True)
    with Initiator(daemon) as i:
        assert ready_sense(i) == FAILED
        i.run(EXIT_FAILURE_MODE).good()
        i.read(0).good()
    assert "lun0.wipe" not in os.listdir(daemon.state_dir)
    daemon.stop()
    daemon.start(*HUGE)
    with Initiator(daemon) as i:
        i.ready()


def test_a_file_is_overwritten_and_erased(daemon):
    daemon.start("--lun", os.path.join(daemon.dir, "d.img") + ",size=8M,thin")
    with Initiator(daemon) as i:
        i.ready()
        i.write(1, b"secret! " * 64).good()
        overwrite(i, immed=False).good()
        with open(os.path.join(daemon.dir, "d.img"), "rb") as f:
            assert f.read() == b"\x5a" * (8 << 20)
        i.run(BLOCK_ERASE).good()
        assert i.read(16383).good() == bytes(512)
        assert os.stat(os.path.join(daemon.dir, "d.img")).st_blocks == 0  # nothing is kept of it
    assert "lun0.wipe" not in os.listdir(daemon.state_dir)


def test_a_damaged_record_is_not_ignored(daemon):
    os.makedirs(daemon.state_dir)
    with open(os.path.join(daemon.state_dir, "lun0.wipe"), "w") as f:
        f.write("nonsense")
    daemon.start(*HUGE, wait=False)
    assert daemon.process.wait(20) != 0
    assert "lun0.wipe" in daemon.output() and "remove it to serve the LUN as it is" in daemon.output()

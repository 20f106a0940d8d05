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


def test_a_killed_daemon_goes_on(daemon):
    daemon.start(*HUGE)
    with Initiator(daemon) as i:
        i.ready()
        overwrite(i).good()
        assert ready_sense(i) == IN_PROGRESS
    daemon.stop(signal.SIGKILL)
    daemon.start(*HUGE)
    with Initiator(daemon) as i:
        i.attentions()
        assert i.read(0).sense == IN_PROGRESS
        assert i.write(0, bytes(512)).sense == IN_PROGRESS
        assert i.run(EXIT_FAILURE_MODE).sense == IN_PROGRESS
        assert overwrite(i).sense == IN_PROGRESS


def test_an_orderly_end_does_not_wait_for_it(daemon):
    daemon.start(*HUGE)
    with Initiator(daemon) as i:
        i.ready()
        overwrite(i).good()
    assert daemon.stop() == 0
    daemon.start(*HUGE)
    with Initiator(daemon) as i:
        assert ready_sense(i) == IN_PROGRESS


def failing(daemon, ause):
    """An overwrite that fails; the fault is gone when the daemon starts again."""
    disk = os.path.join(daemon.dir, "d.img") + ",size=8M,thin"
    daemon.start("--lun", disk + ",fault=error=EIO:op=write:lba=8192-8192")
    with Initiator(daemon) as i:
        i.ready()
        assert overwrite(i, immed=False, ause=ause).sense == FAILED
        assert ready_sense(i) == FAILED
        assert i.read(0).sense == FAILED
    assert "SANITIZE failed" in daemon.output()
    daemon.stop(signal.SIGKILL)
    daemon.start("--lun", disk)


def test_failure_outlives_the_daemon(daemon):
    failing(daemon, ause=False)
    with Initiator(daemon) as i:
        i.attentions()
        assert i.read(0).sense == FAILED
        assert i.run(EXIT_FAILURE_MODE).sense == (5, 0x24, 0)  # AUSE was 0
        overwrite(i, immed=False).good()  # again: allowed
        assert i.read(16383).good() == b"\x5a" * 512


def test_failure_mode_is_left(daemon):
    failing(daemon, ause=True)
    with Initiator(daemon) as i:
        assert ready_sense(i) == FAILED
        i.run(EXIT_FAILURE_MODE).good()
        i.read(0).good()
    daemon.stop()
    daemon.start("--lun", os.path.join(daemon.dir, "d.img") + ",size=8M,thin")
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

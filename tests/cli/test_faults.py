# SPDX-License-Identifier: BSD-2-Clause
"""Faults that a rule injects, as an initiator sees them."""
import os
import time

import pytest
from initiator import Initiator

MEDIUM_READ, MEDIUM_WRITE = (3, 0x11, 0x00), (3, 0x0c, 0x00)


def lun(daemon, fault, size="16M"):
    return ("--lun", f"{daemon.dir}/disk.img,size={size},fault={fault}")


def test_error_by_range_and_operation(daemon):
    daemon.start(*lun(daemon, "error=EIO:op=write:lba=100-103"))
    with Initiator(daemon) as i:
        i.ready()
        assert i.write(99, b"a" * 512).status == 0
        assert i.write(100, b"a" * 512).sense == MEDIUM_WRITE
        assert i.write(96, b"a" * 4096).sense == MEDIUM_WRITE
        assert i.write(104, b"a" * 512).status == 0
        assert i.read(100).status == 0
    assert "faults are injected" in daemon.output()


@pytest.mark.parametrize("error, sense", [
    ("EIO", MEDIUM_READ), ("EILSEQ", MEDIUM_READ), ("ENOMEDIUM", (2, 0x3a, 0)), ("ETIMEDOUT", (11, 0, 0)),
])
def test_errors_become_sense(daemon, error, sense):
    daemon.start(*lun(daemon, f"error={error}:op=read:count=1"))
    with Initiator(daemon) as i:
        i.ready()
        assert i.read(0).sense == sense
        assert i.read(0).status == 0


def test_lost_device_gives_the_group_up(daemon):
    daemon.start(*lun(daemon, "error=ENODEV:op=read:count=1"))
    with Initiator(daemon) as i:
        i.ready()
        assert i.read(0).sense == (2, 0x04, 0x0c)
        i.attentions()
        assert i.read(0).sense[:2] == (2, 0x04)
    assert "gives it up" in daemon.output() and "disk.img" in daemon.output()


def test_delay(daemon):
    daemon.start(*lun(daemon, "delay=200ms:op=read"))
    with Initiator(daemon) as i:
        i.ready()
        start = time.monotonic()
        assert i.write(0, b"x" * 512).status == 0
        assert i.read(0).good() == b"x" * 512
        assert time.monotonic() - start >= 0.199


def test_short_write_is_torn(daemon):
    daemon.start(*lun(daemon, "short=1024:op=write:count=1"))
    with Initiator(daemon) as i:
        i.ready()
        assert i.write(0, b"n" * 4096).sense == MEDIUM_WRITE
        assert i.read(0, 8).good() == b"n" * 1024 + bytes(3072)


def test_rate(daemon):
    daemon.start(*lun(daemon, "error=EIO:op=read:rate=0.5:seed=5"))
    with Initiator(daemon) as i:
        i.ready()
        failed = sum(i.read(0).status != 0 for _ in range(64))
    assert 12 < failed < 52


def test_trigger(daemon):
    trigger = os.path.join(daemon.dir, "trigger")
    daemon.start(*lun(daemon, f"error=EIO:op=read:trigger={trigger}"))
    with Initiator(daemon) as i:
        i.ready()
        assert i.read(0).status == 0
        open(trigger, "w").close()
        assert i.read(0).sense == MEDIUM_READ
        os.unlink(trigger)
        assert i.read(0).status == 0


def test_failed_flush_at_handover_is_no_clean_handover(daemon):
    daemon.start(*lun(daemon, "error=EIO:op=sync:count=1"))
    with Initiator(daemon) as i:
        i.ready()
        assert i.write(0, b"x" * 512).status == 0
    demoted = daemon.ctl("group", "demote", "g0")
    assert demoted.returncode != 0 and "flush" in demoted.stderr and "fence" in demoted.stderr, demoted


def test_failed_open_says_why(daemon):
    daemon.start(*lun(daemon, "error=ENODEV:op=open"), wait=False)
    assert daemon.process.wait(20) == 1
    assert "disk.img" in daemon.output() and "error=ENODEV:op=open" in daemon.output()


def test_wrong_rule(daemon):
    daemon.start(*lun(daemon, "error=EIO:rate=7"), wait=False)
    assert daemon.process.wait(20) == 2
    assert "rate" in daemon.output() and "disk.img" in daemon.output()


FILE = """\
cluster: {{name: demo, log: local}}
nodes:
  - {{name: node-a, id: 1, portals: ["127.0.0.1:3260"]}}
groups: [{{name: g0}}]
luns:
  - {{name: disk0, group: g0, handler: "null", size: 1G, fault: {{{fault}}}}}
targets:
  - name: iqn.2026-11.io.sandem:demo
    luns: [{{lun: 0, name: disk0}}]
    initiators: ["iqn.*"]
"""


@pytest.mark.parametrize("fault, code, words", [
    ("error: EIO, op: read+write, lba: 1-2, rate: 0.5, seed: 3, count: 4, trigger: /run/x, delay: 1ms, short: 512", 0, []),
    ("error: EWHAT", 1, [":6:", "luns[0].fault", "EWHAT"]),
    ("op: read", 1, [":6:", "luns[0].fault", "delay"]),
    ("eror: EIO", 1, [":6:", "luns[0].fault", "eror", "error"]),
])
def test_in_the_file(tmp_path, fault, code, words):
    from test_standalone import SANDEMD, run
    file = tmp_path / "sandem.yaml"
    file.write_text(FILE.format(fault=fault))
    r = run(SANDEMD, "-c", str(file), "--node", "node-a", "--check")
    assert r.returncode == code, r
    for word in words:
        assert word in r.stderr, r.stderr

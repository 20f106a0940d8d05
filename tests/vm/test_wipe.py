# SPDX-License-Identifier: BSD-2-Clause
"""
FORMAT UNIT and SANITIZE by sg3-utils through the kernel's initiator.

Topology: a sandemd without a cluster on the initiator host; the guest logged in to it.
"""
import subprocess

import pytest

import labtools

TARGET = "iqn.2026-11.io.sandem:standalone"
PORTAL = "10.77.0.200:3260"


@pytest.fixture
def disk(guest, session_pair, tmp_path):
    argv = session_pair.argv("exec", "init", labtools.BUILD / "sandemd", "--standalone",
                             "--portal", PORTAL, "--initiator", "iqn.1993-08.org.debian:*",
                             "--state-dir", tmp_path / "state", "--run-dir", tmp_path / "run",
                             "--lun", f"{tmp_path}/lun0.img,size=32M")
    ctl = [labtools.BUILD / "sandemctl", "--run-dir", tmp_path / "run", "group", "promote", "g0"]
    daemon = subprocess.Popen(list(map(str, argv)), stdin=subprocess.DEVNULL)
    try:
        labtools.await_true("the daemon serves",
                            lambda: subprocess.run(ctl, capture_output=True).returncode == 0, 20)
        guest.login(PORTAL, TARGET)
        name = guest.disk_at(PORTAL, TARGET, 0)
        guest.run(f"dd if=/dev/urandom of=/dev/{name} bs=1M count=4 oflag=direct 2>/dev/null")
        yield name
        guest.logout(TARGET)
    finally:
        daemon.terminate()
        daemon.wait(20)


def zeroes(guest, disk):
    return guest.try_run(f"dd if=/dev/{disk} bs=1M count=4 iflag=direct 2>/dev/null | "
                         "cmp -n 4194304 /dev/zero -")


def test_format(guest, disk):
    out = guest.run(f"sg_format --format --wait --quick /dev/{disk}", 90)
    assert "fail" not in out.lower(), out
    guest.run(f"sg_turs /dev/{disk}")
    assert zeroes(guest, disk).status == 0


def test_sanitize(guest, disk):
    out = guest.run(f"sg_sanitize --overwrite --zero --early --quick /dev/{disk}", 90)
    assert "fail" not in out.lower(), out
    guest.vm.await_run("the disk is ready again", f"sg_turs /dev/{disk}")
    assert zeroes(guest, disk).status == 0

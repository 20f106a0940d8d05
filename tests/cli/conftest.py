# SPDX-License-Identifier: BSD-2-Clause
"""A standalone sandemd per test, in a directory and on a port of its own."""
import json
import os
import select
import signal
import socket
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SANDEM_BUILD", os.path.join(ROOT, "build"))
SANDEMD = os.path.join(BUILD, "sandemd")
SANDEMCTL = os.path.join(BUILD, "sandemctl")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Daemon:
    def __init__(self, directory):
        self.dir = str(directory)
        self.run_dir = os.path.join(self.dir, "run")
        self.state_dir = os.path.join(self.dir, "state")
        self.port = free_port()
        self.log = os.path.join(self.dir, "sandemd.log")
        self.process = None

    @property
    def portal(self):
        return f"127.0.0.1:{self.port}"

    @property
    def target(self):
        return "iqn.2026-11.io.sandem:standalone"

    def url(self, lun=0):
        return f"iscsi://{self.portal}/{self.target}/{lun}"

    def start(self, *args, wait=True):
        args = args or ("--lun", os.path.join(self.dir, "lun0.img") + ",size=64M")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [SANDEMD, "--standalone", "--portal", self.portal, "--state-dir", self.state_dir, "--run-dir",
                 self.run_dir, *args], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if wait:
            self.wait_active()
        return self

    def wait_active(self, seconds=20):
        """Until the group is active here: sandemctl waits for the daemon, promote for the group."""
        watch = os.pidfd_open(self.process.pid)
        try:
            for _ in range(seconds * 20):
                if self.ctl("group", "promote", "g0").returncode == 0:
                    return
                if select.select([watch], [], [], 0.05)[0]:  # it has ended
                    break
        finally:
            os.close(watch)
        raise AssertionError("sandemd did not come up:\n" + self.output())

    def output(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def ctl(self, *args, timeout=20):
        return subprocess.run([SANDEMCTL, "--run-dir", self.run_dir, *args], capture_output=True, text=True,
                              timeout=timeout)

    def json(self, *args):
        r = self.ctl("--json", *args)
        assert r.returncode == 0, r.stderr
        return json.loads(r.stdout)

    def stop(self, sig=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(sig)
        return self.process.wait(30) if self.process else None


@pytest.fixture
def daemon(tmp_path):
    d = Daemon(tmp_path)
    yield d
    if d.process and d.process.poll() is None:
        d.process.kill()
        d.process.wait()

# SPDX-License-Identifier: BSD-2-Clause
"""One standalone daemon, used by hand: sandemd, sandemctl, a real initiator (libiscsi's tools)."""
import os
import signal
import subprocess

import pytest
from conftest import SANDEMCTL, SANDEMD, Daemon


def run(*args, timeout=20):
    return subprocess.run(args, capture_output=True, text=True, timeout=timeout)


def test_first_lun(daemon):
    daemon.start()
    listed = run("iscsi-ls", "-s", f"iscsi://{daemon.portal}")
    assert daemon.target in listed.stdout and "Lun:0" in listed.stdout, listed
    inquiry = run("iscsi-inq", daemon.url())
    assert inquiry.returncode == 0 and "SANDEM" in inquiry.stdout, inquiry
    assert os.path.getsize(os.path.join(daemon.dir, "lun0.img")) == 64 << 20


def test_status_and_lists(daemon):
    daemon.start()
    status = daemon.json("status")
    assert status["state"] == "serving" and status["quorate"] is True
    assert status["groups"][0]["state"] == "active"
    lun = daemon.json("lun", "list")["luns"][0]
    assert lun["size"] == 64 << 20 and lun["open"] is True
    assert lun["targets"] == [{"target": daemon.target, "lun": 0}]
    assert daemon.json("session", "list")["sessions"] == []
    pr = daemon.json("pr", "show", lun["name"])
    assert pr["registrants"] == [] and pr["type"] is None
    for verb in (["status"], ["lun", "list"], ["session", "list"], ["group", "list"], ["pr", "show", lun["name"]]):
        text = daemon.ctl(*verb)
        assert text.returncode == 0 and text.stderr == "", verb


def test_unknown_names_say_what_to_do(daemon):
    daemon.start()
    for args, hint in ((["group", "promote", "nope"], "group list"), (["pr", "show", "nope"], "lun list")):
        r = daemon.ctl(*args)
        assert r.returncode in (1, 2) and "nope" in r.stderr and hint in r.stderr, r
    assert daemon.ctl("frobnicate").returncode == 2


def test_demoted_group_refuses_then_serves_again(daemon):
    daemon.start()
    assert daemon.ctl("group", "demote", "g0").returncode == 0
    assert daemon.json("lun", "list")["luns"][0]["open"] is False
    assert daemon.ctl("group", "demote", "g0").returncode == 0
    assert daemon.ctl("group", "promote", "g0").returncode == 0
    assert daemon.json("group", "list")["groups"][0]["state"] == "active"
    assert run("iscsi-inq", daemon.url()).returncode == 0


def test_daemon_not_there(daemon):
    r = daemon.ctl("status")
    assert r.returncode == 3 and "sandemd" in r.stderr


def test_orderly_end_and_restart(daemon):
    daemon.start()
    identity = daemon.json("lun", "list")["luns"][0]["naa"]
    assert daemon.stop() == 0
    assert not os.path.exists(os.path.join(daemon.run_dir, "control.sock"))
    daemon.start()
    assert daemon.json("lun", "list")["luns"][0]["naa"] == identity
    assert daemon.ctl("shutdown").returncode == 0
    assert daemon.process.wait(20) == 0


def test_killed_daemon_starts_again(daemon):
    daemon.start()
    assert daemon.stop(signal.SIGKILL) == -9
    daemon.start()
    assert daemon.json("status")["state"] == "serving"


def test_second_daemon_in_the_same_directory_is_refused(daemon):
    daemon.start()
    r = run(SANDEMD, "--standalone", "--portal", "127.0.0.1:1", "--state-dir", daemon.state_dir, "--run-dir",
            daemon.run_dir, "--lun", os.path.join(daemon.dir, "x.img") + ",size=1M")
    assert r.returncode == 1 and str(daemon.process.pid) in r.stderr, r
    assert daemon.json("status")["state"] == "serving"


def test_portal_in_use_is_refused_whole(daemon, tmp_path):
    daemon.start()
    other = Daemon(tmp_path / "other")
    os.mkdir(other.dir)
    other.port = daemon.port
    other.start(wait=False)
    assert other.process.wait(20) == 1
    assert daemon.portal in other.output() and "in use" in other.output()


def test_same_file_twice_is_refused(daemon, tmp_path):
    daemon.start()
    other = Daemon(tmp_path / "other")
    os.mkdir(other.dir)
    other.start("--lun", os.path.join(daemon.dir, "lun0.img"), wait=False)
    assert other.process.wait(30) == 1
    assert os.path.join(daemon.dir, "lun0.img") in other.output() and "in use" in other.output()


@pytest.mark.parametrize("args, words", [
    (["--lun", "/nonexistent/dir/x.img,size=1M"], ["/nonexistent/dir/x.img"]),
    (["--lun", "/tmp/x.img,size=10Q"], ["10Q"]),
    (["--lun", "/tmp/x.img,size=1M", "--portal", "192.0.2.1:3260"], ["--insecure-open"]),
    ([], ["--lun"]),
    (["--frobnicate"], ["frobnicate"]),
])
def test_wrong_command_lines(args, words, tmp_path):
    r = run(SANDEMD, "--standalone", "--state-dir", str(tmp_path / "s"), "--run-dir", str(tmp_path / "r"), *args)
    assert r.returncode in (1, 2)
    for word in words:
        assert word in r.stderr, r
    assert not os.path.exists(tmp_path / "r" / "control.sock")


CONFIG = """\
cluster: {name: demo}
nodes:
  - {name: node-a, id: 1, portals: ["127.0.0.1:3260"]}
groups: [{name: g0}]
luns:
  - {name: disk0, group: g0, handler: file, path: /srv/disk0.img, size: 1G}
targets:
  - name: iqn.2026-11.io.sandem:demo
    luns: [{lun: 0, name: disk0}]
    initiators: ["iqn.*"]
"""


@pytest.mark.parametrize("wrong, line, words", [
    (("size: 1G", "size: 10Q"), 6, ["luns[0].size", "10Q"]),
    (("group: g0,", "group: g9,"), 6, ["luns[0].group", "g9"]),
    (("handler: file", "handler: flie"), 6, ["luns[0].handler", "flie"]),
    (("id: 1", "id: 0"), 3, ["nodes[0].id"]),
    (("name: disk0}]", "name: disk7}]"), 9, ["disk7"]),
    (("iqn.2026-11.io.sandem:demo", "not a name"), 8, ["targets[0].name"]),
    (("initiators:", "intiators:"), 10, ["intiators", "initiators"]),
    (('["127.0.0.1:3260"]', '["127.0.0.1:99999"]'), 3, ["99999"]),
])
def test_wrong_configuration_names_file_line_key(tmp_path, wrong, line, words):
    file = tmp_path / "sandem.yaml"
    file.write_text(CONFIG)
    good = run(SANDEMD, "-c", str(file), "--node", "node-a", "--check")
    assert good.returncode == 0, good
    assert wrong[0] in CONFIG
    file.write_text(CONFIG.replace(*wrong))
    r = run(SANDEMD, "-c", str(file), "--node", "node-a", "--check")
    assert r.returncode == 1, r
    assert f"{file}:{line}:" in r.stderr, r.stderr
    for word in words:
        assert word in r.stderr, r.stderr


def test_node_that_is_not_in_the_file(tmp_path):
    file = tmp_path / "sandem.yaml"
    file.write_text(CONFIG)
    r = run(SANDEMD, "-c", str(file), "--node", "node-z", "--check")
    assert r.returncode == 1 and "node-z" in r.stderr and "--node" in r.stderr


def test_ctl_usage():
    assert run(SANDEMCTL).returncode == 2
    assert run(SANDEMCTL, "--help").returncode == 0

# SPDX-License-Identifier: BSD-2-Clause
"""The resource agents: conforming to OCF, and truthful. Pacemaker runs but manages nothing here."""
import os
import subprocess

import pytest

import labtools

AGENTS = "/usr/lib/ocf/resource.d/sandem"
SUCCESS, ERR_GENERIC, ERR_ARGS, ERR_CONFIGURED, NOT_RUNNING, PROMOTED = 0, 1, 2, 6, 7, 8


@pytest.fixture(scope="module")
def module_lab():
    lab = labtools.Lab(f"t{os.getpid()}-agents")
    lab.up("--bare")
    yield lab
    lab.down()


@pytest.fixture
def lab(module_lab):
    """Both daemons are stopped when a test begins."""
    for node in module_lab.nodes:
        assert act(module_lab, node, "sandemd", "stop")[0] == SUCCESS
    return module_lab


def act(lab, node, agent, action, timeout_ms=20000, **params):
    """Run one action as pacemaker does; (exit code, what it said)."""
    env = [f"OCF_RESKEY_{k}={v}" for k, v in params.items()]
    done = lab.exec(node, "env", "OCF_ROOT=/usr/lib/ocf", f"OCF_RESOURCE_INSTANCE={agent}",
                    f"OCF_RESKEY_CRM_meta_timeout={timeout_ms}", *env, f"{AGENTS}/{agent}", action,
                    check=False)
    return done.returncode, done.stdout + done.stderr


def start_both(lab):
    for node in lab.nodes:
        rc, said = act(lab, node, "sandemd", "start", 60000)
        assert rc == SUCCESS, said


def signal_daemon(lab, node, sig):
    lab.exec(node, "sh", "-c", f"kill -{sig} $(cat /run/sandem/sandemd.pid)")


def test_ocf_tester_sandemd(lab):
    done = lab.exec("node-a", "ocf-tester", "-n", "sandemd", f"{AGENTS}/sandemd", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed all tests" in done.stdout


def test_ocf_tester_group(lab):
    start_both(lab)
    done = lab.exec("node-a", "ocf-tester", "-n", "g0", "-o", "name=g0", f"{AGENTS}/group", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed all tests" in done.stdout
    assert "does not support promotable" not in done.stdout


@pytest.mark.parametrize("agent", ["sandemd", "group"])
def test_unknown_action_is_unimplemented(lab, agent):
    assert act(lab, "node-a", agent, "fly", name="g0")[0] == 3


def test_crm_accepts_the_configuration(lab):
    text = (labtools.REPO / "configs/sandem.crm").read_text()
    script = ("cat >/tmp/c.crm; cibadmin --query >/tmp/cib.xml; export CIB_file=/tmp/cib.xml; "
              "crm configure load update /tmp/c.crm && crm_verify -V -x /tmp/cib.xml 2>&1")
    done = subprocess.run(lab.argv("exec", "node-a", "sh", "-c", script),
                          input=text, text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    said = (done.stdout + done.stderr).lower()
    assert "error" not in said and "warning" not in said, said


def test_without_a_daemon_nothing_runs(lab):
    assert act(lab, "node-a", "sandemd", "monitor")[0] == NOT_RUNNING
    assert act(lab, "node-a", "group", "monitor", name="g0")[0] == NOT_RUNNING
    assert act(lab, "node-a", "group", "demote", name="g0")[0] == SUCCESS
    assert act(lab, "node-a", "group", "stop", name="g0")[0] == SUCCESS
    # a start that fails bars the node: pacemaker may only not have seen yet that the daemon has ended
    rc, said = act(lab, "node-a", "group", "start", name="g0")
    assert rc == SUCCESS and "no sandemd runs" in said
    assert act(lab, "node-a", "group", "monitor", name="g0")[0] == NOT_RUNNING


def test_group_follows_promote_and_demote(lab):
    start_both(lab)
    for action, rc in (("monitor", NOT_RUNNING), ("start", SUCCESS), ("monitor", SUCCESS),
                       ("promote", SUCCESS), ("promote", SUCCESS), ("monitor", PROMOTED),
                       ("demote", SUCCESS), ("demote", SUCCESS), ("monitor", SUCCESS),
                       ("promote", SUCCESS), ("stop", SUCCESS), ("monitor", NOT_RUNNING)):
        got, said = act(lab, "node-a", "group", action, 60000, name="g0")
        assert got == rc, f"{action}: {said}"


def test_group_that_is_not_in_the_configuration(lab):
    start_both(lab)
    rc, said = act(lab, "node-a", "group", "start", name="nosuch")
    assert rc == ERR_ARGS and "nosuch" in said
    assert act(lab, "node-a", "group", "validate-all")[0] == ERR_CONFIGURED


def test_a_daemon_that_hangs_is_an_error_not_stopped(lab):
    """A group on a hung daemon may still be writing: neither monitor nor demote may deny it."""
    start_both(lab)
    assert act(lab, "node-a", "group", "start", name="g0")[0] == SUCCESS
    assert act(lab, "node-a", "group", "promote", 60000, name="g0")[0] == SUCCESS
    signal_daemon(lab, "node-a", "STOP")
    assert act(lab, "node-a", "sandemd", "monitor", 4000)[0] == ERR_GENERIC
    assert act(lab, "node-a", "group", "monitor", 4000, name="g0")[0] == ERR_GENERIC
    assert act(lab, "node-a", "group", "demote", 4000, name="g0")[0] == ERR_GENERIC
    assert act(lab, "node-a", "group", "stop", 4000, name="g0")[0] == ERR_GENERIC
    # the stop of the daemon gets it out of the way, and only then everything counts as stopped
    pid = lab.exec("node-a", "cat", "/run/sandem/sandemd.pid").stdout.strip()
    assert act(lab, "node-a", "sandemd", "stop", 9000)[0] == SUCCESS
    assert lab.exec("node-a", "test", "-e", f"/proc/{pid}/exe", check=False).returncode != 0
    assert act(lab, "node-a", "group", "stop", name="g0")[0] == SUCCESS


def test_monitor_sees_a_killed_daemon(lab):
    start_both(lab)
    assert act(lab, "node-a", "sandemd", "monitor")[0] == SUCCESS
    signal_daemon(lab, "node-a", "KILL")
    labtools.await_true("the killed daemon counts as not running", lambda: (
        act(lab, "node-a", "sandemd", "monitor")[0] == NOT_RUNNING), 5)
    assert act(lab, "node-a", "sandemd", "start", 60000)[0] == SUCCESS


def test_a_stale_pid_file_fools_nobody(lab):
    lab.exec("node-a", "sh", "-c", "mkdir -p /run/sandem; echo 1 >/run/sandem/sandemd.pid")
    assert act(lab, "node-a", "sandemd", "monitor")[0] == NOT_RUNNING
    assert act(lab, "node-a", "sandemd", "stop")[0] == SUCCESS
    assert act(lab, "node-a", "sandemd", "start", 60000)[0] == SUCCESS


def test_a_wrong_configuration_is_refused_with_the_reason(lab):
    lab.exec("node-a", "sh", "-c", "echo 'luns: 7' >/tmp/wrong.yaml")
    rc, said = act(lab, "node-a", "sandemd", "start", config="/tmp/wrong.yaml")
    # "arguments", not "configured": pacemaker would take the latter as a verdict for all nodes
    assert rc == ERR_ARGS and "/tmp/wrong.yaml" in said
    rc, said = act(lab, "node-a", "sandemd", "start", config="/tmp/none.yaml")
    assert rc != SUCCESS and "/tmp/none.yaml" in said

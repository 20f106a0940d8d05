# SPDX-License-Identifier: BSD-2-Clause
"""
Many registrants, many LUNs: right answers, and times and memory that grow with their number, not
with its square.

The limits are far above what is measured (docs/performance.md); what grows with the square would
be above them.
"""
import os
import pathlib
import time

import pytest

import labtools

REGISTRANTS, LUNS = 10000, 1000
KEY = 0x5A
ONE_MORE = 100  # registrations that are measured, one after the other


@pytest.fixture(scope="module")
def large():
    """A thousand LUNs; pacemaker looks on."""
    lab = labtools.Lab(f"t{os.getpid()}-large")
    start = time.monotonic()
    lab.up("--luns", LUNS)
    lab.up_s = time.monotonic() - start
    lab.crm("configure", "property", "maintenance-mode=true")
    lab.run("wait")
    lab.shell = {n: labtools.Shell(lab, n) for n in lab.nodes}
    yield lab
    for shell in lab.shell.values():
        shell.close()
    lab.down()


def run(lab, node, command):
    """Its output, and ms."""
    start = time.monotonic()
    status, out = lab.shell[node](command)
    assert status == 0, f"{command}: {out}"
    return out, (time.monotonic() - start) * 1000


def rss_kib(lab, node):
    text = pathlib.Path(f"/proc/{lab.daemon_pid(node)}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS"))


def join_ms(lab, node):
    """The daemon is killed and started: until it serves with the state of the others."""
    lab.shell[node]("kill -9 $(cat /run/sandem/sandemd.pid)")
    labtools.await_true("the other has noticed", lambda: lab.ctl(lab.peer(node), "status")["members"] == [
        lab.peer(node)], 20)
    start = time.monotonic()
    run(lab, node, labtools.START_DAEMON + "\n"
        "until sandemctl --timeout 20 status 2>/dev/null | grep -q serving; do sleep 0.01; done")
    return (time.monotonic() - start) * 1000


def written(lab, node):
    """Bytes that the daemon has given to write() so far; its sockets are not in it."""
    text = pathlib.Path(f"/proc/{lab.daemon_pid(node)}/io").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("wchar"))


def cpu_ns(lab, node):
    tasks = pathlib.Path(f"/proc/{lab.daemon_pid(node)}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks)


def one_more(lab, node, options):
    """Of one more registration: ms, ms of the daemon's CPU, bytes written."""
    host, cpu, before = labtools.Host(lab, "one-more"), cpu_ns(lab, node), written(lab, node)
    ms = host.good(node, "register-latency", value=ONE_MORE, sa_key=1, **options)["us"]["p50"] / 1000
    return ms, (cpu_ns(lab, node) - cpu) / ONE_MORE / 1e6, (written(lab, node) - before) / ONE_MORE


def owner_of(lab):
    return next(g["owner"] for g in lab.ctl(lab.nodes[0], "group", "list")["groups"])


def test_ten_thousand_registrants(large, figures):
    """Through lists of ports (SPEC_I_PT) under APTPL; told completely, in the allocation length,
    by both nodes."""
    lab, host = large, labtools.Host(large, "many")
    owner = owner_of(lab)
    other = lab.peer(owner)
    before, joined_before = rss_kib(lab, owner), join_ms(lab, other)
    start = time.monotonic()
    host.good(owner, "register-many", sa_key=KEY, value=REGISTRANTS - 1, aptpl=True, timeout=60)
    made = time.monotonic() - start
    for node in lab.nodes:
        keys = host.good(node, "read-keys")
        assert keys["additional_length"] == 8 * REGISTRANTS and keys["returned"] == 65535
        assert set(keys["keys"]) == {hex(KEY)} and len(keys["keys"]) == (65535 - 8) // 8
        full = host.good(node, "read-full-status")
        assert full["returned"] == 65535 and full["additional_length"] > REGISTRANTS * 24
    joined = join_ms(lab, other)
    memory = rss_kib(lab, owner) - before
    lists = [lab.ctl(n, "pr", "show", "disk0")["registrants"] for n in lab.nodes]
    assert len(lists[0]) == REGISTRANTS and lists[0] == lists[1]
    host.good(owner, "clear", key=KEY)
    assert host.good(other, "read-keys")["additional_length"] == 0
    figures(f"{REGISTRANTS} registered in {made:.1f} s; memory +{memory / 1024:.0f} MiB; a node joins in "
            f"{joined:.0f} ms (with none {joined_before:.0f})")
    assert made < 20 and joined < 3000 and memory < 100 * 1024


@pytest.mark.parametrize("aptpl", [False, True])
def test_one_more_registrant(large, figures, aptpl):
    """Beside few and beside many: what it writes does not grow with them."""
    lab, host, owner, told = large, labtools.Host(large, "many"), owner_of(large), {}
    options = {"aptpl": True} if aptpl else {}
    for registrants in (2, 1000, REGISTRANTS):
        host.good(owner, "register-many", sa_key=KEY, value=registrants - 1, timeout=60, **options)
        told[registrants] = one_more(lab, owner, options)
        host.good(owner, "clear", key=KEY)
    figures(", ".join(f"beside {n}: {ms:.2f} ms, {cpu:.2f} ms of CPU, {size:.0f} bytes written"
                      for n, (ms, cpu, size) in told.items()))
    ms, _, size = told[REGISTRANTS]
    assert ms < 50 and size < 20000


def test_a_thousand_luns(large, figures):
    """Reported, and moved from node to node and back, in a time that an initiator does not notice
    as an error."""
    lab = large
    owner = owner_of(lab)
    memory = {n: rss_kib(lab, n) for n in lab.nodes}
    _, check = run(lab, owner, "sandemd --check -c /etc/sandem/sandem.yaml")
    joined = join_ms(lab, lab.peer(owner))
    for node in lab.nodes:
        listed = labtools.Host(lab, "lister").good(node, "report-luns")["luns"]
        assert listed == list(range(LUNS)), f"through {node}: {len(listed)}"
    gaps = []
    with labtools.load(lab) as load:
        for _ in range(4):
            since = labtools.wall_ms()
            _, demote = run(lab, owner, "sandemctl group demote g0")
            owner = lab.peer(owner)
            _, promote = run(lab, owner, "sandemctl group promote g0")
            load.await_flow()
            gaps.append((demote + promote, load.longest_gap(since) or 0))
        report = load.stop()
    labtools.assert_clean(report)
    figures(f"lab up in {large.up_s:.1f} s; configuration read in {check:.0f} ms; a node joins in "
            f"{joined:.0f} ms; memory {max(memory.values()) / 1024:.0f} MiB; moves take "
            + ", ".join(f"{m:.0f}" for m, _ in gaps) + " ms (gaps seen: "
            + ", ".join(f"{g:.0f}" if g else "below 100" for _, g in gaps) + ")")
    assert check < 2000 and joined < 3000 and max(memory.values()) < 100 * 1024
    assert sorted(m for m, _ in gaps)[1] < 2000

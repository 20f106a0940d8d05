# SPDX-License-Identifier: BSD-2-Clause
"""
The reservation suites of iscsi-test-cu, with the first initiator on one node and the second on
the other, while the group moves from node to node (P1, P2, P7). What is reserved through one node
is looked at, and enforced, through the other.

SANDEM_SUITE_ROUNDS: how often all of them run instead of four times.
"""
import os
import re
import subprocess

import pytest

import labtools

ROUNDS = int(os.environ.get("SANDEM_SUITE_ROUNDS", "4"))
SUITES = ("PrinReadKeys", "PrinServiceactionRange", "PrinReportCapabilities", "ProutRegister", "ProutReserve",
          "ProutClear", "ProutPreempt")
ASSERTS = re.compile(r"^\s*asserts\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)", re.M)
TESTS = re.compile(r"^\s*tests\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)", re.M)
RETRIED = re.compile(r"retry_ua: (\d+)")


def run_suite(lab, suite, first, second):
    """(tests run, commands sent again because the group had moved)."""
    urls = [f"iscsi://{lab.portal(n)}/{labtools.TARGET}/{labtools.LUN}" for n in (first, second)]
    done = subprocess.run(lab.argv("exec", "init", "env", f"LD_PRELOAD={labtools.BUILD}/tests/cluster/retry_ua.so",
                                   "iscsi-test-cu", "-d", "-n", "-f", "-t", f"ALL.{suite}", *urls),
                          text=True, capture_output=True, timeout=120)
    ran, asserts, retried = TESTS.search(done.stdout), ASSERTS.search(done.stdout), RETRIED.search(done.stderr)
    assert ran and asserts and retried, done.stdout[-3000:] + done.stderr[-1000:]
    assert ran[4] == "0" and asserts[4] == "0" and int(ran[2]) > 0 and int(asserts[2]) > 0, (
        f"{suite} through {first} and {second}:\n{done.stdout[-6000:]}")
    assert "[SKIPPED]" not in done.stdout, done.stdout[-3000:]
    return int(ran[2]), int(retried[1])


@pytest.mark.parametrize("first", [0, 1])
def test_reservations_through_two_nodes_while_the_group_moves(forward_pair, first, figures):
    nodes = forward_pair.nodes[first], forward_pair.nodes[1 - first]
    ran = retried = 0
    with labtools.Mover(forward_pair, first, pause=(0.0, 0.1)) as mover:
        for _ in range(ROUNDS):
            for suite in SUITES:
                n, again = run_suite(forward_pair, suite, *nodes)
                ran, retried = ran + n, retried + again
    figures(f"{ran} tests passed during {mover.moves} moves, {retried} commands were sent again")
    assert mover.moves > ran / 4 and retried > 0

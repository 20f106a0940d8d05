# SPDX-License-Identifier: BSD-2-Clause
"""
Fenced is fenced, over many random runs (P2, P6): writers on both nodes, one that shuts them out
through either, the group on the move meanwhile. fence_history records, history_check judges.

SANDEM_HISTORY_RUNS: how many runs instead of 200 (beyond that, every kind of loss, too);
SANDEM_SEED: a seed to repeat (it is printed).
"""
import contextlib
import copy
import json
import os
import random
import subprocess

import pytest

import history_check
import labtools

RUNS = int(os.environ.get("SANDEM_HISTORY_RUNS", "200"))
SEED = int(os.environ.get("SANDEM_SEED") or random.randrange(1 << 32))
LOSSES = ["kill", "pause", "partition"]
if RUNS <= 200:
    LOSSES = [random.Random(SEED).choice(LOSSES)]


class Recorder:
    """Each has blocks of its own, behind what loads and suites write."""
    base, BLOCKS = 1 << 20, 1 << 17

    def __init__(self, lab, seed, *options):
        argv = [labtools.BUILD / "tests/cluster/fence_history", "--target", labtools.TARGET, "--lun", labtools.LUN,
                "--file", f"/tmp/sandem-lab-{lab.name}/srv/disk0.img", "--seed", seed, "--base",
                Recorder.base, *options]
        Recorder.base += Recorder.BLOCKS
        for node in lab.nodes[:2]:
            argv += ["--portal", lab.portal(node)]
        self.seed, self.lines = seed, []
        self.process = subprocess.Popen(lab.argv("exec", "init", *argv), text=True, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)

    def await_writing(self):
        assert '"writing"' in self.process.stdout.readline(), self.process.stderr.read()

    def finish(self, seconds=300):
        out, err = self.process.communicate(timeout=seconds)
        assert self.process.returncode == 0, f"seed {self.seed}: {err}"
        return out.splitlines()

def assert_held(seed, lines, figures):
    violations, seen = history_check.check(lines)
    figures(f"seed {seed}: {len(violations)} violations; " + ", ".join(f"{v} {k}" for k, v in seen.items()))
    assert not violations, f"seed {seed}: {violations[:5]}"
    return seen

def assert_tried(seen, runs, usable):
    """Nothing is proven where nothing was tried; usable: the share of the paths that can
    write."""
    assert seen["runs"] == seen["finals"] == runs
    assert seen["fenced"] > runs and seen["fenced that had written"] > seen["fenced"] * 0.6 * usable
    assert seen["refused"] > seen["fenced"] and seen["read back"] > runs / 4


def history(lab, runs, usable, figures):
    with labtools.Mover(lab, SEED) as mover:
        recorder = Recorder(lab, SEED, "--runs", runs)
        seen = assert_held(SEED, recorder.finish(60 + 3 * runs), figures)
    figures(f"{mover.moves} moves")
    assert mover.moves > runs / 10
    assert_tried(seen, runs, usable)


def test_while_the_group_moves_and_the_other_forwards(forward_pair, figures):
    history(forward_pair, RUNS * 3 // 4, 1, figures)


def test_while_the_group_moves_and_the_other_is_standby(pair, figures):
    history(pair, RUNS // 4, 0.5, figures)


@pytest.mark.parametrize("how", LOSSES)
def test_while_a_node_is_lost(forward_pair, figures, how):
    """Shut out through the survivor while the node that half of the writers use, and that may own
    the group, is lost."""
    pair, draw = forward_pair, random.Random(f"{SEED} {how}")
    via = draw.randrange(2)
    lost, survivor = pair.nodes[1 - via], pair.nodes[via]
    with contextlib.ExitStack() as stack:
        if how == "partition":
            stack.enter_context(pair.delayed_fencing(survivor))
        recorder = Recorder(pair, SEED, "--via", via, "--after-ms", 100, "--spread-ms", 1500)
        recorder.await_writing()
        pair.run(*(["partition"] if how == "partition" else [how, lost]))
        lines = recorder.finish()
        labtools.await_true(f"{lost} is fenced", lambda: not pair.powered(lost), 40)
    took = next(r["fence_ms"] for r in map(json.loads, lines) if "scenario" in r)
    figures(f"{lost} lost, the fence took {took:.0f} ms")
    seen = assert_held(SEED, lines, figures)
    assert seen["runs"] == 1 and seen["fenced that had written"] > 0


# ---- the judge can fail --------------------------------------------------------------------------


def test_a_planted_write_is_found(forward_pair):
    """One block of a fenced writer is changed behind the answer: on the medium, as read back, and
    at the end."""
    recorder = Recorder(forward_pair, SEED, "--runs", 3, "--plant")
    violations, seen = history_check.check(recorder.finish())
    assert seen["runs"] == 3
    for run in range(3):
        found = [v for v in violations if v.startswith(f"run {run} ") and "writer 0, block 3" in v]
        assert any("changed" in v for v in found) and any("read back" in v for v in found), violations
        assert any("after all runs" in v for v in found), violations
        assert any("(P6)" in v for v in found), violations
    assert all("writer 0, block 3" in v for v in violations), violations


def record():
    """Two blocks of a fenced writer and two of another, as they should be."""
    def writer(number, fenced, blocks, slots):
        return {"writer": number, "node": number % 2, "fenced": fenced, "good": 9, "conflicts": 1, "retried": 0,
                "aborted": 0, "late": 0, "slots": [dict(lba=i, acked=a, maybe=m) for i, (a, m) in enumerate(slots)],
                "at_fence": list(blocks) if fenced else [1, 1], "by_target": list(blocks) if fenced else None,
                "at_end": list(blocks)}
    return ({"run": 0, "scenario": "preempt", "writers": [writer(0, True, [4, None], [(4, 0), (0, 0)]),
                                                          writer(1, False, [8, 7], [(8, 0), (6, 7)])]},
            {"final": 0, "writers": [[4, None], [8, 7]]})


def judged(*records):
    return history_check.check([json.dumps(r) for r in records])[0]


def test_a_history_as_it_should_be():
    assert judged(*record()) == []


@pytest.mark.parametrize("place, value, said", [
    (("writers", 0, "at_end", 0), 5, "(P2)"),           # a write of a fenced nexus reached the medium
    (("writers", 0, "at_end", 1), 1, "(P2)"),           # … a block that it had never written
    (("writers", 0, "by_target", 0), 3, "read back"),
    (("writers", 0, "late", None), 1, "sent"),
    (("writers", 0, "at_fence", 0), 3, "(P2)"),
    (("writers", 1, "at_end", 0), 7, "(P6)"),           # an acknowledged write is lost
    (("writers", 1, "at_end", 0), None, "(P6)"),
    (("writers", 1, "at_end", 1), 5, "(P6)"),           # neither acknowledged nor unknown
    (("writers", 1, "at_end", 0), "torn", "(P6)"),
    (("writers", 1, "at_end", 0), "foreign", "(P6)"),
])
def test_a_wrong_history_is_found(place, value, said):
    run, final = copy.deepcopy(record())
    *path, last, index = place
    where = run
    for key in path:
        where = where[key]
    if index is None:
        where[last] = value
    else:
        where[last][index] = value
    assert any(said in v for v in judged(run, final)), judged(run, final)


def test_a_write_that_comes_after_all_runs_is_found():
    run, final = record()
    final["writers"][0][0] = 5
    assert any("after all runs" in v for v in judged(run, final))

# SPDX-License-Identifier: BSD-2-Clause
"""Judges what fence_history recorded. Pure: lines in, violations out.

For each block of a run: "acked" is the sequence number of the last write that ended with GOOD,
"maybe" that of the last one of which nobody knows whether it was done. at_fence is what the
medium had when the command that shuts out had returned GOOD, by_target what an initiator read
soon after, at_end when the run was over, final when all runs were.
"""
import collections
import json


def allowed(slot):
    """What a block may hold: the last acknowledged write, or an unknown one after it (P6)."""
    values = {slot["acked"] or None}
    if slot["maybe"] > slot["acked"]:
        values.add(slot["maybe"])
    return values


def judge_slot(run, writer, i, final):
    slot, where = writer["slots"][i], f"run {run['run']} ({run['scenario']}), writer {writer['writer']}, block {i}"
    fence, end = writer["at_fence"][i], writer["at_end"][i]
    if end not in allowed(slot):
        yield f"{where}: holds {end}, only {sorted(map(str, allowed(slot)))} can be (P6)"
    if not writer["fenced"]:
        return
    if end != fence:
        yield f"{where}: changed from {fence} to {end} after the answer that shut the writer out (P2)"
    if final is not None and final[i] != fence:
        yield f"{where}: holds {final[i]} after all runs, {fence} when the writer was shut out (P2)"
    if writer["by_target"] is not None and writer["by_target"][i] != fence:
        yield f"{where}: read back as {writer['by_target'][i]}, the medium had {fence} (P2)"


def judge(run, finals):
    for writer in run["writers"]:
        final = finals.get(run["run"])
        final = final and final[writer["writer"]]
        for i in range(len(writer["slots"])):
            yield from judge_slot(run, writer, i, final)
        if writer["fenced"] and writer["late"]:
            yield (f"run {run['run']} ({run['scenario']}), writer {writer['writer']}: {writer['late']} "
                   "writes that were sent after it was shut out ended with GOOD (P2)")


def check(lines):
    """(violations, what was seen: counts that show that something was tried)."""
    records = [json.loads(line) for line in lines if line.strip()]
    runs = [r for r in records if "scenario" in r]
    finals = {r["final"]: r["writers"] for r in records if "final" in r}
    violations = [v for run in runs for v in judge(run, finals)]
    seen = collections.Counter(runs=len(runs), finals=len(finals))
    for run in runs:
        seen[run["scenario"]] += 1
        for w in run["writers"]:
            seen["writes"] += w["good"]
            seen["fenced"] += w["fenced"]
            seen["fenced that had written"] += w["fenced"] and w["good"] > 0
            seen["refused"] += w["conflicts"]
            seen["retried"] += w["retried"]
            seen["unknown"] += sum(s["maybe"] > 0 for s in w["slots"])
            seen["read back"] += w["by_target"] is not None
    return violations, seen

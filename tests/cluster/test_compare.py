# SPDX-License-Identifier: BSD-2-Clause
"""
COMPARE AND WRITE is atomic whichever node it enters (SBC-4 5.3; P1, P6).

Topology: two nodes, the one that does not own the group forwards; two writers through each of them count in the same block.
No two blocks that they write are alike, so what each compared with and wrote makes one chain, or something was lost.
"""
import contextlib
import json
import subprocess
import sys

import pytest

import labtools

WRITERS_PER_NODE = 2
ZERO = (0, 0, 0)


def judge(attempts, last):
    """attempts: (from, to, outcome), each state (count, writer, serial); last: the state at the end. Gives what is wrong."""
    wrong = []
    state = {}      # of each count, as far as anybody has seen it

    def seen(what, by):
        if state.setdefault(what[0], what) != what:
            wrong.append(f"count {what[0]} was both {state[what[0]][1:]} and {what[1:]} ({by})")
    outcomes = {to: result for _, to, result in attempts}
    replaced = {}
    seen(last, "the end")
    for was, to, result in attempts:
        seen(was, "compared with")
        if result != "good":
            continue
        seen(to, "GOOD")
        if was in replaced:
            wrong.append(f"{was} was replaced twice: by {replaced[was]} and {to}")
        replaced[was] = to
    for what in state.values():
        if what != ZERO and outcomes.get(what) not in ("good", "maybe"):
            wrong.append(f"{what} was seen, but is the outcome of no command: {outcomes.get(what)}")
        if what[0] > last[0]:
            wrong.append(f"{what} was seen, at the end there is {last}")
    lost = [n for n in range(1, last[0] + 1) if n not in state and not any(
        to[0] == n and result == "maybe" for _, to, result in attempts)]
    return wrong + [f"count {n} was skipped" for n in lost]


@contextlib.contextmanager
def counting(lab):
    """While it lasts the writers count; what it gave then has all attempts, and the state at the end."""
    client = labtools.HERE / "compare_client.py"
    reader = labtools.Host(lab, "compare-reader")
    reader.good(lab.owner(), "write", value=0)
    writers = [subprocess.Popen(lab.argv("exec", "init", sys.executable, client, labtools.TARGET, lab.portal(n),
                                         k * WRITERS_PER_NODE + i + 1), text=True, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE)
               for k, n in enumerate(lab.nodes) for i in range(WRITERS_PER_NODE)]
    result = {}

    def state():
        said = json.loads(subprocess.run(
            lab.argv("exec", "init", sys.executable, labtools.HERE / "cdb_client.py", labtools.TARGET,
                     lab.portal(lab.owner()), "8800" + "00" * 8 + "00000001" + "0000", "", "512"),
            text=True, capture_output=True, check=True, timeout=30).stdout)
        assert said["status"] == 0, said
        return tuple(int(said["data"][k:k + 16], 16) for k in (0, 16, 32))

    def goes_on():
        """Until a hundred more have been counted."""
        first = state()[0]
        labtools.await_true("the writers count", lambda: state()[0] >= first + 100, 60)
    try:
        yield goes_on, result
        for w in writers:
            w.stdin.close()
        result["attempts"] = [(tuple(was), tuple(to), outcome) for w in writers
                              for was, to, outcome in json.loads(w.stdout.read())]
        result["last"] = state()
    finally:
        for w in writers:
            w.stdin.close()
            w.wait(30)


def moves(pair, goes_on):
    for _ in range(4):
        pair.move(pair.peer(pair.owner()))
        pair.await_forwarding()
        goes_on()
        pair.settle()


def resets_of_the_link(pair, goes_on):
    for _ in range(10):
        pair.exec(pair.peer(pair.owner()), "ss", "-K", "-tn", "dport", "=", "3261")
        goes_on()


def link_cut(pair, goes_on):
    pair.run("partition", "link")
    goes_on()
    pair.run("heal")
    pair.await_forwarding()


def kill_9(pair, goes_on):
    owner = pair.owner()
    pair.exec(owner, "sh", "-c", "kill -9 $(cat /run/sandem/sandemd.pid)")
    pair.await_owner(pair.peer(owner))


def power_cut(pair, goes_on):
    owner = pair.owner()
    pair.run("kill", owner)
    pair.await_owner(pair.peer(owner))


def partition(pair, goes_on):
    lost = pair.owner()
    with pair.delayed_fencing(pair.peer(lost)):
        pair.run("partition")
        labtools.await_true(f"{lost} is fenced", lambda: not pair.powered(lost), 40)
        pair.await_owner(pair.peer(lost))


@pytest.mark.parametrize("what", [moves, resets_of_the_link, link_cut, kill_9, power_cut, partition])
def test_counting_through_both_nodes(forward_pair, figures, what):
    forward_pair.await_forwarding()
    with counting(forward_pair) as (goes_on, result):
        goes_on()
        what(forward_pair, goes_on)
        goes_on()
    outcomes = [o for _, _, o in result["attempts"]]
    of = {o: outcomes.count(o) for o in ("good", "not", "maybe")}
    figures(", ".join(f"{n} {o}" for o, n in of.items()))
    for node in range(len(forward_pair.nodes)):
        writers = range(node * WRITERS_PER_NODE + 1, (node + 1) * WRITERS_PER_NODE + 1)
        assert any(to[1] in writers and o == "good" for _, to, o in result["attempts"]), "one node was not used"
    assert not (wrong := judge(result["attempts"], result["last"])), "\n".join(wrong[:20])


A1, A2, B1, B2 = (1, 1, 1), (2, 1, 2), (1, 2, 1), (2, 2, 2)


@pytest.mark.parametrize("attempts, last", [
    ([(ZERO, A1, "good"), (A1, B2, "good")], B2),
    ([(ZERO, A1, "maybe"), (ZERO, B1, "not"), (A1, A2, "good")], A2),
    ([(ZERO, A1, "good"), (A1, A2, "maybe"), (A1, B2, "maybe")], A1),
    ([(ZERO, A1, "maybe"), (ZERO, B1, "maybe")], B1),
])
def test_a_chain_as_it_should_be(attempts, last):
    assert judge(attempts, last) == []


@pytest.mark.parametrize("attempts, last", [
    ([(ZERO, A1, "good"), (ZERO, B1, "good")], B1),                         # both replaced the same
    ([(ZERO, A1, "good")], ZERO),                                           # acknowledged and gone
    ([(ZERO, A1, "not")], A1),                                              # refused, and yet there
    ([(ZERO, A1, "good"), (ZERO, B1, "maybe"), (B1, B2, "good")], B2),      # acknowledged and replaced unseen
    ([(ZERO, A1, "good"), (A1, A2, "good")], B2),                           # what nobody wrote
    ([(ZERO, A1, "good"), (A2, (3, 1, 3), "good")], (3, 1, 3)),             # compared with what nobody wrote
])
def test_a_broken_chain_is_found(attempts, last):
    assert judge(attempts, last)

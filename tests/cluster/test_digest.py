# SPDX-License-Identifier: BSD-2-Clause
"""
A node whose replicated state is not that of the others stops serving, says so, and comes back with theirs (P3).

Topology: nodes of which one has been a member for longer than the others; hosts x, y, z with a nexus through each. In the
memory of one daemon the key of a registration is changed, wherever it is found, as a fault of the memory would.
"""
import contextlib
import os
import struct

import pytest

import labtools

KEY, WRONG, OTHER = 0x5ADE3A11FEEDBEEF, 0x5ADE3A11FEEDBEEE, 0xB2
LOG = "/var/log/sandem/sandemd.log"
CHECKED = 40    # seconds: digests are compared each 10 s


def change_words(memory, first, end, was, becomes):
    found = 0
    memory.seek(first)
    words = memory.read(end - first)
    at = words.find(was)
    while at >= 0:
        if at % len(was) == 0:
            memory.seek(first + at)
            memory.write(becomes)
            found += 1
        at = words.find(was, at + 1)
    return found


def change_memory(pid, was, becomes):
    """Every aligned 64-bit word of the process's writable anonymous memory that is `was`; gives how many there were."""
    found = 0
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
        for line in maps:
            span, access, _, _, inode, *path = line.split()
            if not access.startswith("rw") or inode != "0" or path not in ([], ["[heap]"]):
                continue
            first, end = (int(x, 16) for x in span.split("-"))
            with contextlib.suppress(OSError):      # a mapping may have gone meanwhile
                found += change_words(memory, first, end, struct.pack("=Q", was), struct.pack("=Q", becomes))
    return found


def join_last(lab, nodes):
    """The nodes' daemons leave and join again: all others have been members for longer."""
    for node in nodes:
        lab.restart_daemon(node)
        lab.settle()


def rejoins(lab, node):
    said = lab.exec(node, "grep", "-ac", "it stops serving and takes a snapshot", LOG, check=False).stdout
    return int(said or 0)


def keys(host, node):
    return host.good(node, "read-keys")["keys"]


def changed_and_healed(lab, victim):
    """The victim differs until the digests are compared, then has the others' state again."""
    x, y, z = (labtools.Host(lab, n) for n in "xyz")
    others = [n for n in lab.nodes if n != victim]
    before = rejoins(lab, victim)
    with labtools.load(lab) as load:
        for verb, key in ("register-ignore", dict(sa_key=KEY)), ("clear", dict(key=KEY)), ("register", dict(sa_key=KEY)):
            x.good(others[0], verb, **key)
        assert keys(z, victim) == [hex(KEY)]
        since = labtools.wall_ms()
        assert change_memory(lab.daemon_pid(victim), KEY, WRONG) > 0
        y.good(others[0], "register-ignore", sa_key=OTHER)     # digests are compared where the log has gone on
        labtools.await_true(f"{victim} says that its state differs", lambda: rejoins(lab, victim) > before, CHECKED)
        labtools.await_true(f"{victim} serves again", lambda: lab.serving(victim), 20)
        load.await_flow()
        gap = load.longest_gap(since)
        for node in lab.nodes:
            assert sorted(keys(z, node)) == sorted([hex(KEY), hex(OTHER)]), f"through {node}"
        report = load.stop()
    x.good(others[0], "clear", key=KEY)
    labtools.assert_clean(report)
    return "gap below 100 ms" if gap is None else f"gap {gap:.0f} ms"


@pytest.mark.parametrize("which", ["owner", "other"])
def test_a_state_that_differs_is_found(pair, figures, which):
    """Of two states that of the node that was there first is taken."""
    victim = pair.owner() if which == "owner" else pair.peer(pair.owner())
    join_last(pair, [victim])
    if which == "owner" and pair.owner() != victim:
        pair.move(victim)
        pair.settle()
    figures(changed_and_healed(pair, victim))


@pytest.fixture
def three():
    lab = labtools.Lab(f"t{os.getpid()}-digest", 3)
    lab.up()
    yield lab
    lab.down()


def test_the_state_of_most_is_taken(three, figures):
    """Whoever was there first."""
    first = three.owner()
    join_last(three, [n for n in three.nodes if n != first])
    figures(changed_and_healed(three, first))

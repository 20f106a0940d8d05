# SPDX-License-Identifier: BSD-2-Clause
"""
Third-party copies (ROD tokens, EXTENDED COPY (LID4)) through ports that forward to the owner.

Topology: two nodes, two LUNs of one group; one initiator with a session that makes tokens and one that uses them, each
through the owner's port or the other one's. A token belongs to the owner that made it, whichever port it came through.
"""
import contextlib
import json
import os
import subprocess
import sys

import pytest

import labtools

BLOCKS, DONE, LID4_DONE = 16, 1, 1
COPIED = {"status": DONE, "count": BLOCKS, "there": True}
TOKEN_OPERATION = 0x23


@pytest.fixture(scope="module")
def copy_pair():
    lab = labtools.Lab(f"t{os.getpid()}-copy")
    lab.up("--forward", "--luns", 2)
    yield lab
    lab.down()


@pytest.fixture
def pair(copy_pair):
    copy_pair.await_forwarding()
    return copy_pair


@contextlib.contextmanager
def copies(lab, maker, user):
    client = sys.executable, labtools.HERE / "copy_client.py", labtools.TARGET, lab.portal(maker), lab.portal(user)
    process = subprocess.Popen(lab.argv("exec", "init", *client), text=True, bufsize=1, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)

    def do(verb):
        process.stdin.write(verb + "\n")
        return json.loads(process.stdout.readline())
    try:
        yield do
    finally:
        process.stdin.close()
        process.wait(10)


@pytest.mark.parametrize("made", ["owner", "other"])
@pytest.mark.parametrize("used", ["owner", "other"])
def test_tokens(pair, made, used):
    node = {"owner": pair.owner(), "other": pair.peer(pair.owner())}
    with copies(pair, node[made], node[used]) as do:
        do("write")
        assert do("make") == DONE
        assert do("use") == COPIED
        assert do("use") == COPIED      # as often as one likes
        do("write")                     # what it stood for is no more
        assert do("use")["sense"][:2] == [5, TOKEN_OPERATION]
        assert do("make") == DONE
        assert do("use") == COPIED


@pytest.mark.parametrize("through", ["owner", "other"])
def test_extended_copy_lid4(pair, through):
    node = pair.owner() if through == "owner" else pair.peer(pair.owner())
    with copies(pair, node, node) as do:
        do("write")
        assert do("lid4") == {"status": LID4_DONE, "count": BLOCKS, "segments": 2, "there": True}


def test_a_move_ends_tokens(pair):
    """They are refused then, in the words that make initiators copy by themselves; a new one works at once."""
    owner = pair.owner()
    other = pair.peer(owner)
    with copies(pair, other, owner) as do:
        do("write")
        assert do("make") == DONE
        pair.move(other)
        labtools.await_true("the old owner forwards",
                            lambda: pair.ctl(owner, "group", "list")["groups"][0]["state"] == "nonoptimized", 40)
        do("attentions")
        assert do("use")["sense"][:2] == [5, TOKEN_OPERATION]
        assert do("make") == DONE
        assert do("use") == COPIED
        assert do("lid4") == {"status": LID4_DONE, "count": BLOCKS, "segments": 2, "there": True}

# SPDX-License-Identifier: BSD-2-Clause
"""A group among three nodes: what holds for a pair holds for more (P5, P6)."""
import os

import pytest

import labtools


@pytest.fixture
def three():
    lab = labtools.Lab(f"t{os.getpid()}-three", 3)
    lab.up()
    yield lab
    lab.down()


def test_power_cut_of_the_owner(three, figures):
    with labtools.load(three) as load:
        dead = three.owner()
        since = labtools.wall_ms()
        three.run("kill", dead)
        survivors = [n for n in three.nodes if n != dead]
        owner = labtools.await_true("a survivor is promoted", lambda: (
            (o := three.owner()) in survivors and o), 60)
        three.await_owner(owner)
        load.await_flow()
        gap = load.longest_gap(since)
        for node in survivors:
            groups = three.ctl(node, "group", "list")["groups"]
            assert [g["owner"] for g in groups] == [owner], f"on {node}"
        report = load.stop()
    figures("gap below 100 ms" if gap is None else f"gap {gap:.0f} ms")
    labtools.assert_clean(report)

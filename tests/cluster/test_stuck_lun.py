# SPDX-License-Identifier: BSD-2-Clause
"""
A medium that does not answer is the trouble of its own logical unit (P8).

Topology: two nodes, one group with LUNs 0 and 1. While /run/stuck exists on the owner each write to LUN 0 takes STUCK seconds;
then LUN 0 is reset, which is answered only when that write has ended (P2).
"""
import json
import time

import pytest

import labtools

STUCK = 12
CONFIG = """\
cluster: {{name: {name}}}
nodes:
  - {{name: node-a, id: 1, portals: ["10.77.0.1:3260"]}}
  - {{name: node-b, id: 2, portals: ["10.77.0.2:3260"]}}
groups: [{{name: g0, non_owner: forward}}]
luns:
  - name: disk0
    group: g0
    handler: file
    path: /srv/disk0.img
    size: 1G
    direct: false
    fault: {{delay: {stuck}s, op: write, trigger: /run/stuck}}
  - name: disk1
    group: g0
    handler: file
    path: /srv/disk1.img
    size: 1M
    direct: false
targets:
  - name: iqn.2026-11.io.sandem:demo
    luns: [{{lun: 0, name: disk0}}, {{lun: 1, name: disk1}}]
    initiators: ["iqn.*"]
"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    lab = labtools.Lab(f"t{labtools.os.getpid()}-stuck")
    config = tmp_path_factory.mktemp("stuck") / "sandem.yaml"
    config.write_text(CONFIG.format(name=lab.name, stuck=STUCK))
    lab.up("--forward", "--luns", 2, "--config", config)
    yield lab
    lab.down()


def position(pair, node):
    return pair.ctl(node, "cluster", "status")["position"]


def test_a_stuck_lun_holds_back_no_reservation_of_another(pair, figures):
    owner = pair.owner()
    writer = labtools.Host(pair, "x").start(owner, "write-loop", lba=0, timeout=4 * STUCK)
    assert json.loads(writer.stdout.readline()) == {"event": "writing"}
    other = labtools.Host(pair, "y")
    other.good(pair.peer(owner), "register", lun=1, sa_key=1)
    pair.exec(owner, "touch", "/run/stuck")
    reader = labtools.Host(pair, "x-reader")
    labtools.await_true("the write is under way", lambda: reader.good(owner, "read", lba=0)["value"] ==
                        reader.good(owner, "read", lba=0)["value"], 10)
    try:
        before = position(pair, owner)
        reset = labtools.Host(pair, "m").start(owner, "lun-reset", timeout=4 * STUCK)
        labtools.await_true("the reset is in the log", lambda: position(pair, owner) > before, 10)
        assert reset.poll() is None, "the reset was answered while the write was under way"
        began = time.monotonic()
        other.good(pair.peer(owner), "reserve", lun=1, key=1, type=5)
        waited = time.monotonic() - began
        lasts = reset.poll() is None
    finally:
        pair.exec(owner, "rm", "/run/stuck")
        writer.communicate(timeout=4 * STUCK)
        reset.communicate(timeout=4 * STUCK)
    figures(f"PERSISTENT RESERVE OUT on the other LUN took {1000 * waited:.0f} ms")
    assert waited < 3
    assert lasts, "the reset did not last long enough to show anything"

# SPDX-License-Identifier: BSD-2-Clause
"""An ISO image as a CD-ROM LUN."""
import os

import pytest
from initiator import Initiator

BLOCKS = 1000


@pytest.fixture
def drive(daemon):
    image = os.path.join(daemon.dir, "image.iso")
    with open(image, "wb") as f:
        for n in range(BLOCKS):
            f.write(n.to_bytes(4, "big") * 512)
    return daemon.start("--lun", f"{image},cdrom")


def test_reads_as_a_cdrom(drive):
    with Initiator(drive) as i:
        i.ready()
        inquiry = i.run([0x12, 0, 0, 0, 96, 0], read=96).good()
        assert inquiry[0] == 5 and inquiry[1] & 0x80
        capacity = i.run([0x25] + [0] * 9, read=8).good()
        assert capacity == (BLOCKS - 1).to_bytes(4, "big") + (2048).to_bytes(4, "big")
        assert i.run([0x28, 0, 0, 0, 0, 7, 0, 0, 2, 0], read=4096).good() == b"".join(
            n.to_bytes(4, "big") * 512 for n in (7, 8))
        assert i.run([0xa8, 0, 0, 0, 3, 231, 0, 0, 0, 1, 0, 0], read=2048).good()[:4] == (999).to_bytes(4, "big")
        assert i.run([0x28, 0, 0, 0, 3, 232, 0, 0, 1, 0], read=2048).sense == (5, 0x21, 0)
        assert i.run([0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0], bytes(2048)).sense == (7, 0x27, 0)
        toc = i.run([0x43, 0, 0, 0, 0, 0, 0, 0, 64, 0], read=64).good()
        assert toc[2:4] == b"\1\1" and int.from_bytes(toc[16:20], "big") == BLOCKS
        assert i.run([0x46, 2, 0, 0, 0, 0, 0, 0, 64, 0], read=64).good()[6:8] == b"\0\x08"


def test_another_disc(drive):
    image = os.path.join(drive.dir, "image.iso")
    with Initiator(drive) as i:
        i.ready()
        assert i.run([0x1b, 0, 0, 0, 2, 0]).status == 0
        assert i.run([0x00] + [0] * 5).sense == (2, 0x3a, 0)
        os.unlink(image)
        with open(image, "wb") as f:
            f.write(b"next" * 512 * 20)
        assert drive.ctl("lun", "load", "lun0").returncode == 0
        assert (0x28, 0) in i.attentions()
        assert int.from_bytes(i.run([0x25] + [0] * 9, read=8).good()[:4], "big") == 19
        assert i.run([0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0], read=2048).good() == b"next" * 512


@pytest.mark.parametrize("words", ["cdrom,size=1M", "cdrom,thin"])
def test_wrong_options(daemon, words):
    daemon.start("--lun", f"{daemon.dir}/x.iso,{words}", wait=False)
    assert daemon.process.wait(20) in (1, 2)
    assert "CD-ROM" in daemon.output() and "leave" in daemon.output()


FILE = """\
cluster: {{name: demo, log: local}}
nodes:
  - {{name: node-a, id: 1, portals: ["127.0.0.1:3260"]}}
groups: [{{name: g0}}]
luns:
  - {{name: disk0, group: g0, path: /srv/image, {keys}}}
targets:
  - name: iqn.2026-11.io.sandem:demo
    luns: [{{lun: 0, name: disk0}}]
    initiators: ["iqn.*"]
"""


@pytest.mark.parametrize("keys, code, words", [
    ("type: cdrom", 0, []),
    ("type: cdrom, read_only: true, block_size: 2048", 0, []),
    ("type: cdrom, read_only: false", 1, ["luns[0].type", "read_only"]),
    ("type: cdrom, thin: true", 1, ["luns[0].type", "thin"]),
    ("type: cdrom, block_size: 512", 1, ["luns[0].block_size", "512"]),
    ("type: disk, block_size: 2048", 1, ["luns[0].block_size", "2048"]),
    ("type: tape", 1, ["luns[0].type", "tape", "cdrom"]),
    ("thin: true, thin_threshold: 20", 0, []),
    ("thin: true, thin_threshold: 100", 1, ["luns[0].thin_threshold", "100"]),
    ("thin_threshold: 20", 1, ["luns[0].thin_threshold", "thin: true"]),
])
def test_in_the_file(tmp_path, keys, code, words):
    from test_standalone import SANDEMD, run
    file = tmp_path / "sandem.yaml"
    file.write_text(FILE.format(keys=keys))
    r = run(SANDEMD, "-c", str(file), "--node", "node-a", "--check")
    assert r.returncode == code, r
    for word in words:
        assert word in r.stderr, r.stderr
    assert code == 0 or ":6:" in r.stderr, r.stderr

# SPDX-License-Identifier: BSD-2-Clause
"""
sg3-utils on disks that the kernel's initiator has attached: every tool ends as expected, says
nothing of trouble, and shows what sandem.yaml says.

Topology: two nodes, the guest logged in to both, no multipath. Commands go to the scratch disk.
"""
import re

import pytest

import labtools

SCRATCH = 1
# exit statuses of sg3-utils
GOOD, ILLEGAL, INVALID_OP, MISCOMPARE, OUT_OF_RANGE, CONFLICT = 0, 5, 9, 14, 22, 24
TROUBLE = re.compile(r"unexpected|truncat|unable to decode|malformed|too short|too long|bad |fail|"
                     r"error|invalid|unknown|<<.*>>|response length", re.I)
# Words of ordinary output: names of commands, log and mode pages, and of the reservation's holder.
ORDINARY = re.compile(r"Receive copy failure details|Sanitize, exit failure mode|Read-Write error recovery|"
                      r"(?:Write|Read) error|mapped \(or unknown\)|<< Reservation holder >>", re.I)


@pytest.fixture(scope="module")
def node(session_pair):
    """The owner of the group."""
    session_pair.restore()
    return session_pair.owner()


@pytest.fixture(scope="module")
def files(guest):
    guest.run("dd if=/dev/urandom of=/run/random bs=1M count=1 2>/dev/null; "
              "dd if=/run/random of=/run/block bs=512 count=1 2>/dev/null")


def sg(guest, disk, command, status=GOOD):
    """What the tool says; DISK stands for the device."""
    done = guest.try_run(command.replace("DISK", f"/dev/{disk}"), 60)
    assert done.status == status, f"{command}: exit {done.status}, not {status}\n{done.out}"
    if status == GOOD:
        trouble = [line for line in done.out.splitlines() if TROUBLE.search(ORDINARY.sub("", line))]
        assert not trouble, f"{command}:\n{done.out}"
    return done.out


INQUIRY = [  # (command, expressions that the output must match)
    ("sg_inq DISK", [r"Vendor identification: ACME", r"Product identification: SCRATCH DISK",
                     "revision level: 7.1", "Unit serial number: scratch-0815", "TPGS=1", "3PC=1"]),
    ("sg_inq -p sn DISK", ["scratch-0815"]),
    ("sg_inq -p di DISK", ["0x6acedeadbeef0001"]),
    ("sg_vpd -a DISK", ["Supported VPD pages VPD page", "Block limits VPD page",
                        "Third party copy VPD page"]),
    ("sg_vpd -p sv DISK", [r"\[sn\]", r"\[di\]", r"\[bl\]", r"\[lbpv\]"]),
    ("sg_vpd -p sn DISK", ["Unit serial number: scratch-0815$"]),
    ("sg_vpd -p di DISK", ["0x6acedeadbeef00010203040506070809", "vendor id: ACME",
                           "vendor specific: scratch-0815", "Target port group: 0x[12]$",
                           "Relative target port: 0x[12]$",
                           "iqn.2026-11.io.sandem:demo,t,0x000[12]",
                           r"iqn.2026-11.io.sandem:demo$"]),
    ("sg_vpd -p ei DISK", ["SIMPSUP=1"]),
    ("sg_vpd -p mna DISK", ["(?i)target device", "(?i)storage configuration service", "https://san.example/vm$",
                            "http://node-b.example/$"]),
    ("sg_vpd -p mpp DISK", ["Policy: shared"]),
    ("sg_vpd -p sp DISK", ["Relative port=1", "Relative port=2", "demo,t,0x0001", "demo,t,0x0002"]),
    ("sg_vpd -p tpc DISK", [r"Extended copy\(LID1\)", "block -> block"]),
    ("sg_vpd -p bl DISK", ["Maximum transfer length: 16384 blocks",
                           "Optimal unmap granularity: 8 blocks",
                           r"Maximum compare and write length: (?!0)\d+ blocks"]),
    ("sg_vpd -p bdc DISK", ["Non-rotating medium"]),
    ("sg_vpd -p lbpv DISK", [r"\(LBPU\): 1", r"\(LBPWS\): 1", r"\(LBPRZ\): 1", "thin provisioned"]),
    ("sg_readcap DISK", ["Number of logical blocks=131072", "Logical block length=512"]),
    ("sg_readcap -l DISK", ["lbpme=1, lbprz=1", "physical block length=4096", "131072"]),
    ("sg_luns DISK", ["0000000000000000", "0001000000000000", "0002000000000000"]),
    ("sg_luns -s 0 DISK", ["3 lun entries"]),
    ("sg_luns -s 1 DISK", ["1 lun entry", "c101000000000000"]),  # REPORT LUNS
    ("sg_luns -s 2 DISK", ["4 lun entries", "c101000000000000"]),
    ("sg_luns -s 0x10 DISK", ["0 lun entries"]),  # there are no administrative logical units
    ("sg_luns -s 0x12 DISK", ["0 lun entries"]),
    ("sg_turs DISK", []),
    ("sg_requests DISK", ["No Sense"]),
    ("sg_requests --desc DISK", ["No Sense"]),
    ("sg_modes -a DISK", ["WP=0", "DpoFua=1", "Caching", "Control", "Informational exceptions"]),
    ("sg_modes -6 -a DISK", ["Caching", "Control"]),
    ("sg_logs -a DISK", ["Supported log pages", "Write error", "Logical block provisioning",
                         "Informational Exceptions", "time interval negative exponent = 6$",
                         "time interval integer = 1$"]),
    ("sg_rtpg -d DISK", ["target port group id : 0x1", "target port group id : 0x2",
                         r"\(active/optimized\)", r"\(standby\)"]),
    ("sg_rtpg -e -d DISK", ["Implicit transition time: [1-9]"]),
    ("sg_opcodes --tmf DISK", ["Abort task", "Logical unit reset"]),
    ("sg_opcodes -R -n DISK", ["Test Unit Ready"]),
    ("sg_persist -c DISK", [r"Compatible Reservation Handling\(CRH\): 1",
                            r"Specify Initiator Ports Capable\(SIP_C\): 1",
                            "Exclusive Access, all registrants: 1"]),
    ("sg_timestamp DISK", [r"^\d{13}$"]),
    ("sg_ses DISK", ["Supported Diagnostic Pages"]),
    ("sg_senddiag --test DISK", ["GOOD status"]),
    ("sg_copy_results -p DISK", ["Copy from block device to block device"]),
    ("sg_read_buffer --mode=echo_desc DISK", []),
]


@pytest.mark.parametrize("command, wanted", INQUIRY, ids=[row[0] for row in INQUIRY])
def test_what_the_disk_says(guest, node, command, wanted):
    out = sg(guest, guest.disk(node, SCRATCH), command)
    for expression in wanted:
        assert re.search(expression, out, re.M), f"{command}: no {expression}\n{out}"


PAGES = ["sn", "di_lu", "ei", "mpp", "sp", "tpc", "bl", "bdc", "lbpv"]


@pytest.mark.parametrize("page", PAGES)
def test_both_paths_are_one_disk(guest, session_pair, node, page):
    """The standby path, too, answers INQUIRY, with the same identity."""
    own, other = (sg(guest, guest.disk(n, SCRATCH), f"sg_vpd -p {page} DISK")
                  for n in (node, session_pair.peer(node)))
    assert own == other


def test_every_operation_code_by_itself(guest, node):
    """REPORT SUPPORTED OPERATION CODES says of each command by itself what it says of all."""
    disk = guest.disk(node, SCRATCH)
    listed = sg(guest, disk, "sg_opcodes -n -m DISK")
    rows = re.findall(r"^ ([0-9a-f]{2})\s+(?:([0-9a-f]{1,2})\s+)?(\d+)\s+0,0 .*\n"
                      r"\s+cdb usage: ([0-9a-f ]+?)\s*$", listed, re.M)
    assert len(rows) > 60, listed
    names = [f"0x{op}" + (f",0x{sa}" if sa else "") for op, sa, _, _ in rows]
    each = guest.run(f"for o in {' '.join(names)}; do echo == $o; "
                     f"sg_opcodes -m -n --opcode=$o /dev/{disk} || exit 1; done", 90)
    for name, text, row in zip(names, each.split("== ")[1:], rows):
        assert "conforming to SCSI standard" in text, text
        usage = re.search(r"Usage data: ([0-9a-f ]+?)\s*$", text, re.M)
        assert usage and usage[1] == row[3], (name, row, text)
        assert len(usage[1].split()) == int(row[2]), (name, row, text)


REFUSED = [  # not implemented, or not what a disk does: refused, and the disk stays as it was
    ("sg_rep_zones DISK", INVALID_OP),
    ("sg_reset_wp --all DISK", INVALID_OP),
    ("sg_zone -o -a DISK", INVALID_OP),
    ("sg_sat_identify DISK", INVALID_OP),
    ("sg_rmsn DISK", INVALID_OP),
    ("sg_seek -l 0 DISK", INVALID_OP),
    ("sg_ident DISK", ILLEGAL),
    ("sg_bg_ctl -c 0 DISK", ILLEGAL),
    ("sg_stream_ctl -g DISK", ILLEGAL),
    ("sg_luns -s 3 DISK", ILLEGAL),
    ("sg_vpd -p 0xb5 --force DISK", ILLEGAL),
    ("sg_modes -p 0x3e DISK", ILLEGAL),
    ("sg_logs -p 0x3e DISK", ILLEGAL),
    ("sg_verify --lba=131072 --count=1 DISK", OUT_OF_RANGE),
    ("sg_copy_results -s -l 77 DISK", ILLEGAL),
    ("sg_persist -o -R -K 1 -T 5 DISK", CONFLICT),
]


@pytest.mark.parametrize("command, status", REFUSED, ids=[row[0] for row in REFUSED])
def test_refused(guest, node, command, status):
    disk = guest.disk(node, SCRATCH)
    sg(guest, disk, command, status)
    sg(guest, disk, "sg_turs DISK")


def read(guest, disk, lba, count, to="/run/back"):
    sg(guest, disk, f"sg_dd if=DISK of={to} bs=512 skip={lba} count={count} iflag=direct "
                    "2>/dev/null")


def same(guest, one, other, size):
    return guest.try_run(f"cmp -n {size} {one} {other}").status == 0


@pytest.fixture
def filled(guest, node, files):
    """The disk, with the file of random bytes at its beginning."""
    disk = guest.disk(node, SCRATCH)
    sg(guest, disk, "sg_dd if=/run/random of=DISK bs=512 count=2048 oflag=direct 2>/dev/null")
    return disk


def test_copy_by_the_target(guest, filled):
    sg(guest, filled, "sg_xcopy if=DISK of=DISK bs=512 count=2048 seek=65536")
    read(guest, filled, 65536, 2048)
    assert same(guest, "/run/random", "/run/back", 1 << 20)


def test_unmap_and_lba_status(guest, filled):
    assert "mapped" in sg(guest, filled, "sg_get_lba_status --lba=0 DISK")
    sg(guest, filled, "sg_unmap --lba=0 --num=256 --force DISK")
    status = sg(guest, filled, "sg_get_lba_status --lba=0 DISK")
    assert re.search(r"LBA: 0x0+ +blocks: +256 +deallocated", status), status
    read(guest, filled, 0, 256)
    assert same(guest, "/dev/zero", "/run/back", 256 * 512)
    read(guest, filled, 256, 8)
    guest.run("tail -c +131073 /run/random >/run/rest")
    assert same(guest, "/run/rest", "/run/back", 8 * 512)


def test_write_same(guest, filled):
    for option in ("--10", "--16"):
        sg(guest, filled, f"sg_write_same {option} --lba=16 --num=4 --in=/run/block "
                          "--xferlen=512 DISK")
        read(guest, filled, 19, 1)
        assert same(guest, "/run/block", "/run/back", 512)
        sg(guest, filled, "sg_write_same --16 --ndob --lba=16 --num=4 DISK")
        read(guest, filled, 16, 4)
        assert same(guest, "/dev/zero", "/run/back", 2048)


def test_compare_and_write(guest, filled):
    """The first block is replaced by the second, once."""
    guest.run("dd if=/run/random of=/run/two bs=512 count=2 2>/dev/null")
    command = "sg_compare_and_write --in=/run/two --lba=0 --xferlen=1024 DISK"
    sg(guest, filled, command)
    assert "Miscompare" in sg(guest, filled, command, MISCOMPARE)
    read(guest, filled, 0, 1)
    guest.run("tail -c 512 /run/two >/run/second")
    assert same(guest, "/run/second", "/run/back", 512)


def test_verify(guest, filled):
    sg(guest, filled, "sg_verify --lba=0 --count=1000 DISK")
    sg(guest, filled, "sg_verify --16 --lba=0 --count=1000 DISK")
    sg(guest, filled, "sg_verify --ndo=512 --in=/run/block --lba=0 --count=1 DISK")
    sg(guest, filled, "sg_verify --ndo=512 --in=/run/block --lba=1 --count=1 DISK", MISCOMPARE)
    sg(guest, filled, "sg_write_verify --lba=8 --num=1 --in=/run/block DISK")
    read(guest, filled, 8, 1)
    assert same(guest, "/run/block", "/run/back", 512)


def test_orders_without_data(guest, node):
    disk = guest.disk(node, SCRATCH)
    for command in ("sg_sync DISK", "sg_sync --16 DISK", "sg_start --start DISK",
                    "sg_prevent --allow DISK"):
        sg(guest, disk, command)


def test_echo_buffer(guest, node, files):
    disk = guest.disk(node, SCRATCH)
    sg(guest, disk, "sg_write_buffer --mode=echo --in=/run/block --length=512 DISK")
    # READ BUFFER (10), mode 0Ah: sg_read_buffer 1.46 asks for no data, whatever length it is told
    sg(guest, disk, "sg_raw -r 512 -o /run/back DISK 3c 0a 00 00 00 00 00 02 00 00")
    assert same(guest, "/run/block", "/run/back", 512)


def test_caching_page_is_changed_on_every_path(guest, session_pair, node):
    """MODE SELECT of WCE through one node; the other says the same (P1)."""
    paths = [guest.disk(n, SCRATCH) for n in (node, session_pair.peer(node))]

    def page(disk):
        raw = sg(guest, disk, "sg_modes -p 8 -r DISK | hexdump -v -e '1/1 \"%02x \"'")
        return raw.split()[-20:]
    before = [page(d) for d in paths]
    assert before[0] == before[1] and before[0][2] == "04", before
    contents = ",".join(["08", before[0][1], "00"] + ["00"] * 17)
    sg(guest, paths[1], f"sg_wr_mode -p 8 -c {contents} DISK")
    assert [page(d)[2] for d in paths] == ["00", "00"]
    contents = ",".join(["08", before[0][1], "04"] + ["00"] * 17)
    sg(guest, paths[0], f"sg_wr_mode -p 8 -c {contents} DISK")
    assert [page(d) for d in paths] == before


def registrations(guest, disk):
    return re.findall(r"^\s+(0x[0-9a-f]+)$", sg(guest, disk, "sg_persist -k DISK"), re.M)


def test_reservations(guest, session_pair, node):
    """Two nexuses, one through each node: register, reserve, preempt, release, clear."""
    own, other = (guest.disk(n, SCRATCH) for n in (node, session_pair.peer(node)))
    assert "NO registered" in sg(guest, own, "sg_persist -k DISK")
    sg(guest, own, "sg_persist -o -G -S 0xaaa DISK")
    sg(guest, other, "sg_persist -o -I -S 0xbbb DISK")
    assert sorted(registrations(guest, other)) == ["0xaaa", "0xbbb"]
    sg(guest, own, "sg_persist -o -R -K 0xaaa -T 5 DISK")
    for disk in (own, other):
        held = sg(guest, disk, "sg_persist -r DISK")
        assert "Key=0xaaa" in held and "Write Exclusive, registrants only" in held
    sg(guest, other, "sg_persist -o -R -K 0xbbb -T 6 DISK", CONFLICT)
    sg(guest, other, "sg_persist -o -P -K 0xbbb -S 0xaaa -T 6 DISK")
    assert registrations(guest, other) == ["0xbbb"]
    held = sg(guest, other, "sg_persist -r DISK")
    assert "Key=0xbbb" in held and "Exclusive Access, registrants only" in held
    full = sg(guest, other, "sg_persist -s DISK")
    assert "iqn.1993-08.org.debian:01:vm,i,0x" in full
    guest.try_run(f"sg_turs /dev/{own}")  # takes the unit attention of the preemption
    sg(guest, other, "sg_persist -o -L -K 0xbbb -T 6 DISK")
    assert "NO reservation" in sg(guest, own, "sg_persist -r DISK")
    sg(guest, own, "sg_persist -o -I -S 0xaaa DISK")
    sg(guest, own, "sg_persist -o -A -K 0xaaa -S 0xbbb -T 5 DISK")
    guest.try_run(f"sg_turs /dev/{other}")
    sg(guest, own, "sg_persist -o -C -K 0xaaa DISK")
    assert "NO registered" in sg(guest, own, "sg_persist -k DISK")


def test_resets_are_survived(guest, filled):
    """The kernel's own LOGICAL UNIT RESET and what follows: the disk is there again at once."""
    guest.run(f"sg_reset -d -N /dev/{filled}")
    guest.try_run(f"sg_turs /dev/{filled}")
    read(guest, filled, 0, 8)
    assert same(guest, "/run/random", "/run/back", 4096)


def test_kernel_finds_partitions(guest, session_pair, node):
    """A partition table written through a path is found on it, and at the next login."""
    disk = guest.disk(node, SCRATCH)
    guest.run(f"printf 'label: gpt\\n,16M\\n,\\n' | sfdisk --quiet /dev/{disk} && udevadm settle")
    guest.run(f"test -b /dev/{disk}1 && test -b /dev/{disk}2")
    portal = session_pair.portal(node)
    guest.run(f"iscsiadm -m node -T {labtools.TARGET} -p {portal} --logout && "
              f"iscsiadm -m node -T {labtools.TARGET} -p {portal} --login && udevadm settle")
    disk = guest.disk(node, SCRATCH)
    sizes = guest.run(f"cat /sys/block/{disk}/{disk}1/size /sys/block/{disk}/{disk}2/size").split()
    assert int(sizes[0]) == 32768 and int(sizes[1]) > 90000, sizes
    guest.run(f"dd if=/dev/zero of=/dev/{disk} bs=1M count=1 oflag=direct 2>/dev/null; "
              f"blockdev --rereadpt /dev/{disk}")


def test_kernel_discards_and_zeroes(guest, filled):
    """BLKDISCARD and BLKZEROOUT: UNMAP and WRITE SAME as the kernel sends them."""
    guest.run(f"/sbin/blkdiscard --offset 0 --length 65536 /dev/{filled} && "
              f"/sbin/blkdiscard --zeroout --offset 65536 --length 65536 /dev/{filled}")
    read(guest, filled, 0, 256)
    assert same(guest, "/dev/zero", "/run/back", 131072)
    read(guest, filled, 256, 8)
    guest.run("tail -c +131073 /run/random >/run/rest")
    assert same(guest, "/run/rest", "/run/back", 4096)

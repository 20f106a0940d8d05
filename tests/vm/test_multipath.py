# SPDX-License-Identifier: BSD-2-Clause
"""
dm-multipath, configured by configs/multipath.conf, over both nodes: moves, a node's death, resizing
and reservations as an application on the Linux host sees them (P6, P7).

Topology: two nodes with fencing, the guest logged in to both; disk0 (LUN 0) and fs (LUN 2).
"""
import json
import statistics

import labtools
import linux

MIB = 1 << 20
DISK, FS = 0, 2


def test_shipped_configuration_is_understood(multipath):
    """No keyword that multipath does not know, and what it has read is what the file says."""
    done = multipath.try_run("multipath -t 2>&1 >/run/config; cat /run/config")
    text = done.out
    assert "invalid keyword" not in text and "sandem.conf" not in text, text
    device = text.partition('vendor "SANDEM"')[2].partition("}")[0]
    for wanted in ('path_grouping_policy "group_by_prio"', 'prio "alua"',
                   'hardware_handler "1 alua"', 'failback "immediate"', "no_path_retry 30"):
        assert wanted in device, text


def test_priorities_follow_the_port_groups(multipath, pair):
    owner = pair.owner()
    for lun in (DISK, FS):
        multipath.await_paths(owner, lun)
    shown = multipath.run(f"multipath -ll {multipath.map(DISK)}")
    for wanted in ("SANDEM", "hwhandler='1 alua'", "queue_if_no_path"):
        assert wanted in shown, shown


def test_planned_moves_under_verified_io(multipath, pair, figures):
    multipath.mark("moves-begin")
    with linux.writer(multipath, multipath.map(DISK)) as writer:
        gaps = []
        for _ in range(3):
            to = pair.peer(pair.owner())
            gaps.append(writer.gap_of(lambda n=to: pair.move(n)))
            multipath.await_paths(to)
        report = writer.stop()
    figures(f"dm-multipath, {len(gaps)} moves: longest I/O median {statistics.median(gaps):.0f} "
            f"ms, max {max(gaps)} ms ({report['writes']} writes, {report['reads']} reads)")
    assert report["done"] and report["errors"] == report["wrong"] == 0, report
    assert not multipath.errors_since("moves-begin", DISK)


def test_death_of_the_owner_under_verified_io(multipath, pair, figures):
    owner = pair.owner()
    multipath.mark("death-begin")
    with linux.writer(multipath, multipath.map(DISK)) as writer:
        def kill():
            pair.run("kill", owner)
            pair.await_owner(pair.peer(owner))
        gap = writer.gap_of(kill)
        pair.run("start", owner)
        pair.settle()
        multipath.await_paths(pair.owner(), seconds=90)
        report = writer.stop()
    figures(f"dm-multipath, the owner dies: longest I/O {gap} ms")
    assert report["done"] and report["errors"] == report["wrong"] == 0, report
    assert not multipath.errors_since("death-begin", DISK)


def test_file_system_across_a_move(multipath, pair):
    """Files written with fsync while the group moves are there; the file system is whole."""
    device = multipath.map(FS)
    multipath.mark("fs-begin")
    multipath.run(f"mkfs.ext4 -q -F {device} && mount -t ext4 {device} /mnt", 90)
    try:
        multipath.run("(i=0; while [ ! -e /run/enough ]; do i=$((i+1)); "
                      "dd if=/dev/urandom of=/mnt/$i bs=64k count=1 conv=fsync "
                      "2>/run/dd.log || break; "
                      "md5sum /mnt/$i >>/run/sums; done; echo $i >/run/ended) >/dev/null 2>&1 &")
        for _ in range(2):
            before = int(multipath.vm.await_run("files are written", "wc -l </run/sums"))
            pair.move(pair.peer(pair.owner()))
            multipath.vm.await_run("files are written after the move",
                                   f"[ $(wc -l </run/sums) -gt {before + 5} ]")
        multipath.run("touch /run/enough")
        multipath.vm.await_run("the last file is written", "test -e /run/ended")
        multipath.run("umount /mnt && mount -t ext4 -o ro " + device + " /mnt")
        multipath.run("md5sum -s -c /run/sums")
    finally:
        multipath.try_run("touch /run/enough; umount /mnt")
    multipath.run(f"e2fsck -f -n {device}")
    assert not multipath.errors_since("fs-begin", FS)


def test_resize_is_seen(multipath, pair):
    """2A/09 reaches the kernel by both paths; after a rescan all have the new size, under I/O."""
    owner = pair.owner()
    paths = [multipath.disk(n, DISK) for n in pair.nodes]
    old = int(multipath.run(f"blockdev --getsize64 {multipath.map(DISK)}"))
    multipath.mark("resize-begin")
    with linux.writer(multipath, multipath.map(DISK)) as writer:
        pair.exec(owner, "sandemctl", "lun", "resize", "disk0", str(old + 32 * MIB))
        for disk in paths:
            multipath.try_run(f"sg_turs /dev/{disk}")
            address = multipath.run(f"basename $(readlink -f /sys/block/{disk}/device)")
            multipath.vm.await_run(f"the kernel hears of it on {disk}",
                                   "dmesg | sed -n '/resize-begin/,$p' | "
                                   f"grep '{address}.*Capacity data has changed'")
            multipath.run(f"echo 1 >/sys/block/{disk}/device/rescan")
            assert int(multipath.run(f"blockdev --getsize64 /dev/{disk}")) == old + 32 * MIB
        multipath.run(f"multipathd resize map {multipath.maps[DISK]}")
        assert int(multipath.run(f"blockdev --getsize64 {multipath.map(DISK)}")) == old + 32 * MIB
        writer.count()
        report = writer.stop()
    assert report["errors"] == report["wrong"] == 0, report
    with linux.writer(multipath, multipath.map(DISK), offset=old + 8 * MIB) as beyond:
        assert beyond.stop()["errors"] == 0


def keys(multipath):
    return multipath.run(f"mpathpersist --in -k {multipath.map(DISK)}")


def test_reservation_by_mpathpersist(multipath, pair):
    """A reservation over all paths keeps another host out, before and after a move."""
    device = multipath.map(DISK)
    stranger = labtools.Host(pair, "stranger")

    multipath.run(f"mpathpersist --out --register --param-sark=0x5a5a {device}")
    assert keys(multipath).count("0x5a5a") == len(pair.nodes)
    multipath.run(f"mpathpersist --out --reserve --param-rk=0x5a5a --prout-type=5 {device}")
    try:
        with linux.writer(multipath, device) as writer:
            assert stranger(pair.owner(), "write")["status"] == "RESERVATION CONFLICT"
            writer.gap_of(lambda: pair.move(pair.peer(pair.owner())))
            assert stranger(pair.owner(), "write")["status"] == "RESERVATION CONFLICT"
            held = multipath.run(f"mpathpersist --in -r {device}")
            assert "0x5a5a" in held and "Write Exclusive, registrants only" in held, held
            report = writer.stop()
        assert report["errors"] == report["wrong"] == 0, report
        multipath.run(f"mpathpersist --out --release --param-rk=0x5a5a --prout-type=5 {device}")
        assert stranger(pair.owner(), "write")["status"] == "GOOD"
    finally:
        multipath.try_run(f"mpathpersist --out --clear --param-rk=0x5a5a {device}")
    assert "0 registered" in keys(multipath)

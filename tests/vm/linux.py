# SPDX-License-Identifier: BSD-2-Clause
"""The guest as a Linux initiator: sessions, disks by LUN and node, multipath maps, verified I/O."""
import contextlib
import json
import re

import labtools

OPTIMIZED, STANDBY = 50, 1  # what multipath's alua prioritizer says of these states
# What configs/multipath.conf advises for iscsid.conf
NOOP = {"node.conn[0].timeo.noop_out_interval": 2, "node.conn[0].timeo.noop_out_timeout": 3}


class Host:
    def __init__(self, vm, lab):
        self.vm, self.lab = vm, lab
        self.run, self.try_run = vm.run, vm.try_run
        vm.run("iscsid")
        self.login(lab.portal(lab.nodes[0]), labtools.TARGET)

    def login(self, portal, target):
        """To every portal that the target has, as discovery at this one tells."""
        found = self.run(f"iscsiadm -m discovery -t sendtargets -p {portal}")
        assert target in found, found
        for name, value in NOOP.items():
            self.run(f"iscsiadm -m node -T {target} -o update -n '{name}' -v {value}")
        self.run(f"iscsiadm -m node -T {target} --login && udevadm settle", 90)
        return found

    def logout(self, target):
        self.run(f"iscsiadm -m node -T {target} --logout && iscsiadm -m node -T {target} -o delete")

    def disk(self, node, lun):
        """The path through this node: sdX."""
        return self.disk_at(self.lab.portal(node), labtools.TARGET, lun)

    def disk_at(self, portal, target, lun):
        link = f"/dev/disk/by-path/ip-{portal}-iscsi-{target}-lun-{lun}"
        found = self.vm.await_run(link, f"readlink -f {link} | grep /dev/sd", 30)
        return found.removeprefix("/dev/")

    def start_multipath(self):
        # looks at the paths more often than every 5 to 20 s: the tests wait for what it sees
        self.run("printf 'defaults {\\n\\tpolling_interval 1\\n\\tmax_polling_interval 2\\n}\\n' "
                 ">/etc/multipath/conf.d/test.conf; multipathd")
        self.maps = {}
        for lun in (0, 1, 2):
            disk = self.disk(self.lab.nodes[0], lun)
            wwid = self.run(f"/lib/udev/scsi_id -g -d /dev/{disk}")
            self.vm.await_run(f"a multipath map {wwid} of LUN {lun}", f"test -b /dev/mapper/{wwid}")
            self.maps[lun] = wwid

    def map(self, lun):
        return "/dev/mapper/" + self.maps[lun]

    def paths(self, lun):
        """{sdX: (priority, multipathd's state, checker's state)}"""
        lines = self.run('multipathd show paths raw format "%w %d %p %t %T"').splitlines()
        rows = [line.split() for line in lines]
        return {r[1]: (int(r[2]), r[3], r[4])
                for r in rows if len(r) == 5 and r[0] == self.maps[lun]}

    def await_paths(self, owner, lun=0, seconds=60):
        """Until the path through the owner is optimized and the other standby, both usable."""
        want = {self.disk(n, lun): (STANDBY, "active", "ghost") for n in self.lab.nodes}
        want[self.disk(owner, lun)] = (OPTIMIZED, "active", "ready")
        labtools.await_true(f"LUN {lun} has the paths {want}", lambda: self.paths(lun) == want,
                            seconds)

    def mark(self, text):
        """A line in the kernel's log, for errors_since()."""
        self.run(f"echo {text} >/dev/kmsg")

    def errors_since(self, text, lun):
        """Errors that reached what is above the map: a file system, an application."""
        dm = self.run(f"basename $(readlink -f {self.map(lun)})")
        log = self.vm.kernel_log().rpartition(text)[2]
        return re.findall(rf".*(?:dev {dm}\b|EXT4-fs (?:error|warning)|JBD2:|Aborting).*", log)


class Writer:
    """block_writer on a device of the guest."""
    STATUS = "/run/writer"

    def __init__(self, host, device, offset, span):
        self.host = host
        host.run(f"rm -f {self.STATUS}; block_writer {device} {offset} {span} {self.STATUS} "
                 ">/run/writer.log 2>&1 & echo $! >/run/writer.pid")

    def status(self, signal="USR1", seconds=60):
        """How it stands; the longest I/O is counted anew."""
        self.host.run(f"rm -f {self.STATUS}; kill -{signal} $(cat /run/writer.pid)")
        said = self.host.vm.await_run("the writer reports", f"cat {self.STATUS}", seconds)
        return json.loads(said)

    def count(self):
        now = self.status()
        assert now["errors"] == now["wrong"] == 0, (now, self.host.run("tail /run/writer.log"))
        return now["writes"] + now["reads"]

    def gap_of(self, change, ios=200, seconds=90):
        """ms of the longest I/O around what change() does."""
        self.count()
        change()
        longest = 0
        first = None

        def flows():
            nonlocal longest, first
            now = self.status()
            longest = max(longest, now["longest_ms"])
            done = now["writes"] + now["reads"]
            first = done if first is None else first
            return done >= first + ios
        labtools.await_true("I/O flows again", flows, seconds)
        self.count()
        return longest

    def stop(self):
        """The last report, after everything written was read once more."""
        return self.status("TERM", 120)


@contextlib.contextmanager
def writer(host, device, offset=0, span=8 << 20):
    w = Writer(host, device, offset, span)
    try:
        w.count()
        yield w
    finally:
        host.try_run("kill -9 $(cat /run/writer.pid) 2>/dev/null")

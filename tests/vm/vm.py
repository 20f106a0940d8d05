# SPDX-License-Identifier: BSD-2-Clause
"""A virtual machine with Debian's kernel on the lab's switch: the real Linux initiator."""
import base64
import os
import pathlib
import secrets
import shutil
import socket
import subprocess

import labtools

HERE = pathlib.Path(__file__).resolve().parent
GUEST = labtools.BUILD / "vm"
ADDRESS = "10.77.0.201"
MISSING = 3  # prepare's exit status: a package that can't be had


class Missing(Exception):
    """Something basic, which is not Sandem's, is not there; the text says what."""


def prepare():
    """The guest's kernel and initrd, from Debian's packages."""
    done = subprocess.run([HERE / "prepare", GUEST], text=True, capture_output=True, timeout=240)
    if done.returncode == MISSING:
        raise Missing(done.stdout.strip())
    if done.returncode != 0:
        raise RuntimeError(f"tests/vm/prepare: exit {done.returncode}\n{done.stdout}{done.stderr}")


def tsc_khz():
    """The guest would measure its clock against an emulated timer, far off on a busy host."""
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("bogomips"):
                return int(float(line.split(":")[1]) * 500)
    return 0


class Result:
    def __init__(self, status, out):
        self.status, self.out = status, out


class VM:
    def __init__(self, lab, files):
        """files: {path in the guest: path here}, added to the initrd."""
        self.lab, self.files = lab, files
        self.dir = pathlib.Path(f"/tmp/sandem-lab-{lab.name}/vm")  # goes with the lab
        self.console_log = GUEST / "console.log"  # stays
        self.socket = None
        self.process = None
        self.buffer = b""

    def initrd(self):
        """The prepared one and a second archive with our files: the kernel unpacks both."""
        tree = self.dir / "tree"
        for inside, here in {"/init": HERE / "init", **self.files}.items():
            to = tree / inside.lstrip("/")
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(here, to)
        names = "\n".join(str(p.relative_to(tree)) for p in sorted(tree.rglob("*")))
        extra = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet", "-R", "0:0"], cwd=tree,
                               input=names.encode(), stdout=subprocess.PIPE, check=True).stdout
        made = self.dir / "initrd"
        made.write_bytes((GUEST / "initrd").read_bytes() + extra)
        return made

    def network(self):
        """(command that enters the namespace, qemu's netdev, the guest's address)

        A port of the lab's switch. Where the host has no tap devices: qemu's own TCP/IP, in the
        initiator host's namespace; the guest only dials out, so that is enough."""
        switch = f"sandem-{self.lab.name}-sw"
        tap = os.access("/dev/net/tun", os.R_OK | os.W_OK)
        if tap and os.environ.get("SANDEM_VM_NET") != "user":
            done = subprocess.run(f"ip netns exec {switch} ip tuntap add p-vm mode tap vnet_hdr && "
                                  f"ip -n {switch} link set p-vm master br0 up", shell=True,
                                  text=True, capture_output=True)
            if done.returncode == 0:
                return (["ip", "netns", "exec", switch],
                        "tap,ifname=p-vm,script=no,downscript=no,vhost=off", ADDRESS + "/24")
        return ([], "user", "user")

    def qemu(self):
        """Its command line: software emulation, nothing but what the tests need."""
        enter, netdev, address = self.network()
        kernel_args = ("console=ttyS0 quiet net.ifnames=0 mitigations=off nokaslr tsc=reliable "
                       f"tsc_early_khz={tsc_khz()} no_timer_check audit=0 apparmor=0 selinux=0 "
                       "nowatchdog random.trust_cpu=on rcupdate.rcu_expedited=1 panic=-1 "
                       f"loglevel=4 vm.name=vm vm.addr={address}")
        return self.lab.argv(
            "exec", "init", *enter, "qemu-system-x86_64", "-name", "sandem-vm", "-M", "q35",
            "-accel", "tcg,thread=multi,tb-size=128", "-cpu", "max,la57=off", "-smp", 1, "-m", 512,
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-rtc", "base=utc",
            "-kernel", GUEST / "vmlinux", "-initrd", self.initrd(), "-append", kernel_args,
            "-serial", f"file:{self.console_log}", "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=sh,path={self.dir}/shell,server=on,wait=off",
            "-device", "virtconsole,chardev=sh", "-netdev", netdev + ",id=n0",
            "-device", "virtio-net-pci,netdev=n0,mac=52:54:00:00:00:01,romfile=",
            "-object", "rng-random,id=rng,filename=/dev/urandom",
            "-device", "virtio-rng-pci,rng=rng")

    def start(self):
        self.console_log.unlink(missing_ok=True)
        argv = self.qemu()
        with open(self.dir / "qemu.log", "w") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"qemu ended: {(self.dir / 'qemu.log').read_text()}"
                                   f"{self.console()[-2000:]}")
            return "guest: ready" in self.console()
        try:
            labtools.await_true("the guest is up", ready, 90)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.console()[-2000:]}") from None
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(self.dir / "shell"))

    def console(self):
        log = self.console_log
        return log.read_text(errors="replace") if log.exists() else ""

    def try_run(self, script, seconds=60):
        """The script's status and output, both streams in one."""
        nonce = "rc" + secrets.token_hex(8)
        mark = f"\n{nonce} ".encode()
        encoded = base64.b64encode(script.encode()).decode()
        self.socket.sendall(f"{nonce} {seconds} {encoded}\n".encode())
        self.socket.settimeout(seconds + 30)
        while True:
            head, found, tail = self.buffer.partition(mark)
            if found and b"\n" in tail:
                status, _, self.buffer = tail.partition(b"\n")
                return Result(int(status), head.decode(errors="replace").strip("\n"))
            data = self.socket.recv(65536)
            if not data:
                raise RuntimeError(f"the guest is gone: {self.console()[-2000:]}")
            self.buffer += data

    def run(self, script, seconds=60):
        """Output of a script that must succeed."""
        done = self.try_run(script, seconds)
        if done.status != 0:
            raise RuntimeError(f"in the guest: exit {done.status}: {script}\n{done.out}")
        return done.out

    def await_run(self, what, script, seconds=60):
        """Until the script succeeds; gives its output."""
        def succeeded():
            done = self.try_run(script, seconds)
            return done if done.status == 0 else None
        return labtools.await_true(what, succeeded, seconds).out

    def kernel_log(self):
        return self.run("dmesg")

    def stop(self):
        if self.socket:
            self.socket.close()
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

# SPDX-License-Identifier: BSD-2-Clause
"""store: {type: etcd} on one node, with etcds of the test's own: dead and paused endpoints, TLS and users, compaction, a stale
node, state directories lost. The cluster goes on whatever etcd does."""
import json
import os
import shutil
import signal
import subprocess
import time

import pytest

from conftest import free_port
from initiator import Initiator
from test_config import Node

pytestmark = pytest.mark.skipif(not shutil.which("etcd"), reason="etcd is not installed")


def await_true(what, check, seconds=20):
    end = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < end, f"after {seconds} s still not so: {what}"
        time.sleep(0.05)
    return value


class Etcd:
    def __init__(self, directory, tls=None):
        self.dir, self.tls = os.path.join(directory, "etcd"), tls
        self.client, self.peer = free_port(), free_port()
        self.process = None

    @property
    def url(self):
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.client}"

    def start(self):
        more = []
        if self.tls:
            more = ["--cert-file", self.tls["cert"], "--key-file", self.tls["key"], "--trusted-ca-file", self.tls["ca"],
                    "--client-cert-auth"]
        peer = f"http://127.0.0.1:{self.peer}"
        log = open(self.dir + ".log", "ab")
        self.process = subprocess.Popen(
            ["etcd", "--name", "t", "--data-dir", self.dir, "--listen-client-urls", self.url, "--advertise-client-urls",
             self.url, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"t={peer}",
             "--auth-token", "simple", *more], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        await_true("etcd answers", lambda: self.ctl("endpoint", "health", check=False).returncode == 0)
        return self

    def ctl(self, *args, check=True, user=None):
        argv = ["etcdctl", "--endpoints", self.url]
        if self.tls:
            argv += ["--cacert", self.tls["ca"], "--cert", self.tls["cert"], "--key", self.tls["key"]]
        if user:
            argv += ["--user", user]
        return subprocess.run(argv + list(args), check=check, capture_output=True, text=True, timeout=20,
                              env={**os.environ, "ETCDCTL_API": "3"})

    def get(self, key, **kw):
        return self.ctl("get", "--print-value-only", "/sandem/one/" + key, **kw).stdout.strip()

    def newest(self, **kw):
        text = self.get("newest", **kw)
        return json.loads(text) if text else None

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def etcd(tmp_path):
    e = Etcd(str(tmp_path)).start()
    yield e
    e.kill()


@pytest.fixture
def node(tmp_path):
    n = Node(tmp_path)
    yield n
    try:
        if n.process and n.process.poll() is None:
            assert n.stop() == 0, n.output()[-4000:]  # in order, and under ASan without a leak
    finally:
        if n.process and n.process.poll() is None:
            n.process.kill()
            n.process.wait()


def store(*urls, **more):
    return {"type": "etcd", "endpoints": list(urls), **more}


def status(node):
    return node.json("status")["store"]


def reachable(node):
    return status(node)["reachable"]


def config_told(etcd, node, **kw):
    newest = etcd.newest(**kw)
    return newest and int(newest["config"]) == node.generation()


def test_what_it_is_told(node, etcd):
    node.start(node.doc(store=store(etcd.url)))
    await_true("etcd knows the state", lambda: config_told(etcd, node))
    node.apply(node.doc(luns=(0, 1), store=store(etcd.url)))
    await_true("and the next generation", lambda: config_told(etcd, node))
    newest = etcd.newest()
    assert newest["node"] == "node-a" and int(newest["generation"]) > 0
    kept = json.loads(etcd.get("config/0000000002"))
    assert kept["text"] == node.json("config", "show")["text"]
    s = await_true("it is told", lambda: (s := status(node))["newest"]["config"] == 2 and s)
    assert s["endpoint"] == etcd.url and not s["stale"]
    assert f"etcd      {etcd.url}" in node.ctl("status").stdout


def test_the_next_endpoint_is_asked(node, etcd):
    dead = f"http://127.0.0.1:{free_port()}"
    node.start(node.doc(store=store(dead, etcd.url)))
    await_true("etcd knows the state", lambda: config_told(etcd, node))
    assert status(node)["endpoint"] == etcd.url


@pytest.mark.parametrize("how", ("killed", "paused"))
def test_it_may_be_away(node, etcd, how):
    """Changes go on, it is told, and etcd catches up."""
    doc = lambda *luns: node.doc(luns=luns, store=store(etcd.url))  # noqa: E731
    node.start(doc(0))
    await_true("etcd knows the state", lambda: config_told(etcd, node))
    if how == "killed":
        etcd.kill()
    else:
        etcd.process.send_signal(signal.SIGSTOP)
    with Initiator(node) as i:
        i.ready()
        start = time.monotonic()
        node.apply(doc(0, 1))
        i.attentions()
        i.write(0, b"x" * 512).good()
        assert time.monotonic() - start < 2  # nothing waits for etcd
        await_true("it is told", lambda: not reachable(node), 40)
        assert status(node)["why"] and "the cluster goes on without etcd" in node.output()
        i.write(1, b"y" * 512).good()
    if how == "killed":
        etcd.start()
    else:
        etcd.process.send_signal(signal.SIGCONT)
    await_true("etcd catches up", lambda: config_told(etcd, node), 40)
    await_true("and it is told", lambda: reachable(node))


def test_it_is_away_at_the_start(node, etcd):
    etcd.kill()
    node.start(node.doc(store=store(etcd.url)))
    assert not reachable(node) and "whether this node's state is stale" in node.output()
    etcd.start()
    await_true("etcd catches up", lambda: config_told(etcd, node), 40)


def test_compaction(node, etcd):
    node.start(node.doc(store=store(etcd.url)))
    await_true("etcd knows the state", lambda: config_told(etcd, node))
    for n in range(1, 4):
        for _ in range(20):
            etcd.ctl("put", "/other", "x")
        revision = json.loads(etcd.ctl("get", "/other", "-w", "json").stdout)["header"]["revision"]
        etcd.ctl("compact", str(revision))
        node.apply(node.doc(luns=(0, n), store=store(etcd.url)))
        await_true("etcd is told", lambda: config_told(etcd, node))
    assert reachable(node)


def test_a_stale_state_is_recognised(node, etcd):
    """A state directory from a backup: alone, the node does not go on with it, until the operator says so."""
    doc = node.doc(store=store(etcd.url))
    node.start(doc)
    await_true("etcd knows the state", lambda: config_told(etcd, node))
    node.stop()
    shutil.copytree(node.state_dir, node.state_dir + ".old")
    node.start()
    node.apply(node.doc(luns=(0, 1), store=store(etcd.url)))
    await_true("etcd knows the newer state", lambda: config_told(etcd, node))
    node.stop()
    shutil.rmtree(node.state_dir)
    os.rename(node.state_dir + ".old", node.state_dir)
    node.start(wait=False)
    waiting = await_true("it waits", lambda: node.ctl("status").returncode == 0 and node.json("status"))
    await_true("and says for what", lambda: "newest state was on a node that is gone" in node.json("status")["why"])
    assert waiting["state"] != "serving" and node.ctl("group", "promote", "g0").returncode == 1
    assert node.ctl("cluster", "resolve", "--keep", "node-a").returncode == 0
    node.wait_active()
    assert node.lun_names() == ["disk0"]
    await_true("etcd takes the operator's word", lambda: config_told(etcd, node), 40)
    node.stop()
    node.start()  # and it is not stale any more
    assert node.lun_names() == ["disk0"] and not status(node)["stale"]


def test_all_state_lost_but_etcd(node, etcd):
    """The configuration comes from there; that the data's state is lost is for the operator to say."""
    node.start(node.doc(store=store(etcd.url)))
    node.apply(node.doc(luns=(0, 1), store=store(etcd.url)))
    await_true("etcd knows the state", lambda: config_told(etcd, node))
    node.stop()
    shutil.rmtree(node.state_dir)
    node.start(wait=False)
    await_true("it is up", lambda: node.ctl("status").returncode == 0)
    await_true("it waits", lambda: "newest state" in node.json("status")["why"])
    assert node.ctl("cluster", "resolve", "--keep", "node-a").returncode == 0
    node.wait_active()
    await_true("the configuration is that of etcd", lambda: node.lun_names() == ["disk0", "disk1"])
    assert node.generation() == 2


def test_a_record_that_can_not_be_read_is_not_overwritten(node, etcd):
    etcd.ctl("put", "/sandem/one/newest", '{"generation":"x"}')
    node.start(node.doc(store=store(etcd.url)))
    await_true("it is told", lambda: not reachable(node) and "newest" in status(node)["why"])
    assert etcd.get("newest") == '{"generation":"x"}'
    etcd.ctl("del", "/sandem/one/newest")
    await_true("it goes on", lambda: config_told(etcd, node), 40)


# ---- TLS, users ------------------------------------------------------------------------------------------------------

def openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True)


@pytest.fixture
def tls(tmp_path):
    ca, key, cert, csr = (str(tmp_path / f) for f in ("ca.pem", "key.pem", "cert.pem", "csr.pem"))
    cakey, ext = str(tmp_path / "cakey.pem"), str(tmp_path / "ext")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", cakey, "-out", ca, "-subj", "/CN=test ca",
            "-days", "2")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", csr, "-subj", "/O=node")  # etcd wants no CN here
    with open(ext, "w") as f:
        f.write("subjectAltName=IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", csr, "-CA", ca, "-CAkey", cakey, "-CAcreateserial", "-out", cert, "-days", "2",
            "-extfile", ext)
    return {"ca": ca, "cert": cert, "key": key}


def test_tls_and_user(node, tmp_path, tls):
    etcd = Etcd(str(tmp_path), tls).start()
    try:
        for command in (("user", "add", "root:secret"), ("user", "grant-role", "root", "root"),
                        ("user", "add", "sandem:word"), ("role", "add", "sandem"),
                        ("role", "grant-permission", "sandem", "--prefix=true", "readwrite", "/sandem/one/"),
                        ("user", "grant-role", "sandem", "sandem"), ("auth", "enable")):
            etcd.ctl(*command)
        password = tmp_path / "password"
        password.write_text("wrong\n")
        mine = store(etcd.url, tls=tls, user="sandem", password_file=str(password))
        node.start(node.doc(store=mine))
        assert not reachable(node) and "authentication failed" in status(node)["why"]
        node.stop()
        password.write_text("word\n")
        node.start()
        root = {"user": "root:secret"}
        await_true("etcd is told", lambda: config_told(etcd, node, **root), 40)
        etcd.kill()  # its tokens are gone with it: a new one is fetched
        etcd.start()
        node.apply(node.doc(luns=(0, 1), store=mine))
        await_true("etcd is told", lambda: config_told(etcd, node, **root), 40)
        node.stop()
        node.start(node.doc(store=store(etcd.url, user="sandem", password_file=str(password))))
        assert not reachable(node) and "SSL" in status(node)["why"]  # nobody vouches for that etcd
    finally:
        etcd.kill()


WRONG = [
    ({"type": "etcd"}, "endpoints"),
    ({"type": "etcd", "endpoints": ["127.0.0.1:2379"]}, "endpoint"),
    ({"type": "file", "endpoints": ["http://127.0.0.1:2379"]}, "type: etcd"),
    ({"type": "etcd", "endpoints": ["http://127.0.0.1:2379"], "user": "u"}, "password_file"),
    ({"type": "etcd", "endpoints": ["http://127.0.0.1:2379"], "tls": {"ca": "/x"}}, "https://"),
    ({"type": "etcd", "endpoints": ["https://127.0.0.1:2379"], "tls": {"cert": "/x"}}, "tls.key"),
    ({"type": "etcd", "endpoints": ["https://127.0.0.1:2379"], "tls": {"ca": "x"}}, "absolute"),
    ({"type": "etcd", "endpoints": ["http://127.0.0.1:1"], "user": "u", "password_file": "/none/such"}, "/none/such"),
]


@pytest.mark.parametrize("case", range(len(WRONG)))
def test_wrong_settings(node, case):
    wrong, word = WRONG[case]
    node.start(node.doc(store=wrong), wait=False)
    assert node.process.wait(20) == 1
    assert "store" in node.output() and word in node.output()

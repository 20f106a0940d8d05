# SPDX-License-Identifier: BSD-2-Clause
"""
What can't be trusted is refused with a word on what to do, nothing is overwritten, and the other node goes on (P9).

Topology: two nodes, the one that does not own the group forwards.
"""
import pytest

import labtools

STATE, LOG = "/var/lib/sandem/state.log", "/var/log/sandem/sandemd.log"
KEY = "/etc/sandem/cluster.key"
KEY_REFUSED = "it does not have this cluster's key; copy the key file to every node"
# one bit of the first record, the daemon being killed so that it does not write it anew
KILL_AND_DAMAGE = f"""\
kill -9 $(cat /run/sandem/sandemd.pid)
python3 - <<END
with open("{STATE}", "r+b") as f:
    f.seek(40)
    byte = f.read(1)[0]
    f.seek(40)
    f.write(bytes([byte ^ 1]))
END
"""


def checksum(pair, node):
    return pair.exec(node, "sha256sum", STATE).stdout


def said(pair, node, what):
    return int(pair.exec(node, "grep", "-acF", what, LOG, check=False).stdout or 0)


def registered(host, node):
    return host.good(node, "read-keys")["keys"]


@pytest.mark.parametrize("which", ["owner", "other"])
def test_a_damaged_store(forward_pair, figures, which):
    """The daemon does not start on it; without it the node takes the other's state, reservations included."""
    pair = forward_pair
    pair.await_forwarding()
    victim = pair.owner() if which == "owner" else pair.peer(pair.owner())
    peer = pair.peer(victim)
    host = labtools.Host(pair, "closed")
    host.good(peer, "register-ignore", sa_key=0x51, aptpl=True)
    expected = registered(host, peer)
    with labtools.load(pair) as load:
        since = labtools.wall_ms()
        before = said(pair, victim, "state.log is corrupt at byte")
        pair.exec(victim, "sh", "-c", KILL_AND_DAMAGE)
        damaged = checksum(pair, victim)
        labtools.await_true("the damaged file is named",
                            lambda: said(pair, victim, "state.log is corrupt at byte") > before, 40)
        pair.await_owner(peer)
        load.await_flow()
        assert checksum(pair, victim) == damaged
        assert not pair.serving(victim)
        # what the message says
        pair.exec(victim, "mv", STATE, STATE + ".damaged")
        pair.exec(peer, "crm_resource", "--cleanup")
        pair.settle()
        pair.await_forwarding()
        assert registered(host, victim) == expected
        load.await_flow()
        gap = load.longest_gap(since)
        report = load.stop()
    host.good(peer, "clear", key=0x51)
    figures("gap below 100 ms" if gap is None else f"gap {gap:.0f} ms")
    labtools.assert_clean(report)


def test_a_peer_with_another_key(forward_pair):
    """It is not let in: the port stays standby, I/O goes through the other path, and both nodes say why."""
    pair = forward_pair
    pair.await_forwarding()
    other = pair.peer(pair.owner())

    def restart():
        pair.restart_daemon(other)
        pair.settle()

    with labtools.load(pair) as load:
        before = [said(pair, n, KEY_REFUSED) for n in pair.nodes]
        pair.exec(other, "sh", "-c", 
                  f"mv {KEY} {KEY}.right; umask 077; head -c 32 /dev/urandom >{KEY}")
        try:
            restart()
            labtools.await_true("both nodes say why", lambda: all(
                said(pair, n, KEY_REFUSED) > b for n, b in zip(pair.nodes, before)), 20)
            groups = pair.ctl(other, "group", "list")["groups"]
            assert groups[0]["state"] == "standby"
            load.await_flow()
        finally:
            pair.exec(other, "mv", f"{KEY}.right", KEY)
        restart()
        pair.await_forwarding()
        report = load.stop()
    labtools.assert_clean(report)

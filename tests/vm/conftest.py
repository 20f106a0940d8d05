# SPDX-License-Identifier: BSD-2-Clause
"""One pair of nodes and one virtual machine for all tests; without Debian's packages, a skip."""
import os
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cluster"))

import labtools  # noqa: E402
import linux  # noqa: E402
import vm as machine  # noqa: E402
from reporting import (figures, pytest_configure, pytest_runtest_makereport,  # noqa: E402, F401
                       pytest_terminal_summary)


def pytest_collection_modifyitems(items):
    try:
        machine.prepare()
    except machine.Missing as missing:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=f"no virtual machine: {missing}"))


@pytest.fixture(scope="session")
def session_pair():
    lab = labtools.Lab(f"t{os.getpid()}-vm")
    lab.up("--config", HERE / "sandem.yaml")
    yield lab
    lab.down()


@pytest.fixture(scope="session")
def guest(session_pair):
    """Logged in to both nodes; multipathd does not run yet."""
    vm = machine.VM(session_pair, {
        "/usr/local/bin/block_writer": labtools.BUILD / "tests/vm/block_writer",
        "/etc/multipath/conf.d/sandem.conf": labtools.REPO / "configs/multipath.conf"})
    try:
        vm.start()
        yield linux.Host(vm, session_pair)
    finally:
        vm.stop()


@pytest.fixture
def pair(session_pair):
    """Both nodes serve, one of them is the owner."""
    session_pair.restore()
    return session_pair


@pytest.fixture(scope="session")
def session_multipath(guest):
    guest.start_multipath()
    return guest


@pytest.fixture
def multipath(session_multipath, pair):
    """The guest with dm-multipath over the nodes, all paths usable again."""
    session_multipath.await_paths(pair.owner())
    return session_multipath

# SPDX-License-Identifier: BSD-2-Clause
"""One pair of nodes for all scenarios; every scenario finds it whole and is reported in figures."""
import os

import pytest

import labtools
from reporting import (figures, pytest_configure, pytest_runtest_makereport,  # noqa: F401
                       pytest_terminal_summary)


@pytest.fixture(scope="session")
def session_pair():
    lab = labtools.Lab(f"t{os.getpid()}")
    lab.up()
    yield lab
    lab.down()


@pytest.fixture
def pair(session_pair):
    """Two nodes, both serving, one of them the owner."""
    session_pair.restore()
    return session_pair


@pytest.fixture(scope="session")
def session_forward_pair():
    lab = labtools.Lab(f"t{os.getpid()}-fwd")
    lab.up("--forward")
    yield lab
    lab.down()


@pytest.fixture
def forward_pair(session_forward_pair):
    """Two nodes; the one that does not own the group forwards to the other."""
    session_forward_pair.restore()
    return session_forward_pair


@pytest.fixture
def bare_lab():
    """Makes labs without Sandem running; they are gone after the test."""
    labs = []

    def make(name, nodes=2, *options):
        lab = labtools.Lab(f"t{os.getpid()}-{name}", nodes)
        labs.append(lab)
        lab.up("--bare", *options)
        return lab
    yield make
    for lab in labs:
        lab.down()

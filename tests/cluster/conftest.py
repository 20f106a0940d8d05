# SPDX-License-Identifier: BSD-2-Clause
"""One pair of nodes for all scenarios; every scenario finds it whole and is reported in figures."""
import os
import shutil

import pytest

import labtools

FIGURES = pytest.StashKey[list]()


def pytest_configure(config):
    config.stash[FIGURES] = []


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    args = getattr(item, "funcargs", {})
    lab = args.get("pair") or args.get("forward_pair")
    if report.failed and lab:
        saved = labtools.BUILD / "lab-logs" / item.name.replace("/", "_")
        shutil.rmtree(saved, ignore_errors=True)
        lab.run("logs", "--save", saved, check=False)
        report.sections.append(("lab", f"the nodes' logs are in {saved}\n"
                                + lab.run("status", check=False).stdout))


def pytest_terminal_summary(terminalreporter, config):
    if config.stash[FIGURES]:
        terminalreporter.section("scenario figures")
        for line in config.stash[FIGURES]:
            terminalreporter.write_line(line)


@pytest.fixture
def figures(request):
    """figures("text"): a line of the summary."""
    return lambda text: request.config.stash[FIGURES].append(f"{request.node.name}: {text}")


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


@pytest.fixture(scope="module")
def module_forward_pair():
    lab = labtools.Lab(f"t{os.getpid()}-fwd")
    lab.up("--forward")
    yield lab
    lab.down()


@pytest.fixture
def forward_pair(module_forward_pair):
    """Two nodes; the one that does not own the group forwards to the other."""
    module_forward_pair.restore()
    return module_forward_pair


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

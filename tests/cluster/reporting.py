# SPDX-License-Identifier: BSD-2-Clause
"""What suites with a lab have in common: figures in the summary, the nodes' logs of what failed."""
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
    lab = next((v for v in args.values() if isinstance(v, labtools.Lab)), None)
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

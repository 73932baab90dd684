# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The servers, started once for each worker that needs them, and the sum of all injections."""

from __future__ import annotations

import collections
import fcntl
import json
import os
import subprocess
import tempfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _execution
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms import deletion
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

_SERVERS = Path(__file__).resolve().parents[1] / "integration" / "targets" / "setup_synapse" / "files" / "servers.py"
_ENGINES = ("sqlite", "postgresql")
_GROUPS = 2
_SETTINGS: dict[str, t.Any] = {"federation": {"client_timeout": "1s", "max_long_retries": 0, "max_short_retries": 0}}
_PATIENCE = 1.5
# What tests record of themselves.
COUNTS = ("injections", "held", "unknown")
CALLED_UNKNOWN = "called unknown"


def _server_program(*arguments: str) -> str:
    # A worker that is killed leaves servers behind, which the next start of any ends.
    environment = {**os.environ, "SETUP_SYNAPSE_OWNER": str(os.getpid()), "PYTHONPATH": ""}
    done = subprocess.run(
        [os.environ["CONTRACT_SYNAPSE_PYTHON"], _SERVERS, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tempfile.gettempdir(),
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"servers.py {arguments[0]} failed: {done.stdout}{done.stderr}")
    return done.stdout


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Make two groups of the tests of each engine, so that `--dist loadgroup` gives each worker one engine only.

    Two, because a worker waits for timeouts most of the time.
    """
    counts = collections.Counter[str]()
    for item in items:
        engine = item.callspec.params.get("server") if hasattr(item, "callspec") else None
        if engine:
            counts[engine] += 1
            item.add_marker(pytest.mark.xdist_group(f"{engine}-{counts[engine] % _GROUPS}"))


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not look again for as long as for people: longer than the proxy holds a request, which is enough here."""
    monkeypatch.setattr(_execution, "PATIENCE", _PATIENCE)
    monkeypatch.setattr(deletion, "_LONGEST_PAUSE", _PATIENCE / 10)


@pytest.fixture(scope="session", params=_ENGINES)
def server(request: pytest.FixtureRequest) -> t.Iterator[Server]:
    """A running Synapse on each engine, one for each worker."""
    binaries = os.environ["CONTRACT_POSTGRESQL_BIN"]
    # One worker after the other: each ends what a killed run has left behind first.
    with _SERVERS.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        printed = _server_program("start", request.param, json.dumps(_SETTINGS), binaries, "nobody")
    started = json.loads(printed.splitlines()[-1])
    try:
        yield Server(started["servers"][0])
    finally:
        _server_program("stop", started["directory"])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many injections there were, how many held, and after which the outcome was called unknown."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, [])]
    told = [entry for report in reports if report.when == "call" for entry in report.user_properties]
    sums = {name: sum(int(str(value)) for said, value in told if said == name) for name in COUNTS}
    if sums["injections"]:
        terminalreporter.write_line(", ".join(f"{name}: {number}" for name, number in sums.items()))
    for said, value in told:
        if said == CALLED_UNKNOWN:
            terminalreporter.write_line(f"unknown: {value}")

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The servers, started once for all workers, the place of a case, and the sum of all injections."""

from __future__ import annotations

import contextlib
import secrets
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _execution
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms import deletion
from ansible_collections.matrix_ops.synapse.tests.contract import meeting, servers
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

_PATIENCE = 1.5
_LONGEST = (
    "test_faults",
    "test_synapse_export",
    "test_synapse_proxy_info",
    "test_synapse_runtime_info_restarts",
    "test_synapse_admin_user_info",
)
# What tests record of themselves.
COUNTS = ("injections", "held", "unknown")
CALLED_UNKNOWN = "called unknown"

_ended = contextlib.ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    """Let the servers be shared by all workers, of which each is a process that this one starts."""
    if not hasattr(config, "workerinput"):
        _ended.enter_context(servers.shared())
    config.pluginmanager.register(_Order())


def pytest_unconfigure() -> None:
    """Stop the shared servers; in a worker there is nothing to stop."""
    _ended.close()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests together that use the same server alone, so that `--dist loadgroup` gives them to one worker."""
    for item in items:
        names = getattr(item, "fixturenames", ())
        if "server_alone" in names and hasattr(item, "callspec"):
            item.add_marker(pytest.mark.xdist_group(f"alone on {item.callspec.params['server_alone']}"))
        elif "pair" in names:
            item.add_marker(pytest.mark.xdist_group("pair"))


class _Order:
    """What takes longest begins first, and on both shared servers at the same time: each has one processor at most."""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Let every second file begin on the other engine; what a file has made for an engine stays in use."""
        files = list(dict.fromkeys(item.path for item in items))

        def place(item: pytest.Item) -> tuple[bool, bool]:
            first = servers.ENGINES[files.index(item.path) % 2]
            return not item.path.name.startswith(_LONGEST), _engine(item) not in (None, first)

        items.sort(key=place)


def _engine(item: pytest.Item) -> str | None:
    """The engine of the server that a test shares with others, if it does."""
    return item.callspec.params.get("server") if hasattr(item, "callspec") else None


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not look again for as long as for people: longer than the proxy holds a request, which is enough here."""
    monkeypatch.setattr(_execution, "PATIENCE", _PATIENCE)
    monkeypatch.setattr(deletion, "_LONGEST_PAUSE", _PATIENCE / 10)


@pytest.fixture(scope="session", params=servers.ENGINES)
def server(request: pytest.FixtureRequest) -> Server:
    """A running Synapse on each engine, where all tests have accounts and rooms of their own at the same time."""
    return servers.shared_server(request.param)


@pytest.fixture(scope="session", params=servers.ENGINES)
def server_alone(request: pytest.FixtureRequest) -> t.Iterator[Server]:
    """A running Synapse on each engine where no other test does anything at the same time."""
    with servers.own_servers(request.param) as started:
        yield started[0]


@pytest.fixture(scope="session")
def pair() -> t.Iterator[list[Server]]:
    """Two servers that federate and know nothing of each other, on SQLite and on PostgreSQL."""
    # What they say to each other is what a test makes them say.
    with servers.own_servers(*servers.ENGINES, federating=True, presence={"enabled": False}) as started:
        yield started


@pytest.fixture(params=range(len(servers.ENGINES)), ids=servers.ENGINES)
def met(request: pytest.FixtureRequest, pair: list[Server], tmp_path: Path) -> Place:
    """Where a case takes place whose server has met another one."""
    return meeting.at_met(pair, request.param, tmp_path)


@pytest.fixture
def place(server: Server, tmp_path: Path) -> Place:
    """Where one case takes place: a server that it shares, a word and a directory of its own."""
    return Place(server, f"c{secrets.token_hex(4)}", tmp_path)


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

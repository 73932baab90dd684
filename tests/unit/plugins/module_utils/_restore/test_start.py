# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Units are new to systemd: it reads them, and enables what was enabled."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.start import is_started, start_server
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.control import Running
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._restore.restored_host import Host

_DESCRIBED = {
    "workers": ["matrix-synapse-worker@one.service"],
    "units": [{"name": "matrix-synapse.service", "enabled": True}, {"name": "other.service", "enabled": False}],
}


@pytest.mark.parametrize("system", [True, False])
def test_workers_that_are_daemons(host: Host, monkeypatch: pytest.MonkeyPatch, system: bool) -> None:
    started: list[Running | None] = []
    monkeypatch.setattr(host.service, "start", started.append)
    daemon = {"app": "synapse.app.generic_worker", "config_path": ["/srv/hs.yaml", "/srv/one.yaml"]}
    described = {**_DESCRIBED, "daemons": [daemon], "working_directory": "/srv/data"}
    start_server(host.service, described, system=system, run=lambda _arguments, _timeout: Completed(0, "", ""))
    expected = [] if system else [{**daemon, "directory": ""}]
    assert [running["daemons"] for running in started if running] == [expected]
    # Relative paths in the configuration begin there.
    assert [running["directory"] for running in started if running] == ["" if system else "/srv/data"]


@pytest.mark.parametrize("system", [True, False])
def test_the_order(host: Host, system: bool) -> None:
    commands: list[t.Sequence[str]] = []

    def run(arguments: t.Sequence[str], _timeout: float) -> Completed:
        assert not host.service.is_up
        commands.append(arguments)
        return Completed(0, "", "")

    start_server(host.service, _DESCRIBED, system=system, run=run)
    assert host.service.is_up
    expected = [["systemctl", "daemon-reload"], ["systemctl", "enable", "--", "matrix-synapse.service"]]
    assert [list(command) for command in commands] == (expected if system else [])


@pytest.mark.parametrize(
    ("running", "system", "expected"),
    [
        ({"units": ["one"], "daemons": []}, True, True),
        ({"units": ["one", "another"], "daemons": []}, True, True),
        ({"units": [], "daemons": []}, True, False),
        ({"units": [], "daemons": [{"config_path": ["/srv/hs.yaml", "/srv/one.yaml"]}]}, False, True),
        ({"units": [], "daemons": [{"config_path": ["/srv/hs.yaml", "/srv/two.yaml"]}]}, False, False),
        ({"main": False, "units": ["one"], "daemons": []}, True, False),
    ],
)
def test_whether_all_of_it_runs(
    host: Host, monkeypatch: pytest.MonkeyPatch, running: Running, system: bool, expected: bool
) -> None:
    daemon = {"app": "synapse.app.generic_worker", "config_path": ["/srv/hs.yaml", "/srv/one.yaml"]}
    described = {"workers": ["one"] if system else [], "units": [], "daemons": [daemon]}
    monkeypatch.setattr(host.service, "running", lambda: {"main": True, **running})
    assert is_started(host.service, described, system=system) is expected


def test_a_failure(host: Host) -> None:
    with pytest.raises(SynapseError, match="systemctl daemon-reload failed: no. Correct this"):
        start_server(
            host.service, _DESCRIBED, system=True, run=lambda _arguments, _timeout: Completed(1, "", "x\nno.\n")
        )
    assert not host.service.is_up

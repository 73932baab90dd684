# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import sys
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup import surroundings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.surroundings import (
    Surroundings,
    describe_service,
    read_installation,
    working_directory_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import Found, Process
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.runtime import Host
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.unit import Systemd

_UNITS = """Id=matrix-synapse.service
LoadState=loaded
ActiveState=active
UnitFileState=enabled
FragmentPath=/lib/systemd/system/matrix-synapse.service
DropInPaths=/etc/systemd/system/matrix-synapse.service.d/a.conf
User=root
WorkingDirectory=!/var/lib/matrix-synapse
ExecStart={ path=/x ; argv[]=/v/python -m synapse.app.homeserver --config-path=/etc/hs.yaml ; flags= }
EnvironmentFiles=/etc/default/matrix-synapse (ignore_errors=yes)

Id=worker@matrix_ops.service
LoadState=loaded
ActiveState=inactive
UnitFileState=disabled
FragmentPath=/etc/systemd/system/worker@.service
DropInPaths=
User=root
WorkingDirectory=/var/lib/matrix-synapse
ExecStart={ path=/x ; argv[]=/v/python -m synapse.app.generic_worker --config-path=workers/a.yaml ; flags= }

Id=worker@a.service
LoadState=not-found
"""


def _run(arguments: t.Sequence[str], _timeout: float) -> Completed:
    listed = "worker@a.service loaded active running x\n"
    return Completed(0, listed if "list-units" in arguments else _UNITS, "")


def _wanted(manager: str) -> Surroundings:
    return Surroundings(
        ("/etc/hs.yaml",), manager, "matrix-synapse.service", "worker@.service", ("/etc/env",), "/p", None
    )


def test_units_and_their_files(tmp_path: pathlib.Path) -> None:
    for name in ("matrix-synapse.service.d/a.conf", "worker@.service", "worker@a.service.d/b.conf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    host = Host(run=_run, systemd=Systemd(str(tmp_path), (str(tmp_path),)))
    found = describe_service(_wanted("systemd"), 0, host)
    assert [unit["name"] for unit in found.described["units"]] == ["matrix-synapse.service", "worker@.service"]
    assert found.described["workers"] == ["worker@a.service"]
    kept = [(path, kind) for path, kind in found.files if os.path.exists(path) or not path.startswith(str(tmp_path))]
    assert kept == [
        (f"{tmp_path}/matrix-synapse.service.d/a.conf", "unit_drop_in"),
        ("/etc/systemd/system/matrix-synapse.service.d/a.conf", "unit_drop_in"),
        ("/etc/default/matrix-synapse", "environment"),
        (f"{tmp_path}/worker@.service", "unit"),
        ("/etc/systemd/system/worker@.service", "unit"),
        # Its unit was removed while it ran.
        (f"{tmp_path}/worker@a.service.d/b.conf", "unit_drop_in"),
        ("/etc/env", "environment"),
    ]
    assert found.worker_configuration == ["/var/lib/matrix-synapse/workers/a.yaml"]
    assert working_directory_of(found) == "/var/lib/matrix-synapse"
    assert found.described["user"] == "root"


def test_a_unit_that_no_package_has_brought(tmp_path: pathlib.Path) -> None:
    own = "/usr/local/lib/systemd/system/matrix-synapse.service"

    def run(arguments: t.Sequence[str], timeout: float) -> Completed:
        done = _run(arguments, timeout)
        return Completed(0, done.output.replace("/lib/systemd/system/matrix-synapse.service", own), "")

    found = describe_service(_wanted("systemd"), 0, Host(run=run, systemd=Systemd(str(tmp_path), (str(tmp_path),))))
    assert (own, "unit") in found.files


def test_workers_of_a_server_that_is_stopped(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two", "ended"):
        (tmp_path / f"{name}.yaml").touch()
    for name in ("one", "gone"):
        wants = tmp_path / ("multi-user.target.wants" if name == "one" else "synapse.target.requires")
        wants.mkdir()
        (wants / f"worker@{name}.service").symlink_to(tmp_path / "worker@.service")
    (tmp_path / "multi-user.target.wants" / "worker@.service").touch()
    state = "inactive"

    def run(arguments: t.Sequence[str], _timeout: float) -> Completed:
        if "list-units" in arguments:
            return Completed(0, "", "")
        names = arguments[arguments.index("--") + 1 :]
        assert names == [*names[:2], "worker@gone.service", "worker@one.service"]
        shown = (
            "Id={0}\nLoadState=loaded\nActiveState={1}\nUnitFileState=enabled\nExecStart={{ argv[]={2} ; flags= }}\n"
        )
        command = f"/v/python -m synapse.app.generic_worker --config-path=/etc/hs.yaml --config-path={tmp_path}/%i.yaml"
        instances = [name.partition("@")[2].partition(".")[0] for name in names]
        blocks = [shown.format(name, state, command.replace("%i", each)) for name, each in zip(names, instances)]
        return Completed(0, "\n".join(blocks), "")

    host = Host(run=run, systemd=Systemd(str(tmp_path), (str(tmp_path),)))
    monkeypatch.setattr(os.path, "exists", lambda path: path == "/etc/hs.yaml" or os.path.isfile(path))
    found = describe_service(_wanted("systemd"), 0, host)
    # That of worker@gone is missing, and it could not be started.
    assert found.described["workers"] == ["worker@one.service"]
    assert {f"{tmp_path}/{name}.yaml" for name in ("one", "two", "ended")} <= {*found.worker_configuration}
    assert "/etc/hs.yaml" not in found.worker_configuration
    state = "active"
    assert describe_service(_wanted("systemd"), 0, host).described["workers"] == []


def test_without_systemd(tmp_path: pathlib.Path) -> None:
    host = Host(run=_run, systemd=Systemd(running=str(tmp_path / "missing")))
    for manager in ("systemd", "daemon"):
        found = describe_service(_wanted(manager), os.getuid(), host)
        assert found.described["units"] == []
        assert found.described["uid"] == os.getuid()
        assert working_directory_of(found) is None
        assert found.lacks_unit is (manager == "systemd")


@pytest.mark.parametrize(
    ("state", "lacks_unit"), [("loaded", False), ("masked", False), ("bad-setting", False), ("not-found", True)]
)
def test_a_main_unit_that_does_not_exist(tmp_path: pathlib.Path, state: str, lacks_unit: bool) -> None:
    def run(arguments: t.Sequence[str], timeout: float) -> Completed:
        done = _run(arguments, timeout)
        return done._replace(output=done.output.replace("LoadState=loaded", f"LoadState={state}", 1))

    host = Host(run=run, systemd=Systemd(str(tmp_path), (str(tmp_path),)))
    assert describe_service(_wanted("systemd"), 0, host).lacks_unit is lacks_unit


@pytest.mark.parametrize("manager", ["systemd", "daemon"])
def test_workers_that_no_unit_starts(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, manager: str) -> None:
    worker = Process(1, "synapse.app.generic_worker", ("/etc/hs.yaml", "/srv/one.yaml"), "/p", daemonized=True)
    monkeypatch.setattr(surroundings, "find_processes", lambda _config_path: Found([worker], [], []))
    host = Host(run=_run, systemd=Systemd(running=str(tmp_path / "missing")))
    found = describe_service(_wanted(manager), 0, host)
    assert found.worker_configuration == ["/srv/one.yaml"]
    started = [{"app": "synapse.app.generic_worker", "config_path": ["/etc/hs.yaml", "/srv/one.yaml"]}]
    assert found.described["daemons"] == (started if manager == "daemon" else [])


@pytest.mark.parametrize("path", ["/nowhere/python", "/bin/true", sys.executable])
def test_a_python_without_synapse(path: str) -> None:
    with pytest.raises(InvalidInput, match="does not run a Python with Synapse"):
        read_installation(path, None)


def test_what_synapse_is_installed_with(tmp_path: pathlib.Path) -> None:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\necho \'["1.163.2", "3.11.2", {"matrix-synapse": "1.163.2", "Twisted": "25"}]\'\n')
    python.chmod(0o755)
    assert read_installation(str(python), None) == {
        "kind": "other",
        "python": str(python),
        "python_version": "3.11.2",
        "synapse_version": "1.163.2",
        "packages": ["Twisted==25", "matrix-synapse==1.163.2"],
    }
    (tmp_path / "pyvenv.cfg").write_text("")
    assert read_installation(str(python), None)["kind"] == "virtualenv"

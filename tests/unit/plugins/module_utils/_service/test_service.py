# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.runtime import Host
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.unit import Systemd
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.service import Declared, ServiceReader
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

UNIT, WORKERS = "matrix-synapse.service", "matrix-synapse-worker@.service"
INSTANCE = "matrix-synapse-worker@matrix_ops.service"
NOTHING = {
    "systemd": False,
    "has_python": False,
    "has_config": False,
    "has_config_directory": False,
    "installed": False,
    "workers": [],
    "processes": [],
    "restart_record": {},
    "server": {},
    "database": {},
    "paths": [],
    "unknown": [],
}


class Machine:
    """A host on which a test installs what it needs. `base_url`: where its server answers."""

    def __init__(self, directory: pathlib.Path, stack: contextlib.ExitStack) -> None:
        self.directory = directory
        self._stack = stack
        self.python = directory / "bin" / "python"
        self.configuration = directory / "homeserver.yaml"
        self.systemd = directory / "systemd"
        self.base_url = "http://127.0.0.1:1"
        self.commands: list[list[str]] = []
        self.answers = {
            "show": Completed(0, f"Id={UNIT}\nLoadState=loaded\nWorkingDirectory=/srv\n\nId={INSTANCE}\n", ""),
            "list-units": Completed(0, "matrix-synapse-worker@a.service loaded active running A\n", ""),
        }

    def install(self, settings: t.Mapping[str, t.Any], *, boot: bool = True) -> None:
        """Put a configuration and a Python there, and let systemd run."""
        self.python.parent.mkdir(exist_ok=True)
        self.python.touch()
        # JSON is YAML too.
        self.configuration.write_text(json.dumps(settings))
        if boot:
            self.systemd.mkdir()

    def start(self) -> int:
        """Start a process like Synapse and return its process id."""
        package = self.directory / "lib" / "synapse" / "app"
        package.mkdir(parents=True)
        (package / "homeserver.py").write_text("import time\nprint('started', flush=True)\ntime.sleep(60)\n")
        process = self._stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "synapse.app.homeserver", "-c", str(self.configuration)],
                env={"PYTHONPATH": str(self.directory / "lib")},
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        self._stack.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        return process.pid

    def run(self, arguments: t.Sequence[str], timeout: float) -> Completed:
        self.commands.append(list(arguments))
        for name, answer in self.answers.items():
            if name in arguments:
                return answer
        raise SynapseError(f"{arguments[0]} cannot be run: No such file or directory.")

    def read(self, **more: t.Any) -> dict[str, t.Any]:
        declared: dict[str, t.Any] = {
            "config_path": (str(self.configuration),),
            "unit": UNIT,
            "worker_unit": WORKERS,
            "synapse_python": str(self.python),
            "environment_files": (),
            "by_systemd": True,
            "timeout": 10,
            **more,
        }
        host = Host(run=self.run, systemd=Systemd(str(self.systemd), (str(self.directory / "etc"),)))
        found = ServiceReader(Declared(**declared), Client(self.base_url, timeout=5), host).read()
        # Nothing that Ansible could not return, and nothing that is null.
        assert "null" not in json.dumps(found)
        return found


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> t.Iterator[Machine]:
    with contextlib.ExitStack() as stack:
        yield Machine(tmp_path, stack)


def test_a_bare_host(machine: Machine) -> None:
    found = machine.read()
    assert [(unit["name"], unit["exists"]) for unit in found.pop("units")] == [(UNIT, False), (WORKERS, False)]
    assert found == {**NOTHING, "config_path": [str(machine.configuration)]}
    assert machine.commands == []


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ({"name": "sqlite3", "args": {"database": "/d/x.db"}}, {"engine": "sqlite3", "database": "/d/x.db"}),
        ({"name": "sqlite3"}, {"engine": "sqlite3", "database": ""}),
        ({"args": None}, {"engine": "sqlite3", "database": ""}),
        (
            {"name": "psycopg2", "args": {"dbname": "s", "host": "db", "port": 1, "password": "secret"}},
            {"engine": "psycopg2", "database": "s", "host": "db", "port": "1"},
        ),
        (
            {"name": "psycopg2", "args": {"database": "s", "user": "secret"}},
            {"engine": "psycopg2", "database": "s", "host": "", "port": "5432"},
        ),
        # An older form.
        (
            {"name": "psycopg2", "dbname": "s", "host": "/run", "password": "secret"},
            {"engine": "psycopg2", "database": "s", "host": "/run", "port": "5432"},
        ),
        ("sqlite3", {}),
        (None, {}),
    ],
)
def test_where_the_data_is(machine: Machine, setting: t.Any, expected: dict[str, str]) -> None:
    machine.install({"database": setting})
    source = {"source": str(machine.configuration)} if expected else {}
    found = machine.read()
    assert found["database"] == {**expected, **source}
    assert "secret" not in json.dumps({**found, "restart_record": {}})


def test_a_later_file_that_removes_the_database(machine: Machine) -> None:
    machine.install({"database": {"name": "psycopg2", "args": {"dbname": "synapse", "password": "secret"}}})
    later = machine.configuration.with_name("later.yaml")
    later.write_text('{"database": {"args": {"cp_max": 30}}}')
    found = machine.read(config_path=(str(machine.configuration), str(later)))
    [reason] = [one["reason"] for one in found["unknown"] if one["name"] == "database"]
    assert reason.startswith("The configuration does not name the database. ")
    assert f"{later} replaces the whole database block of {machine.configuration}, so that database.name" in reason
    assert "secret" not in json.dumps({**found, "restart_record": {}})


def test_a_broken_configuration_is_named(machine: Machine) -> None:
    machine.install({})
    machine.configuration.write_text("a: [")
    found = machine.read()
    assert (found["database"], found["paths"]) == ({}, [])
    named = [one["name"] for one in found["unknown"] if str(machine.configuration) in one["reason"]]
    assert {"database", "paths"} <= set(named)


def test_an_installed_service_takes_two_commands(machine: Machine) -> None:
    machine.install({"server_name": "x", "media_store_path": "media", "database": {"name": "psycopg2"}})
    found = machine.read(config_directory=str(machine.directory))
    assert [found[name] for name in ("systemd", "has_python", "has_config", "has_config_directory", "installed")] == [
        True
    ] * 5
    assert [(unit["name"], unit["id"], unit["exists"]) for unit in found["units"]] == [
        (UNIT, UNIT, True),
        (WORKERS, INSTANCE, False),
    ]
    assert found["workers"] == ["matrix-synapse-worker@a.service"]
    assert found["paths"] == [{"path": "/srv/media", "setting": "media_store_path", "written": True}]
    assert str(machine.configuration) in found["restart_record"]["places"]
    assert (found["processes"], found["server"], found["unknown"]) == ([], {}, [])
    assert [command[3] for command in machine.commands] == ["show", "list-units"]
    assert machine.commands[0][-2:] == [UNIT, INSTANCE]


def test_without_workers(machine: Machine) -> None:
    machine.install({})
    machine.answers["show"] = Completed(0, f"Id={UNIT}\nLoadState=loaded\n", "")
    found = machine.read(worker_unit="")
    assert [unit["name"] for unit in found["units"]] == [UNIT]
    assert found["workers"] == []
    assert len(machine.commands) == 1


def test_a_daemon_asks_systemd_nothing(machine: Machine) -> None:
    machine.install({"media_store_path": "media"})
    found = machine.read(by_systemd=False, working_directory="/home/chat")
    assert (found["units"], found["workers"], machine.commands) == ([], [], [])
    assert found["paths"][0]["path"] == "/home/chat/media"


def test_the_declared_working_directory_comes_before_that_of_the_unit(machine: Machine) -> None:
    machine.install({"media_store_path": "media"})
    assert machine.read(working_directory="/elsewhere")["paths"][0]["path"] == "/elsewhere/media"


def test_systemd_does_not_answer(machine: Machine) -> None:
    machine.install({})
    machine.answers = {"list-units": Completed(1, "", "Access denied\n")}
    found = machine.read()
    assert [(unit["exists"], unit["working_directory"]) for unit in found["units"]] == [(False, "/")] * 2
    assert [each["name"] for each in found["unknown"]] == ["units", "workers"]
    assert "Access denied" in found["unknown"][1]["reason"]


def test_units_with_odd_names(machine: Machine) -> None:
    machine.install({})
    found = machine.read(unit="*.service", worker_unit="worker.service")
    assert [each["name"] for each in found["unknown"]] == ["units", "workers"]
    assert machine.commands == []


def test_only_one_of_python_and_configuration(machine: Machine) -> None:
    machine.install({"media_store_path": "media"}, boot=False)
    machine.python.unlink()
    found = machine.read()
    assert (found["has_python"], found["has_config"], found["installed"]) == (False, True, False)
    assert found["restart_record"] == {}
    assert found["paths"][0]["path"] == "/media"
    machine.python.touch()
    machine.configuration.unlink()
    found = machine.read()
    assert (found["has_python"], found["has_config"], found["installed"]) == (True, False, False)
    assert (found["paths"], found["unknown"]) == ([], [])


@pytest.mark.parametrize("text", [b"a: [", b"\xff", b"a: &a [*a]", b"log_config: /nonexistent/log.yaml"])
def test_a_configuration_that_cannot_be_read(machine: Machine, text: bytes) -> None:
    machine.install({}, boot=False)
    machine.configuration.write_bytes(text)
    found = machine.read()
    assert found["installed"]
    assert found["paths"] == []
    assert "paths" in [each["name"] for each in found["unknown"]]


def test_a_missing_directory_of_the_configuration(machine: Machine) -> None:
    machine.install({"database": {"name": "sqlite3"}}, boot=False)
    found = machine.read(config_path=(str(machine.configuration), str(machine.directory / "conf.d")))
    assert (found["paths"], found["database"]["engine"]) == ([], "sqlite3")
    assert [each["name"] for each in found["unknown"]] == ["paths"]
    assert "conf.d does not exist" in found["unknown"][0]["reason"]


def test_a_running_server(machine: Machine) -> None:
    machine.install({}, boot=False)
    pid = machine.start()
    with ScriptedServer() as server:
        machine.base_url = server.base_url
        server.expect(
            Call("GET", "/_matrix/key/v2/server", {"server_name": "example.org"}, token=None),
            Call("GET", "/_synapse/admin/v1/server_version", {"server_version": "1.163.2"}, token=None),
        )
        found = machine.read()
    assert found["server"] == {"name": "example.org", "version": "1.163.2"}
    [process] = found["processes"]
    assert (process["name"], process["pid"], process["outdated_by"]) == ("main", pid, [])
    assert "caches" not in process


def test_files_changed_since_the_start(machine: Machine) -> None:
    machine.install({}, boot=False)
    machine.start()
    time.sleep(0.1)
    machine.configuration.write_text("{presence: {enabled: false}}")
    [process] = machine.read()["processes"]
    assert [each["path"] for each in process["outdated_by"]] == [str(machine.configuration)]


def test_a_server_that_does_not_answer(machine: Machine) -> None:
    machine.install({}, boot=False)
    machine.start()
    found = machine.read()
    assert len(found["processes"]) == 1
    assert found["server"] == {}
    assert "server" in [each["name"] for each in found["unknown"]]


def test_without_pyyaml(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.install({}, boot=False)
    pid = machine.start()
    monkeypatch.setitem(sys.modules, "yaml", None)
    found = machine.read()
    assert [process["pid"] for process in found["processes"]] == [pid]
    assert "outdated_by" not in found["processes"][0]
    assert (found["restart_record"], found["paths"]) == ({}, [])
    missing = {each["name"]: each for each in found["unknown"]}
    assert missing.keys() >= {"outdated_by", "paths", "database"}
    assert missing["paths"]["fix"] == f"Install PyYAML for the Python {sys.executable}."


def test_a_restart_record_that_is_ignored(machine: Machine) -> None:
    machine.install({}, boot=False)
    record = machine.directory / "record.json"
    os.symlink("elsewhere", record)
    found = machine.read(restart_record=str(record))
    assert [each["name"] for each in found["unknown"]] == ["restart_record"]
    assert "is a link" in found["unknown"][0]["reason"]

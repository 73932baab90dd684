# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib
import time
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime import start
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.clock import Clock
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.runtime import Host, RuntimeReader
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.snapshot import Seen, look_at
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.unit import Systemd
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.wanted import Wanted

UNIT = "matrix-synapse.service"
COMMAND = "{python} -m synapse.app.{app} -c {main} -c {folder}"


class Machine:
    """A host with real files, but with a kernel, a systemd and a clock of its own. Its Synapse is process 7.

    The process was started 50 seconds after this was made, and 100 seconds later it is now.
    """

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self.made = time.time()
        self.boot_id: str | None = "boot"
        self.started, self.boottime, self.wall = 1050.0, 1150.0, self.made + 150
        self.proc = directory / "proc"
        self.need_reload, self.systemctl, self.unit_started = "no", 0, "n/a"
        self.main_process, self.freshness = "7", True
        self.main, self.folder = self.file("etc/homeserver.yaml"), directory / "etc" / "conf.d"
        self.drop_in = self.file("etc/conf.d/50-own.yaml", {"a": 1})
        self.caches = self.file("etc/conf.d/60-caches.yaml", {"caches": {"global_factor": 2}})
        self.log, self.secret = self.file("etc/log.config"), self.file("etc/signing.key")
        self.configure({"log_config": str(self.log), "signing_key_path": str(self.secret)})
        self.unit, self.unit_folder = self.file(f"lib/{UNIT}"), directory / "units" / f"{UNIT}.d"
        self.unit_drop_in = self.file(f"units/{UNIT}.d/limits.conf")
        self.variables = self.file("default")
        self.package = self.file("venv/lib/python3.13/site-packages/matrix_synapse-1.163.2.dist-info/RECORD")
        (self.proc / "self" / "ns").mkdir(parents=True)
        (self.proc / "self" / "ns" / "pid").symlink_to("pid:[1]")
        self.command = COMMAND.format(
            python=f"{directory}/venv/bin/python", app="homeserver", main=self.main, folder=self.folder
        )
        self.control_group, self.environ, self.program = f"0::/system.slice/{UNIT}\n", "", "/usr/bin/python3.13"

    def file(self, name: str, settings: t.Any = None) -> pathlib.Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # JSON is YAML too.
        path.write_text(json.dumps(settings))
        return path

    def configure(self, settings: dict[str, t.Any]) -> None:
        self.main.write_text(json.dumps(settings))

    def change(self, path: pathlib.Path) -> None:
        """Set the time of a path to 30 seconds after the start."""
        os.utime(path, (self.made + 80, self.made + 80))

    def restart(self) -> None:
        """Let a minute pass, and let the process be one that was started 30 seconds ago."""
        self.boottime, self.wall = self.boottime + 60, self.wall + 60
        self.started = self.boottime - 30

    def run(self, arguments: t.Sequence[str], timeout: float) -> Completed:
        shown = {
            "LoadState": "loaded",
            "MainPID": self.main_process,
            "ExecMainPID": "7",
            "ExecMainStartTimestamp": self.unit_started,
            "FragmentPath": self.unit,
            "DropInPaths": self.unit_drop_in,
            "EnvironmentFiles": f"{self.variables} (ignore_errors=yes)",
            "NeedDaemonReload": self.need_reload,
        }
        return Completed(self.systemctl, "".join(f"{key}={value}\n" for key, value in shown.items()), "No bus.")

    def read(self, record: pathlib.Path | None = None, runs: bool = True) -> dict[str, t.Any]:
        if runs:
            self._run()
        clock = Clock(self.boot_id, self.boottime, self.wall)
        systemd = Systemd(str(self.directory), (str(self.directory / "units"),))
        reader = RuntimeReader(
            [str(self.main), str(self.folder)],
            Wanted(freshness=self.freshness),
            synapse_python="/synapse/python",
            timeout=5,
            restart_record=str(record) if record else None,
            host=Host(str(self.proc), lambda: clock, self.run, systemd),
        )
        return reader.read()

    def outdated(self, record: pathlib.Path | None = None) -> list[tuple[str, str]]:
        """Return path and kind of what the process is outdated by. Nothing may be unknown."""
        found = self.read(record)
        assert found["unknown"] == []
        return [(item["path"], item["kind"]) for item in found["processes"][0]["outdated_by"]]

    def unknown(self, record: pathlib.Path | None = None) -> list[tuple[str, str]]:
        return [(item["name"], item["reason"]) for item in self.read(record)["unknown"]]

    def note(self) -> pathlib.Path:
        """Write the record as the roles do before a restart."""
        path = self.directory / "record.json"
        path.write_text(json.dumps(self.read()["restart_record"]))
        path.chmod(0o600)
        return path

    def _run(self) -> None:
        process = self.proc / "7"
        (process / "ns").mkdir(parents=True, exist_ok=True)
        (process / "fd").mkdir(exist_ok=True)
        links = {"ns/pid": "pid:[1]", "exe": self.program, "cwd": "/", "root": "/"}
        for name, target in links.items():
            if not (process / name).is_symlink():
                (process / name).symlink_to(target)
        ticks = int(self.started * os.sysconf("SC_CLK_TCK"))
        texts = {
            "cmdline": self.command.replace(" ", "\0") + "\0",
            "environ": self.environ,
            "cgroup": self.control_group,
            "maps": "7f00-7f01 r-xp 0 fe:00 1    /usr/lib/libc.so.6\n",
            "status": "Uid:\t0\t0\t0\t0\n",
            "limits": "Max open files 10 10 files\n",
            "stat": f"7 (python) S 1 {' '.join('0' * 17)} {ticks} 0\n",
        }
        for name, text in texts.items():
            (process / name).write_text(text)


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    return Machine(tmp_path)


def test_nothing_has_changed(machine: Machine) -> None:
    assert machine.outdated() == []
    process = machine.read()["processes"][0]
    assert process["started"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(machine.made + 50))
    assert process["started_ts"] == pytest.approx((machine.made + 50) * 1000, abs=2)


@pytest.mark.parametrize(
    ("control_group", "unit"),
    [
        ("0::/system.slice/matrix-synapse.service\n", "matrix-synapse.service"),
        ("0::/system.slice/system-x.slice/x@one.service/payload\n", "x@one.service"),
        ("0::/user.slice/user-0.slice/session-1.scope\n", None),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/synapse.service\n", None),
    ],
)
@pytest.mark.parametrize("freshness", [True, False])
def test_the_unit_of_a_process(machine: Machine, control_group: str, unit: str | None, freshness: bool) -> None:
    machine.control_group, machine.freshness = control_group, freshness
    assert machine.read()["processes"][0].get("unit", "left out") == (unit or "left out")


@pytest.mark.parametrize(("main_process", "unit"), [("0", UNIT), ("1", UNIT), ("7", UNIT), ("99", None)])
def test_a_process_in_the_control_group_of_another_service(
    machine: Machine, main_process: str, unit: str | None
) -> None:
    # A process that was started by hand is in the control group of sshd or cron.
    machine.main_process = main_process
    assert machine.read()["processes"][0].get("unit", "left out") == (unit or "left out")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("main", "configuration"),
        ("drop_in", "configuration"),
        ("folder", "configuration"),
        ("log", "log_configuration"),
        ("secret", "secret"),
        ("unit", "unit"),
        ("unit_drop_in", "unit"),
        ("unit_folder", "unit"),
        ("variables", "environment"),
        ("package", "package"),
    ],
)
def test_what_has_changed_since_the_start(machine: Machine, name: str, kind: str) -> None:
    path = getattr(machine, name)
    machine.change(path)
    assert machine.outdated() == [(str(path), kind)]
    record = machine.note()
    # It was written, but the restart was lost.
    assert machine.outdated(record) == [(str(path), kind)]
    machine.restart()
    assert machine.outdated(record) == []
    # The clock goes back to a time before all files were made.
    machine.wall -= 3600
    assert machine.outdated(record) == []


def test_systemd_knows_what_the_clock_showed_at_the_start(machine: Machine) -> None:
    machine.change(machine.main)
    machine.wall += 3600
    assert machine.outdated() == []
    machine.unit_started = time.strftime("%a %Y-%m-%d %H:%M:%S UTC", time.gmtime(machine.made + 50))
    assert machine.outdated() == [(str(machine.main), "configuration")]


def test_a_drop_in_that_was_removed(machine: Machine) -> None:
    record = machine.note()
    machine.restart()
    machine.drop_in.unlink()
    os.utime(machine.folder, (machine.wall - 1, machine.wall - 1))
    assert machine.outdated() == [(str(machine.folder), "configuration")]
    assert machine.outdated(record) == [(str(machine.drop_in), "configuration")]


def test_factors_of_caches_do_not_count(machine: Machine) -> None:
    machine.change(machine.caches)
    machine.change(machine.folder)
    assert machine.outdated() == []


def test_a_program_that_was_replaced(machine: Machine) -> None:
    machine.program += " (deleted)"
    assert machine.outdated() == [("/usr/bin/python3.13", "interpreter")]


def test_a_unit_that_systemd_has_not_read_again(machine: Machine) -> None:
    machine.need_reload = "yes"
    assert machine.outdated() == [(UNIT, "unit")]


def test_a_daemon_has_no_unit_and_can_have_relative_paths(machine: Machine) -> None:
    machine.control_group = "0::/user.slice/session-1.scope\n"
    machine.environ = f"PWD={machine.directory}\0"
    machine.command = COMMAND.format(
        python=f"{machine.directory}/venv/bin/python", app="homeserver", main="etc/homeserver.yaml", folder="etc/conf.d"
    )
    machine.command += " -D"
    machine.configure({"log_config": "etc/log.config", "signing_key_path": str(machine.secret)})
    for path in (machine.unit, machine.variables, machine.log):
        machine.change(path)
    assert machine.outdated() == [(str(machine.log), "log_configuration")]


def test_the_files_of_the_next_start_are_known_although_no_process_runs(machine: Machine) -> None:
    found = machine.read(runs=False)
    assert (found["processes"], found["unknown"]) == ([], [])
    places = found["restart_record"]["places"]
    assert {str(machine.main), str(machine.folder), str(machine.drop_in), str(machine.log)} <= set(places)
    assert places[str(machine.caches)]["reloaded"] is True
    assert found["restart_record"]["boottime"] == machine.boottime


def test_a_record_does_not_contain_the_content_of_files(machine: Machine) -> None:
    machine.configure({"registration_shared_secret": "hush", "signing_key_path": str(machine.secret)})
    machine.secret.write_text("hush hush")
    assert "hush" not in json.dumps(machine.read())


def test_a_record_that_is_ignored(machine: Machine) -> None:
    record = machine.note()
    record.chmod(0o666)
    reason = f"{record} can be written by users other than root and this user, so it was ignored."
    assert machine.unknown(record) == [("restart_record", reason)]
    assert machine.unknown(machine.directory / "missing") == []


def test_a_record_is_ignored_if_the_boot_id_is_unknown(machine: Machine) -> None:
    record = machine.note()
    machine.boot_id = None
    assert [name for name, _reason in machine.unknown(record)] == ["restart_record"]


def test_a_systemd_that_fails(machine: Machine) -> None:
    machine.systemctl = 1
    reason = f"systemctl show {UNIT} failed: No bus."
    assert machine.unknown() == [("unit", reason), ("outdated_by", reason)]
    assert "unit" not in machine.read()["processes"][0]
    machine.change(machine.main)
    assert machine.read()["processes"][0]["outdated_by"][0]["path"] == str(machine.main)
    machine.freshness = False
    assert machine.read()["unknown"] == [
        {"name": "unit", "reason": reason, "fix": "Run systemctl status 7 on the host."}
    ]


def test_a_python_without_the_package(machine: Machine) -> None:
    machine.command = machine.command.replace("/venv/bin/python", "/elsewhere/bin/python")
    python = f"{machine.directory}/elsewhere/bin/python"
    reason = f"Process 7 runs {python}, for which no package matrix-synapse is installed."
    assert machine.unknown() == [("outdated_by", reason)]


def test_a_file_that_this_user_is_not_allowed_to_read(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(path: str, reloaded: bool, suffix: str | None) -> Seen | None:
        if path == str(machine.secret):
            raise PermissionError(13, "Permission denied")
        return look_at(path, reloaded, suffix)

    monkeypatch.setattr(start, "look_at", look)
    assert machine.unknown() == [("outdated_by", f"{machine.secret} cannot be read: Permission denied.")]
    assert machine.read()["processes"][0]["outdated_by"] == []
    assert str(machine.secret) not in machine.read()["restart_record"]["places"]


def test_a_configuration_that_cannot_be_parsed(machine: Machine) -> None:
    machine.main.write_text("a: [")
    machine.change(machine.main)
    found = machine.read()["processes"][0]
    assert [item["path"] for item in found["outdated_by"]] == [str(machine.main)]
    assert ["is not valid YAML" in item["reason"] for item in found["unknown"]] == [True]

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.running import (
    Started,
    started_processes,
    units_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import ProcessReader
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.runtime import Host
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.unit import Systemd

STATUS = "Name:\tpython\nUid:\t0\t0\t0\t0\n"
LIMITS = "Limit Soft Hard Units\nMax open files            1024                 4096                 files\n"


class Proc:
    """A directory like /proc, with processes of Synapse that systemd has started."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._proc = directory / "proc"
        self.config = directory / "homeserver.yaml"
        self.config.write_text("server_name: a\n")
        (directory / "systemd").mkdir()
        self._systemd = Systemd(str(directory / "systemd"), ())
        namespaces = self._proc / "self" / "ns"
        namespaces.mkdir(parents=True)
        (namespaces / "pid").symlink_to("pid:[1]")

    def add(self, pid: int, unit: str | None, app: str = "homeserver", *options: str) -> None:
        """Add a process. `unit`: the unit that has started it, if any."""
        place = self._proc / str(pid)
        (place / "ns").mkdir(parents=True)
        (place / "ns" / "pid").symlink_to("pid:[1]")
        (place / "root").symlink_to("/")
        (place / "cwd").symlink_to("/var/lib/synapse")
        (place / "fd").mkdir()
        words = ["/venv/bin/python", "-m", f"synapse.app.{app}", "-c", str(self.config), *options]
        group = f"/system.slice/{unit}" if unit else "/user.slice/session-1.scope"
        texts = {
            "cmdline": "".join(f"{word}\0" for word in words),
            "status": STATUS,
            "limits": LIMITS,
            "environ": "PWD=/start\0",
            "maps": "00400000-00401000 r-xp 00000000 00:00 0 /venv/bin/python\n",
            "cgroup": f"0::{group}\n",
            "stat": f"{pid} (python) S 1 {' '.join(['0'] * 17)} 100 0\n",
        }
        for name, text in texts.items():
            (place / name).write_text(text)

    def host(self) -> Host:
        return Host(proc=str(self._proc), run=self._run, systemd=self._systemd)

    def started(self) -> list[Started]:
        return started_processes(self.paths(), self.host())[0]

    def units(self) -> list[str]:
        return units_of(*started_processes(self.paths(), self.host()), self.host())

    def paths(self) -> list[str]:
        return [str(self.config)]

    def _run(self, arguments: t.Sequence[str], timeout: float) -> Completed:
        return Completed(0, "LoadState=loaded\nMainPID=0\nFragmentPath=/x\n", "")


@pytest.fixture
def proc(tmp_path: pathlib.Path) -> Proc:
    return Proc(tmp_path)


def test_the_units_of_the_main_process_and_its_workers(proc: Proc) -> None:
    proc.add(10, "worker@1.service", "generic_worker", "-c", "/etc/worker.yaml")
    proc.add(20, "matrix-synapse.service")
    proc.add(30, "worker@1.service", "generic_worker")
    assert proc.units() == ["matrix-synapse.service", "worker@1.service"]


def test_a_process_without_a_unit(proc: Proc) -> None:
    proc.add(20, "matrix-synapse.service")
    proc.add(30, None, "generic_worker")
    with pytest.raises(SynapseError, match="the unit of its process 30 is not known: set unit to the units that run"):
        proc.units()


def test_a_unit_of_a_user(proc: Proc) -> None:
    proc.add(20, "user@1000.service/app.slice/synapse.service")
    with pytest.raises(
        SynapseError, match="process 20 is not known.* synapse.service is a unit of the systemd of a user"
    ):
        proc.units()


def test_nothing_runs(proc: Proc) -> None:
    with pytest.raises(SynapseError, match="^Synapse logs to the journal, and no running process.*set unit"):
        proc.units()
    assert proc.started() == [Started((str(proc.config),), None)]


def test_how_the_processes_were_started(proc: Proc) -> None:
    proc.add(10, None, "generic_worker", "--config-path=worker.yaml")
    proc.add(20, None, "homeserver", "-D")
    main, worker = (str(proc.config),), (str(proc.config), "/var/lib/synapse/worker.yaml")
    assert proc.started() == [
        Started(main, "/start", True, 20),
        Started(worker, "/var/lib/synapse", False, 10),
    ]


def test_a_directory_that_this_user_cannot_see(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_self: ProcessReader, daemonized: bool) -> t.NoReturn:
        raise PermissionError(13, "Permission denied")

    proc.add(20, None, "homeserver", "-D")
    monkeypatch.setattr(ProcessReader, "directory_at_start", refused)
    assert proc.started() == [Started((str(proc.config),), None, True, 20)]


def test_a_process_that_has_just_ended(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    proc.add(20, None)
    proc.add(30, None)
    original = os.readlink

    def gone(path: str, **options: t.Any) -> str:
        if path.endswith("/20/cwd"):
            raise FileNotFoundError(2, "No such file or directory", path)
        return original(path, **options)

    monkeypatch.setattr(os, "readlink", gone)
    assert [started.pid for started in proc.started()] == [30]

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host whose systemd and whose processes of Synapse are those of a test. Nothing is started or ended for real."""

from __future__ import annotations

import os
import pathlib
import shutil
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConnectionFailed, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.runtime import Host
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.unit import Systemd
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.control import Service, find_service

MAIN, WORKER = "synapse.app.homeserver", "synapse.app.generic_worker"
UNIT, TEMPLATE = "matrix-synapse.service", "matrix-synapse-worker@.service"
ONE, TWO = "matrix-synapse-worker@one.service", "matrix-synapse-worker@two.service"
# systemctl uses these words.
_DONE = Completed(0, "", "")


class ManagedHost:
    """A host below a directory. `units`: the state of each unit; `starting`: what a unit runs when it is started.

    `done`: the commands that change something. `main_pids`: other main processes of units. `ignores_end`: processes
    that do not end. `broken`: units that do not start, and `after_failure`: their state then. `again`: whether another
    process appears while one ends. `answers`: whether the server does. `launches`: whether a daemon starts.
    `hangs`: whether a command never ends.
    """

    def __init__(self, directory: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.proc, self.booted = directory / "proc", directory / "systemd"
        (self.proc / "self" / "ns").mkdir(parents=True)
        os.symlink("pid:[1]", self.proc / "self" / "ns" / "pid")
        self.booted.mkdir()
        self.directory = directory
        self.configuration = directory / "homeserver.yaml"
        self.configuration.write_text("{}")
        self.python = directory / "python"
        self.python.write_text("")
        self.python.chmod(0o755)
        self.units: dict[str, str] = {UNIT: "inactive"}
        self.command = f"/bin/python -m {MAIN} --config-path={self.configuration}"
        self.shown: dict[str, str] = {"LoadState": "loaded"}
        self.done: list[list[str]] = []
        self.main_pids: dict[str, str] = {}
        self.ignores_end: set[int] = set()
        self.broken: set[str] = set()
        self.after_failure = "failed"
        self.again = False
        self.answers = True
        self.launches = True
        self.hangs = False
        self._next = 1000
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(os, "kill", self.kill)
        monkeypatch.setattr(_client.Client, "get", self._get)

    def service(self, **options: t.Any) -> Service:
        """Return the service, with other options."""
        parameters = {
            "manager": "systemd",
            "unit": UNIT,
            "worker_unit": TEMPLATE,
            "synapse_python": str(self.python),
            "working_directory": None,
            "start_timeout": 1,
            "config_path": [str(self.configuration)],
            "base_url": "http://127.0.0.1:8008",
            "unix_socket": None,
            "validate_certs": True,
            "ca_path": None,
            **options,
        }
        host = Host(proc=str(self.proc), run=self.run, systemd=Systemd(str(self.booted), (str(self.directory),)))
        return find_service(parameters, host)

    def process(self, app: str = MAIN, unit: str = "", *, user: int = 0, more: t.Sequence[str] = ()) -> int:
        """Let a process run, in a unit if one is given, and return its process ID."""
        self._next += 1
        place = self.proc / str(self._next)
        (place / "ns").mkdir(parents=True)
        os.symlink("pid:[1]", place / "ns" / "pid")
        os.symlink("/", place / "root")
        os.symlink("/usr/bin/python3", place / "exe")
        os.symlink("/", place / "cwd")
        paths = [f"--config-path={path}" for path in (self.configuration, *more)]
        (place / "cmdline").write_text("\0".join(["python", "-m", app, *paths]) + "\0")
        (place / "cgroup").write_text(f"0::/system.slice/{unit}\n" if unit else "0::/user.slice/session-1.scope\n")
        (place / "status").write_text(f"Uid:\t{user}\t{user}\t{user}\t{user}\n")
        (place / "stat").write_text(f"{self._next} (python) S 1 {' '.join(['0'] * 40)}\n")
        (place / "environ").write_text("PWD=/srv\0")
        if unit:
            self.units[unit] = "active"
        return self._next

    def pids(self) -> list[int]:
        """Return the processes that run."""
        return sorted(int(path.name) for path in self.proc.iterdir() if path.name.isdecimal())

    def kill(self, pid: int, _signal: int) -> None:
        """End a process, unless it ignores that."""
        if pid not in self.ignores_end:
            shutil.rmtree(self.proc / str(pid))
        if self.again:
            self.again = False
            self.process()

    def run(self, arguments: t.Sequence[str], _timeout: float) -> Completed:
        """Answer as systemctl, journalctl, and as a daemon that is started."""
        words = list(arguments[2:] if arguments[0] == "env" else arguments)
        words = [word for word in words if word != "TZ=UTC"]
        if words[0] == "sh":
            return self._launch(words)
        if words[0] != "systemctl":
            return _DONE
        verb, names = words[1], words[words.index("--") + 1 :] if "--" in words else []
        if verb == "show":
            return Completed(0, "\n".join(self._show(name) for name in names), "")
        if verb == "list-units":
            instances = [name for name, state in self.units.items() if "@" in name and state in words[2]]
            return Completed(0, "".join(f"{name} loaded active running\n" for name in instances), "")
        self.done.append([verb, *names])
        if self.hangs:
            raise SynapseError("systemctl did not end within 1 seconds.")
        if verb == "stop":
            for name in names:
                self._stop(name)
        if verb == "start":
            return self._start(names)
        if verb == "daemon-reload":
            self.shown = {"LoadState": "loaded"}
        return _DONE

    def _launch(self, words: list[str]) -> Completed:
        self.done.append(words[3:])
        if self.hangs:
            raise SynapseError("sh did not end within 1 seconds.")
        if not self.launches:
            return Completed(1, "", "Error in configuration at 'database':\n  it is missing\n")
        app = words[words.index("-m") + 1]
        self.process(app, more=[word.partition("=")[2] for word in words if word.startswith("--config-path=")][1:])
        return _DONE

    def _start(self, names: list[str]) -> Completed:
        for name in names:
            if name in self.broken:
                self.units[name] = self.after_failure
                return Completed(1, "", f"Job for {name} failed.\n")
            if self.units.get(name) != "active":
                self.process(MAIN if name == UNIT else WORKER, name)
        return _DONE

    def _stop(self, name: str) -> None:
        self.units[name] = "inactive"
        for pid in self.pids():
            if (self.proc / str(pid) / "cgroup").read_text().strip().endswith(name):
                self.kill(pid, 15)

    def _show(self, name: str) -> str:
        state = self.units.get(name, "inactive")
        inside = [pid for pid in self.pids() if (self.proc / str(pid) / "cgroup").read_text().strip().endswith(name)]
        values = {
            "Id": name,
            "ActiveState": state,
            "SubState": {"active": "running", "activating": "auto-restart"}.get(state, "dead"),
            "MainPID": self.main_pids.get(name) or str(inside[0] if inside and state == "active" else 0),
            "Result": "exit-code" if name in self.broken else "success",
            "NeedDaemonReload": "no",
            "ExecStart": f"{{ path=/bin/python ; argv[]={self.command} ; ignore_errors=no ; }}",
            **(self.shown if name == UNIT else {"LoadState": "loaded"}),
        }
        return "".join(f"{key}={value}\n" for key, value in values.items())

    def _get(self, path: str) -> dict[str, t.Any]:
        if not self.answers or not self.pids():
            raise ConnectionFailed("GET http://127.0.0.1:8008 failed. Connection refused.")
        return {"versions": ["v1.12"], "path": path}

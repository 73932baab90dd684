# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host with a systemd, files of units, and processes of Synapse as RuntimeReader describes them."""

from __future__ import annotations

import json
import pathlib
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime import runtime
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.declared import Declared
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.units import Units
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.unit import Systemd

UNIT = "matrix-synapse.service"


class Machine:
    """A host below a directory of a test. `shown`: what systemd shows of the unit, and `others` of others.

    `commands`: its ExecStartPre commands as systemd shows them. `journal`: the entries of the journal.
    """

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self.etc, self.usr, self.proc = directory / "etc", directory / "usr", directory / "proc"
        for folder in (self.etc, self.usr, self.proc / "1", self.proc / "sys" / "fs"):
            folder.mkdir(parents=True)
        self.configuration = directory / "homeserver.yaml"
        self.configure({})
        self.system_gives(1048576, 1048576)
        self.shown: dict[str, str] = {"NeedDaemonReload": "no", "LimitNOFILE": "524288", "DropInPaths": ""}
        self.default_limit = "524288"
        self.asked = 0
        self.others: dict[str, dict[str, str]] = {}
        self.commands: list[str] = []
        self.journal: list[dict[str, t.Any]] = []
        self.fails = ""
        self.fragment = self.write(self.usr / UNIT, "[Unit]\nLimitNOFILE=1\n[Service]\nExecStart=/bin/true\n")
        self.shown["FragmentPath"] = self.fragment

    def write(self, path: pathlib.Path, text: str) -> str:
        """Write a file and return its path."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    def drop_in(self, name: str, text: str, *, loaded: bool = True) -> str:
        """Write a drop-in of the unit and return its path. `loaded`: whether systemd has read it."""
        path = self.write(self.etc / f"{UNIT}.d" / name, text)
        if loaded and path not in self.shown["DropInPaths"].split():
            self.shown["DropInPaths"] = f"{self.shown['DropInPaths']} {path}".strip()
        return path

    def start_synapse(self, path: str = "") -> None:
        """Make the unit start Synapse with a configuration, by default with the declared one."""
        command = f'/bin/python "-c={path or self.configuration}"'
        self.drop_in("05.conf", f"[Service]\nExecStart=\nExecStart={command}\n")

    def synapse_wrote(self, *lines: str) -> None:
        """Set what Synapse has written in its last start."""
        self.journal = [{"MESSAGE": line, "_SYSTEMD_UNIT": UNIT, "_SYSTEMD_INVOCATION_ID": "a1"} for line in lines]

    def configure(self, settings: dict[str, t.Any]) -> None:
        """Write the configuration of Synapse; JSON is YAML too."""
        self.configuration.write_text(json.dumps(settings))

    def system_gives(self, process: int, nr_open: int) -> None:
        """Set the hard limit of the first process, and fs.nr_open."""
        (self.proc / "1" / "limits").write_text(f"Max open files  1024  {process}  files\n")
        (self.proc / "sys" / "fs" / "nr_open").write_text(f"{nr_open}\n")

    def run(self, arguments: t.Sequence[str], timeout: float) -> Completed:
        """Answer as systemctl and journalctl."""
        self.asked += 1
        if self.fails:
            raise SynapseError(self.fails)
        if "journalctl" in arguments:
            return Completed(0, "".join(f"{json.dumps(entry)}\n" for entry in self.journal), "")
        shown = self.others.get(arguments[-1], {"DefaultLimitNOFILE": self.default_limit})
        lines = [f"{key}={value}\n" for key, value in (self.shown if UNIT in arguments else shown).items()]
        if UNIT in arguments:
            lines += [f"ExecStartPre={command}\n" for command in self.commands]
        return Completed(0, "".join(lines), "")

    @property
    def host(self) -> runtime.Host:
        """The host."""
        return runtime.Host(
            proc=str(self.proc), run=self.run, systemd=Systemd(str(self.directory), (str(self.etc), str(self.usr)))
        )

    def units(self) -> Units:
        """Return the units of the host."""
        return Units(self.host, 5)

    def process(self, **values: t.Any) -> dict[str, t.Any]:
        """Return the main process, with other values."""
        process = {
            "name": "main",
            "app": "synapse.app.homeserver",
            "pid": 70,
            "user": "matrix-synapse",
            "unit": UNIT,
            "config_path": [str(self.configuration)],
            "file_limits": {"soft": 524288, "hard": 524288},
            "unknown": [],
            **values,
        }
        return {key: value for key, value in process.items() if value is not None}

    def declared(self, **values: t.Any) -> Declared:
        """Return what is declared, with the names of variables."""
        names = {"open_files": "synapse_file_limits_nofile"}
        given = {"config_path": (str(self.configuration),), "unit": UNIT, "option_names": names, **values}
        return Declared(**given)

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""All that the roles must know about a service of Synapse on its host. What is missing is a value, not an error."""

from __future__ import annotations

import dataclasses
import os
import sys
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    read_configuration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.used_paths import find_used_paths
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import MissingLibrary, SynapseError, told
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import Unknown
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.runtime import Host, RuntimeReader
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.server import read_server
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.wanted import Wanted
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.systemctl import (
    Shown,
    running_instances,
    show_units,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.unit_description import (
    UnitReader,
    example_of,
)

T = t.TypeVar("T")
_CORRECT = "Correct the configuration, or set config_path to that of Synapse."


@dataclasses.dataclass(frozen=True)
class Declared:
    """Where a Synapse is on its host. `worker_unit` is empty if there are no workers.

    `by_systemd`: whether systemd manages it, and not the user who started it. `working_directory`: by default the one
    of the unit. `timeout`: how many seconds to wait for each command.
    """

    config_path: tuple[str, ...]
    unit: str
    worker_unit: str
    synapse_python: str
    environment_files: tuple[str, ...]
    by_systemd: bool
    timeout: float
    config_directory: str | None = None
    restart_record: str | None = None
    working_directory: str | None = None


class ServiceReader:
    """Reads the state of a service when `read` is called, and never changes anything."""

    def __init__(self, declared: Declared, client: Client, host: Host | None = None) -> None:
        """`client`: to read the name and the version of the server. `host`: by default this one."""
        self._declared = declared
        self._client = client
        self._host = host or Host()
        self._unknown: list[Unknown] = []

    def read(self) -> dict[str, t.Any]:
        """Return the service as the module returns it."""
        declared = self._declared
        has_python, has_config = os.path.exists(declared.synapse_python), os.path.exists(declared.config_path[0])
        has_systemd = os.path.isdir(self._host.systemd.running)
        units = self._units(has_systemd) if declared.by_systemd else []
        processes, restart_record = self._processes() if has_python and has_config else ([], {})
        started_in = units[0]["working_directory"] if units else "/"
        configuration = self._configuration() if has_config else None
        return {
            "config_path": list(declared.config_path),
            "systemd": has_systemd,
            "has_python": has_python,
            "has_config": has_config,
            "has_config_directory": bool(declared.config_directory) and os.path.isdir(declared.config_directory or ""),
            "installed": has_python and has_config,
            "units": units,
            "workers": self._workers() if has_systemd and declared.by_systemd and declared.worker_unit else [],
            "processes": processes,
            "restart_record": restart_record,
            "server": self._server() if processes else {},
            "database": self._database(configuration) if has_config else {},
            "paths": self._paths(configuration, declared.working_directory or started_in) if configuration else [],
            "unknown": [each._asdict() for each in dict.fromkeys(self._unknown)],
        }

    def _units(self, has_systemd: bool) -> list[dict[str, t.Any]]:
        names = [name for name in (self._declared.unit, self._declared.worker_unit) if name]
        examples = [example_of(name) for name in names] if has_systemd else []
        shown = self._attempt(
            "units",
            lambda: show_units(examples, self._host.run, self._declared.timeout) if examples else None,
            "Run systemctl show on the host, and correct what it reports.",
        )
        reader = UnitReader(self._declared.environment_files, self._host.systemd.units[0])
        described = [reader.describe(name, one) for name, one in zip(names, shown or [Shown() for _name in names])]
        self._unknown += reader.unknown
        return described

    def _workers(self) -> list[str]:
        found = self._attempt(
            "workers",
            lambda: running_instances(self._declared.worker_unit, self._host.run, self._declared.timeout),
            "Run systemctl list-units on the host, and correct what it reports.",
        )
        return found or []

    def _processes(self) -> tuple[list[dict[str, t.Any]], dict[str, t.Any]]:
        try:
            found = self._runtime(freshness=True)
        except MissingLibrary as error:
            fix = _install(error)
            self._unknown.append(Unknown("outdated_by", error.message, fix))
            # The name of a worker is in its configuration, which needs the same library.
            found = self._attempt("processes", lambda: self._runtime(freshness=False), fix) or {}
        except (SynapseError, OSError) as error:
            self._unknown.append(Unknown("processes", told(error).message, "Run the task with become, as root."))
            found = {}
        self._unknown += [Unknown(**each) for each in found.get("unknown", [])]
        return found.get("processes", []), found.get("restart_record", {})

    def _runtime(self, *, freshness: bool) -> dict[str, t.Any]:
        reader = RuntimeReader(
            self._declared.config_path,
            Wanted(freshness=freshness),
            restart_record=self._declared.restart_record,
            synapse_python=self._declared.synapse_python,
            timeout=self._declared.timeout,
            host=self._host,
        )
        return reader.read()

    def _server(self) -> dict[str, str]:
        server, unknown = read_server(self._client)
        self._unknown += unknown
        return server

    def _configuration(self) -> Configuration | None:
        return self._attempt("paths", lambda: read_configuration(self._declared.config_path), _CORRECT)

    def _database(self, configuration: Configuration | None) -> dict[str, str]:
        if configuration is None:
            # A directory that a role has not created yet sets nothing.
            present = [path for path in self._declared.config_path if os.path.exists(path)]
            configuration = self._attempt("database", lambda: read_configuration(present), _CORRECT)
        if configuration is None:
            return {}
        found = _database_of(configuration)
        replaced = configuration.replacement("database")
        if replaced and not found.get("database"):
            self._unknown.append(
                Unknown("database", f"The configuration does not name the database. {replaced}", _CORRECT)
            )
        return found

    def _paths(self, configuration: Configuration, directory: str) -> list[dict[str, t.Any]]:
        used = self._attempt("paths", lambda: find_used_paths(configuration, directory), _CORRECT)
        return [path._asdict() for path in used or []]

    def _attempt(self, name: str, read: t.Callable[[], T], fix: str) -> T | None:
        """Return what `read` returns, or None if it raises an error, which becomes unknown."""
        try:
            return read()
        except MissingLibrary as error:
            self._unknown.append(Unknown(name, error.message, _install(error)))
        except (SynapseError, OSError) as error:
            self._unknown.append(Unknown(name, told(error).message, fix))
        return None


def _install(error: MissingLibrary) -> str:
    return f"Install {error.library} for the Python {sys.executable}."


def _database_of(configuration: Configuration) -> dict[str, str]:
    """Return where the data is. Other arguments of the database are not needed, and may be secret."""
    database = configuration.settings.get("database")
    if not isinstance(database, dict):
        return {}
    # In an older form of the setting, the arguments are next to the name.
    arguments = database.get("args", database)
    named = arguments if isinstance(arguments, dict) else {}
    engine, source = str(database.get("name", "sqlite3")), configuration.source_of("database") or ""
    if engine == "sqlite3":
        return {"engine": engine, "database": str(named.get("database") or ""), "source": source}
    name = named.get("dbname") or named.get("database") or ""
    port = str(named.get("port") or 5432)
    return {
        "engine": engine,
        "database": str(name),
        "host": str(named.get("host") or ""),
        "port": port,
        "source": source,
    }

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The state of the running processes of a Synapse, compared with the configuration."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import run_command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    read_configuration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.cache_base_sizes import Run
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.caches import CacheSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.clock import Clock, read_clock
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.configured_databases import database_engine
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.inputs import configuration_inputs
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.measuring import Measured, Measuring
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.memory import (
    memory_limit,
    read_host,
    read_memory,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.open_files import read_open_files
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.outdated import (
    Finding,
    Start,
    changed_for_reload,
    outdated_by,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.presence_mode import presence_settings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import (
    AS_ROOT,
    MAIN_APP,
    Process,
    ProcessReader,
    Unknown,
    find_processes,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.restart_record import read_restart_record
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.server import read_server
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.snapshot import Snapshot
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.start import read_start, take_snapshot
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.unit import Systemd, Unit, read_unit
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.wanted import Wanted
from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import iso_time


class Host(t.NamedTuple):
    """How the state of a host is read. `systemd`: the paths of systemd and of its units."""

    proc: str = "/proc"
    clock: t.Callable[[], Clock] = read_clock
    run: Run = run_command
    systemd: Systemd = Systemd()


class _LookedAt(t.NamedTuple):
    described: dict[str, t.Any]
    reader: ProcessReader
    start: Start | None
    known: list[Finding]
    measured: Measured | None


class RuntimeReader:
    """Reads the state of one Synapse on this host. It reads when `read` is called, and never changes anything."""

    def __init__(
        self,
        config_path: t.Sequence[str],
        wanted: Wanted,
        *,
        synapse_python: str,
        timeout: float,
        restart_record: str | None = None,
        client: Client | None = None,
        host: Host | None = None,
    ) -> None:
        """`config_path`: the configuration that Synapse is started with. `wanted`: what to read of its processes.

        `restart_record`: the path of the file with the state of its files before the last restart. `synapse_python`:
        the Python that runs Synapse. `timeout`: how many seconds to wait for metrics and for each command. `client`: to
        read the name and the version of the server, if they are wanted. `host`: by default this one.
        """
        self._host = host or Host()
        self._config_path = tuple(config_path)
        self._wanted = wanted
        self._restart_record = restart_record
        self._timeout = timeout
        self._client = client
        self._measuring = Measuring(wanted, synapse_python, timeout, self._host.proc, self._host.run)

    def read(self) -> dict[str, t.Any]:
        """Return `processes`, `in_containers` and `unknown`, and what is wanted in addition.

        A host can have workers without a main process. Raises ConfigurationError if settings are wanted and the
        configuration cannot be read.
        """
        wanted = self._wanted
        configuration = read_configuration(self._config_path) if wanted.configuration else None
        settings = CacheSettings.read(configuration) if configuration and wanted.caches else None
        presence = presence_settings(configuration) if configuration and wanted.presence else None
        found = find_processes(self._config_path, self._host.proc)
        unknown = list(found.unknown)
        looked_at: list[_LookedAt] = []
        for process in found.processes:
            try:
                looked_at.append(self._look_at(process))
            except (FileNotFoundError, ProcessLookupError):
                # It has just ended.
                continue
        restart_record = self._compare(looked_at, unknown) if wanted.freshness else None
        self._measuring.read_again([one.measured for one in looked_at if one.measured])
        for one in looked_at:
            if one.measured:
                self._measuring.complete(one.measured, one.described)
            one.described["unknown"] = [item._asdict() for item in one.reader.unknown]
        processes = [_known(one.described) for one in looked_at]
        # Only now, because its connection would be one of the open files.
        server, doubts = read_server(self._client) if self._client else ({}, [])
        return _known(
            {
                "server": server or None,
                "processes": processes,
                "in_containers": [item._asdict() for item in found.in_containers],
                "database_engine": database_engine(configuration.settings) if configuration else None,
                "host": read_host(self._host.proc) if wanted.memory else None,
                "cache_settings": None if settings is None else dataclasses.asdict(settings),
                "presence_settings": presence,
                "restart_record": restart_record,
                "unknown": [item._asdict() for item in (*doubts, *unknown)]
                + [each for one in processes for each in one["unknown"]],
            }
        )

    def _look_at(self, process: Process) -> _LookedAt:
        wanted, proc = self._wanted, self._host.proc
        reader = ProcessReader(process.pid, proc)
        worker = process.app != MAIN_APP
        missing = [path for path in self._config_path if not _is_among(path, process.config_path)]
        if missing:
            reader.unknown.append(_started_without(process, missing))
        environment = reader.environment()
        configuration = self._configuration(process, missing, reader) if worker or wanted.configuration else None
        unit = self._unit(process, reader)
        clock = self._host.clock()
        started = reader.started()
        started_ts = int(clock.wall_time(started) * 1000)
        described: dict[str, t.Any] = {
            "name": _worker_name(configuration) if worker else "main",
            "app": process.app,
            "pid": process.pid,
            "user": reader.user(),
            "unit": unit.name if unit else None,
            "config_path": list(process.config_path),
            "started": iso_time(started_ts),
            "started_ts": started_ts,
            "uptime_seconds": max(int(clock.boottime - started), 0),
            "outdated_by": None,
            "changed_for_reload": None,
            "restart_required": None,
            "file_limits": reader.file_limits(),
            "open_files": reader.open_files(),
            "jemalloc": reader.jemalloc(),
            "environment": environment,
            "metrics_url": None,
            "caches": None,
        }
        if wanted.memory:
            described.update(self._memory(process, reader, clock.boottime - started))
        if wanted.open_files and configuration is not None:
            described.update(self._open_files(process, configuration, reader))
        if wanted.presence and configuration is not None:
            described.update(_presence(process, configuration, reader))
        measured = self._measuring.read(process, configuration, reader)
        start, known = read_start(process, reader, unit) if wanted.freshness else (None, [])
        return _LookedAt(described, reader, start, known, measured)

    def _memory(self, process: Process, reader: ProcessReader, uptime: float) -> dict[str, t.Any]:
        found = read_memory(process.pid, self._host.proc)
        if not found.is_complete:
            reason = f"Only root and the user of process {process.pid} are allowed to see its proportional memory."
            reader.unknown.append(Unknown("memory", reason, AS_ROOT))
        memory = _known({**found.memory, "limit_bytes": memory_limit(reader.control_group())})
        cpu = {"seconds": round(found.cpu_seconds, 2)}
        if uptime > 0:
            cpu["average_share"] = round(found.cpu_seconds / uptime, 4)
        return {"memory": memory, "threads": found.threads, "cpu": cpu}

    def _open_files(self, process: Process, configuration: Configuration, reader: ProcessReader) -> dict[str, t.Any]:
        try:
            directory = reader.directory_at_start(process.daemonized)
            worker = process.app != MAIN_APP
            found = read_open_files(process.pid, configuration.settings, worker, directory, self._host.proc)
        except PermissionError:
            reason = f"Only root and the user of process {process.pid} are allowed to see what its open files are."
            reader.unknown.append(Unknown("open_files_by_kind", reason, AS_ROOT))
            return {}
        return {"open_files_by_kind": found.by_kind, "remote_hosts": found.remote_hosts}

    def _unit(self, process: Process, reader: ProcessReader) -> Unit | None:
        numbers = (process.pid, reader.parent())
        try:
            return read_unit(reader.control_group(), numbers, self._host.run, self._timeout, self._host.systemd)
        except SynapseError as error:
            reader.unknown.append(Unknown("unit", error.message, f"Run systemctl status {process.pid} on the host."))
            if self._wanted.freshness:
                fix = f"Restart process {process.pid} if its unit was changed after it was started."
                reader.unknown.append(Unknown("outdated_by", error.message, fix))
            return None

    def _compare(self, looked_at: list[_LookedAt], unknown: list[Unknown]) -> dict[str, t.Any]:
        """Add to each process its changed files, and return the record to be kept before the next restart."""
        # The files that the next start reads are part of it even if no process runs.
        inputs, _unknown = configuration_inputs(self._config_path, worker=False)
        starts = [one.start for one in looked_at if one.start]
        now, hidden = take_snapshot([*inputs, *(place for start in starts for place in start.inputs)], self._host.clock)
        record = read_restart_record(self._restart_record) if self._restart_record else None
        if isinstance(record, Snapshot) and not now.clock.boot_id:
            reason = "The boot ID of the kernel is unknown, so the record of the last restart was ignored."
            record = Unknown("restart_record", reason, "Allow the task to read /proc/sys/kernel/random/boot_id.")
        if isinstance(record, Unknown):
            unknown.append(record)
            record = None
        for one in looked_at:
            if one.start:
                findings = one.known + outdated_by(one.start, now, record)
                one.described.update(
                    outdated_by=findings,
                    changed_for_reload=changed_for_reload(one.start, now, record),
                    restart_required=bool(findings),
                )
                paths = dict.fromkeys(place.path for place in one.start.inputs if place.path in hidden)
                one.reader.unknown += [Unknown("outdated_by", hidden[path], AS_ROOT) for path in paths]
        return now.as_record()

    def _configuration(self, process: Process, missing: list[str], reader: ProcessReader) -> Configuration | None:
        """Return the configuration in the files of the process and in those of `config_path` that it does not have."""
        paths = process.config_path
        if missing:
            paths = (*self._config_path, *(path for path in paths if not _is_among(path, self._config_path)))
        try:
            configuration = read_configuration(paths)
            if self._wanted.caches:
                CacheSettings.read(configuration)
        except ConfigurationError as error:
            fix = f"Run the task with become, as root, or correct the configuration of process {process.pid}."
            names = [*(["name"] if process.app != MAIN_APP else []), *self._wanted.needing_configuration]
            reader.unknown += [Unknown(name, error.message, fix) for name in names]
            return None
        return configuration


def _presence(process: Process, configuration: Configuration, reader: ProcessReader) -> dict[str, t.Any]:
    try:
        return {"presence_settings": presence_settings(configuration)}
    except ConfigurationError as error:
        fix = f"Correct the configuration of process {process.pid}."
        reader.unknown.append(Unknown("presence_settings", error.message, fix))
        return {}


def _worker_name(configuration: Configuration | None) -> str | None:
    settings = configuration.settings if configuration else {}
    # As in synapse/config/workers.py.
    name = settings.get("worker_name", settings.get("worker_app"))
    return name if isinstance(name, str) else None


def _known(values: dict[str, t.Any]) -> dict[str, t.Any]:
    return {name: value for name, value in values.items() if value is not None}


def _is_among(path: str, paths: t.Sequence[str]) -> bool:
    return os.path.realpath(path) in (os.path.realpath(other) for other in paths)


def _started_without(process: Process, missing: list[str]) -> Unknown:
    return Unknown(
        "config_path",
        f"Process {process.pid} was started without --config-path {', '.join(missing)}, so it does not use it.",
        "Add it to the command that starts Synapse and restart, or set config_path to the paths of that command.",
    )

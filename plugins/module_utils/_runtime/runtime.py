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
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import read_configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import Settings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.cache_base_sizes import (
    BaseSizes,
    Run,
    read_base_sizes,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.caches import CacheSettings, compare_caches
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.clock import Clock, read_clock
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.inputs import configuration_inputs
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics import NoMetrics, read_metrics
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.outdated import (
    Finding,
    Start,
    changed_for_reload,
    outdated_by,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import (
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


class RuntimeReader:
    """Reads the state of one Synapse on this host. It reads when `read` is called, and never changes anything."""

    def __init__(
        self,
        config_path: t.Sequence[str],
        *,
        caches: bool,
        freshness: bool,
        synapse_python: str,
        timeout: float,
        restart_record: str | None = None,
        client: Client | None = None,
        host: Host | None = None,
    ) -> None:
        """`config_path`: the configuration that Synapse is started with. `caches`: whether to read the caches.

        `freshness`: whether to compare the start of each process with its files. `restart_record`: the path of the file
        with their state before the last restart. `synapse_python`: the Python that runs Synapse. `timeout`: how many
        seconds to wait for metrics and for each command. `client`: to read the name and the version of the server, if
        they are wanted. `host`: by default this one.
        """
        self._host = host or Host()
        self._config_path = tuple(config_path)
        self._caches = caches
        self._freshness = freshness
        self._restart_record = restart_record
        self._synapse_python = synapse_python
        self._timeout = timeout
        self._client = client
        self._bases: BaseSizes | Unknown | None = None

    def read(self) -> dict[str, t.Any]:
        """Return `processes` and `unknown`, and where they are wanted `server`, `cache_settings` and `restart_record`.

        A host can have workers without a main process. Raises ConfigurationError if the caches are wanted and the
        configuration cannot be read.
        """
        settings = CacheSettings.read(read_configuration(self._config_path).settings) if self._caches else None
        server, unknown = read_server(self._client) if self._client else ({}, [])
        found, hidden = find_processes(self._config_path, self._host.proc)
        unknown += hidden
        looked_at: list[_LookedAt] = []
        for process in found:
            try:
                looked_at.append(self._look_at(process))
            except (FileNotFoundError, ProcessLookupError):
                # It has just ended.
                continue
        restart_record = self._compare(looked_at, unknown) if self._freshness else None
        for one in looked_at:
            one.described["unknown"] = [item._asdict() for item in one.reader.unknown]
        processes = [_known(one.described) for one in looked_at]
        return _known(
            {
                "server": server or None,
                "processes": processes,
                "cache_settings": None if settings is None else dataclasses.asdict(settings),
                "restart_record": restart_record,
                "unknown": [item._asdict() for item in unknown]
                + [each for one in processes for each in one["unknown"]],
            }
        )

    def _look_at(self, process: Process) -> _LookedAt:
        reader = ProcessReader(process.pid, self._host.proc)
        worker = process.app != MAIN_APP
        environment = reader.environment()
        missing = [path for path in self._config_path if not _is_among(path, process.config_path)]
        if missing:
            reader.unknown.append(_started_without(process, missing))
        settings = self._settings(process, missing, reader) if worker or self._caches else None
        unit = self._unit(process, reader)
        started_ts = int(self._host.clock().wall_time(reader.started()) * 1000)
        described: dict[str, t.Any] = {
            "name": "main" if not worker else (settings or {}).get("worker_name") or None,
            "app": process.app,
            "pid": process.pid,
            "user": reader.user(),
            "unit": unit.name if unit else None,
            "config_path": list(process.config_path),
            "started": iso_time(started_ts),
            "started_ts": started_ts,
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
        if self._caches and settings is not None:
            described.update(self._cache_sizes(process, settings, environment, reader))
        start, known = read_start(process, reader, unit) if self._freshness else (None, [])
        return _LookedAt(described, reader, start, known)

    def _unit(self, process: Process, reader: ProcessReader) -> Unit | None:
        numbers = (process.pid, reader.parent())
        try:
            return read_unit(reader.control_group(), numbers, self._host.run, self._timeout, self._host.systemd)
        except SynapseError as error:
            reader.unknown.append(Unknown("unit", error.message, f"Run systemctl status {process.pid} on the host."))
            if self._freshness:
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
                fix = "Run the task with become, as root."
                one.reader.unknown += [Unknown("outdated_by", hidden[path], fix) for path in paths]
        return now.as_record()

    def _settings(self, process: Process, missing: list[str], reader: ProcessReader) -> Settings | None:
        """Return the settings in the files of the process and in those of `config_path` that it was started without."""
        paths = process.config_path
        if missing:
            paths = (*self._config_path, *(path for path in paths if not _is_among(path, self._config_path)))
        try:
            settings = read_configuration(paths).settings
            if self._caches:
                CacheSettings.read(settings)
        except ConfigurationError as error:
            fix = f"Run the task with become, as root, or correct the configuration of process {process.pid}."
            for name in self._needing_settings(process):
                reader.unknown.append(Unknown(name, error.message, fix))
            return None
        return settings

    def _needing_settings(self, process: Process) -> t.Iterator[str]:
        if process.app != MAIN_APP:
            yield "name"
        if self._caches:
            yield "caches"

    def _cache_sizes(
        self, process: Process, settings: Settings, environment: dict[str, str] | None, reader: ProcessReader
    ) -> dict[str, t.Any]:
        metrics = read_metrics(settings, process, self._timeout, self._host.proc)
        if isinstance(metrics, NoMetrics):
            reader.unknown.append(Unknown("caches", *metrics))
            return {}
        if metrics.doubt is not None:
            reader.unknown.append(metrics.doubt)
        if self._bases is None:
            self._bases = self._read_bases(process)
        if isinstance(self._bases, Unknown):
            reader.unknown.append(self._bases)
        bases = self._bases if isinstance(self._bases, BaseSizes) else None
        return {
            "metrics_url": metrics.url,
            "caches": compare_caches(metrics.samples, bases, CacheSettings.read(settings), environment),
        }

    def _read_bases(self, process: Process) -> BaseSizes | Unknown:
        try:
            return read_base_sizes(self._synapse_python, self._timeout, self._host.run)
        except SynapseError as error:
            return Unknown(
                "base_size",
                error.message,
                f"Set synapse_python to the Python of Synapse. Process {process.pid} runs {process.interpreter}.",
            )


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

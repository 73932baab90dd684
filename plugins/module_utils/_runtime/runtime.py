# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What the running processes of a Synapse really have, against what was configured for them."""

from __future__ import annotations

import dataclasses
import os
import typing as t

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
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics import (
    NoMetrics,
    Sample,
    fetch_from,
    metrics_urls,
    parse,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.outdated import Finding, Start, outdated_by
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import (
    MAIN_APP,
    Process,
    ProcessReader,
    Unseen,
    find_processes,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.restart_record import read_restart_record
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.snapshot import Snapshot
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.start import read_start, take_snapshot
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.unit import Systemd, Unit, read_unit
from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import iso_time


class Host(t.NamedTuple):
    """What is asked for the state of a host, and where. `systemd`: where that shows itself and has its units."""

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
    """Reads the processes of one Synapse. Nothing is read before `read` is called, and nothing is ever changed."""

    def __init__(
        self,
        config_path: t.Sequence[str],
        *,
        caches: bool,
        freshness: bool,
        synapse_python: str,
        timeout: float,
        restart_record: str | None = None,
        host: Host | None = None,
    ) -> None:
        """`config_path`: what Synapse is started with. `caches`: whether to ask for the sizes of the caches.

        `freshness`: whether to compare the start of each process with its files. `restart_record`: the path of what was
        noted of them before the last restart. `synapse_python`: the Python that runs Synapse. `timeout`: seconds for
        each question. `host`: by default this one.
        """
        self._host = host or Host()
        self._config_path = tuple(config_path)
        self._caches = caches
        self._freshness = freshness
        self._restart_record = restart_record
        self._synapse_python = synapse_python
        self._timeout = timeout
        self._bases: BaseSizes | Unseen | None = None

    def read(self) -> dict[str, t.Any]:
        """Return `processes`, `settings` (of the caches), `started_with` (None unless asked for) and `unseen`.

        Raises ConfigurationError if the sizes of the caches are asked for and the configuration cannot be read.
        """
        settings = CacheSettings.read(read_configuration(self._config_path).settings) if self._caches else None
        found, unseen = find_processes(self._config_path, self._host.proc)
        looked_at: list[_LookedAt] = []
        for process in found:
            try:
                looked_at.append(self._look_at(process))
            except (FileNotFoundError, ProcessLookupError):
                # It ended in this moment: what is gone has nothing.
                continue
        started_with = self._compare(looked_at, unseen) if self._freshness else None
        for one in looked_at:
            one.described["unseen"] = [item._asdict() for item in one.reader.unseen]
        processes = [one.described for one in looked_at]
        return {
            "processes": processes,
            "settings": None if settings is None else dataclasses.asdict(settings),
            "started_with": started_with,
            "unseen": [item._asdict() for item in unseen] + [item for one in processes for item in one["unseen"]],
        }

    def _look_at(self, process: Process) -> _LookedAt:
        reader = ProcessReader(process.pid, self._host.proc)
        worker = process.app != MAIN_APP
        environment = reader.environment()
        missing = [path for path in self._config_path if not _is_among(path, process.config_path)]
        if missing:
            reader.unseen.append(_started_without(process, missing))
        settings = self._settings(process, missing, reader) if worker or self._caches else None
        unit = self._unit(process, reader)
        described: dict[str, t.Any] = {
            "name": "main" if not worker else (settings or {}).get("worker_name") or None,
            "app": process.app,
            "pid": process.pid,
            "user": reader.user(),
            "unit": unit.name if unit else None,
            "config_path": list(process.config_path),
            "started_at": iso_time(int(self._host.clock().wall_time(reader.started()) * 1000)),
            "outdated_by": None,
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
            reader.unseen.append(Unseen("unit", error.message, f"Look at systemctl status {process.pid} on the host."))
            if self._freshness:
                mend = f"Restart process {process.pid} by hand if its unit was changed since it was started."
                reader.unseen.append(Unseen("outdated_by", error.message, mend))
            return None

    def _compare(self, looked_at: list[_LookedAt], unseen: list[Unseen]) -> dict[str, t.Any]:
        """Say of each process what it is outdated by, and return what is to be noted before the next restart."""
        # What the next start reads counts even if nothing runs now.
        inputs, _unseen = configuration_inputs(self._config_path, worker=False)
        starts = [one.start for one in looked_at if one.start]
        now, hidden = take_snapshot([*inputs, *(place for start in starts for place in start.inputs)], self._host.clock)
        record = read_restart_record(self._restart_record) if self._restart_record else None
        if isinstance(record, Snapshot) and not now.clock.boot_id:
            why = "The kernel does not tell which boot this is, so the record of the last restart was not used."
            record = Unseen("restart_record", why, "Let the task read /proc/sys/kernel/random/boot_id.")
        if isinstance(record, Unseen):
            unseen.append(record)
            record = None
        for one in looked_at:
            if one.start:
                one.described["outdated_by"] = one.known + outdated_by(one.start, now, record)
                paths = dict.fromkeys(place.path for place in one.start.inputs if place.path in hidden)
                mend = "Run the task with become, as root."
                one.reader.unseen += [Unseen("outdated_by", hidden[path], mend) for path in paths]
        return now.as_record()

    def _settings(self, process: Process, missing: list[str], reader: ProcessReader) -> Settings | None:
        """Return what the files say with which the process runs, or would have to run to have all of `config_path`."""
        paths = process.config_path
        if missing:
            paths = (*self._config_path, *(path for path in paths if not _is_among(path, self._config_path)))
        try:
            settings = read_configuration(paths).settings
            if self._caches:
                CacheSettings.read(settings)
        except ConfigurationError as error:
            mend = f"Run the task with become, as root, or mend the configuration of process {process.pid}."
            for what in ("name", "caches") if process.app != MAIN_APP else ("caches",):
                reader.unseen.append(Unseen(what, error.message, mend))
            return None
        return settings

    def _cache_sizes(
        self, process: Process, settings: Settings, environment: dict[str, str] | None, reader: ProcessReader
    ) -> dict[str, t.Any]:
        urls = metrics_urls(settings, worker=process.app != MAIN_APP)
        if isinstance(urls, NoMetrics):
            reader.unseen.append(Unseen("caches", *urls))
            return {}
        answer = self._samples(urls, process, reader)
        if isinstance(answer, Unseen):
            reader.unseen.append(answer)
            return {}
        url, samples = answer
        if self._bases is None:
            self._bases = self._read_bases(process)
        if isinstance(self._bases, Unseen):
            reader.unseen.append(self._bases)
        bases = self._bases if isinstance(self._bases, BaseSizes) else None
        return {
            "metrics_url": url,
            "caches": compare_caches(samples, bases, CacheSettings.read(settings), environment),
        }

    def _samples(self, urls: list[str], process: Process, reader: ProcessReader) -> tuple[str, list[Sample]] | Unseen:
        """Return the first of `urls` that the process serves, and what it says."""
        why = ""
        for url in urls:
            try:
                answer = fetch_from(url, process.pid, self._timeout, self._host.proc)
                samples = parse(answer.text)
            except SynapseError as error:
                why = error.message
                continue
            if not answer.is_certain:
                doubt = f"Whether process {process.pid} itself serves {url} is hidden, so its answer was believed."
                reader.unseen.append(Unseen("metrics_url", doubt, "Run the task with become, as root."))
            return url, samples
        return Unseen(
            "caches", why, "Restart Synapse, so that it opens the listener of its configuration on a free port."
        )

    def _read_bases(self, process: Process) -> BaseSizes | Unseen:
        try:
            return read_base_sizes(self._synapse_python, self._timeout, self._host.run)
        except SynapseError as error:
            return Unseen(
                "base_size",
                error.message,
                f"Set synapse_python to the Python of Synapse: process {process.pid} runs {process.interpreter}.",
            )


def _is_among(path: str, paths: t.Sequence[str]) -> bool:
    return os.path.realpath(path) in (os.path.realpath(other) for other in paths)


def _started_without(process: Process, missing: list[str]) -> Unseen:
    return Unseen(
        "config_path",
        f"Process {process.pid} was started without --config-path {', '.join(missing)}, so that has no effect on it.",
        "Add it to the command that starts Synapse and restart, or set config_path to what Synapse is started with.",
    )

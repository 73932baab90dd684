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
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics import (
    NoMetrics,
    Sample,
    fetch,
    metrics_urls,
    parse,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import (
    Process,
    ProcessReader,
    Unseen,
    find_processes,
)

_MAIN_APP = "synapse.app.homeserver"
# Both times come from the same clock ticks, but the kernel rounds the time of its own start anew each time.
_START_TOLERANCE = 2.0


class RuntimeReader:
    """Reads the processes of one Synapse. Nothing is read before `read` is called, and nothing is ever changed."""

    def __init__(
        self,
        config_path: t.Sequence[str],
        *,
        caches: bool,
        synapse_python: str,
        timeout: float,
        run: Run = run_command,
    ) -> None:
        """`config_path`: what Synapse is started with. `caches`: whether to ask for the sizes of the caches.

        `synapse_python`: the Python that runs Synapse. `timeout`: seconds for each question.
        """
        self._run = run
        self._config_path = tuple(config_path)
        self._caches = caches
        self._synapse_python = synapse_python
        self._timeout = timeout
        self._bases: BaseSizes | Unseen | None = None

    def read(self) -> dict[str, t.Any]:
        """Return `processes`, `settings` (of the caches, None unless asked for) and `unseen`.

        Raises ConfigurationError if the sizes of the caches are asked for and the configuration cannot be read.
        """
        settings = CacheSettings.read(read_configuration(self._config_path).settings) if self._caches else None
        found, unseen = find_processes(self._config_path)
        processes = []
        for process in found:
            try:
                processes.append(self._describe(process))
            except (FileNotFoundError, ProcessLookupError):
                # It ended in this moment: what is gone has nothing.
                continue
        return {
            "processes": processes,
            "settings": None if settings is None else dataclasses.asdict(settings),
            "unseen": [item._asdict() for item in unseen] + [item for one in processes for item in one["unseen"]],
        }

    def _describe(self, process: Process) -> dict[str, t.Any]:
        reader = ProcessReader(process.pid)
        worker = process.app != _MAIN_APP
        environment = reader.environment()
        missing = [path for path in self._config_path if not _is_among(path, process.config_path)]
        if missing:
            reader.unseen.append(_started_without(process, missing))
        settings = self._settings(process, missing, reader) if worker or self._caches else None
        described: dict[str, t.Any] = {
            "name": "main" if not worker else (settings or {}).get("worker_name") or None,
            "app": process.app,
            "pid": process.pid,
            "user": reader.user(),
            "config_path": list(process.config_path),
            "file_limits": reader.file_limits(),
            "open_files": reader.open_files(),
            "jemalloc": reader.jemalloc(),
            "environment": environment,
            "metrics_url": None,
            "caches": None,
        }
        if self._caches and settings is not None:
            described.update(self._cache_sizes(process, settings, environment, reader))
        described["unseen"] = [item._asdict() for item in reader.unseen]
        return described

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
            for what in ("name", "caches") if process.app != _MAIN_APP else ("caches",):
                reader.unseen.append(Unseen(what, error.message, mend))
            return None
        return settings

    def _cache_sizes(
        self, process: Process, settings: Settings, environment: dict[str, str] | None, reader: ProcessReader
    ) -> dict[str, t.Any]:
        urls = metrics_urls(settings, worker=process.app != _MAIN_APP)
        if isinstance(urls, NoMetrics):
            reader.unseen.append(Unseen("caches", *urls))
            return {}
        answer = self._samples(urls, reader.start_time())
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

    def _samples(self, urls: list[str], started: float) -> tuple[str, list[Sample]] | Unseen:
        """Return the first of `urls` that is served by the process that started then, and what it says."""
        why = ""
        for url in urls:
            try:
                samples = parse(fetch(url, self._timeout))
            except SynapseError as error:
                why = error.message
                continue
            if not _is_of_other_process(samples, started):
                return url, samples
            why = f"{url} is served by another process."
        return Unseen(
            "caches", why, "Restart Synapse, so that it opens the listener of its configuration on a free port."
        )

    def _read_bases(self, process: Process) -> BaseSizes | Unseen:
        try:
            return read_base_sizes(self._synapse_python, self._timeout, self._run)
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


def _is_of_other_process(samples: list[Sample], started: float) -> bool:
    times = [sample.value for sample in samples if sample.name == "process_start_time_seconds"]
    return bool(times) and all(abs(value - started) > _START_TOLERANCE for value in times)

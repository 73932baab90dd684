# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What the metrics of the running processes show: once, and if rates are wanted a second time after an interval."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.activity import (
    jemalloc_memory,
    read_activity,
    running_version,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.cache_autotuning import autotuning_in_force
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.cache_base_sizes import (
    BaseSizes,
    Run,
    read_base_sizes,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.caches import (
    CacheSettings,
    cache_sources,
    compare_caches,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.command_line import MAIN_APP
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.memory import read_cpu_seconds
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics import (
    Metrics,
    NoMetrics,
    read_metrics,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import (
    AS_ROOT,
    Process,
    ProcessReader,
    Unknown,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.rates import Reading, rates_between
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.wanted import Wanted


@dataclasses.dataclass
class Measured:
    """The readings of one process. `metrics`: None if it serves none that can be read. `second`: for the rates."""

    process: Process
    configuration: Configuration
    reader: ProcessReader
    metrics: Metrics | None
    first: Reading
    second: Reading | None = None


class Measuring:
    """Reads the metrics of processes, and describes what they show. What it cannot find out is added to the reader."""

    def __init__(
        self,
        wanted: Wanted,
        synapse_python: str,
        timeout: float,
        proc: str,
        run: Run,
        *,
        now: t.Callable[[], float] = time.monotonic,
        pause: t.Callable[[float], None] = time.sleep,
    ) -> None:
        """`synapse_python`: to read the base sizes of the caches. `timeout`: seconds for each request and command.

        `now`: a clock in seconds that nobody sets. `pause`: waits for a number of seconds.
        """
        self._wanted = wanted
        self._synapse_python = synapse_python
        self._timeout = timeout
        self._proc = proc
        self._run = run
        self._now = now
        self._pause = pause
        self._bases: BaseSizes | Unknown | None = None

    def read(self, process: Process, configuration: Configuration | None, reader: ProcessReader) -> Measured | None:
        """Return the first reading of a process, or None if its metrics are not wanted or its configuration is unknown.

        Raises FileNotFoundError or ProcessLookupError if the process has ended.
        """
        if not self._wanted.needing_metrics or configuration is None:
            return None
        metrics = read_metrics(configuration.settings, process, self._timeout, self._proc)
        first = self._reading(process, metrics)
        if isinstance(metrics, NoMetrics):
            replaced = configuration.replacement("listeners" if process.app == MAIN_APP else "worker_listeners")
            reason = f"{metrics.reason} {replaced}".rstrip()
            reader.unknown += [Unknown(name, reason, metrics.fix) for name in self._wanted.needing_metrics]
            return Measured(process, configuration, reader, None, first)
        if metrics.doubt is not None:
            reader.unknown.append(metrics.doubt)
        return Measured(process, configuration, reader, metrics, first)

    def read_again(self, measured: t.Sequence[Measured]) -> None:
        """Read the metrics of all processes a second time if rates are wanted, `rate_interval` after the first time."""
        if self._wanted.rate_interval is None or not measured:
            return
        self._pause(max(measured[-1].first.at + self._wanted.rate_interval - self._now(), 0))
        for one in measured:
            try:
                metrics: Metrics | NoMetrics | None = None
                if one.metrics is not None:
                    metrics = read_metrics(one.configuration.settings, one.process, self._timeout, self._proc)
                one.second = self._reading(one.process, metrics)
            except (FileNotFoundError, ProcessLookupError):
                reason = f"Process {one.process.pid} ended between the two readings."
                one.reader.unknown.append(Unknown("rates", reason, "Run the task again."))
                continue
            if isinstance(metrics, NoMetrics):
                one.reader.unknown.append(Unknown("rates", *metrics))

    def complete(self, one: Measured, described: dict[str, t.Any]) -> None:
        """Add what was measured to the description of the process, which has its start and its environment already."""
        if one.second is not None:
            rates = rates_between(one.first, one.second)
            if rates:
                described["rates"] = rates
            else:
                reason = f"The two readings of process {one.process.pid} show processes with different starts."
                one.reader.unknown.append(Unknown("rates", reason, "Run the task again."))
        if one.metrics is None:
            return
        samples = one.metrics.samples
        described.update(metrics_url=one.metrics.url, version=running_version(samples))
        jemalloc, memory = described.get("jemalloc"), jemalloc_memory(samples)
        if jemalloc and memory:
            described["jemalloc"] = jemalloc = {**jemalloc, "memory": memory}
        if self._wanted.activity:
            activity = read_activity(samples)
            described.update(activity)
            if "in_flight" not in activity.get("requests", {}):
                reason = (
                    f"The metrics at {one.metrics.url} do not show how many requests are in flight, so they are not"
                )
                reason += " those of Synapse, or contain impossible values."
                fix = "Check which program serves this URL, and restart Synapse if it is Synapse."
                one.reader.unknown.append(Unknown("activity", reason, fix))
        if self._wanted.caches:
            settings = CacheSettings.read(one.configuration)
            sources = cache_sources(one.configuration, described.get("changed_for_reload") or [])
            bases = self._base_sizes(one)
            described["caches"] = compare_caches(samples, bases, settings, described["environment"], sources)
            described["autotuning"] = autotuning_in_force(
                settings, jemalloc, memory, one.configuration.replacement("caches")
            )

    def _reading(self, process: Process, metrics: Metrics | NoMetrics | None) -> Reading:
        samples = metrics.samples if isinstance(metrics, Metrics) else []
        return Reading(self._now(), samples, read_cpu_seconds(process.pid, self._proc))

    def _base_sizes(self, one: Measured) -> BaseSizes | None:
        if self._bases is None:
            try:
                self._bases = read_base_sizes(self._synapse_python, self._timeout, self._run)
            except SynapseError as error:
                fix = "Set synapse_python to the Python of Synapse."
                fix += f" Process {one.process.pid} runs {one.process.interpreter}."
                if isinstance(error.__cause__, PermissionError):
                    fix = AS_ROOT
                self._bases = Unknown("base_size", error.message, fix)
        if isinstance(self._bases, Unknown):
            one.reader.unknown.append(self._bases)
            return None
        return self._bases

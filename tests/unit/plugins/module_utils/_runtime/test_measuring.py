# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime import measuring
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.measuring import Measured, Measuring
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics import Metrics, NoMetrics, parse
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import (
    Process,
    ProcessReader,
    Unknown,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.wanted import Wanted

TICKS = os.sysconf("SC_CLK_TCK")
URL = "http://127.0.0.1:9000/_synapse/metrics"
NONE = NoMetrics("The configuration has no listener for metrics.", "Add one.")
TEXT = """
process_start_time_seconds 1000.0
synapse_build_info{{pythonversion="3.13",version="1.163.2"}} 1.0
synapse_storage_transaction_time_count_total{{desc="a"}} {transactions}.0
synapse_util_caches_cache_size{{name="plain"}} 1
synapse_util_caches_cache_max_size{{name="plain"}} 500
jemalloc_stats_app_memory_bytes{{type="allocated"}} 4096
"""
SETTINGS = {
    "caches": {
        "cache_autotuning": {
            "max_cache_memory_usage": "1K",
            "target_cache_memory_usage": "1K",
            "min_cache_ttl": "5m",
        }
    }
}


class Host:
    """Processes with metrics, their CPU time, and a clock that only `pause` moves."""

    def __init__(self, proc: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.proc = proc
        self.now = 100.0
        self.pauses: list[float] = []
        self.timeouts: list[float] = []
        self.commands = 0
        # The answers of each process, one after the other. A float is the number of seconds until the next one.
        self.answers: dict[int, list[Metrics | NoMetrics | float]] = {}
        self.bases = Completed(0, json.dumps({"plain": [1000]}), "")
        monkeypatch.setattr(measuring, "read_metrics", self._read)

    def measuring(self, **wanted: t.Any) -> Measuring:
        return Measuring(
            Wanted(**wanted), "/python", 7, str(self.proc), self._run, now=lambda: self.now, pause=self._pause
        )

    def add(self, pid: int, *answers: Metrics | NoMetrics | float) -> tuple[Process, ProcessReader]:
        self.answers[pid] = list(answers)
        (self.proc / str(pid)).mkdir()
        self.use_processor(pid, 100)
        process = Process(pid, "synapse.app.homeserver", ("/c.yaml",), "/v/bin/python")
        return process, ProcessReader(pid, str(self.proc))

    def use_processor(self, pid: int, ticks: int) -> None:
        (self.proc / str(pid) / "stat").write_text(f"{pid} (python) S {' '.join(['0'] * 10)} {ticks} 0 0\n")

    def end(self, pid: int) -> None:
        (self.proc / str(pid) / "stat").unlink()

    def _read(self, _settings: t.Any, process: Process, timeout: float, proc: str) -> Metrics | NoMetrics:
        assert proc == str(self.proc)
        self.timeouts.append(timeout)
        answer = self.answers[process.pid].pop(0)
        if isinstance(answer, float):
            self.now += answer
            return self._read(_settings, process, timeout, proc)
        return answer

    def _run(self, *_arguments: t.Any, **_options: t.Any) -> Completed:
        self.commands += 1
        return self.bases

    def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def host(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


CONFIGURATION = Configuration((ConfigurationFile("/c.yaml", SETTINGS),))


def metrics(transactions: int = 1, start: float = 1000.0, doubt: Unknown | None = None) -> Metrics:
    text = TEXT.format(transactions=transactions).replace("1000.0", str(start))
    return Metrics(URL, parse(text), doubt)


def read(reading: Measuring, one: tuple[Process, ProcessReader]) -> Measured:
    measured = reading.read(one[0], CONFIGURATION, one[1])
    assert measured is not None
    return measured


def described(reading: Measuring, one: Measured, loaded: bool | None = True) -> dict[str, t.Any]:
    found: dict[str, t.Any] = {"environment": {}, "jemalloc": None if loaded is None else {"loaded": loaded}}
    reading.complete(one, found)
    del found["environment"]
    return found


def test_nothing_is_read_that_is_not_wanted(host: Host) -> None:
    process, reader = host.add(7)
    assert host.measuring(presence=True, memory=True, open_files=True).read(process, CONFIGURATION, reader) is None
    assert host.measuring(activity=True).read(process, None, reader) is None
    assert (host.timeouts, reader.unknown) == ([], [])


def test_activity_is_read_once(host: Host) -> None:
    one = host.add(7, metrics())
    reading = host.measuring(activity=True)
    measured = read(reading, one)
    reading.read_again([measured])
    found = described(reading, measured)
    assert (host.pauses, host.timeouts, host.commands) == ([], [7], 0)
    assert (found["metrics_url"], found["version"]) == (URL, "1.163.2")
    assert found["database"]["transactions"] == 1
    assert found["jemalloc"] == {"loaded": True, "memory": {"allocated_bytes": 4096}}
    assert not {"rates", "caches", "autotuning"} & found.keys()
    assert one[1].unknown == []


@pytest.mark.parametrize("text", ["", "foo 1\n"])
def test_metrics_that_are_not_those_of_synapse(host: Host, text: str) -> None:
    one = host.add(7, Metrics(URL, parse(text), None))
    found = described(host.measuring(activity=True), read(host.measuring(activity=True), one))
    assert "requests" not in found
    assert [item.name for item in one[1].unknown] == ["activity"]
    assert "not those of Synapse" in one[1].unknown[0].reason


def test_caches_with_their_base_sizes(host: Host) -> None:
    ones = [host.add(7, metrics()), host.add(8, metrics())]
    reading = host.measuring(caches=True)
    found = [described(reading, read(reading, one)) for one in ones]
    assert host.commands == 1
    for each in found:
        assert [(cache["name"], cache["expected_max_size"]) for cache in each["caches"]] == [("plain", 500)]
        assert (each["autotuning"]["in_force"], each["autotuning"]["is_evicting"]) == (True, True)
        assert "database" not in each


def test_base_sizes_that_cannot_be_read(host: Host) -> None:
    host.bases = Completed(1, "", "No module named synapse")
    ones = [host.add(7, metrics()), host.add(8, metrics())]
    reading = host.measuring(caches=True)
    for one in ones:
        found = described(reading, read(reading, one))
        assert found["caches"] == [{"name": "plain", "size": 1, "max_size": 500}]
        assert [item.name for item in one[1].unknown] == ["base_size"]
        assert one[1].unknown[0].fix == "Set synapse_python to the Python of Synapse. Process 7 runs /v/bin/python."
    assert host.commands == 1


def test_whether_jemalloc_is_loaded_is_not_taken_from_the_metrics(host: Host) -> None:
    reading = host.measuring(activity=True)
    assert described(reading, read(reading, host.add(7, metrics())), loaded=None)["jemalloc"] is None


def test_a_process_without_metrics(host: Host) -> None:
    one = host.add(7, NONE)
    reading = host.measuring(activity=True, caches=True)
    measured = read(reading, one)
    assert described(reading, measured) == {"jemalloc": {"loaded": True}}
    assert one[1].unknown == [Unknown("caches", *NONE), Unknown("activity", *NONE)]


def test_a_process_whose_listeners_are_replaced(host: Host) -> None:
    process, reader = host.add(7, NONE)
    listeners = [{"type": "http", "port": 8008}, {"type": "metrics", "port": 9000}]
    later = ConfigurationFile("/d.yaml", {"listeners": listeners[:1]})
    configuration = Configuration((ConfigurationFile("/c.yaml", {"listeners": listeners}), later))
    host.measuring(activity=True).read(process, configuration, reader)
    [unknown] = reader.unknown
    assert unknown.reason == f"{NONE.reason} {configuration.replacement('listeners')}"
    assert (
        "/d.yaml replaces the whole list listeners of /c.yaml, so that the entry with the port 9000" in unknown.reason
    )


def test_a_doubt_is_passed_on(host: Host) -> None:
    doubt = Unknown("metrics_url", "It is uncertain.", "Run the task with become, as root.")
    one = host.add(7, metrics(doubt=doubt), metrics(doubt=doubt))
    reading = host.measuring(activity=True, rate_interval=1)
    measured = read(reading, one)
    reading.read_again([measured])
    assert described(reading, measured)["metrics_url"] == URL
    assert one[1].unknown == [doubt]


def test_a_process_that_ended_before_the_first_reading(host: Host) -> None:
    one = host.add(7, metrics())
    host.end(7)
    with pytest.raises(FileNotFoundError):
        read(host.measuring(activity=True), one)


def test_rates_of_several_processes(host: Host) -> None:
    # The first answer of the second process needs two seconds.
    first, second = host.add(7, metrics(10), metrics(20)), host.add(8, 2.0, metrics(30), metrics(60))
    reading = host.measuring(rate_interval=5)
    measured = [read(reading, first), read(reading, second)]
    host.now += 1
    host.use_processor(7, 100 + 7 * TICKS // 2)
    reading.read_again(measured)
    # Each process has at least the interval, and the time that has passed since the last reading counts.
    assert host.pauses == [4.0]
    rates = [described(reading, one)["rates"] for one in measured]
    assert [each["seconds"] for each in rates] == [7.0, 5.0]
    assert [each["cpu_share"] for each in rates] == [0.5, 0.0]
    assert [each["database_transactions_per_minute"] for each in rates] == [pytest.approx(85.71), 360.0]
    assert first[1].unknown == second[1].unknown == []


def test_rates_after_the_interval_has_passed_already(host: Host) -> None:
    reading = host.measuring(rate_interval=5)
    measured = read(reading, host.add(7, metrics(), metrics()))
    host.now += 8
    reading.read_again([measured])
    assert host.pauses == [0]
    assert described(reading, measured)["rates"]["seconds"] == 8


def test_without_processes_there_is_no_pause(host: Host) -> None:
    host.measuring(rate_interval=5).read_again([])
    assert host.pauses == []


def test_the_processor_time_of_a_process_without_metrics(host: Host) -> None:
    one = host.add(7, NONE)
    reading = host.measuring(rate_interval=2)
    measured = read(reading, one)
    host.use_processor(7, 100 + TICKS)
    reading.read_again([measured])
    assert described(reading, measured)["rates"] == {"seconds": 2.0, "cpu_share": 0.5}
    assert one[1].unknown == [Unknown("rates", *NONE)]
    assert len(host.timeouts) == 1


def test_metrics_that_fail_the_second_time(host: Host) -> None:
    one = host.add(7, metrics(), NONE)
    reading = host.measuring(activity=True, rate_interval=2)
    measured = read(reading, one)
    reading.read_again([measured])
    found = described(reading, measured)
    assert found["rates"] == {"seconds": 2.0, "cpu_share": 0.0}
    assert found["database"]["transactions"] == 1
    assert one[1].unknown == [Unknown("rates", *NONE)]


def test_a_process_that_ends_between_the_readings(host: Host) -> None:
    ended, running = host.add(7, metrics(), metrics()), host.add(8, metrics(), metrics())
    reading = host.measuring(activity=True, rate_interval=2)
    measured = [read(reading, ended), read(reading, running)]
    host.end(7)
    reading.read_again(measured)
    assert "rates" not in described(reading, measured[0])
    assert ended[1].unknown == [Unknown("rates", "Process 7 ended between the two readings.", "Run the task again.")]
    assert "rates" in described(reading, measured[1])


def test_readings_of_two_different_starts(host: Host) -> None:
    one = host.add(7, metrics(), metrics(start=2000.0))
    reading = host.measuring(rate_interval=2)
    measured = read(reading, one)
    reading.read_again([measured])
    assert "rates" not in described(reading, measured)
    reason = "The two readings of process 7 show processes with different starts."
    assert one[1].unknown == [Unknown("rates", reason, "Run the task again.")]

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import builtins
import os
import pathlib
import time
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.memory import (
    memory_limit,
    read_cpu_seconds,
    read_host,
    read_memory,
)

ROLLUP = """\
00400000-7fff12b9d000 ---p 00000000 00:00 0                              [rollup]
Rss:              108532 kB
Pss:               95610 kB
Pss_Dirty:         90516 kB
Private_Dirty:     90516 kB
Swap:                 40 kB
SwapPss:              30 kB
"""
STATUS = """\
Name:	python
State:	S (sleeping)
VmPeak:	 1131340 kB
VmRSS:	  108000 kB
VmSwap:	      20 kB
Threads:	13
"""
STAT = "13371 (python) S 1 13371 13371 0 -1 4194368 16296 0 0 0 35 5 7 9 20 0 13 0 3718917 1158475776 27064\n"
TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def proc(tmp_path: pathlib.Path) -> pathlib.Path:
    directory = tmp_path / "proc" / "7"
    directory.mkdir(parents=True)
    (directory / "smaps_rollup").write_text(ROLLUP)
    (directory / "status").write_text(STATUS)
    (directory / "stat").write_text(STAT)
    return directory.parent


def refuse(path: pathlib.Path, error: type[OSError], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the opening of this path fail, as the kernel does. Root may open each file in a test."""
    really_open = builtins.open

    def open_or_fail(file: t.Any, *arguments: t.Any, **options: t.Any) -> t.Any:
        if str(file) == str(path):
            raise error(1, "refused")
        return really_open(file, *arguments, **options)

    monkeypatch.setattr(builtins, "open", open_or_fail)


def test_the_memory_and_cpu_time_of_a_process(proc: pathlib.Path) -> None:
    found = read_memory(7, str(proc))
    assert found.memory == {
        "resident_bytes": 108532 * 1024,
        "proportional_bytes": 95610 * 1024,
        "swapped_bytes": 30 * 1024,
    }
    assert found.threads == 13
    assert found.cpu_seconds == 40 / TICKS
    assert found.is_complete


def test_this_process() -> None:
    found = read_memory(os.getpid())
    assert found.memory["resident_bytes"] > 1024**2
    assert found.threads >= 1
    # The kernel counts it in steps, and this process may have just been forked.
    assert 0 <= found.cpu_seconds < 10_000


def test_the_cpu_time_alone(proc: pathlib.Path) -> None:
    # It needs no other file, and no permission.
    (proc / "7" / "status").unlink()
    (proc / "7" / "smaps_rollup").unlink()
    assert read_cpu_seconds(7, str(proc)) == 40 / TICKS
    with pytest.raises(FileNotFoundError):
        read_cpu_seconds(8, str(proc))
    (proc / "7" / "stat").write_text("7 (a) S 1")
    with pytest.raises(SynapseError, match=r"7/stat has no CPU time\.$"):
        read_cpu_seconds(7, str(proc))


def test_the_cpu_time_of_this_process_is_in_seconds() -> None:
    used = time.process_time()
    assert used - 0.1 <= read_cpu_seconds(os.getpid()) <= time.process_time() + 0.1


def test_a_kernel_that_counts_shared_swap_in_full(proc: pathlib.Path) -> None:
    (proc / "7" / "smaps_rollup").write_text(ROLLUP.replace("SwapPss", "Other"))
    assert read_memory(7, str(proc)).memory["swapped_bytes"] == 40 * 1024


def test_memory_that_this_user_is_not_allowed_to_see(proc: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(proc / "7" / "smaps_rollup", PermissionError, monkeypatch)
    found = read_memory(7, str(proc))
    assert found.memory == {"resident_bytes": 108000 * 1024, "swapped_bytes": 20 * 1024}
    assert not found.is_complete


def test_a_kernel_without_smaps_rollup(proc: pathlib.Path) -> None:
    (proc / "7" / "smaps_rollup").unlink()
    found = read_memory(7, str(proc))
    assert found.memory == {"resident_bytes": 108000 * 1024, "swapped_bytes": 20 * 1024}
    # No other user would see more.
    assert found.is_complete


def test_a_process_that_ended(proc: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError):
        read_memory(8, str(proc))
    (proc / "7" / "stat").unlink()
    with pytest.raises(FileNotFoundError):
        read_memory(7, str(proc))
    refuse(proc / "7" / "smaps_rollup", ProcessLookupError, monkeypatch)
    with pytest.raises(ProcessLookupError):
        read_memory(7, str(proc))


def test_a_process_that_ended_and_has_a_parent_that_did_not_notice(proc: pathlib.Path) -> None:
    (proc / "7" / "status").write_text("Name:\tpython\nState:\tZ (zombie)\nThreads:\t1\n")
    with pytest.raises(ProcessLookupError):
        read_memory(7, str(proc))


@pytest.mark.parametrize("name", [") (", "a) S 1 2 3 4 5 6 7 8 9 10 11 99 99 (", "two\nlines", b"\xff)"])
def test_a_name_of_a_program_cannot_deceive(proc: pathlib.Path, name: t.Any) -> None:
    name = name if isinstance(name, bytes) else name.encode()
    (proc / "7" / "stat").write_bytes(STAT.encode().replace(b"python", name))
    assert read_memory(7, str(proc)).cpu_seconds == 40 / TICKS


@pytest.mark.parametrize(
    ("file", "text"), [("stat", ""), ("stat", "7 (a) S 1"), ("status", ""), ("stat", "7 (a)" + " x" * 20)]
)
def test_another_format(proc: pathlib.Path, file: str, text: str) -> None:
    (proc / "7" / file).write_text(text)
    with pytest.raises(SynapseError, match="does not have the format of Linux"):
        read_memory(7, str(proc))


def test_figures_that_are_not_numbers_are_left_out(proc: pathlib.Path) -> None:
    (proc / "7" / "smaps_rollup").write_text("Rss: -5 kB\nPss: NaN kB\nSwapPss: " + "9" * 100 + " kB\n")
    assert read_memory(7, str(proc)).memory == {"resident_bytes": 108000 * 1024, "swapped_bytes": 20 * 1024}


def test_the_host(tmp_path: pathlib.Path) -> None:
    (tmp_path / "meminfo").write_text(
        "MemTotal:       24000000 kB\nMemFree:        1 kB\nMemAvailable:   12000000 kB\n"
        "SwapTotal:             0 kB\nSwapFree:              0 kB\nHugePages_Total:       0\n"
    )
    (tmp_path / "stat").write_text("cpu  1 2 3\ncpu0 1 2 3\ncpu1 1 2 3\nintr 5 5\nctxt 4\n")
    (tmp_path / "pressure").mkdir()
    (tmp_path / "pressure" / "io").write_text(
        "some avg10=99.00 avg60=12.34 avg300=1.00 total=5\nfull avg10=1.00 avg60=2.00 avg300=0.00 total=5\n"
    )
    assert read_host(str(tmp_path)) == {
        "memory_total_bytes": 24_000_000 * 1024,
        "memory_available_bytes": 12_000_000 * 1024,
        "swap_total_bytes": 0,
        "swap_free_bytes": 0,
        "processors": 2,
        "io_pressure_share": 0.1234,
    }


def test_a_host_that_shows_nothing(tmp_path: pathlib.Path) -> None:
    assert read_host(str(tmp_path)) == {}


def test_this_host() -> None:
    assert read_host()["memory_total_bytes"] > 0
    assert read_host()["processors"] >= 1


def test_a_kernel_that_refuses_to_measure_pressure(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(tmp_path / "pressure" / "io", OSError, monkeypatch)
    assert read_host(str(tmp_path)) == {}


def set_limit(sys: pathlib.Path, path: str, text: str) -> None:
    (sys / path).parent.mkdir(parents=True, exist_ok=True)
    (sys / path).write_text(text + "\n")


def test_the_smallest_limit_of_a_group_and_its_parents_counts(tmp_path: pathlib.Path) -> None:
    set_limit(tmp_path, "system.slice/matrix.service/memory.max", "max")
    assert memory_limit("0::/system.slice/matrix.service\n", str(tmp_path)) is None
    set_limit(tmp_path, "system.slice/memory.max", "4000000000")
    assert memory_limit("0::/system.slice/matrix.service\n", str(tmp_path)) == 4_000_000_000
    set_limit(tmp_path, "system.slice/matrix.service/memory.max", "2000000000")
    assert memory_limit("0::/system.slice/matrix.service\n", str(tmp_path)) == 2_000_000_000
    # In a container, the root of the visible groups has a limit.
    set_limit(tmp_path, "memory.max", "1000000000")
    assert memory_limit("0::/system.slice/matrix.service\n", str(tmp_path)) == 1_000_000_000
    assert memory_limit("0::/\n", str(tmp_path)) == 1_000_000_000
    assert memory_limit("0::/gone\n", str(tmp_path)) == 1_000_000_000


@pytest.mark.parametrize("line", ["4:memory:/a/b", "4:memory,cpu:/a/b", "4:cpu,memory:/a/b"])
def test_limits_of_version_1(tmp_path: pathlib.Path, line: str) -> None:
    set_limit(tmp_path, "memory/a/b/memory.limit_in_bytes", "9223372036854771712")
    assert memory_limit(f"{line}\n0::/\n", str(tmp_path)) is None
    set_limit(tmp_path, "memory/a/memory.limit_in_bytes", "500000000")
    assert memory_limit(f"1:cpu:/\n{line}\n0::/\n", str(tmp_path)) == 500_000_000


def test_both_versions_at_once(tmp_path: pathlib.Path) -> None:
    set_limit(tmp_path, "unified/a/memory.max", "300000000")
    set_limit(tmp_path, "memory/memory.limit_in_bytes", "500000000")
    assert memory_limit("4:memory:/\n0::/a\n", str(tmp_path)) == 300_000_000


@pytest.mark.parametrize(
    "text",
    ["", "\n", "0", "0:", "0::", "::", "0::/a\0b", "0::/../../etc", "0::/a/../..", "1:name=systemd:/a", "4:memory:/.."],
)
def test_groups_that_cannot_be_seen(tmp_path: pathlib.Path, text: str) -> None:
    set_limit(tmp_path, "etc/memory.max", "5")
    set_limit(tmp_path, "a/memory.max", "5")
    assert memory_limit(text, str(tmp_path / "sys")) is None


def test_a_group_outside_of_the_directory_is_not_read(tmp_path: pathlib.Path) -> None:
    set_limit(tmp_path, "memory.max", "5")
    set_limit(tmp_path, "sys/memory.max", "6")
    set_limit(tmp_path, "sys/memory/memory.limit_in_bytes", "6")
    assert memory_limit("0::/..\n4:memory:/../..\n", str(tmp_path / "sys")) is None


@pytest.mark.parametrize("text", ["", "0", "-5", "NaN", "1e5", "9" * 30, "\u0663"])
def test_limits_that_are_not_limits(tmp_path: pathlib.Path, text: str) -> None:
    set_limit(tmp_path, "memory.max", text)
    assert memory_limit("0::/", str(tmp_path)) is None


def test_a_group_that_contains_a_colon(tmp_path: pathlib.Path) -> None:
    set_limit(tmp_path, "a:b/memory.max", "7")
    assert memory_limit("0::/a:b", str(tmp_path)) == 7

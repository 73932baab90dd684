# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import time

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.clock import Clock, read_clock


def test_both_clocks_of_this_host() -> None:
    clock = read_clock()
    assert clock.boottime == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=10)
    assert clock.wall == pytest.approx(time.time(), abs=10)
    assert clock.boot_id == pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_a_kernel_without_a_boot_id(tmp_path: pathlib.Path) -> None:
    assert read_clock(str(tmp_path)).boot_id is None


def test_the_wall_time_of_a_moment_of_the_boot() -> None:
    assert Clock("a", 100.0, 5000.0).wall_time(70.5) == 4970.5

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The two clocks of a host: the wall clock, which administrators and time servers set, and the clock of the boot.

Relies on Linux: the kernel records the start of a process on the clock CLOCK_BOOTTIME (proc(5), `starttime`), but the
times of files on the wall clock. The difference between the clocks changes only when the wall clock is set.
"""

from __future__ import annotations

import os
import time
import typing as t


class Clock(t.NamedTuple):
    """One reading: `boottime` in seconds since the boot `boot_id` (None if unknown), `wall` in seconds since 1970."""

    boot_id: str | None
    boottime: float
    wall: float

    def wall_time(self, boottime: float) -> float:
        """Return the time of the wall clock at `boottime`, if it was not set between then and this reading."""
        return self.wall + boottime - self.boottime


def read_clock(proc: str = "/proc") -> Clock:
    """Return the current time of both clocks."""
    return Clock(_boot_id(proc), time.clock_gettime(time.CLOCK_BOOTTIME), time.time())


def _boot_id(proc: str) -> str | None:
    try:
        with open(os.path.join(proc, "sys", "kernel", "random", "boot_id"), encoding="ascii") as file:
            return file.read().strip() or None
    except OSError:
        return None

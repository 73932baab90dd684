# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Finds mounted file systems, whose content must not be removed with the directory that contains them."""

from __future__ import annotations

import os
import re

_TABLE = "/proc/self/mountinfo"


def mount_points(table: str = _TABLE) -> frozenset[str]:
    """Return the mount points, including bind mounts. `table`: the file in which the kernel lists them.

    Empty if the kernel does not list them. Then a removal stays on the file system on which it begins.
    """
    try:
        # As bytes: names may contain bytes that are not text, or that end a line of text.
        with open(table, "rb") as file:
            fields = [line.split(b" ") for line in file]
    except OSError:
        return frozenset()
    return frozenset(_plain(field[4]) for field in fields if len(field) > 4)


def mounted_in(path: str, points: frozenset[str]) -> str | None:
    """Return a mount point that `path` is or contains, or None. `points`: as `mount_points` returns them."""
    return next((point for point in sorted(points) if point == path or point.startswith(f"{path}/")), None)


def real_path(descriptor: int) -> str | None:
    """Return the path of an open directory without links, as the kernel shows it, or None."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return None


def _plain(name: bytes) -> str:
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found.group(1), 8)]), name))

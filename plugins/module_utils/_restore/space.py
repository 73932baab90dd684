# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether the disks have room for what a restore writes, before it writes anything."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError

# In bytes: for what the files need in addition to their content, and for the first log of the server.
MARGIN = 64 * 1024 * 1024
# In bytes. PostgreSQL keeps max_wal_size of what it logs: 1 GiB, unless it is configured.
_MOST_LOGGED = 1024**3
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


class Need(t.NamedTuple):
    """How many bytes will be written below a directory, which may not exist yet."""

    path: str
    size: int


def need_of_postgresql(data: str, size: int) -> Need:
    """Return what a database that had `size` bytes needs in the data directory of PostgreSQL, with what is logged."""
    return Need(data, size + min(size, _MOST_LOGGED))


def require_space(needs: t.Iterable[Need]) -> None:
    """Raise InvalidInput that names the first file system with too little space. Raises SynapseError if it is unseen.

    Several directories may be on the same file system.
    """
    wanted: dict[int, tuple[str, int]] = {}
    for need in needs:
        place = _existing(need.path)
        try:
            device = os.stat(place).st_dev
        except OSError as error:
            raise SynapseError(f"{place} cannot be examined: {error.strerror}.") from error
        path, size = wanted.get(device, (place, 0))
        wanted[device] = path, size + need.size
    for path, size in wanted.values():
        status = os.statvfs(path)
        free = status.f_bavail * status.f_frsize
        if size + MARGIN > free:
            raise InvalidInput(
                f"The restore needs {shown(size + MARGIN)} on the file system of {path}, which has only {shown(free)}"
                " free. Nothing was changed. Free space there, or use a larger disk."
            )


def shown(size: int) -> str:
    """Return a size as a person reads it."""
    amount, unit = float(size), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.0f} {_UNITS[unit]}" if unit == 0 else f"{amount:.1f} {_UNITS[unit]}"


def _existing(path: str) -> str:
    while path != "/" and not os.path.exists(path):
        path = os.path.dirname(path)
    return path

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Space is added up for each file system."""

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.space import (
    MARGIN,
    Need,
    need_of_postgresql,
    require_space,
    shown,
)


def test_the_needs_of_one_file_system_are_added(tmp_path: pathlib.Path) -> None:
    status = os.statvfs(tmp_path)
    free = status.f_bavail * status.f_frsize
    half = (free - MARGIN) // 2 + MARGIN // 2 + 4096
    require_space([Need(str(tmp_path), half)])
    with pytest.raises(InvalidInput, match="The restore needs .* on the file system of"):
        require_space([Need(str(tmp_path / "missing" / "a"), half), Need(str(tmp_path), half + 1024**2)])
    require_space([])


def test_sizes() -> None:
    assert [shown(size) for size in (0, 1023, 1024, 1536 * 1024**2)] == ["0 bytes", "1023 bytes", "1.0 KiB", "1.5 GiB"]


def test_what_postgresql_logs_needs_space_too() -> None:
    assert need_of_postgresql("/data", 1000) == Need("/data", 2000)
    assert need_of_postgresql("/data", 8 * 1024**3) == Need("/data", 9 * 1024**3)

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import tempfile
import typing as t

import pytest


@pytest.fixture
def short_path() -> t.Iterator[pathlib.Path]:
    """Return a directory whose path leaves room for the name of a Unix socket, which Linux limits to 107 bytes."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        yield pathlib.Path(directory)

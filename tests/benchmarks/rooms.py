# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rooms: their list against its raw pages, and the estimate of the biggest ones against the SQL of the FAQ."""

from __future__ import annotations

import json
import os
import tempfile
import typing as t
from pathlib import Path

import room_list
from commands import execute
from machine import REPOSITORY, postgresql_bin
from measurement import Figure, Measurement
from stage import staged
from virtual_environments import ENVIRONMENTS

_SERVERS = REPOSITORY / "tests" / "integration" / "targets" / "setup_synapse" / "files"
_MEASURING = Path(__file__).resolve().with_name("state_rows.py")


def measure() -> t.Iterator[Measurement]:
    """Yield the measurements of this group.

    They need some five minutes, and four gigabytes below the directory for temporary files. Raises CannotRun,
    InstallationFailed, or Failed.
    """
    yield from room_list.measure()
    python = ENVIRONMENTS["synapse"].build() / "bin" / "python"
    # PostgreSQL and Synapse are stopped by what they are started with, which knows its directories by this name.
    with staged() as collection, tempfile.TemporaryDirectory(prefix="matrix_ops_synapse_test_bench_") as directory:
        os.chmod(directory, 0o711)
        environment = {"PYTHONPATH": f"{collection.parents[2]}:{_SERVERS}"}
        printed = execute([python, _MEASURING, "measure", directory, postgresql_bin()], Path(directory), environment)
    for measured in json.loads(printed.splitlines()[-1]):
        ours, alternative = (Figure(tuple(measured.pop(name))) for name in ("ours", "alternative"))
        yield Measurement(ours=ours, alternative=alternative, **measured)

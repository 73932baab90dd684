# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a test suite is."""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Suite:
    """A suite with its name.

    `run`: takes a copy of the collection of its own, and returns lines to show. Raises Failed, CannotRun,
    InstallationFailed or Stopped.
    """

    name: str
    run: t.Callable[[Path], t.Sequence[str]]

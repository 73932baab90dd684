# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wait for what is done in the background, or by another process."""

from __future__ import annotations

import time
import typing as t

Found = t.TypeVar("Found")

_PATIENCE = 60.0
_PAUSE = 0.05


def until(look: t.Callable[[], Found], holds: t.Callable[[Found], bool], pause: float = _PAUSE) -> Found:
    """Look again and again until what is found holds, and return it. Raises AssertionError if it never does.

    `pause`: seconds between two looks.
    """
    deadline = time.monotonic() + _PATIENCE
    while not holds(found := look()):
        assert time.monotonic() < deadline, found
        time.sleep(pause)
    return found

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Sizes in the configuration, as Synapse 1.163 reads them (parse_size in synapse/config/_base.py and cache.py)."""

from __future__ import annotations

import typing as t

_SUFFIXES = {"K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


def parse_size(value: t.Any) -> int:
    """Return a size in bytes or entries: a number, or text such as 10K. Raises ValueError."""
    text = str(value)
    return int(text[:-1]) * _SUFFIXES[text[-1]] if text[-1:] in _SUFFIXES else int(text)

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Patterns in Synapse's configuration and account data: * is any text, ? is one character, case does not matter.

Relies on glob_to_regex of the Python package matrix-common, which Synapse 1.163 uses.
"""

from __future__ import annotations

import re

_WILDCARDS = re.compile(r"([?*]+)")


def glob_pattern(glob: str) -> re.Pattern[str]:
    """Return a regular expression that matches the whole of a text if the pattern does."""
    parts = [_wildcards(part) if _WILDCARDS.fullmatch(part) else re.escape(part) for part in _WILDCARDS.split(glob)]
    return re.compile(rf"\A({''.join(parts)})\Z", re.IGNORECASE)


def _wildcards(run: str) -> str:
    least = run.count("?")
    return f".{{{least},}}" if "*" in run else f".{{{least}}}"

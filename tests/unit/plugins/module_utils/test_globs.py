# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The patterns match what Synapse's match."""

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._globs import glob_pattern


@pytest.mark.parametrize(
    ("glob", "text", "matches"),
    [
        ("*", "", True),
        ("#a*", "#ABC", True),
        ("#a*", "x#abc", False),
        ("#a?", "#a", False),
        ("#a?", "#ab", True),
        ("#a?", "#abc", False),
        ("#a?*?", "#ab", False),
        ("#a?*?", "#abcd", True),
        ("#a.c", "#abc", False),
        ("#a", "#a\n", False),
        ("#a*c", "#a\nc", False),
        ("", "a", False),
    ],
)
def test_matches(glob: str, text: str, matches: bool) -> None:
    assert bool(glob_pattern(glob).match(text)) is matches

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.declared import bytes_of, seconds_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("90", 90), ("90s", 90), ("2m", 120), ("1h", 3600), (" 7d ", 604800), ("1w", 604800)],
)
def test_durations(text: str, seconds: int) -> None:
    assert seconds_of(text, "max_age") == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("5", 5), ("2K", 2048), ("3M", 3 << 20), ("1G", 1 << 30), ("1T", 1 << 40)]
)
def test_sizes(text: str, size: int) -> None:
    assert bytes_of(text, "margin") == size


@pytest.mark.parametrize("text", ["", "-1", "1.5h", "1 h", "h", "1y", "٣d", "9999999999"])
def test_what_is_not_a_duration(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^keep_within .* is not a duration"):
        seconds_of(text, "keep_within")


@pytest.mark.parametrize("text", ["", "-1", "1GB", "G", "1 G", "1g"])
def test_what_is_not_a_size(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^margin .* is not a size"):
        bytes_of(text, "margin")

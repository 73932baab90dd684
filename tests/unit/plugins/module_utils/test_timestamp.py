# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Points in time as milliseconds since 1970 and as ISO 8601."""

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import (
    iso_time,
    returned_seconds,
    returned_time,
    timestamp,
)

YEAR_10000 = 253_402_300_800_000


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_700_000_000_999, "2023-11-14T22:13:20Z"),
        (YEAR_10000 - 1, "9999-12-31T23:59:59Z"),
        (YEAR_10000, None),
        (2**80, None),
        (None, None),
    ],
)
def test_iso_time(milliseconds: int | None, text: str | None) -> None:
    assert iso_time(milliseconds) == text


def test_returned_time() -> None:
    assert returned_time("seen", 1_700_000_000_999) == {"seen": "2023-11-14T22:13:20Z", "seen_ts": 1_700_000_000_999}
    assert returned_time("seen", 0) == {"seen": "1970-01-01T00:00:00Z", "seen_ts": 0}
    assert returned_time("seen", YEAR_10000) == {"seen_ts": YEAR_10000}
    assert returned_time("seen", None) == {}
    assert returned_seconds("seen", 1_700_000_000.9994) == returned_time("seen", 1_700_000_000_999)
    assert returned_seconds("seen", None) == {}


@pytest.mark.parametrize(
    ("value", "found"),
    [(1, 1), (YEAR_10000 - 1, YEAR_10000 - 1), (YEAR_10000, None), (0, None), (-1, None), (True, None), ("1", None)],
)
def test_timestamp(value: object, found: int | None) -> None:
    assert timestamp(value) == found

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Points of time: Synapse counts milliseconds, people read calendars."""

from __future__ import annotations

import datetime

# The year 10000, which no calendar here has.
_FIRST_INVALID_MS = 253_402_300_800_000
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def iso_time(milliseconds: int | None) -> str | None:
    """Return a point of time (ms since 1970) as text in UTC, such as 2026-01-31T12:00:00Z.

    None if there is none, or if no calendar has it: then something else than Synapse has written it.
    """
    if milliseconds is None:
        return None
    try:
        moment = _EPOCH + datetime.timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def timestamp(value: object) -> int | None:
    """Return `value` if it is a time in milliseconds since 1970, else None."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < _FIRST_INVALID_MS:
        return None
    return value

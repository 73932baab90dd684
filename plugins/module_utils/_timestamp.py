# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Points in time: Synapse stores milliseconds since 1970, modules return both these and ISO 8601."""

from __future__ import annotations

import datetime

# The start of the year 10000, which `datetime` does not support.
_FIRST_INVALID_MS = 253_402_300_800_000
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def iso_time(milliseconds: int | None) -> str | None:
    """Return a point in time (milliseconds since 1970) as ISO 8601 in UTC, for example 2026-01-31T12:00:00Z.

    Returns None without a time, or if its year is not between 1 and 9999.
    """
    if milliseconds is None:
        return None
    try:
        moment = _EPOCH + datetime.timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def returned_time(name: str, milliseconds: int | None) -> dict[str, int | str]:
    """Return the values `<name>` (ISO 8601) and `<name>_ts` (milliseconds since 1970) of a result.

    Both are left out without a time, and `<name>` is left out if `iso_time` has no text for it.
    """
    if milliseconds is None:
        return {}
    text = iso_time(milliseconds)
    return {**({} if text is None else {name: text}), f"{name}_ts": milliseconds}


def returned_seconds(name: str, seconds: float | None) -> dict[str, int | str]:
    """Return what `returned_time` does, for a time in seconds since 1970."""
    return returned_time(name, None if seconds is None else round(seconds * 1000))


def timestamp(value: object) -> int | None:
    """Return `value` if it is a time in milliseconds since 1970, else None."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < _FIRST_INVALID_MS:
        return None
    return value

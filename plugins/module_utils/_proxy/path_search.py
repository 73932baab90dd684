# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Which encoded characters a proxy refuses, found with few requests."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_answers import CHARACTERS, FOREIGN, INTACT
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_asked import Asked


def passing(rows: t.Iterable[Asked]) -> set[str]:
    """Return the encoded characters that arrived in paths, in upper case."""
    passed = [row for row in rows if row.outcome.state == INTACT and row.probe.purpose == CHARACTERS]
    return {code.upper() for row in passed for code in row.probe.characters}


def search(rows: t.Iterable[Asked], group: str, refuses: t.Callable[[list[str]], bool | None]) -> None:
    """Find out by halves which characters are refused, beginning with the smallest refused request of a group.

    `rows`: all of a site. `refuses`: sends a request with these characters, and returns None if it cannot, which ends
    the search.
    """
    tried = [row for row in rows if row.probe.purpose == CHARACTERS]
    own = [row for row in tried if row.probe.group == group]
    passed = passing(tried)
    refused = [
        [code for code in row.probe.characters if code.upper() not in passed]
        for row in own
        if row.outcome.state == FOREIGN
    ]
    if not refused:
        return
    known = min(refused, key=len)
    rest = list(dict.fromkeys(code for codes in refused for code in codes if code not in known))
    waiting = [known]
    if rest:
        is_refused = refuses(rest) if known else None
        if is_refused is None:
            return
        waiting += [rest] if is_refused else []
    while waiting:
        codes = waiting.pop(0)
        half = (len(codes) + 1) // 2
        first, second = codes[:half], codes[half:]
        if not second:
            continue
        is_first = refuses(first)
        # If the first half passes, the other one does not.
        is_second = refuses(second) if is_first else True
        if is_first is None or is_second is None:
            return
        waiting += [part for part, is_refused in ((first, is_first), (second, is_second)) if is_refused]

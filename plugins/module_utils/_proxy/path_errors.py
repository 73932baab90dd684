# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether a proxy replaces the errors of Synapse by pages of its own, or only answers itself.

A proxy that does not forward has one status for a group of paths. If it forwards and replaces the text, the statuses
are still those of Synapse, which differ from path to path. If it replaces the statuses too, Synapse itself has to be
compared: then one path is answered by Synapse or by a page, as the query makes Synapse answer.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_answers import (
    FOREIGN,
    INTACT,
    SLASHES,
    Outcome,
    is_broken_line,
    is_page_of_synapse,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_asked import Asked

_REDIRECT, _LEAST = 300, 400
# A proxy that knows the methods of each path answers 405 itself, so a page with it proves nothing.
_ALSO_OF_PROXIES = 405


def replaced(pairs: t.Sequence[tuple[Asked, Outcome]]) -> list[Asked]:
    """Return the requests to a site to which Synapse answered with an error that the proxy has replaced.

    `pairs`: with what the log or else the answer shows of the path.
    """
    rows = [row for row, _outcome in pairs]
    proven = {
        status
        for group in dict.fromkeys(row.probe.group for row in rows)
        for status in _pages(rows, group)
        if doubtful(rows, group) and is_proven(rows, group)
    }
    changed = {_status(row) for row in rows if is_moved(row, rows)}
    return [
        row
        for row, outcome in pairs
        if _is_page(row, with_redirects=outcome.state == INTACT or _status(row) in changed)
        and (
            outcome.is_logged
            or (_follows(row) and _status(row) in proven - _passing(rows, row.probe.group))
            or (_status(row) in changed and outcome.state == FOREIGN)
        )
    ]


def is_moved(row: Asked, rows: t.Iterable[Asked]) -> bool:
    """Whether a page took the place of an error of Synapse on a path that the proxy forwards, with any status."""
    if not _is_page(row, with_redirects=True) or row.control is None or row.probe.read(row.control).state != INTACT:
        return False
    path = _path(row)
    return any(other.outcome.state == INTACT and _path(other) == path for other in rows)


def doubtful(rows: t.Iterable[Asked], group: str) -> set[int]:
    """Return the statuses with which only pages came back in a group, and for which Synapse has an error."""
    return _pages(rows, group) - {_ALSO_OF_PROXIES}


def is_proven(rows: t.Iterable[Asked], group: str) -> bool:
    """Whether the statuses of a group are those of Synapse. Nobody needs paths with //, which a proxy may refuse."""
    own = [row for row in rows if row.probe.group == group and row.probe.purpose != SLASHES]
    return len({_status(row) for row in own if _follows(row) and row.probe.status >= _LEAST}) > 1


def _pages(rows: t.Iterable[Asked], group: str) -> set[int]:
    own = [row for row in rows if row.probe.group == group]
    found = {_status(row) for row in own if _is_page(row) and _follows(row) and row.probe.purpose != SLASHES}
    return found - _passing(own, group)


def _path(row: Asked) -> str:
    return row.probe.target.partition("?")[0]


def _follows(row: Asked) -> bool:
    return _status(row) == row.probe.status


def _status(row: Asked) -> int:
    return row.answer.status if isinstance(row.answer, Answer) else 0


def _passing(rows: t.Iterable[Asked], group: str) -> set[int]:
    return {
        row.answer.status
        for row in rows
        if row.probe.group == group and isinstance(row.answer, Answer) and row.answer.errcode
    }


def _is_page(row: Asked, with_redirects: bool = False) -> bool:
    """Whether an answer is no error of Synapse where it has one. Some proxies send their pages with 200."""
    answer = row.answer
    if not isinstance(answer, Answer) or row.is_busy or row.is_same or row.probe.status < _LEAST:
        return False
    is_redirect = _REDIRECT <= answer.status < _LEAST
    if answer.status < _LEAST and ((is_redirect and not with_redirects) or row.outcome.state != FOREIGN):
        return False
    is_own = answer.errcode or is_page_of_synapse(answer) or is_broken_line(row.probe, answer)
    # A password is asked for by the proxy itself.
    return not is_own and not answer.header("WWW-Authenticate")

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether a proxy does not reach the process to which it sends some paths, or is only too busy for a while."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import FIX_LIMIT, fix_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_asked import Asked, is_busy
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.recognition import BACKEND_FAILED

# 52x and 530 are those of Cloudflare.
_TOO_MANY, _NOT_NOW = 429, 503
# In seconds: a proxy that takes so long has tried more than once.
_SLOW = 1.0
AGAIN = "Run the task again."


def is_unreached(answer: Answer | NoAnswer | None) -> bool:
    """Whether an answer is that of a proxy that does not reach Synapse. Limits often say how long."""
    if not isinstance(answer, Answer) or answer.errcode or answer.header("Retry-After"):
        return False
    return answer.status in BACKEND_FAILED


def suspected(rows: t.Iterable[Asked], group: str) -> list[Asked]:
    """Return the requests of a group with such an answer."""
    return [row for row in rows if row.probe.group == group and is_unreached(row.answer)]


def is_hopeless(rows: t.Iterable[Asked], group: str) -> bool:
    """Whether the first two requests of a group had such an answer. Some proxies need seconds for each."""
    return len(suspected(rows, group)) > 1


def is_slow(rows: t.Sequence[Asked]) -> bool:
    """Whether the proxy needed so long for these requests that there is no need to send one again."""
    return len(rows) > 1 and all(isinstance(row.answer, Answer) and row.answer.seconds >= _SLOW for row in rows)


def unreached(rows: t.Sequence[Asked]) -> list[Asked]:
    """Return the requests to a site for which the proxy does not reach Synapse, while it does for others.

    A group counts only if the same request failed twice, before and after another one that passed. If also others have
    failed, the proxy limits requests, or Synapse was restarted. If Synapse itself does not answer, it is not the proxy.
    """
    lasting: list[Asked] = []
    for group in dict.fromkeys(row.probe.group for row in rows):
        failed = suspected(rows, group)
        if is_slow(failed) or any(is_unreached(row.again) for row in failed):
            lasting += failed
    others = [row for row in rows if row not in lasting]
    has_passed = any(row.again is not None and not is_busy(row.again) for row in others)
    if not has_passed or any(row.is_busy for row in others):
        return []
    if any(row.control is not None and is_busy(row.control) for row in lasting):
        return []
    return lasting


def why_busy(answer: Answer | NoAnswer) -> tuple[str, str]:
    """Return why a request was not answered as the others, and what to do about it."""
    if isinstance(answer, NoAnswer):
        return answer.reason, fix_of(answer)
    if is_limit(answer):
        return f"the proxy limits the rate of requests (status {answer.status})", FIX_LIMIT
    if answer.status == _TOO_MANY:
        return "Synapse limits the rate of requests (status 429)", AGAIN
    if answer.status == _NOT_NOW and not answer.errcode:
        # The first requests to each site passed before. This is what nginx answers by default.
        return f"the proxy probably limits the rate of requests (status {answer.status})", FIX_LIMIT
    return f"the answer is {answer.status} {answer.errcode}".rstrip(), AGAIN


def is_limit(answer: Answer) -> bool:
    """Whether an answer is surely that of a proxy that limits requests."""
    is_told = answer.status == _NOT_NOW and bool(answer.header("Retry-After"))
    return not answer.errcode and (answer.status == _TOO_MANY or is_told)

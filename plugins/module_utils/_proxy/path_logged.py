# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What the access log of Synapse shows of the requests of path_probes."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_answers import CHANGED, INTACT, Outcome
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_asked import Asked
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_change import SAME, describe_change

# Synapse writes no tokens into its log (synapse/http/__init__.py, redact_uri).
_TOKEN = re.compile(r"(\?.*access(?:_|%5[Ff])token=)[^&]*")


class Arrival(t.Protocol):
    """What the access log shows of a request."""

    @property
    def uri(self) -> str:
        """The path and the query as they arrived."""


class Arrivals(t.Protocol):
    """What the access log shows of all requests."""

    @property
    def reason(self) -> str:
        """Why there is nothing although there is a log, "" otherwise."""

    @property
    def fix(self) -> str:
        """What to do about that."""

    def get(self, tag: str) -> Arrival | None:
        """Return what is known of the request with that tag."""


def as_logged(target: str) -> str:
    """Return a target as Synapse writes it into its access log."""
    return _TOKEN.sub(r"\1<redacted>", target)


def with_log(row: Asked, arrivals: Arrivals) -> Outcome:
    """Return what the log shows of a request, or else what the answer shows."""
    arrival = arrivals.get(row.answer.tag)
    if arrival is None:
        return row.outcome
    change = describe_change(as_logged(row.probe.target), as_logged(arrival.uri))
    return Outcome(INTACT if change.kind == SAME else CHANGED, change, arrival.uri, is_logged=True)

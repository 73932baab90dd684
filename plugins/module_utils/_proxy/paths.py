# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether the paths and queries of each group reach Synapse byte for byte."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import Found
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_asked import Asked
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_asking import Asking
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_backend import is_unreached
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_logged import Arrivals
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_verdicts import judge
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import Subject

# With the six of signed.py it is less than half of what a run may send.
MOST_REQUESTS = 22


class PathsAsked(t.NamedTuple):
    """The requests and the answers. `is_signed`: whether signed requests show the rest for the group federation."""

    rows: tuple[Asked, ...]
    is_signed: bool = False

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of the requests to the sites that can be in the access log."""
        return tuple(row.answer.tag for row in self.rows if not is_unreached(row.answer))


def ask_paths(subject: Subject) -> PathsAsked:
    """Send the requests to each site, and those with another answer than expected to Synapse itself.

    At most MOST_REQUESTS, several at the same time. A group that no site has is left out.
    """
    asking = Asking(subject, MOST_REQUESTS)
    asking.ask_first()
    asking.follow_up()
    return PathsAsked(tuple(asking.rows), subject.signer is not None)


def judge_paths(asked: PathsAsked, arrivals: Arrivals) -> Found:
    """Return what is wrong. `arrivals`: what the access log shows of the requests; it takes precedence over answers."""
    return judge(asked.rows, arrivals, asked.is_signed)

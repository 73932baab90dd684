# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What would make a slow Synapse faster, in the order of the FAQ of Synapse, with the figures that prove it.

The order: the version, PostgreSQL, the factor of the caches, jemalloc, presence, the limit of open files; then the
connections to the database, the event loop, and workers last. There is no advice without evidence: a figure that is
unknown, or that is an average of too little work, gives none. The thresholds are documented in `Thresholds`.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.advice_caches import advise_on_caches
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.advice_figures import Found
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.advice_limits import (
    advise_on_database_engine,
    advise_on_file_limit,
    advise_on_jemalloc,
    advise_on_presence,
    advise_on_version,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.advice_load import (
    advise_on_database,
    advise_on_event_loop,
    advise_on_workers,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.advice_thresholds import Thresholds

__all__ = ["Thresholds", "advise"]

_TOPICS = (
    advise_on_version,
    advise_on_database_engine,
    advise_on_caches,
    advise_on_jemalloc,
    advise_on_presence,
    advise_on_file_limit,
    advise_on_database,
    advise_on_event_loop,
    advise_on_workers,
)


def advise(found: Found, thresholds: Thresholds) -> list[dict[str, t.Any]]:
    """Return the advice for a Synapse: `topic`, `advice`, `evidence` (sentences) and `variables` (of roles).

    `found`: what RuntimeReader returns, and `database_engine`, the name of the database in the configuration. Each key
    of it can be missing. The list is empty if nothing was found that would help.
    """
    return [advice._asdict() for topic in _TOPICS for advice in topic(found, thresholds)]

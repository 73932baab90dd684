# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The requests of clients that wait on purpose until something happens, so that a long time does not mean slow.

Relies on synapse/rest/client/sync.py and events.py of Synapse 1.163. Metrics name the class that answers, the log
has the path.
"""

from __future__ import annotations

# By the class, which is the label `servlet` of the metrics: the path behind /_matrix/client and the version.
LONG_POLLS = {
    "SyncRestServlet": "sync",
    "SlidingSyncRestServlet": "org.matrix.simplified_msc3575/sync",
    "EventStreamRestServlet": "events",
}

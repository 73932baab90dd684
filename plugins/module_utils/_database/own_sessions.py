# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The sessions that a killed run has left in PostgreSQL, where its last statement may still work, and be committed."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database

# In seconds. What was killed has nothing left to do.
_PATIENCE = 30.0
_BETWEEN = 0.2

_OTHERS = """
    FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = ? AND pid <> pg_backend_pid()
"""
_END = f"SELECT pg_terminate_backend(pid) {_OTHERS}"
_COUNT = f"SELECT count(*) {_OTHERS}"


def end_sessions(connect: t.Callable[[], t.ContextManager[Database]], application: str) -> bool:
    """End the other sessions of a database that have this application_name, and return whether they are gone.

    `connect`: opens a connection to the database, as the user of those sessions. Raises ConnectionFailed.
    """
    until = time.monotonic() + _PATIENCE
    with connect() as database:
        database.rows(_END, application)
    while True:
        # A transaction would see the same sessions until its end.
        with connect() as database:
            [(number,)] = database.rows(_COUNT, application)
        if not number or time.monotonic() > until:
            return not number
        time.sleep(_BETWEEN)

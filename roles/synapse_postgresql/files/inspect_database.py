# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Synapse gets if it connects to its database."""

from __future__ import annotations

import contextlib
import typing as t

import psycopg2

from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files.child_process import words_of

# As JSON, because the columns are not the same in every version.
_QUERY = """
    SELECT to_jsonb(d) || jsonb_build_object(
        'encoding', pg_encoding_to_char(encoding),
        'owner', pg_get_userbyid(datdba),
        'version', current_setting('server_version_num')::int,
        'user', current_user,
        'superuser', current_setting('is_superuser') = 'on',
        'can_create', coalesce(has_schema_privilege(current_schema(), 'CREATE'), false),
        'schema_owner', (SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'public'),
        'read_only', current_setting('transaction_read_only') = 'on',
        'max_connections', current_setting('max_connections')::int,
        'reserved', current_setting('superuser_reserved_connections')::int
            + coalesce(current_setting('reserved_connections', true), '0')::int,
        'role_limit', (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user))
    FROM pg_database d WHERE datname = current_database()
"""


def answer(question: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the properties of the database, or `error`, the words of PostgreSQL. `arguments`: those of Synapse."""
    try:
        connected = contextlib.closing(psycopg2.connect(connect_timeout=10, **question["arguments"]))
        with connected as connection, connection.cursor() as cursor:
            cursor.execute(_QUERY)
            return {**cursor.fetchone()[0], "error": ""}
    except psycopg2.Error as error:
        return {"error": words_of(error)}

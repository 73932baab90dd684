# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Say what a PostgreSQL database looks like, as JSON. How to connect to it comes as JSON on standard input."""

from __future__ import annotations

import json
import sys

import psycopg2

QUERY = """
    SELECT current_setting('server_version_num')::int, pg_encoding_to_char(encoding), datcollate, datctype
    FROM pg_database WHERE datname = current_database()
"""

answer = dict.fromkeys(("error", "version", "encoding", "collation", "character_type"))
try:
    connection = psycopg2.connect(connect_timeout=10, **json.load(sys.stdin))
    with connection, connection.cursor() as cursor:
        cursor.execute(QUERY)
        names = ("version", "encoding", "collation", "character_type")
        answer.update(zip(names, cursor.fetchone()))
    connection.close()
except psycopg2.Error as error:
    answer["error"] = " ".join(str(error).split())
print(json.dumps(answer))

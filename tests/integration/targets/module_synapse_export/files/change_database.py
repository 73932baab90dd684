# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run one statement in the database of a server.

change_database.py DATABASE STATEMENT
    DATABASE: as setup_synapse describes it, as JSON.
"""

from __future__ import annotations

import json
import sys


def main(database: str, statement: str) -> None:
    """Run the statement and keep what it does."""
    arguments = json.loads(database)
    if arguments.pop("name") == "sqlite3":
        import sqlite3

        connection = sqlite3.connect(**arguments)
    else:
        import psycopg2

        connection = psycopg2.connect(**arguments)
    connection.cursor().execute(statement)
    connection.commit()
    connection.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take the rights of a server admin from every account in the database, behind the back of the running server.

demote_everybody.py DATABASE
    DATABASE: as setup_synapse describes it, as JSON.
"""

from __future__ import annotations

import json
import sys


def main(database: str) -> None:
    """Take them."""
    arguments = json.loads(database)
    if arguments.pop("name") == "sqlite3":
        import sqlite3

        connection = sqlite3.connect(**arguments, timeout=30)
    else:
        import psycopg2

        connection = psycopg2.connect(**arguments)
    connection.cursor().execute("UPDATE users SET admin = 0")
    connection.commit()
    connection.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

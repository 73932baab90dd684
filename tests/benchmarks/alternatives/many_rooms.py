# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts rooms into the database of a Synapse: many_rooms.py DATABASE_FILE NUMBER. Prints their number as JSON."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

import psycopg2

_STATEMENTS = (
    "INSERT INTO rooms (room_id, is_public, creator, room_version, has_auth_chain_index)"
    " SELECT '!room' || n || ':bench.test', n %% 5 = 0, '@person' || n %% 100 || ':bench.test', '11', true"
    " FROM generate_series(1, %s) AS n",
    "INSERT INTO room_stats_state (room_id, name, canonical_alias, join_rules, history_visibility, is_federatable)"
    " SELECT '!room' || n || ':bench.test', 'Room ' || n, '#room' || n || ':bench.test', 'public', 'shared', true"
    " FROM generate_series(1, %s) AS n",
    "INSERT INTO room_stats_current (room_id, current_state_events, joined_members, invited_members, left_members,"
    " banned_members, local_users_in_room, completed_delta_stream_id, knocked_members)"
    " SELECT '!room' || n || ':bench.test', n %% 97, n %% 89, 0, 0, 0, n %% 13, 1, 0 FROM generate_series(1, %s) AS n",
)


def main(database_file: str, number: str) -> None:
    """Put them there."""
    arguments = {name: value for name, value in json.loads(Path(database_file).read_text()).items() if name != "name"}
    with contextlib.closing(psycopg2.connect(**arguments)) as connection:
        with connection.cursor() as cursor:
            for statement in _STATEMENTS:
                cursor.execute(statement, (int(number),))
        connection.commit()
    print(json.dumps({"count": int(number)}))


if __name__ == "__main__":
    main(*sys.argv[1:])

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Puts media into the store and the SQLite database of a Synapse, as if they had been uploaded.

many_media.py DATABASE MEDIA_STORE USER_ID NUMBER SIZE
    Each has SIZE random bytes. Prints the media IDs as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import sqlite3
import string
import sys
from pathlib import Path

_INSERT = (
    "INSERT INTO local_media_repository (media_id, media_type, media_length, created_ts, user_id, authenticated)"
    " VALUES (?, 'application/octet-stream', ?, 1700000000000, ?, TRUE)"
)


def main(database: str, store: str, user_id: str, number: str, size: str) -> None:
    """Put them there."""
    generator = random.Random(1)
    media_ids = ["".join(generator.choices(string.ascii_letters, k=24)) for _number in range(int(number))]
    for media_id in media_ids:
        path = Path(store, "local_content", media_id[:2], media_id[2:4], media_id[4:])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(int(size)))
    with contextlib.closing(sqlite3.connect(database, timeout=60)) as connection:
        connection.executemany(_INSERT, [(media_id, int(size), user_id) for media_id in media_ids])
        connection.commit()
    print(json.dumps({"media_ids": media_ids}))


if __name__ == "__main__":
    main(*sys.argv[1:])

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import pathlib
import sqlite3
import typing as t
import zlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup import verification
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.archive_reader import unpacked_database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.decryption import Identity
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.sqlite_copy import open_place
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import StateNotReached, SynapseError
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._backup import made_archive


def _restore(pieces: t.Iterable[bytes]) -> dict[str, int]:
    assert b"".join(pieces) == made_archive.DATABASE
    return {"users": 2}


def test_a_whole_archive(tmp_path: pathlib.Path) -> None:
    path = made_archive.write(tmp_path / "synapse.tar")
    verification.verify_archive(str(path), Identity(), 1, _restore)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"users": 3}, "users has 2 rows instead of 3"),
        ({"users": 2, "rooms": 0}, "rooms has no rows instead of 0"),
        ({}, "users has 2 rows instead of none"),
        ({str(number): 1 for number in range(8)}, "and 4 more"),
    ],
)
def test_other_rows_than_at_the_time_of_the_backup(
    tmp_path: pathlib.Path, counts: dict[str, int], message: str
) -> None:
    path = made_archive.write(tmp_path / "synapse.tar", row_counts=counts)
    with pytest.raises(StateNotReached, match=message):
        verification.verify_archive(str(path), Identity(), 1, _restore)


def test_damage_after_the_database(tmp_path: pathlib.Path) -> None:
    path = made_archive.write(tmp_path / "synapse.tar")
    content = bytearray(path.read_bytes())
    content[-12_000] ^= 1
    path.write_bytes(content)
    with pytest.raises(SynapseError, match="is damaged"):
        verification.verify_archive(str(path), Identity(), 1, _restore)


def test_a_database_of_sqlite(tmp_path: pathlib.Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "homeserver.db")) as original:
        original.execute("CREATE TABLE users (name TEXT)")
        original.execute("INSERT INTO users VALUES ('alice')")
        original.commit()
    content = (tmp_path / "homeserver.db").read_bytes()
    with open_place(str(tmp_path / "homeserver.db")) as place:
        pieces = unpacked_database("sqlite", [zlib.compress(content)])
        assert verification.restore_sqlite(place, "homeserver.yaml", pieces) == {"users": 1}
        with pytest.raises(SynapseError, match="cannot be opened|is damaged"):
            verification.restore_sqlite(place, "homeserver.yaml", [b"SQLite format 3\0" + bytes(5000)])
        damaged = content[:100] + b"\xff" * 200 + content[300:]
        with pytest.raises(SynapseError, match="cannot be opened|is damaged"):
            verification.restore_sqlite(place, "homeserver.yaml", [damaged])

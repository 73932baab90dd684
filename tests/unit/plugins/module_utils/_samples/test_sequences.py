# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import sqlite3

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import (
    Database,
    DatabaseSettings,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._samples.sequences import (
    GENERATORS,
    Sequence,
    check_sequences,
    read_sequences,
    unknown_sequences,
)


@pytest.mark.parametrize(
    ("last", "largest", "position", "expected", "wanted"),
    [
        (0, 0, 0, "", 1),
        (5, 5, 5, "", 5),
        (9, 5, 7, "", 7),
        (5, 6, 0, "The sequence s is at 5, behind the largest id 6 in t.c: Synapse corrects it when it starts. ", 6),
        (5, 0, 6, "The sequence s is at 5, behind the position 6 of the stream n in stream_positions, so Synapse", 6),
        # Synapse compares the position with the sequence as it was.
        (5, 9, 6, "The sequence s is at 5, behind the position 6 of the stream n in stream_positions, so Synapse", 9),
    ],
)
def test_fault(last: int, largest: int, position: int, expected: str, wanted: int) -> None:
    sequence = Sequence("s", last, largest, position, ("t.c",), "n")
    assert sequence.wanted == wanted
    assert sequence.fault.startswith(expected)
    assert bool(sequence.fault) == bool(expected)
    if expected:
        assert sequence.fault.endswith(f" Stop Synapse, and run SELECT setval('s', {wanted}) in its database.")


def test_fault_that_synapse_does_not_see() -> None:
    sequence = Sequence("s", 1, 2, 0, ("t.c",), is_checked=False)
    assert "the next ids are already in use" in sequence.fault


def test_each_sequence_and_each_stream_once() -> None:
    names = [generator.sequence for generator in GENERATORS]
    streams = [generator.stream for generator in GENERATORS if generator.stream]
    assert len(set(names)) == len(names)
    assert len(set(streams)) == len(streams)


def test_sqlite_has_no_sequences(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "homeserver.db"
    sqlite3.connect(path).close()
    path.touch()
    with Database(DatabaseSettings("sqlite3", {"database": str(path)}, "/h.yaml")) as database:
        assert read_sequences(database) == []
        assert check_sequences(database) == []
        assert unknown_sequences(database) == []

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The judgement of sequences, compared with that of a real Synapse, which starts or refuses to."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import read_configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database, find_database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._samples.sequences import (
    GENERATORS,
    Sequence,
    check_sequences,
    read_sequences,
    unknown_sequences,
)
from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

_REFUSED = "is inconsistent with associated stream position"


class Case(t.NamedTuple):
    """What is wrong in a database. `statements`: what makes it so; `fault`: a pattern of the one fault.

    `starts`: whether Synapse starts with it. `kept`: whether the fault is still there after it was started.
    """

    statements: tuple[str, ...]
    fault: str
    starts: bool
    kept: bool = False


_CASES = {
    "behind its tables": Case(
        ("DELETE FROM stream_positions WHERE stream_name = 'events'", "SELECT setval('events_stream_seq', 3)"),
        r"sequence events_stream_seq is at 3, behind the largest id \d+ in events.stream_ordering, .*Synapse corrects",
        starts=True,
    ),
    "behind its tables and its stream": Case(
        (
            "DELETE FROM stream_positions WHERE stream_name = 'events'",
            "INSERT INTO stream_positions (stream_name, instance_name, stream_id) VALUES ('events', 'master', 10)",
            "SELECT setval('events_stream_seq', 3)",
        ),
        r"sequence events_stream_seq is at 3, behind the position \d+ of the stream events in .*refuses to start",
        starts=False,
    ),
    "a stream that is ahead": Case(
        (
            "DELETE FROM stream_positions WHERE stream_name = 'account_data'",
            "INSERT INTO stream_positions (stream_name, instance_name, stream_id) VALUES ('account_data', 'a', 9999)",
        ),
        r"account_data_sequence is at \d+, behind the position 9999 of the stream account_data in .*refuses to start",
        starts=False,
        kept=True,
    ),
    # As synapse_port_db leaves it behind (element-hq/synapse#19671).
    "a stream with a single row": Case(
        (
            "INSERT INTO thread_subscriptions"
            " (stream_id, instance_name, room_id, event_id, user_id, subscribed, automatic)"
            " SELECT 2, 'master', room_id, event_id, sender, true, false FROM events LIMIT 1",
            "INSERT INTO stream_positions (stream_name, instance_name, stream_id)"
            " VALUES ('thread_subscriptions', 'master', 2)",
            "SELECT setval('thread_subscriptions_sequence', 1)",
        ),
        r"thread_subscriptions_sequence is at 1, behind the position 2 of the stream .*refuses to start",
        starts=False,
    ),
    "never used": Case(
        ("DELETE FROM stream_positions WHERE stream_name = 'events'", "SELECT setval('events_stream_seq', 1, false)"),
        r"sequence events_stream_seq is at 0, behind the largest id",
        starts=True,
    ),
    "state groups": Case(
        ("SELECT setval('state_group_id_seq', 1)",),
        r"sequence state_group_id_seq is at 1, behind the largest id \d+ in state_groups.id: Synapse corrects it",
        starts=True,
    ),
    "ids of a column": Case(
        (
            "INSERT INTO scheduled_tasks_of_a_test (word) VALUES ('a'), ('b')",
            "SELECT setval('scheduled_tasks_of_a_test_id_seq', 1)",
        ),
        r"is at 1, behind the largest id 2 in scheduled_tasks_of_a_test.id: the next ids are already in use",
        starts=True,
        kept=True,
    ),
    "chosen user IDs": Case(
        ("INSERT INTO users (name, creation_ts) VALUES ('@70000:postgresql.test:8448', 1)",),
        r"sequence user_id_seq is at \d+, behind the largest id 70000 in users.name",
        starts=True,
        kept=True,
    ),
}


def _database(server: Server) -> Database:
    return Database(find_database(read_configuration(server.config_path)))


def _faults(server: Server) -> list[str]:
    with _database(server) as database:
        return check_sequences(database)


def _sequences(server: Server) -> list[Sequence]:
    with _database(server) as database:
        return read_sequences(database)


@pytest.fixture(scope="module")
def halted() -> t.Iterator[Server]:
    """A server on PostgreSQL with rooms, that does not run."""
    with servers.own_servers("postgresql") as [server]:
        # Synapse has no table with such a column, and rows in it, on a new server.
        server.write("CREATE TABLE scheduled_tasks_of_a_test (id SERIAL PRIMARY KEY, word TEXT)")
        for name in ("first", "second"):
            room_id = server.make_room(server.user_token, name=name)
            account_data = f"/_matrix/client/v3/user/{server.user}/rooms/{room_id}/account_data/org.example"
            server.send("PUT", account_data, {"name": name}, server.user_token)
        servers.halt(server)
        yield server


def _start(server: Server) -> str:
    """Start the server; return "", or its log if it does not start. It does not run afterwards."""
    log = Path(server.log)
    size = log.stat().st_size
    try:
        servers.restart(server)
    except RuntimeError as error:
        return f"{error}{log.read_bytes()[size:].decode(errors='replace')}"
    servers.halt(server)
    return ""


def test_database_of_a_server(halted: Server) -> None:
    found = _sequences(halted)
    assert [sequence.fault for sequence in found] == [""] * len(found)
    # The code of Synapse and this list name the same sequences.
    names = {sequence.name for sequence in found if sequence.is_checked}
    assert names == {generator.sequence for generator in GENERATORS}
    with _database(halted) as database:
        assert unknown_sequences(database) == []
    used = {name: largest for name, _last, largest, *_others in found if largest}
    assert {"events_stream_seq", "account_data_sequence", "state_group_id_seq"} <= set(used)
    columns = dict.fromkeys(column for sequence in found for column in sequence.columns)
    assert set(columns) >= {f"{table}.{column}" for each in GENERATORS for table, column in each.columns}


@pytest.mark.parametrize("name", _CASES)
def test_judgement_of_synapse(halted: Server, name: str) -> None:
    case = _CASES[name]
    before = {sequence.name: sequence.last_value for sequence in _sequences(halted)}
    for statement in case.statements:
        halted.write(statement)
    [fault] = _faults(halted)
    assert re.search(case.fault, fault)
    log = _start(halted)
    assert (_REFUSED in log) == (not case.starts), log
    assert bool(_faults(halted)) == case.kept
    # What the sentence advises is enough.
    [statement] = re.findall(r"SELECT setval\('[a-z_]+', \d+\)", fault)
    halted.write(statement)
    assert _faults(halted) == []
    assert not _start(halted)
    after = {sequence.name: sequence.last_value for sequence in _sequences(halted)}
    assert all(after[each] >= before[each] or each == "scheduled_tasks_of_a_test_id_seq" for each in before)


def test_sequence_of_a_newer_synapse(halted: Server) -> None:
    halted.write("CREATE SEQUENCE newer_sequence")
    halted.write("INSERT INTO stream_positions (stream_name, instance_name, stream_id) VALUES ('newer', 'master', 1)")
    with _database(halted) as database:
        assert [each["name"] for each in unknown_sequences(database)] == ["sequence newer_sequence", "stream newer"]
    assert _faults(halted) == []


def test_sqlite() -> None:
    with servers.own_servers("sqlite") as own, _database(own[0]) as database:
        assert read_sequences(database) == []
        assert check_sequences(database) == []
        assert unknown_sequences(database) == []

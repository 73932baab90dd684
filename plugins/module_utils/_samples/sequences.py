# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether the sequences of a PostgreSQL database fit the ids in its tables, as Synapse judges them when it starts.

Synapse 1.163 starts with a sequence that is behind the ids in its tables, which it corrects, but not with one that is
behind the positions of its stream (`check_consistency` of synapse/storage/util/sequence.py). It never looks at the
sequences that belong to a column: if one is behind, later statements fail. SQLite has no sequences.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.row_counts import table_names


class Generator(t.NamedTuple):
    """How Synapse makes ids: the sequence, its name in stream_positions ("" for none), and the columns with the ids.

    `sign`: -1 if the ids are negative, and the sequence counts them without their sign.
    """

    sequence: str
    stream: str
    columns: tuple[tuple[str, str], ...]
    sign: int = 1


def _of(sequence: str, stream: str, *tables: str, column: str = "stream_id") -> Generator:
    return Generator(sequence, stream, tuple((table, column) for table in tables))


# As in synapse/storage/databases of 1.163: each MultiWriterIdGenerator, and the sequences without a stream.
GENERATORS = (
    Generator(
        "events_stream_seq",
        "events",
        (
            ("events", "stream_ordering"),
            ("current_state_delta_stream", "stream_id"),
            ("ex_outlier_stream", "event_stream_ordering"),
        ),
    ),
    Generator(
        "events_backfill_stream_seq",
        "backfill",
        (("events", "stream_ordering"), ("ex_outlier_stream", "event_stream_ordering")),
        sign=-1,
    ),
    _of("account_data_sequence", "account_data", "room_account_data", "room_tags_revisions", "account_data"),
    _of("cache_invalidation_stream_seq", "caches", "cache_invalidation_stream_by_instance"),
    _of("device_inbox_sequence", "to_device", "device_inbox", "device_federation_outbox"),
    _of(
        "device_lists_sequence",
        "device_lists_stream",
        "device_lists_stream",
        "user_signature_stream",
        "device_lists_outbound_pokes",
        "device_lists_changes_in_room",
        "device_lists_remote_pending",
        "device_lists_changes_converted_stream_position",
    ),
    _of("e2e_cross_signing_keys_sequence", "e2e_cross_signing_keys", "e2e_cross_signing_keys"),
    _of("presence_stream_sequence", "presence_stream", "presence_stream"),
    _of("profile_updates_sequence", "profile_updates", "profile_updates"),
    _of("push_rules_stream_sequence", "push_rules_stream", "push_rules_stream"),
    Generator("pushers_sequence", "pushers", (("pushers", "id"), ("deleted_pushers", "stream_id"))),
    _of("quarantined_media_id_seq", "quarantined_media", "quarantined_media_changes"),
    _of("receipts_sequence", "receipts", "receipts_linearized"),
    _of("sticky_events_sequence", "sticky_events", "sticky_events"),
    _of("thread_subscriptions_sequence", "thread_subscriptions", "thread_subscriptions"),
    _of("un_partial_stated_event_stream_sequence", "un_partial_stated_event_stream", "un_partial_stated_event_stream"),
    _of("un_partial_stated_room_stream_sequence", "un_partial_stated_room_stream", "un_partial_stated_room_stream"),
    _of("application_services_txn_id_seq", "", "application_services_txns", column="txn_id"),
    _of("event_auth_chain_id", "", "event_auth_chains", column="chain_id"),
    _of("state_group_id_seq", "", "state_groups", column="id"),
)
# For accounts whose localpart Synapse chooses, which is a number.
_USER_IDS = "user_id_seq"
_LARGEST_USER_ID = r"""
    SELECT coalesce(max(substring(name FROM '^@([0-9]{1,18}):')::bigint), 0)
    FROM users WHERE name >= '@0' AND name < '@:'
"""
_SEQUENCES = "SELECT relname FROM pg_class WHERE relkind = 'S' AND pg_table_is_visible(oid)"
# Those of columns that are SERIAL or IDENTITY.
_OWNED = """
    SELECT sequence.relname, owner.relname, attribute.attname
    FROM pg_depend AS depend
    JOIN pg_class AS sequence ON sequence.oid = depend.objid AND sequence.relkind = 'S'
    JOIN pg_class AS owner ON owner.oid = depend.refobjid
    JOIN pg_attribute AS attribute ON attribute.attrelid = owner.oid AND attribute.attnum = depend.refobjsubid
    WHERE depend.classid = 'pg_class'::regclass AND depend.deptype IN ('a', 'i')
        AND pg_table_is_visible(sequence.oid) AND pg_table_is_visible(owner.oid)
"""
_COLUMNS = (
    "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = ANY (current_schemas(false))"
)
_POSITIONS = "SELECT stream_name, max(stream_id) FROM stream_positions GROUP BY stream_name"
_NAME = re.compile(r"[a-z_][a-z0-9_]*")


class Sequence(t.NamedTuple):
    """A sequence with what it must not be behind.

    `last_value`: the last id that it has given. `largest_id`: the largest one in its columns, 0 if there is none.
    `position`: the largest one in stream_positions, 0 if there is none. `stream`: its name there, "" if it has none.
    `columns`: as "table.column". `is_checked`: whether Synapse looks at it when it starts.
    """

    name: str
    last_value: int
    largest_id: int
    position: int
    columns: tuple[str, ...]
    stream: str = ""
    is_checked: bool = True

    @property
    def wanted(self) -> int:
        """The smallest last value that is right."""
        return max(self.largest_id, self.position, 1)

    @property
    def fault(self) -> str:
        """What is wrong, and how to correct it, as sentences, or ""."""
        where = ", ".join(self.columns)
        if self.position > self.last_value:
            reason = (
                f"The sequence {self.name} is at {self.last_value}, behind the position {self.position} of the stream"
                f" {self.stream} in stream_positions, so Synapse refuses to start."
            )
        elif self.largest_id > self.last_value:
            effect = "Synapse corrects it when it starts" if self.is_checked else "the next ids are already in use"
            reason = (
                f"The sequence {self.name} is at {self.last_value}, behind the largest id {self.largest_id} in {where}:"
                f" {effect}."
            )
        else:
            return ""
        return f"{reason} Stop Synapse, and run SELECT setval('{self.name}', {self.wanted}) in its database."


def read_sequences(database: Database) -> list[Sequence]:
    """Return all sequences that are known or belong to a column; none for SQLite. Raises what the database raises."""
    if database.settings.engine == "sqlite3":
        return []
    tables = set(table_names(database))
    present = _names(database)
    columns = {(str(table), str(column)) for table, column in database.rows(_COLUMNS)}
    positions = _positions(database) if "stream_positions" in tables else {}
    found: list[Sequence] = []
    for generator in GENERATORS:
        used = [column for column in generator.columns if column in columns]
        if generator.sequence in present and used:
            largest = max(_largest(database, table, column, generator.sign) for table, column in used)
            named = tuple(f"{table}.{column}" for table, column in used)
            last, position = _last_value(database, generator.sequence), positions.get(generator.stream, 0)
            found.append(Sequence(generator.sequence, last, largest, position, named, generator.stream))
    if _USER_IDS in present and "users" in tables:
        last, largest = _last_value(database, _USER_IDS), int(database.rows(_LARGEST_USER_ID)[0][0])
        found.append(Sequence(_USER_IDS, last, largest, 0, ("users.name",), is_checked=False))
    for name, table, column in _owned(database):
        if table in tables and _NAME.fullmatch(column):
            last, largest = _last_value(database, name), _largest(database, table, column, 1)
            found.append(Sequence(name, last, largest, 0, (f"{table}.{column}",), is_checked=False))
    return found


def check_sequences(database: Database) -> list[str]:
    """Return what is wrong with the sequences, a fault each; [] for SQLite. Raises what the database raises."""
    return [sequence.fault for sequence in read_sequences(database) if sequence.fault]


def unknown_sequences(database: Database) -> list[dict[str, str]]:
    """Return the sequences and streams that are not known, because a newer Synapse has added them, as `unknown`."""
    if database.settings.engine == "sqlite3":
        return []
    owned = {name for name, _table, _column in _owned(database)}
    names = _names(database) - owned - {_USER_IDS} - {generator.sequence for generator in GENERATORS}
    streams = set(_positions(database)) - {generator.stream for generator in GENERATORS}
    fix = "Compare it with the largest id of its table, which the code of Synapse names."
    return [
        *({"name": f"sequence {name}", "reason": "This sequence is not known.", "fix": fix} for name in sorted(names)),
        *({"name": f"stream {name}", "reason": "This stream is not known.", "fix": fix} for name in sorted(streams)),
    ]


def _names(database: Database) -> set[str]:
    return {str(name) for (name,) in database.rows(_SEQUENCES) if _NAME.fullmatch(str(name))}


def _owned(database: Database) -> list[tuple[str, str, str]]:
    rows = sorted((str(name), str(table), str(column)) for name, table, column in database.rows(_OWNED))
    return [row for row in rows if all(_NAME.fullmatch(word) for word in row)]


def _positions(database: Database) -> dict[str, int]:
    return {str(stream): int(position or 0) for stream, position in database.rows(_POSITIONS)}


def _largest(database: Database, table: str, column: str, sign: int) -> int:
    # The same expression as Synapse's: an index answers it.
    most = f"max({column})" if sign > 0 else f"-min({column})"
    return max(int(database.rows(f"SELECT {most} FROM {table}")[0][0] or 0), 0)


def _last_value(database: Database, name: str) -> int:
    [(value, is_called)] = database.rows(f"SELECT last_value, is_called FROM {name}")
    return int(value) if is_called else int(value) - 1

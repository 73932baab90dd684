# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import DatabaseSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.marker import Marker, Stage
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.occupied import Occupied, judge_host
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.placing import Directories
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.postgresql import PostgresqlTarget
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.sqlite import SqliteTarget
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.target import Target

OWNER = Attributes(0o600, 0, 0)


class Filled(SqliteTarget):
    """A database with these data, which differs from that in the archive in these tables."""

    def __init__(self, data: str, *differences: str) -> None:
        super().__init__("/srv/homeserver.db", Directories({}, set()), OWNER)
        self._data, self._differences = data, differences

    def data(self) -> str:
        return self._data

    def differences(self, counts: t.Mapping[str, int]) -> list[str]:
        return list(self._differences)


def _judge(target: Target, medium: str = "", stage: Stage | None = None) -> Occupied:
    marker = None if stage is None else Marker("abc", "example.org", 5, stage)
    return judge_host(marker, "abc", "/etc/.matrix_ops-restore.json", target, {}, medium)


def test_an_empty_host() -> None:
    assert _judge(Filled("")) == Occupied(None, False)


@pytest.mark.parametrize(
    ("data", "medium", "what", "way"),
    [
        (
            "the SQLite database /srv/homeserver.db with 3 accounts",
            "",
            "the SQLite database /srv/homeserver.db with 3 accounts",
            "stop Synapse, move /srv/homeserver.db away, with the files next to it that end in -wal, -shm and"
            " -journal,",
        ),
        ("", "/srv/media/a", "the media file /srv/media/a", "stop Synapse, move the media away, such as /srv/media/a,"),
        (
            "a database",
            "/srv/media/a",
            "a database",
            "that end in -wal, -shm and -journal, move the media away, such as /srv/media/a,",
        ),
    ],
)
def test_the_refusal_names_the_way(data: str, medium: str, what: str, way: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        _judge(Filled(data), medium)
    message = raised.value.message
    assert message.startswith(f"This host has the data of a server: {what}. A restore only fills an empty host")
    assert f"{way} and run the task again." in message


def test_another_database_during_an_interrupted_restore() -> None:
    with pytest.raises(
        InvalidInput, match=r"users \(0 instead of 2\)\. A restore only .* move /srv/homeserver\.db away"
    ):
        _judge(Filled("a database", "users (0 instead of 2)"), stage=Stage.BEGUN)


def test_postgresql_is_emptied_by_its_own_programs() -> None:
    settings = DatabaseSettings(
        "psycopg2", {"dbname": "the synapse", "user": "o'neill", "host": "db"}, "homeserver.yaml"
    )
    way = PostgresqlTarget(settings, OWNER, dumped_by=15, made_in=15).emptying
    assert way == (
        "replace the PostgreSQL database the synapse at db by an empty one with dropdb 'the synapse' and createdb"
        " --encoding=UTF8 --locale=C --template=template0 --owner='o'\"'\"'neill' 'the synapse'"
    )

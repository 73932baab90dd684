# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""synapse_restore into PostgreSQL: databases that do not fit, another connection, and a failure in the middle."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.archive_reader import (
    is_database,
    open_archive,
    unpacked_database,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore import found
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.postgresql import PostgresqlTarget
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.space import Need
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.target import Counts
from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.restored import Restored, backed_up

_TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
_AS_SYNAPSE_NEEDS = "TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
_FAILURE = """
    CREATE FUNCTION fail() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no more'; END $$;
    CREATE EVENT TRIGGER failure ON ddl_command_start WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION fail()
"""


@pytest.fixture
def made(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Restored]:
    """A server that is gone, and its empty database."""
    with backed_up("postgresql", tmp_path_factory.mktemp("restore")) as made:
        yield made


def _refused(made: Restored, message: str, **changed: t.Any) -> None:
    for check in (True, False):
        result = made.run(check=check, **changed)
        assert result.get("failed"), result
        assert message in result["msg"], result["msg"]
        assert not result["changed"]
        assert not made.place.exists()
        assert str(made.server.database["password"]) not in json.dumps(result)


def _login(made: Restored, **changed: t.Any) -> dict[str, t.Any]:
    database = made.server.database
    names = {"host": "login_host", "port": "login_port", "user": "login_user", "password": "login_password"}
    return {**{option: database[name] for name, option in names.items()}, "login_db": "elsewhere", **changed}


def test_databases_that_do_not_fit(made: Restored) -> None:
    made.in_postgres("CREATE TABLE other (id integer)", "synapse")
    _refused(made, "This host has the data of a server: the PostgreSQL database synapse at 127.0.0.1 with 1 tables")
    made.in_postgres("DROP TABLE other", "synapse")
    made.in_postgres("CREATE DATABASE elsewhere TEMPLATE template0 LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'")
    _refused(made, "Synapse cannot use the PostgreSQL database elsewhere", **_login(made))
    _refused(made, "createdb --encoding=UTF8 --locale=C --template=template0 --owner=synapse elsewhere", **_login(made))
    _refused(made, ". Check login_user and login_password", **_login(made, login_password="wrong"))
    missing_database = "If there is no such database yet, create it with createdb"
    _refused(made, missing_database, **_login(made, login_db="missing"))
    _refused(made, "cp_min is 5 and cp_max is 0", **_login(made, cp_max=0))
    made.in_postgres("DROP DATABASE synapse")
    _refused(made, "homeserver.yaml in the archive sets the connection. Check that PostgreSQL runs there.")
    made.empty_database()
    missing = made.run(check=True, **_login(made, login_db="missing", allow_missing_installation=True))
    assert [each["name"] for each in missing["unknown"]] == ["database"]
    result = made.run(**_login(made, login_db="missing", allow_missing_installation=True))
    assert "cannot be reached" in result["msg"]
    assert not made.place.exists()


def test_another_connection(made: Restored) -> None:
    made.in_postgres(f"CREATE DATABASE elsewhere {_AS_SYNAPSE_NEEDS}")
    result = made.run(**_login(made))
    assert not result.get("failed"), result
    assert result["restore"]["proven"]["login"] == 1
    assert str(made.server.database["password"]) not in json.dumps(result)
    assert made.in_postgres(_TABLES, "synapse") == [(0,)]
    [(tables,)] = made.in_postgres(_TABLES, "elsewhere")
    assert tables > 100
    dropin = made.place / "conf.d" / "60-matrix_ops-database.yaml"
    assert yaml.safe_load(dropin.read_text())["database"]["args"]["dbname"] == "elsewhere"
    assert not made.run(**_login(made))["changed"]


def test_a_limit_for_short_queries_does_not_count(made: Restored, monkeypatch: pytest.MonkeyPatch) -> None:
    complete = PostgresqlTarget.complete

    def completed(target: PostgresqlTarget, counts: Counts) -> None:
        complete(target, counts)
        # Synapse keeps the limit, and on a busy machine its own queries are as slow as those of the restore.
        made.in_postgres("ALTER DATABASE synapse RESET statement_timeout")

    monkeypatch.setattr(PostgresqlTarget, "complete", completed)
    made.in_postgres("ALTER DATABASE synapse SET statement_timeout = '20ms'")
    result = made.run()
    assert not result.get("failed"), result
    assert result["restore"]["proven"]["login"] == 1


def test_a_failure_leaves_the_database_empty(made: Restored) -> None:
    made.in_postgres(_FAILURE, "synapse")
    result = made.run()
    assert result.get("failed"), result
    assert (
        "pg_restore could not fill the PostgreSQL database synapse at 127.0.0.1, which is still empty" in result["msg"]
    )
    assert "no more" in result["msg"]
    assert made.in_postgres(_TABLES, "synapse") == [(0,)]
    assert not (made.place / "homeserver.yaml").exists()
    made.in_postgres("DROP EVENT TRIGGER failure; DROP FUNCTION fail()", "synapse")
    result = made.run()
    assert not result.get("failed"), result
    assert result["restore"]["proven"]["login"] == 1


def test_the_pg_restore_of_a_killed_run_ends_meanwhile(made: Restored, monkeypatch: pytest.MonkeyPatch) -> None:
    end_others = PostgresqlTarget._end_others

    def ended(target: PostgresqlTarget) -> None:
        end_others(target)
        with open_archive(made.archive) as reader:
            pieces = [piece for member in reader.members() if is_database(member) for piece in member.chunks()]
        target._fill(unpacked_database("postgresql", pieces))

    monkeypatch.setattr(PostgresqlTarget, "_end_others", ended)
    done = made.run()
    assert not done.get("failed"), done
    assert done["restore"]["proven"]["login"] == 1
    assert made.server.rows("SELECT count(*) FROM e2e_one_time_keys_json") == [(0,)]


def test_a_user_who_is_no_superuser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with servers.own_servers("postgresql") as [server]:
        made = Restored(server, tmp_path)
        # The user of Synapse can create the second one again, and not the first one, on which nothing depends.
        made.in_postgres("CREATE EXTENSION pg_stat_statements; CREATE EXTENSION pg_trgm", "synapse")
        made.in_postgres("CREATE ROLE plain LOGIN PASSWORD 'plain-secret'")
        made.fill()
        [(size,)] = made.in_postgres("SELECT pg_database_size('synapse')")
        made.back_up()
        made.wipe()
        made.in_postgres(f"CREATE DATABASE elsewhere {_AS_SYNAPSE_NEEDS}")
        login = _login(made, login_user="plain", login_password="plain-secret")
        _refused(made, 'plain may not create tables in it. Let a superuser run: ALTER DATABASE "elsewhere"', **login)
        made.in_postgres('ALTER DATABASE "elsewhere" OWNER TO "plain"')
        # What an extension has made is not the data of a server.
        made.in_postgres("CREATE EXTENSION pg_buffercache", "elsewhere")
        needs: list[Need] = []
        [(data,)] = made.in_postgres("SHOW data_directory", "elsewhere")
        monkeypatch.setattr(found, "require_space", needs.extend)
        assert not made.run(check=True, **login).get("failed")
        [need] = [need for need in needs if need.path == os.path.realpath(data)]
        assert need.size >= 2 * size - 1024**2
        result = made.run(**login)
        assert not result.get("failed"), result
        assert result["restore"]["proven"]["login"] == 1
        extensions = made.in_postgres("SELECT extname FROM pg_extension ORDER BY extname", "elsewhere")
        assert [name for (name,) in extensions] == ["pg_buffercache", "pg_trgm", "plpgsql"]
        [(restored,)] = made.in_postgres("SELECT pg_database_size('elsewhere')")
        assert restored < need.size

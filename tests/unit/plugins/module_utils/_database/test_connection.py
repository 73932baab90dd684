# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import sqlite3
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.advice import Advice
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import (
    Database,
    DatabaseSettings,
    find_database,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConfigurationError,
    ConnectionFailed,
    MissingLibrary,
    SynapseError,
)

SQLITE = {"name": "sqlite3", "args": {"database": "/data/homeserver.db"}}
POSTGRESQL = {"name": "psycopg2", "args": {"user": "s", "password": "hush", "host": "db", "cp_min": 5, "sslmode": "on"}}


def configuration(**settings: t.Any) -> Configuration:
    return Configuration((ConfigurationFile("/etc/homeserver.yaml", settings),))


@pytest.fixture
def database(tmp_path: pathlib.Path) -> DatabaseSettings:
    path = tmp_path / "odd ?#%41 name.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE users (name TEXT, admin INTEGER)")
    connection.executemany("INSERT INTO users VALUES (?, 0)", [("alice",), ("bob",)])
    connection.commit()
    connection.close()
    return DatabaseSettings("sqlite3", {"database": str(path)}, "/etc/homeserver.yaml")


@pytest.mark.parametrize(
    ("settings", "engine", "arguments"),
    [
        ({"database": SQLITE}, "sqlite3", {"database": "/data/homeserver.db"}),
        ({"database": {"args": {"database": "/x.db", "cp_max": 1}}}, "sqlite3", {"database": "/x.db"}),
        ({"database_path": "/old.db"}, "sqlite3", {"database": "/old.db"}),
        ({"database": None, "database_path": "/old.db"}, "sqlite3", {"database": "/old.db"}),
        ({"database": SQLITE, "database_path": "/old.db"}, "sqlite3", {"database": "/data/homeserver.db"}),
        (
            {"database": POSTGRESQL, "database_path": "/old.db"},
            "psycopg2",
            {"user": "s", "password": "hush", "host": "db", "sslmode": "on"},
        ),
        ({"database": {"name": "psycopg2"}}, "psycopg2", {}),
        (
            {
                "databases": {
                    "rooms": {**POSTGRESQL, "data_stores": ["state"]},
                    "rest": {**SQLITE, "data_stores": ["main"]},
                }
            },
            "sqlite3",
            {"database": "/data/homeserver.db"},
        ),
    ],
)
def test_find_database(settings: dict[str, t.Any], engine: str, arguments: dict[str, t.Any]) -> None:
    assert find_database(configuration(**settings)) == DatabaseSettings(engine, arguments, "/etc/homeserver.yaml")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "No database is set in /etc/homeserver.yaml. Set config_path"),
        ({"database": {"name": "mysql"}}, "has the name 'mysql', but Synapse only supports"),
        ({"database": "sqlite"}, "does not have the form that Synapse requires"),
        ({"database": {"name": "psycopg2", "args": "x"}}, "does not have the form that Synapse requires"),
        ({"database": {"args": {"database": ":memory:"}}}, "is not in a file"),
        ({"database": {"name": "sqlite3"}}, "is not in a file"),
        (
            {"database": {"args": {"cp_max": 30}}},
            "^database in /etc/homeserver.yaml has no name, without which Synapse does not start. Write name: psycopg2"
            " for PostgreSQL or name: sqlite3 for SQLite, and args.$",
        ),
        (
            {"database": SQLITE, "databases": {"one": POSTGRESQL}},
            "databases in /etc/homeserver.yaml and database in /etc/homeserver.yaml are both set",
        ),
        ({"databases": {"one": {**POSTGRESQL, "data_stores": ["state"]}}}, "data store main. Add it to data_stores"),
        (
            {"database": {"args": {"database": "homeserver.db"}}},
            "homeserver.db in .* has a relative path. Set working_directory",
        ),
    ],
)
def test_find_database_refuses(settings: dict[str, t.Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        find_database(configuration(**settings))


def test_relative_path_starts_from_the_working_directory() -> None:
    found = find_database(configuration(database={"args": {"database": "homeserver.db"}}), "/srv/synapse")
    assert found.arguments == {"database": "/srv/synapse/homeserver.db"}


def test_later_file_is_the_source() -> None:
    files = (
        ConfigurationFile("/etc/one.yaml", {"database": SQLITE}),
        ConfigurationFile("/etc/two.yaml", {"database": POSTGRESQL}),
    )
    found = find_database(Configuration(files))
    assert (found.engine, found.source) == ("psycopg2", "/etc/two.yaml")
    assert "hush" not in found.shown


@pytest.mark.parametrize(
    ("later", "message"),
    [
        ({"args": {"cp_max": 30}}, "database in /etc/two.yaml has no name, without which Synapse does not start. "),
        ({"name": "sqlite3"}, None),
        (None, "No database is set in /etc/one.yaml, /etc/two.yaml. "),
        ("text", "database in /etc/two.yaml does not have the form that Synapse requires: a database needs a name"),
    ],
    ids=["without a name", "another one", "nothing", "text"],
)
def test_a_block_that_a_later_file_replaces(later: t.Any, message: str | None) -> None:
    files = (
        ConfigurationFile("/etc/one.yaml", {"database": POSTGRESQL}),
        ConfigurationFile("/etc/two.yaml", {"database": later}),
    )
    with pytest.raises(ConfigurationError) as caught:
        find_database(Configuration(files))
    assert "hush" not in caught.value.message
    if message is None:
        assert caught.value.message.endswith("is not in a file, so only Synapse can read it.")
        return
    assert caught.value.message.startswith(message)
    assert " the whole database block of /etc/one.yaml, so that database.name, " in caught.value.message
    assert caught.value.message.endswith("Write the complete block in /etc/two.yaml, or remove database there.")


def test_the_part_that_is_lost_may_be_why_there_is_no_connection() -> None:
    files = (
        ConfigurationFile("/etc/one.yaml", {"database": POSTGRESQL}),
        ConfigurationFile("/etc/two.yaml", {"database": {"name": "psycopg2", "args": {"host": "", "port": 1}}}),
    )
    settings = find_database(Configuration(files))
    assert "/etc/two.yaml replaces the whole database block of /etc/one.yaml" in settings.doubt
    pytest.importorskip("psycopg2")
    with pytest.raises(ConnectionFailed) as caught:
        Database(settings)
    assert caught.value.message.endswith(f" {settings.doubt}")


def test_rows_take_values_as_parameters(database: DatabaseSettings) -> None:
    with Database(database) as connection:
        assert connection.rows("SELECT name FROM users WHERE name = ? OR name LIKE '%li%'", "' OR 1 --") == [("alice",)]


def test_read_only_by_default(database: DatabaseSettings) -> None:
    with Database(database) as connection, pytest.raises(SynapseError, match="refused a query: .*readonly"):
        connection.write("UPDATE users SET admin = 1")


def test_writable_commits_only_without_an_error(database: DatabaseSettings) -> None:
    with Database(database, writable=True) as connection:
        assert connection.write("UPDATE users SET admin = 1 WHERE name = ?", "bob") == 1
        assert connection.write("UPDATE users SET admin = 1 WHERE name = ?", "Bob") == 0
    with pytest.raises(ZeroDivisionError), Database(database, writable=True) as connection:
        connection.write("UPDATE users SET admin = 2")
        raise ZeroDivisionError
    with Database(database) as connection:
        assert connection.rows("SELECT name, admin FROM users ORDER BY name") == [("alice", 0), ("bob", 1)]


def test_refused_query_names_the_database(database: DatabaseSettings) -> None:
    with Database(database) as connection, pytest.raises(SynapseError, match="^The SQLite database .*no such table"):
        connection.rows("SELECT name FROM missing")


def test_missing_database_is_not_created(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "missing.db"
    for writable in (False, True):
        with pytest.raises(ConnectionFailed, match="missing.db does not exist. Check that Synapse uses"):
            Database(DatabaseSettings("sqlite3", {"database": str(path)}, "x"), writable=writable)
    assert not path.exists()


def test_another_file_is_not_a_database(tmp_path: pathlib.Path) -> None:
    (tmp_path / "text.db").write_text("Not a database, but as long as one." * 20)
    with pytest.raises(ConnectionFailed, match="text.db cannot be opened: file is not a database"):
        Database(DatabaseSettings("sqlite3", {"database": str(tmp_path / "text.db")}, "x"))


def test_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    with pytest.raises(MissingLibrary, match="psycopg2"):
        Database(DatabaseSettings("psycopg2", {}, "x"))


class Driver:
    """Stands for psycopg2, which may not be installed: refuses with the given error."""

    Warning = UserWarning
    Error = RuntimeError

    def __init__(self, words: str) -> None:
        self.words = words
        self.arguments: dict[str, t.Any] = {}

    def connect(self, **arguments: t.Any) -> t.NoReturn:
        self.arguments = arguments
        raise self.Error(self.words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ('FATAL:  password authentication failed for user "s"', "become_user"),
        ("connection failed: Connection refused\n\tIs it running?", "Connection refused. Check that PostgreSQL runs"),
        ("bad dsn: hush", "bad dsn: \\*+\\."),
        ("", "RuntimeError"),
    ],
)
def test_refused_connection(monkeypatch: pytest.MonkeyPatch, words: str, message: str) -> None:
    driver = Driver(words)
    monkeypatch.setitem(sys.modules, "psycopg2", driver)
    with pytest.raises(ConnectionFailed, match=message) as raised:
        Database(find_database(configuration(database=POSTGRESQL)))
    assert "hush" not in raised.value.message
    assert "\n" not in raised.value.message
    assert driver.arguments["connect_timeout"] > 0
    assert driver.arguments["password"] == "hush"


def test_refused_connection_of_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration file sets it that could be checked."""
    monkeypatch.setitem(sys.modules, "psycopg2", Driver("connection failed: Connection refused"))
    advice = Advice("Check login_user.", "Check login_host.")
    with pytest.raises(ConnectionFailed) as raised:
        Database(DatabaseSettings("psycopg2", {"dbname": "synapse"}, "the task", advice=advice))
    assert raised.value.message.endswith("Connection refused. Check login_host.")


def _classes(module: t.Any) -> list[type[Exception]]:
    found = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, Exception)]
    return sorted({*found, OSError, ValueError, OverflowError, UnicodeError}, key=lambda each: each.__name__)


class _Refusing:
    """A connection that raises `error` in `where`."""

    def __init__(self, where: str, error: Exception) -> None:
        self.where, self.error, self.rowcount, self.closed = where, error, 1, False

    def _do(self, what: str) -> t.Any:
        if what == self.where:
            raise self.error
        return self

    def cursor(self) -> t.Any:
        return self._do("cursor")

    def execute(self, *_given: object) -> t.Any:
        return self._do("execute")

    def fetchall(self) -> t.Any:
        self._do("fetchall")
        return []

    def commit(self) -> None:
        self._do("commit")

    def close(self) -> None:
        self.closed = True
        self._do("close")

    def set_session(self, **_given: object) -> None:
        self._do("set_session")


@pytest.mark.parametrize(
    ("engine", "where"),
    [
        # SQLite runs a query as soon as it is opened.
        *(("sqlite3", where) for where in ("connect", "execute", "fetchall", "cursor", "commit")),
        *(("psycopg2", where) for where in ("connect", "set_session", "cursor", "execute", "fetchall", "commit")),
    ],
)
def test_every_error_of_an_engine_is_caught(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, engine: str, where: str
) -> None:
    if engine == "sqlite3":
        module: t.Any = sqlite3
    else:
        module = pytest.importorskip("psycopg2")
    path = tmp_path / "homeserver.db"
    path.touch()
    settings = DatabaseSettings(engine, {"database": str(path)}, "/etc/homeserver.yaml")
    for kind in _classes(module):
        connection = _Refusing(where, kind("boom"))

        def connect(*_given: object, made: _Refusing = connection, **_named: object) -> _Refusing:
            if where == "connect":
                raise made.error
            return made

        monkeypatch.setattr(module, "connect", connect)
        with pytest.raises(SynapseError, match="boom") as caught, Database(settings, writable=True) as database:
            database.rows("SELECT 1")
        assert caught.value.may_be_done == (where == "commit"), kind
        assert connection.closed or where == "connect", kind


@pytest.mark.parametrize("is_postgresql", [True, False])
def test_a_full_disk(monkeypatch: pytest.MonkeyPatch, database: DatabaseSettings, is_postgresql: bool) -> None:
    error = sqlite3.OperationalError("database or disk is full")
    if is_postgresql:
        # The message of PostgreSQL is in the language of the server, and its code is not.
        error = sqlite3.OperationalError("auf dem Gerät ist kein Speicherplatz mehr verfügbar")
        monkeypatch.setattr(error, "pgcode", "53100", raising=False)
    monkeypatch.setattr(sqlite3, "connect", lambda *_given, **_named: _Refusing("cursor", error))
    fix = r"Free space on the disk that it is on, and run the task again\.$"
    with pytest.raises(SynapseError, match=fix), Database(database, writable=True) as opened:
        opened.write("DELETE FROM users")


@pytest.mark.parametrize("value", ["\0", "\udcff", 2**70], ids=["NUL", "not text", "too large"])
def test_value_that_no_column_supports_is_not_a_traceback(database: DatabaseSettings, value: t.Any) -> None:
    try:
        with Database(database) as opened:
            assert opened.rows("SELECT name FROM users WHERE name = ?", value) == []
    except SynapseError as error:
        assert "refused a query" in error.message


def test_path_that_is_not_text_is_not_a_traceback() -> None:
    settings = DatabaseSettings("sqlite3", {"database": "/tmp/\udcff\ud800.db"}, "/etc/homeserver.yaml")
    with pytest.raises(ConnectionFailed):
        Database(settings)


def test_a_write_that_was_killed(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "homeserver.db"
    # More than the cache, so that a part of it is in the file already.
    script = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 2")
connection.execute("CREATE TABLE events (content TEXT)")
connection.execute("BEGIN")
connection.executemany("INSERT INTO events VALUES (?)", [("x" * 1000,)] * 1000)
os._exit(9)
"""
    subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert os.path.getsize(f"{path}-journal")
    settings = DatabaseSettings("sqlite3", {"database": str(path)}, "homeserver.yaml")
    with pytest.raises(ConnectionFailed, match="was killed while it wrote, and must be undone first. Start Synapse"):
        Database(settings)

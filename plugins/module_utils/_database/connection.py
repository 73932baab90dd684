# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The database of a Synapse, as its configuration sets it (synapse/config/database.py, 1.163).

The same SQL is used for both engines: `?` is a placeholder, and values are only passed as parameters.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sqlite3
import time
import typing as t
import urllib.parse

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.advice import Advice, advice_for
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConfigurationError,
    ConnectionFailed,
    MissingLibrary,
    SynapseError,
    after_a_change,
)

# A connection of the engine, and the base classes of the errors that it raises.
Connected = tuple[t.Any, tuple[type[Exception], ...]]

# What both engines raise, in addition to their own errors, for a value or a name that they do not support.
_NO_VALUE = (ValueError, TypeError, OverflowError, OSError)

_CONNECT_TIMEOUT = 10
# How many instructions of its virtual machine SQLite runs between two checks of the time: about 10 microseconds.
_INSTRUCTIONS = 1000


class QueryTimedOut(SynapseError):
    """A query took longer than allowed, and the database has stopped it."""


@dataclasses.dataclass(frozen=True)
class DatabaseSettings:
    """Where the database is: `engine` is sqlite3 or psycopg2, `arguments` are those of its function `connect`.

    `source`: the configuration file that sets it. `allow_unsafe_locale`: Synapse accepts any locale. `doubt`: what in
    the configuration may be the reason if it cannot be reached, as sentences, or "". `advice`: if options of the task
    set it, and not the configuration file.
    """

    engine: str
    arguments: dict[str, t.Any]
    source: str
    allow_unsafe_locale: bool = False
    doubt: str = ""
    advice: Advice | None = None

    @property
    def shown(self) -> str:
        """The database as a message shows it, without a secret."""
        if self.engine == "sqlite3":
            return f"the SQLite database {self.arguments['database']}"
        name = self.arguments.get("dbname") or self.arguments.get("database") or "with the default name"
        host = self.arguments.get("host") or self.arguments.get("hostaddr") or "the local socket"
        return f"the PostgreSQL database {name} at {host}"


def find_database(
    configuration: Configuration, working_directory: str | None = None, data_store: str = "main"
) -> DatabaseSettings:
    """Return where the database of a data store is: `main` has the users, rooms and events, `state` the state groups.

    `working_directory`: the directory that Synapse runs in. A relative path of an SQLite database starts there.
    Raises ConfigurationError if the configuration does not set a database.
    """
    settings = configuration.settings
    key = next((name for name in ("databases", "database", "database_path") if settings.get(name)), "")
    source = configuration.source_of(key)
    if source is None:
        emptied = " ".join(filter(None, map(configuration.replacement, ("database", "databases"))))
        raise ConfigurationError(
            f"No database is set in {', '.join(file.path for file in configuration.files) or 'config_path'}. "
            + (emptied or "Set config_path to all files and directories of the configuration of Synapse.")
        )
    replaced = configuration.replacement(key)
    if key == "databases" and settings.get("database"):
        raise ConfigurationError(
            f"databases in {source} and database in {configuration.source_of('database')} are both set, and Synapse"
            " does not start with both. Remove one of them."
        )
    section = _section(key, settings[key], source, data_store, replaced)
    engine, arguments = section.get("name") or "sqlite3", dict(section.get("args") or {})
    if engine not in ("sqlite3", "psycopg2"):
        raise ConfigurationError(
            f"The database in {source} has the name {engine!r}, but Synapse only supports sqlite3 and psycopg2."
        )
    if engine == "sqlite3":
        # Synapse ignores the old key if there is a block, although it warns of it only with PostgreSQL.
        path = settings["database_path"] if key == "database_path" else arguments.get("database")
        if not path and (replaced or "name" not in section):
            lacks = "is SQLite and names no file in args.database" if "name" in section else "has no name"
            advice = replaced or "Write name: psycopg2 for PostgreSQL or name: sqlite3 for SQLite, and args."
            raise ConfigurationError(f"{key} in {source} {lacks}, without which Synapse does not start. {advice}")
        return DatabaseSettings(engine, {"database": _sqlite_path(path, source, working_directory)}, source)
    # Options that begin with cp_ are only for Synapse's pool of connections.
    kept = {name: value for name, value in arguments.items() if not name.startswith("cp_")}
    return DatabaseSettings(engine, kept, source, bool(section.get("allow_unsafe_locale")), replaced)


class Database:
    """A connection, to be used with `with`. It is read-only by default, and closed at the end of the block.

    If it is `writable`, the changes are committed if the block ends without an error, and discarded otherwise.
    """

    def __init__(
        self, settings: DatabaseSettings, *, writable: bool = False, statement_timeout: float | None = None
    ) -> None:
        """Connect. Raises MissingLibrary without psycopg2, ConnectionFailed if the database cannot be reached.

        `statement_timeout`: after how many seconds the database stops a query. None: the default of the database.
        """
        self._settings = settings
        self._statement_timeout = statement_timeout
        self._deadline: float | None = None
        connect = _connect_sqlite if settings.engine == "sqlite3" else _connect_postgresql
        self._connection, self._errors = connect(settings, writable)
        if statement_timeout is not None:
            self._limit(statement_timeout)

    @property
    def settings(self) -> DatabaseSettings:
        """Where the database is."""
        return self._settings

    def __enter__(self) -> Database:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_ignored: object) -> None:
        try:
            if kind is None:
                with after_a_change():
                    self._commit()
        finally:
            with contextlib.suppress(*self._errors):
                self._connection.close()

    def rows(self, sql: str, *values: t.Any) -> list[tuple[t.Any, ...]]:
        """Return all rows of a query. Each `?` in `sql` is replaced by the next of `values`.

        Raises SynapseError with the error of the database if it refuses, QueryTimedOut if the query takes too long.
        """
        cursor = self._execute(sql, values)
        try:
            # SQLite only now reads most of the rows.
            return [tuple(row) for row in cursor.fetchall()]
        except self._errors as error:
            raise self._refused(error) from error

    def write(self, sql: str, *values: t.Any) -> int:
        """Run a statement that writes, and return how many rows it changed. Raises the same errors as `rows`."""
        return int(self._execute(sql, values).rowcount)

    def _commit(self) -> None:
        try:
            self._connection.commit()
        except self._errors as error:
            raise self._refused(error) from error

    def _execute(self, sql: str, values: t.Sequence[t.Any]) -> t.Any:
        if self._settings.engine != "sqlite3":
            sql = sql.replace("%", "%%").replace("?", "%s")
        if self._statement_timeout is not None:
            self._deadline = time.monotonic() + self._statement_timeout
        try:
            cursor = self._connection.cursor()
            cursor.execute(sql, tuple(values))
        except self._errors as error:
            raise self._refused(error) from error
        return cursor

    def _limit(self, seconds: float) -> None:
        """Let the database stop queries that take longer, in this transaction only."""
        if self._settings.engine == "sqlite3":
            self._connection.set_progress_handler(self._is_late, _INSTRUCTIONS)
            return
        # Not for the session, because a connection pooler may reuse it for Synapse.
        self.rows("SELECT set_config('statement_timeout', ?, true)", f"{max(round(seconds * 1000), 1)}ms")

    def _is_late(self) -> bool:
        return self._deadline is not None and time.monotonic() > self._deadline

    def _refused(self, error: Exception) -> SynapseError:
        shown, said, code = _capital(self._settings.shown), _first_line(error), getattr(error, "pgcode", None)
        if code == "57014" or said == "interrupted":
            return QueryTimedOut(
                f"{shown} stopped a query because it took too long"
                + (f", more than {self._statement_timeout:g} seconds." if self._statement_timeout else f": {said}.")
            )
        fix = "Check that it is a database of Synapse, of a supported version."
        if code == "42501":
            fix = f"Grant the database user in {self._settings.source} the privileges of Synapse's own database user."
        elif code == "53100" or "disk is full" in said:
            fix = "Free space on the disk that it is on, and run the task again."
        return SynapseError(f"{shown} refused a query: {said}. {fix}")


def _section(key: str, section: t.Any, source: str, data_store: str, replaced: str) -> dict[str, t.Any]:
    if key == "database_path":
        return {}
    candidates = list(section.values()) if key == "databases" and isinstance(section, dict) else [section]
    for candidate in candidates:
        if not isinstance(candidate, dict) or not isinstance(candidate.get("args") or {}, dict):
            raise ConfigurationError(
                f"{key} in {source} does not have the form that Synapse requires: a database needs a name and args."
                f" {replaced}".rstrip()
            )
        if data_store in (candidate.get("data_stores") or ["main", "state"]):
            return candidate
    raise ConfigurationError(
        f"None of the databases in {source} has the data store {data_store}. Add it to data_stores. {replaced}".rstrip()
    )


def _sqlite_path(path: t.Any, source: str, working_directory: str | None) -> str:
    if not isinstance(path, str) or not path or path == ":memory:":
        raise ConfigurationError(f"The SQLite database in {source} is not in a file, so only Synapse can read it.")
    if not os.path.isabs(path) and working_directory is None:
        raise ConfigurationError(
            f"The SQLite database {path} in {source} has a relative path. Set working_directory to the directory that"
            " Synapse runs in, or use an absolute path in the configuration."
        )
    return os.path.join(working_directory or "", path)


def _connect_sqlite(settings: DatabaseSettings, writable: bool) -> Connected:
    path = settings.arguments["database"]
    if not os.path.exists(path) and os.access(os.path.dirname(path), os.X_OK):
        raise ConnectionFailed(
            f"{_capital(settings.shown)} does not exist. Check that Synapse uses the configuration {settings.source}.",
            sent=False,
        )
    errors = (sqlite3.Error, sqlite3.Warning, *_NO_VALUE)
    connection = None
    try:
        address = f"file:{urllib.parse.quote(path)}?mode={'rw' if writable else 'ro'}"
        connection = sqlite3.connect(address, uri=True, timeout=_CONNECT_TIMEOUT)
        # SQLite only now reads the file. While Synapse runs, it also needs the files -wal and -shm.
        connection.execute("SELECT name FROM sqlite_master LIMIT 1").fetchall()
    except errors as error:
        if connection is not None:
            connection.close()
        said, fix = _first_line(error), "Run the task with become, as root or as the user of Synapse."
        if "readonly" in said and os.path.exists(f"{path}-journal"):
            fix = (
                f"{path}-journal is of a program that was killed while it wrote, and must be undone first. Start"
                " Synapse, which does this."
            )
        raise ConnectionFailed(f"{_capital(settings.shown)} cannot be opened: {said}. {fix}", sent=False) from error
    return connection, errors


def _connect_postgresql(settings: DatabaseSettings, writable: bool) -> Connected:
    try:
        import psycopg2
    except ImportError as error:
        raise MissingLibrary("psycopg2", "to read the PostgreSQL database of Synapse") from error
    errors = (psycopg2.Error, psycopg2.Warning, *_NO_VALUE)
    connection = None
    try:
        connection = psycopg2.connect(**{"connect_timeout": _CONNECT_TIMEOUT, **settings.arguments})
        connection.set_session(readonly=not writable)
    except errors as error:
        if connection is not None:
            connection.close()
        said = _first_line(error).replace(str(settings.arguments.get("password") or "\n"), "********")
        advice = (settings.advice or advice_for(settings.source)).on(said)
        raise ConnectionFailed(
            f"{_capital(settings.shown)} cannot be reached: {said}. {advice} {settings.doubt}".rstrip(),
            sent=False,
        ) from error
    return connection, errors


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0].strip() if lines else type(error).__name__).rstrip(".")


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]

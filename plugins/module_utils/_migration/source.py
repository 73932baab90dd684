# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The SQLite database that is moved: its identity, copies of it, and what a pass must know about it.

Synapse uses SQLite with a write-ahead log (synapse/storage/engines/sqlite.py), so that a copy by SQLite's backup API,
which contains the log, does not stop a running server. It copies pages, so the rowids stay.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database, DatabaseSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.open_in import is_open_in
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.row_counts import count_tables, table_names
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.schema_names import SchemaNames
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.program import PortProgram
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Work, progress
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.used_database import Running, require_use

# In seconds. Another program may lock the file for a moment.
_TIMEOUT = 60
# What a copy, and what SQLite and PostgreSQL's client need beside it.
_COPY = 1.05
_SPARE = 64 * 1024 * 1024
_CHANGE_COUNTER = slice(24, 28)


def identify(path: str) -> list[int]:
    """Return numbers that change if anything is written to the database at `path`. Raises SynapseError."""
    try:
        status = os.stat(path)
        with open(path, "rb") as file:
            counter = int.from_bytes(file.read(100)[_CHANGE_COUNTER], "big")
        log = f"{path}-wal"
        size = os.stat(log).st_size if os.path.exists(log) else 0
    except OSError as error:
        raise SynapseError(f"{path} cannot be read: {error.strerror}. Run the task with become, as root.") from error
    return [status.st_ino, status.st_size, status.st_mtime_ns, counter, size]


def size_of(path: str) -> int:
    """Return the size of the database at `path` with its log, in bytes."""
    return sum(os.stat(each).st_size for each in (path, f"{path}-wal") if os.path.exists(each))


def require_space(path: str, directory: str, copies: int = 2, left: int = 0) -> None:
    """Raise InvalidInput if there is no space for so many copies of the database `path` in `directory`.

    `left`: how many bytes an interrupted run has left there that are replaced.
    """
    needed = int(size_of(path) * _COPY * copies) + _SPARE
    free = shutil.disk_usage(directory).free + left
    if free < needed:
        raise InvalidInput(
            f"{directory} has {free // 2**20} MiB of free space, but the copies of {path} need {needed // 2**20} MiB."
            " Free space there, or set work_directory to a directory on another file system."
        )


def require_movable(settings: DatabaseSettings, program: PortProgram) -> None:
    """Raise InvalidInput if Synapse's program would refuse the database, or would copy it wrongly. Changes nothing."""
    path = settings.arguments["database"]
    with Database(settings) as database:
        [(version,)] = database.rows("SELECT version FROM schema_version")
        if version > program.schema_version:
            raise InvalidInput(
                f"{path} has the schema {version} of a newer Synapse, but the installed Synapse {program.version} uses"
                f" {program.schema_version}. Install the newer version again, start it, and run the task again."
            )
        if version != program.schema_version:
            raise InvalidInput(
                f"{path} has the schema {version}, but the installed Synapse {program.version} uses"
                f" {program.schema_version}. Start Synapse with this version, wait until it answers, and run the task"
                " again."
            )
        applied = {file for (file,) in database.rows("SELECT file FROM applied_schema_deltas")}
        missing = sorted(program.deltas - applied)
        if missing:
            raise InvalidInput(
                f"The installed Synapse {program.version} has never run with {path}: it would still apply"
                f" {', '.join(missing)}. Start Synapse, wait until it answers, and run the task again."
            )
        pending = [name for (name,) in database.rows("SELECT update_name FROM background_updates ORDER BY ordering")]
        if pending:
            raise InvalidInput(
                f"Synapse has not finished the background updates of {path}: {', '.join(pending)}. Let it run until"
                " they are finished (synapse_database_info lists what is left), and run the task again."
            )
        [(vacuum,)] = database.rows("PRAGMA auto_vacuum")
        if vacuum:
            raise InvalidInput(
                f"{path} has auto_vacuum, which changes the numbers of rows that Synapse's program relies on. Stop"
                " Synapse, run PRAGMA auto_vacuum=off and VACUUM on the database, and start it again."
            )


def warn_of_others(settings: DatabaseSettings, program: PortProgram, names: SchemaNames) -> list[str]:
    """Return a sentence about tables with rows that are not Synapse's, which its program does not copy, or nothing.

    `names`: what the installed Synapse creates.
    """
    with Database(settings) as database:
        others = [name for name in table_names(database) if not names.has_relation(name)]
        counts = count_tables(database, [name for name in others if name not in program.ignored])
    found = ", ".join(f"{name} ({rows})" for name, rows in counts.items() if rows)
    if not found:
        return []
    return [
        f"{settings.arguments['database']} also has tables that the installed Synapse does not know, here with the"
        f" number of their rows: {found}. They are not copied to PostgreSQL. If a module of Synapse uses them, copy"
        " them by hand."
    ]


def copy_database(path: str, to: str, work: Work) -> None:
    """Copy the database at `path`, with its log, to the new file `to`. Raises SynapseError if that fails.

    The copy has its name only when it is complete. Its progress is reported as `work`.
    """
    partial = f"{to}.partial"
    remove_database(partial)
    remove_database(to)

    def report(_status: int, remaining: int, total: int) -> None:
        progress.report(work, (total - remaining) * page, total * page)

    try:
        with contextlib.closing(sqlite3.connect(path, timeout=_TIMEOUT)) as source:
            [page] = source.execute("PRAGMA page_size").fetchone()
            # One transaction for the whole copy: otherwise it begins again whenever Synapse writes something.
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_master").fetchone()
            with contextlib.closing(_new_database(partial)) as copy:
                source.backup(copy, pages=_pages(page), progress=report, sleep=0)
        os.rename(partial, to)
    except sqlite3.Error as error:
        raise SynapseError(f"{path} could not be copied to {to}: {error}. Check the disk.") from error
    except OSError as error:
        raise SynapseError(f"{path} could not be copied to {to}: {error.strerror}.") from error
    finally:
        # A part of a copy may have filled the disk.
        remove_database(partial)


def remove_database(path: str) -> None:
    """Remove a copy with its log, if it exists."""
    for each in (path, f"{path}-wal", f"{path}-shm", f"{path}-journal"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(each)


def require_used(path: str, service: Running) -> None:
    """Raise InvalidInput if Synapse runs, but not with this database: what it has in another one would not be moved."""
    require_use(service, f"the SQLite database {path}", lambda pids: is_open_in(settings_of(path), pids))


def settings_of(path: str) -> DatabaseSettings:
    """Return how to open a copy."""
    return DatabaseSettings("sqlite3", {"database": path}, "the copy of the database")


def _new_database(path: str) -> sqlite3.Connection:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    copy = sqlite3.connect(path)
    # A copy that is not complete is not used.
    copy.execute("PRAGMA synchronous = OFF")
    return copy


def _pages(page: t.Any) -> int:
    """Return how many pages are 16 MiB, between two reports."""
    return max(1, 16 * 1024 * 1024 // int(page))

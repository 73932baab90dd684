# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The programs of PostgreSQL, such as pg_dump: which of the installed versions is used, and how it connects."""

from __future__ import annotations

import glob
import os
import re
import shlex
import shutil
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed, run_command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import DatabaseSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConfigurationError,
    InvalidInput,
    SynapseError,
)

Run = t.Callable[[t.Sequence[str], float], Completed]

# Debian's packages of several versions lie next to each other there.
DIRECTORIES = "/usr/lib/postgresql/*/bin"
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
_TIMEOUT = 30.0
# libpq's name of each argument of psycopg2 that has another one there.
_OTHER_NAMES = {"database": "dbname"}
# libpq reads the password from this variable, which only root and the user of the process can see.
_PASSWORD_VARIABLE = "PGPASSWORD"
_NOT_IN_ARGUMENTS = ("password", "sslpassword")


class Program(t.NamedTuple):
    """A program of PostgreSQL, and the major version that it belongs to."""

    path: str
    major: int


def find_program(name: str, at_least: int, *, directories: str = DIRECTORIES, run: Run = run_command) -> Program:
    """Return the program `name` of the oldest installed version that is not older than the major version `at_least`.

    Raises InvalidInput if there is none: an older pg_dump refuses a newer server.
    """
    paths = [os.path.join(directory, name) for directory in sorted(glob.glob(directories))]
    found = []
    for path in dict.fromkeys([*paths, shutil.which(name) or ""]):
        if path and os.access(path, os.X_OK):
            major = _major(path, run)
            if major is not None:
                found.append(Program(path, major))
    suitable = [program for program in found if program.major >= at_least]
    if suitable:
        return min(suitable, key=lambda program: program.major)
    fix = f"Install the client programs of PostgreSQL {at_least} (Debian's package postgresql-client-{at_least})."
    if not found:
        raise InvalidInput(f"The program {name} of PostgreSQL is not installed on this host. {fix}")
    newest = max(found, key=lambda program: program.major)
    raise InvalidInput(
        f"{newest.path} is of PostgreSQL {newest.major}, and too old for the server, which is"
        f" PostgreSQL {at_least}. {fix}"
    )


def connection_string(settings: DatabaseSettings, **changed: str) -> str:
    """Return the connection as libpq's programs take it with --dbname, without the password. `changed` replaces values.

    Raises ConfigurationError for an argument that is a secret and that libpq takes in no other way.
    """
    arguments = {_OTHER_NAMES.get(name, name): value for name, value in settings.arguments.items()}
    if arguments.get("sslpassword"):
        raise ConfigurationError(
            f"The database in {settings.source} has sslpassword, which the programs of PostgreSQL would show in the"
            " list of processes. Use a key without a password, which only Synapse's user can read."
        )
    kept = {name: value for name, value in arguments.items() if name not in _NOT_IN_ARGUMENTS and value is not None}
    return " ".join(f"{name}={_quoted(value)}" for name, value in {**kept, **changed}.items())


def creation_command(name: str, owner: str) -> str:
    """Return the command line that creates a database as Synapse needs it.

    For PostgreSQL 14 and newer, with the encoding and the locale that Synapse 1.163 requires.
    """
    options = f"--encoding=UTF8 --locale=C --template=template0 --owner={shlex.quote(owner)}"
    return f"createdb {options} {shlex.quote(name)}"


def environment_of(settings: DatabaseSettings) -> dict[str, str]:
    """Return the environment for libpq's programs: that of this process, with the password in a variable."""
    # Without HOME, libpq looks for its files in the home directory of the user that the program runs as.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG") and name != "HOME"}
    password = settings.arguments.get("password")
    return {**kept, "LC_ALL": "C", **({} if password is None else {_PASSWORD_VARIABLE: str(password)})}


def without_password(text: str, settings: DatabaseSettings) -> str:
    """Return what a program has said, without the password."""
    password = str(settings.arguments.get("password") or "")
    return text.replace(password, "********") if password else text


def _major(path: str, run: Run) -> int | None:
    try:
        found = _VERSION.search(run([path, "--version"], _TIMEOUT).output)
    except SynapseError:
        return None
    return int(found[1]) if found else None


def _quoted(value: t.Any) -> str:
    text = "true" if value is True else "false" if value is False else str(value)
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server of one's own whose database is dropped: how it is filled, what it shows, and runs that end in the middle.

A run in a separate process reads as JSON the parameters, and before which work it is killed: see MOMENTS. It prints its
result.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import typing as t
from pathlib import Path
from unittest import mock

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.backup import Backup
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset import droppable, media_clearing, note
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset import run as run_file
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.daemon_service import DaemonService
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place, State
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Parameters, Result
from ansible_collections.matrix_ops.synapse.tests.contract.modules import run_module
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

MODULE = "synapse_database_reset"
_PASSWORD = "the same for all of them"
# What an interrupted run can be about to do. Each of these is the object and its method that do it.
MOMENTS: dict[str, tuple[t.Any, str]] = {
    "stop": (DaemonService, "stop"),
    "back up": (Backup, "write"),
    "drop": (droppable.SqliteDatabase, "drop"),
    "drop in PostgreSQL": (droppable.PostgresqlDatabase, "drop"),
    "start": (DaemonService, "start"),
    "prove": (run_file, "require_new"),
    "clear the media": (media_clearing.MediaClearing, "clear"),
    "forget the old database": (droppable.SqliteDatabase, "forget"),
    "remove the note": (note.NoteFile, "remove"),
}


def fill(server: Server) -> None:
    """Give a server an admin, a plain user, a room and a media file, if it has no accounts."""
    server.forget_database()
    server.forget_connection()
    for name, admin in (("admin", True), ("user", False)):
        if not server.rows("SELECT 1 FROM users WHERE name = ?", server.user_id(name)):
            server.register(name, _PASSWORD, admin=admin)
    admin_token, user_token = (server.log_in(server.user_id(name), _PASSWORD, "TEST") for name in ("admin", "user"))
    assert admin_token
    assert user_token
    server.token, server.user_token = admin_token, user_token
    server.secrets += [admin_token, user_token, _PASSWORD]
    server.make_room(user_token)
    server.send("POST", "/_matrix/media/v3/upload", {"in": "a file"}, user_token)
    server.forget_database()


def state(place: Place) -> State:
    """Return what is in the database and in the media store, whether the server answers, and how many backups exist."""
    server = place.server
    server.forget_connection()
    try:
        counts = {table: server.rows(f"SELECT COUNT(*) FROM {table}")[0][0] for table in ("users", "rooms", "events")}
    finally:
        # SQLite does not let go of a database that is open.
        server.forget_database()
    status, _answer = server.ask("GET", "/_matrix/client/versions", token="")
    return {**counts, "answers": status == 200, "media": media(server), "backups": len(backups(place))}


def media(server: Server) -> int:
    """Return the number of files in the media store."""
    return sum(path.is_file() for path in Path(server.directory, "media_store").rglob("*"))


def backups(place: Place) -> list[Path]:
    """Return the complete archives."""
    return sorted(place.directory.glob("backups/*.tar"))


def declare(place: Place, **options: t.Any) -> Parameters:
    """Return the parameters of a task."""
    server = place.server
    return {
        "confirm": server.name,
        "dest_directory": str(place.directory / "backups"),
        "margin": "1M",
        "config_path": server.config_path,
        "manager": "daemon",
        "synapse_python": server.python,
        "working_directory": server.directory,
        "start_timeout": 60,
        **options,
    }


def killed_before(place: Place, moment: str, **options: t.Any) -> None:
    """Run the module in a process of its own, which is killed before it does what `moment` names."""
    given = {"base_url": place.server.base_url, **declare(place, **options)}
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        input=json.dumps([given, moment]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, (moment, done.stdout, done.stderr)


def _kill(*_arguments: t.Any, **_options: t.Any) -> t.NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("not reached")


def _main() -> None:
    parameters, moment = json.load(sys.stdin)
    where, name = MOMENTS[moment]
    mock.patch.object(where, name, _kill).start()
    result: Result = run_module(MODULE, parameters)
    print(json.dumps(result))


if __name__ == "__main__":
    _main()

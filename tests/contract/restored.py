# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server with content, its backup, and the same host without the server: what a restore starts from."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import typing as t
import urllib.parse
from pathlib import Path

import psycopg2

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.backup import Backup
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.declared import DeclaredBackup
from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.modules import run_module
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

MODULE = "synapse_restore"
MEDIA = {f"picture {number}": os.urandom(1000 * number + 1) for number in range(4)}


class Restored:
    """A server of one's own with its backup. `directory`: for archives, outside of that of the server."""

    def __init__(self, server: Server, directory: Path) -> None:
        self.server = server
        self.directory = directory
        self.place = Path(server.directory)
        self.token = directory / "token"
        self.token.write_text(server.token)
        self.media: dict[str, bytes] = {}
        self.archive = ""

    def fill(self) -> None:
        """Make accounts, rooms with messages, media and keys of a device."""
        server = self.server
        for name in ("anna", "bob"):
            server.make_account(name, password=f"{name}-secret", displayname=name)
        token = server.speaking_as(server.user_id("anna"))
        for version in ("1", "10", "12"):
            room = server.make_room(token, room_version=version, invite=[server.user_id("bob")])
            for number in range(3):
                path = f"/_matrix/client/v3/rooms/{urllib.parse.quote(room, safe='')}/send/m.room.message/{number}"
                server.send("PUT", path, {"msgtype": "m.text", "body": f"message {number}"}, token)
        server.make_room(token, room_alias_name="restored")
        for name, content in MEDIA.items():
            self.media[self._upload(name, content, token)] = content
        device = server.log_in(server.user_id("anna"), "anna-secret", "DEVICE")
        keys = {"user_id": server.user_id("anna"), "device_id": "DEVICE", "algorithms": [], "signatures": {}}
        named = {f"ed25519:{'DEVICE'}": "a" * 43, f"curve25519:{'DEVICE'}": "b" * 43}
        one_time = {"signed_curve25519:AAAA": {"key": "c" * 43, "signatures": {}}}
        body = {"device_keys": {**keys, "keys": named}, "one_time_keys": one_time}
        server.send("POST", "/_matrix/client/v3/keys/upload", body, device)

    def back_up(self, **changed: t.Any) -> None:
        """Make a backup with the collection's own code."""
        declared = DeclaredBackup(
            dest_directory=str(self.directory / "backups"),
            config_path=tuple(self.server.config_path),
            working_directory=self.server.directory,
            manager="daemon",
            environment_files=(),
            synapse_python=self.server.python,
            margin=1024**2,
            **changed,
        )
        self.archive = Backup(declared).write().path

    def wipe(self) -> None:
        """Stop the server and remove it, as on a new host. Its PostgreSQL runs on, with an empty database."""
        servers.halt(self.server)
        self.server.forget_connection()
        self.server.forget_database()
        shutil.rmtree(self.place)
        if self.server.engine == "postgresql":
            self.empty_database()

    def empty_database(self) -> None:
        """Make the database of PostgreSQL anew."""
        self.in_postgres("DROP DATABASE IF EXISTS synapse WITH (FORCE)")
        self.in_postgres("CREATE DATABASE synapse TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")
        self.server.forget_database()

    def in_postgres(self, statement: str, database: str = "postgres") -> list[tuple[t.Any, ...]]:
        """Run a statement in a database of the PostgreSQL of the server, and return its rows."""
        settings = {**self.server.database, "dbname": database}
        names = ("host", "port", "dbname", "user", "password")
        connection = psycopg2.connect(**{name: settings[name] for name in names})
        connection.autocommit = True
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(statement)
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []

    def parameters(self, **changed: t.Any) -> dict[str, t.Any]:
        """Return the parameters of a task."""
        given = {
            "src": self.archive,
            "config_path": self.server.config_path,
            "synapse_python": self.server.python,
            "manager": "daemon",
            "working_directory": self.server.directory,
            "allowed_paths": [],
            "base_url": self.server.base_url,
            "access_token_path": str(self.token),
        }
        return {key: value for key, value in {**given, **changed}.items() if value is not None}

    def run(self, *, check: bool = False, **changed: t.Any) -> dict[str, t.Any]:
        """Run the module."""
        return run_module(MODULE, self.parameters(**changed), check=check, diff=True)

    def downloaded(self, media_id: str) -> bytes:
        """Return the content of a medium, as the server gives it to an account."""
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.server.base_url).netloc, timeout=60)
        with contextlib.closing(connection):
            path = f"/_matrix/client/v1/media/download/{self.server.name}/{media_id}"
            connection.request("GET", path, headers={"Authorization": f"Bearer {self.server.token}"})
            answer = connection.getresponse()
            assert answer.status == 200, answer.status
            return answer.read()

    def _upload(self, name: str, content: bytes, token: str) -> str:
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.server.base_url).netloc, timeout=60)
        with contextlib.closing(connection):
            path = f"/_matrix/media/v3/upload?filename={urllib.parse.quote(name)}"
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"}
            connection.request("POST", path, content, headers)
            uri = str(json.loads(connection.getresponse().read())["content_uri"])
        return uri.rpartition("/")[2]


@contextlib.contextmanager
def backed_up(engine: str, directory: Path, **settings: t.Any) -> t.Iterator[Restored]:
    """Start a server, fill it, make its backup, and remove it again, for the block."""
    with servers.own_servers(engine, **settings) as [server]:
        made = Restored(server, directory)
        made.fill()
        made.back_up()
        made.wipe()
        yield made

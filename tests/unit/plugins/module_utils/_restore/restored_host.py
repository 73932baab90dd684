# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small archive of a server with SQLite, as a backup writes it, and a host that it can be restored onto."""

from __future__ import annotations

import dataclasses
import getpass
import grp
import hashlib
import os
import pathlib
import sqlite3
import typing as t
import zlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.archive_writer import ArchiveWriter
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.layout import (
    FORMAT,
    HEADER,
    MANIFEST,
    Attributes,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._execution import Carried, carry_out
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.command import SynapsePython
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.declared import DeclaredRestore
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.restore import RestoreResource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.control import Running
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.daemon_service import DaemonService
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.managed import Managed

Json = dict[str, t.Any]

NAME = "example.org"
CREATED = 1_769_860_800_000
VERSION = "1.163.2"
OWNER, GROUP = getpass.getuser(), grp.getgrgid(os.getegid()).gr_name
COUNTS = {"e2e_one_time_keys_json": 0, "events": 3, "users": 2}
MEDIA = {"local_content/aB/cD/efgh": b"a picture" * 1000, "remote_content/other.org/x": b"", "local_content/q": b"q"}


def database_file(path: pathlib.Path, *, one_time_keys: int = 2) -> bytes:
    """Return the content of a small database."""
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE users (name TEXT); CREATE TABLE events (event_id TEXT);"
            "CREATE TABLE e2e_one_time_keys_json (key_id TEXT);"
            "INSERT INTO users VALUES ('@a:example.org'), ('@b:example.org');"
            "INSERT INTO events VALUES ('$1'), ('$2'), ('$3');"
        )
        connection.executemany("INSERT INTO e2e_one_time_keys_json VALUES (?)", [("key",)] * one_time_keys)
    connection.close()
    return path.read_bytes()


class ControlledService(DaemonService):
    """A service that only notes what is asked of it."""

    is_up = False
    fails = ""
    workers: t.Sequence[Running] = ()

    def is_running(self) -> bool:
        """Whether it was started."""
        return self.is_up

    def require_control(self) -> None:
        """Accept everything."""

    def running(self, _before: Running | None = None) -> Running:
        """What was started."""
        return {"main": self.is_up, "units": [], "daemons": [*self.workers], "directory": ""}

    def start(self, running: Running | None = None) -> None:
        """Note the start."""
        assert running is None or running["main"]
        if self.fails:
            raise AssertionError(self.fails)
        self.is_up = True
        self.workers = (running or {}).get("daemons", [])


@dataclasses.dataclass
class Host:
    """A server in a directory, with an archive of it. What is here is changed before the archive is written."""

    scratch: pathlib.Path
    files: dict[str, tuple[str, bytes]]
    media: dict[str, bytes]
    counts: dict[str, int]
    manifest: Json
    service: ControlledService
    database: bytes
    installed: SynapsePython | None = None
    media_owner: tuple[str, str] = (OWNER, GROUP)
    file_mode: str = "0640"

    @property
    def server(self) -> pathlib.Path:
        """The directory of the server."""
        return self.scratch / "server"

    @property
    def archive(self) -> pathlib.Path:
        """The archive."""
        return self.scratch / "synapse-example.org.tar"

    @property
    def marker(self) -> pathlib.Path:
        """The record of the restore."""
        return self.server / ".matrix_ops-restore.json"

    def write(self) -> None:
        """Write the archive."""
        names = [(f"files/{number:04d}", path) for number, path in enumerate(self.files)]
        listed = [
            {
                "member": member,
                "path": path,
                "mode": self.file_mode,
                "owner": OWNER,
                "group": GROUP,
                "modified": 1,
                "kind": self.files[path][0],
                "size": len(self.files[path][1]),
                "sha256": hashlib.sha256(self.files[path][1]).hexdigest(),
            }
            for member, path in names
        ]
        packed = zlib.compress(self.database, 1)
        manifest = {**self.manifest, "files": listed, "row_counts": self.counts}
        manifest["media"] = {
            **manifest["media"],
            "files": len(self.media),
            "bytes": sum(map(len, self.media.values())),
        }
        header_keys = ("format", "server_name", "created_ts", "synapse_version", "engine", "schema_version")
        header = {**{key: manifest[key] for key in header_keys}, "media_mode": manifest["media"]["mode"]}
        manifest["media_mode"] = manifest["media"]["mode"]
        descriptor = os.open(self.archive, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with ArchiveWriter(descriptor, 1) as writer:
                writer.add_json(HEADER, header)
                writer.add_database([packed])
                for member, path in names:
                    writer.add(member, self.files[path][1])
                for path in sorted(self.media, key=lambda path: path.split("/")):
                    writer.add(f"media/0/{path}", self.media[path], Attributes(0o600, *self.media_owner, 5))
                writer.add_json(MANIFEST, manifest)
                writer.finish()
        finally:
            os.close(descriptor)

    def declared(self, **changed: t.Any) -> DeclaredRestore:
        """Return the options of the task."""
        given: Json = {
            "src": str(self.archive),
            "config_path": [str(self.server / "homeserver.yaml"), str(self.server / "conf.d")],
            "synapse_python": str(self.scratch / "python"),
            "manager": "daemon",
            "working_directory": str(self.server),
            "allowed_paths": [],
        }
        return DeclaredRestore(**{**given, **changed})

    def resource(self, **changed: t.Any) -> RestoreResource:
        """Return the resource."""
        return RestoreResource(self.declared(**changed), self.service, lambda: None)

    def run(self, **changed: t.Any) -> Carried:
        """Restore as the runner does it."""
        resource = self.resource(**changed)
        plan = resource.plan()
        return carry_out(resource, plan, sleep=lambda _seconds: None)

    def require_refusal(self, message: str, **changed: t.Any) -> None:
        """Prove that the restore is refused with this message, and that nothing has changed."""
        before = self.tree() if self.server.exists() else {}
        with pytest.raises(SynapseError, match=message):
            self.resource(**changed).plan()
        assert (self.tree() if self.server.exists() else {}) == before

    def tree(self) -> dict[str, bytes]:
        """Return everything in the directory of the server, without the record."""
        return {
            str(path.relative_to(self.server)): path.read_bytes()
            for path in sorted(self.server.rglob("*"))
            if path.is_file() and path != self.marker
        }


def make_host(scratch: pathlib.Path) -> Host:
    """Return a host whose archive is not written yet."""
    server = scratch / "server"
    (scratch / "python").write_text("")
    configuration = f"server_name: {NAME}\nsigning_key_path: {server}/{NAME}.signing.key\n"
    files = {
        f"{server}/homeserver.yaml": ("configuration", configuration.encode()),
        f"{server}/conf.d/60-matrix_ops-database.yaml": ("configuration", b"database: {name: sqlite3}\n"),
        f"{server}/{NAME}.signing.key": ("signing_key", b"ed25519 a_key secret\n"),
        f"{server}/log.config": ("log_configuration", b"version: 1\n"),
    }
    entry = {"mode": "0750", "owner": OWNER, "group": GROUP}
    manifest: Json = {
        "format": FORMAT,
        "server_name": NAME,
        "created_ts": CREATED,
        "synapse_version": VERSION,
        "engine": "sqlite",
        "schema_version": 94,
        "sample": {},
        "database": {
            "engine": "sqlite",
            "path": f"{server}/data/homeserver.db",
            "schema_compat_version": 88,
            "chunks": 1,
        },
        "directories": [{"path": str(path), **entry} for path in (server, server / "conf.d", server / "data")],
        "media": {"mode": "include", "directories": [{"path": f"{server}/data/media_store", **entry}]},
        "installation": {"kind": "virtualenv"},
        "service": {
            "manager": "daemon",
            "units": [],
            "workers": [],
            "user": OWNER,
            "group": GROUP,
            "config_path": [f"{server}/homeserver.yaml", f"{server}/conf.d"],
            "working_directory": str(server),
        },
    }
    content = database_file(scratch / "old.db")
    manifest["database"]["bytes"] = len(content)
    config_path = (f"{server}/homeserver.yaml", f"{server}/conf.d")
    service = ControlledService(Managed(config_path, Client("http://127.0.0.1:9")))
    return Host(scratch, files, dict(MEDIA), dict(COUNTS), manifest, service, content)

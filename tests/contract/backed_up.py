# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server with content, and what the tests of its backups need."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import threading
import time
import typing as t
import urllib.parse
from pathlib import Path

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.archive_reader import (
    is_database,
    open_archive,
    unpacked_database,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.postgresql_programs import find_program
from ansible_collections.matrix_ops.synapse.tests.contract.export_people import Person
from ansible_collections.matrix_ops.synapse.tests.contract.modules import run_module
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

_DAY = 86_400_000


@dataclasses.dataclass(frozen=True)
class BackedUp:
    """A server of one's own, whose media and one-time key are known."""

    server: Server
    one_time_key: str

    @property
    def secrets(self) -> list[str]:
        """What must not be in a result."""
        return [*self.server.secrets, Path(self.server.directory, "signing.key").read_text().split()[-1]]

    def declare(self, backups: Path, **changed: t.Any) -> dict[str, t.Any]:
        """Return the options of a task."""
        return {
            "dest_directory": str(backups),
            "config_path": list(self.server.config_path),
            "working_directory": self.server.directory,
            "synapse_python": self.server.python,
            "manager": "daemon",
            "environment_files": [],
            "margin": "1M",
            **changed,
        }

    def back_up(self, backups: Path, **changed: t.Any) -> dict[str, t.Any]:
        """Make a backup, and return it."""
        result = run_module("synapse_backup", self.declare(backups, **changed), check=False, diff=False)
        assert not result.get("failed"), result
        return t.cast("dict[str, t.Any]", result["backup"])

    def count(self, table: str) -> int:
        """Return the number of rows of a table."""
        [(number,)] = self.server.rows(f"SELECT count(*) FROM {table}")
        return int(number)

    def media_on_disk(self) -> dict[str, bytes]:
        """Return the media by their paths."""
        store = Path(self.server.directory, "media_store")
        return {str(path): path.read_bytes() for path in store.rglob("*") if path.is_file()}

    def unpack_database(self, path: str, directory: Path) -> bytes:
        """Return the database of an archive: the file of SQLite, or the text that restores PostgreSQL."""
        with open_archive(path) as reader:
            pieces = [piece for member in reader.members() if is_database(member) for piece in member.chunks()]
        content = b"".join(unpacked_database(reader.header["engine"], pieces))
        if reader.header["engine"] == "sqlite":
            return content
        (directory / "dump").write_bytes(content)
        command = [find_program("pg_restore", 14).path, "--file=-", str(directory / "dump")]
        return subprocess.run(command, check=True, capture_output=True).stdout

    def scratch_databases(self) -> list[str]:
        """Return the names of databases of verifications."""
        if self.server.engine == "sqlite":
            return []
        rows = self.server.rows(r"SELECT datname FROM pg_database WHERE datname LIKE 'matrix\_ops\_backup%%'")
        return [name for (name,) in rows]

    def make_older(self, path: Path, days: int) -> None:
        """Let an archive be of so many days ago."""
        sidecar = Path(f"{path}.json")
        found = json.loads(sidecar.read_text())
        found["created_ts"] = int(time.time() * 1000) - days * _DAY
        sidecar.write_text(json.dumps(found))

    @contextlib.contextmanager
    def being_used(self) -> t.Iterator[None]:
        """Let an account write messages during the block."""
        user = self.server.make_account(f"writer{time.time_ns()}")
        token = self.server.speaking_as(user)
        room = self.server.make_room(token)
        stop = threading.Event()

        def write() -> None:
            number = 0
            while not stop.is_set():
                path = f"/_matrix/client/v3/rooms/{urllib.parse.quote(room)}/send/m.room.message/{number}"
                self.server.send("PUT", path, {"msgtype": "m.text", "body": f"message {number}"}, token)
                number += 1

        thread = threading.Thread(target=write)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def make_keys(kind: str, directory: Path) -> tuple[str, dict[str, str]]:
    """Make a pair of keys in an empty directory; return the public one, and the option that names the private one."""
    if kind == "age":
        identity = directory / "age.key"
        subprocess.run(["age-keygen", "-o", identity], check=True, capture_output=True)
        shown = subprocess.run(["age-keygen", "-y", identity], check=True, capture_output=True, text=True)
        return shown.stdout.strip(), {"age_identity_path": str(identity)}
    gpg = ["gpg", "--batch", "--homedir", str(directory), "--passphrase", ""]
    subprocess.run([*gpg, "--quick-generate-key", "backup@example.org"], check=True, capture_output=True)
    shown = subprocess.run([*gpg, "--export", "--armor"], check=True, capture_output=True, text=True)
    return shown.stdout, {"gpg_home": str(directory)}


def filled(server: Server) -> BackedUp:
    """Give a server accounts, media and a one-time key."""
    person = Person(server, "alice")
    for number in range(5):
        person.upload(f"picture {number}", os.urandom(1000 * number + 1))
    key = "c" * 20 + os.urandom(8).hex()
    server.write(
        "INSERT INTO e2e_one_time_keys_json (user_id, device_id, algorithm, key_id, ts_added_ms, key_json)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        *(person.user_id, "DEVICE", "signed_curve25519", "AAAA", 1, key),
    )
    return BackedUp(server, key)

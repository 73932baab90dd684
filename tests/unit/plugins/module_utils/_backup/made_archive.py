# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small archive for tests, as the collection writes it."""

from __future__ import annotations

import hashlib
import os
import pathlib
import typing as t
import zlib

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.archive_writer import ArchiveWriter
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.layout import (
    FORMAT,
    HEADER,
    MANIFEST,
    Attributes,
)

HEADER_OF_TEST: dict[str, t.Any] = {
    "format": FORMAT,
    "server_name": "example.org",
    "created_ts": 1_769_860_800_000,
    "synapse_version": "1.163.2",
    "engine": "sqlite",
    "schema_version": 93,
    "media_mode": "include",
}
DATABASE = b"SQLite format 3\0" + bytes(range(256)) * 40
LONG_NAME = "media/0/remote_content/" + "ä" * 80 + "/x"
MEMBERS = {
    "files/0000": b"server_name: example.org\n",
    "files/0001": b"",
    "media/0/local_content/aa/bb/cc": b"\x89PNG" * 300,
    LONG_NAME: b"remote",
}


def write(path: pathlib.Path, members: dict[str, bytes] | None = None, **changed: t.Any) -> pathlib.Path:
    """Write the archive. `changed`: other values of the manifest."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with ArchiveWriter(descriptor, 1_769_860_800) as writer:
            writer.add_json(HEADER, HEADER_OF_TEST)
            writer.add_database([zlib.compress(DATABASE, 1)])
            for name, content in (MEMBERS if members is None else members).items():
                writer.add(name, content, Attributes(0o640, "alice", "users", 1_700_000_000))
            writer.add_json(MANIFEST, {**manifest(MEMBERS if members is None else members), **changed})
            writer.finish()
    finally:
        os.close(descriptor)
    return path


def manifest(members: dict[str, bytes], chunks: int = 1) -> dict[str, t.Any]:
    """Return the manifest of an archive with these members, and with so many of the database."""
    media = [len(content) for name, content in members.items() if name.startswith("media/")]
    files = [
        {
            **{"member": name, "path": f"/srv/{name}", "kind": "configuration", "mode": "0640", "owner": "alice"},
            **{"group": "users", "modified": 1, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()},
        }
        for name, content in members.items()
        if name.startswith("files/")
    ]
    return {
        **HEADER_OF_TEST,
        "database": {
            **{"engine": "sqlite", "path": "/srv/homeserver.db", "chunks": chunks, "bytes": len(DATABASE)},
            "schema_compat_version": 88,
        },
        "row_counts": {"users": 2},
        "sample": {},
        "files": files,
        "directories": [{"path": "/srv", "mode": "0750", "owner": "alice", "group": "users"}],
        "media": {
            "mode": "include",
            "directories": [{"path": "/srv/media_store", "setting": "media_store_path"}],
            **{"files": len(media), "bytes": sum(media)},
        },
        "installation": {"kind": "virtualenv"},
        "service": {
            **{"manager": "daemon", "user": "alice", "group": "users", "config_path": ["/srv/homeserver.yaml"]},
            **{"units": [], "workers": []},
        },
    }

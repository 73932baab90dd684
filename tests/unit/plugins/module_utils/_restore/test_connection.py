# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Another connection is written as the role synapse_homeserver writes it."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
import yaml

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.connection import (
    MEMBER,
    Connection,
    with_connection,
)

_CONNECTION = Connection("db.example.org", 5433, "d", "u", "top: secret", 2, 3)


def _manifest(**files: str) -> tuple[dict[str, t.Any], dict[str, bytes]]:
    entries = [
        {"member": member, "path": f"/c/{member}", "kind": "configuration", "owner": "root", "group": "g"}
        for member in ("homeserver.yaml", *files)
    ]
    for entry, path in zip(entries[1:], files.values()):
        entry["path"] = path
    service = {"manager": "systemd", "config_path": ["/c/homeserver.yaml", "/c/conf.d"]}
    kept = {"homeserver.yaml": b"server_name: example.org\n", **{member: b"database: {}\n" for member in files}}
    return {"engine": "postgresql", "files": entries, "service": service}, kept


def test_what_can_never_work() -> None:
    _CONNECTION.check()
    with pytest.raises(InvalidInput, match="cp_min is 2 and cp_max is 1"):
        dataclasses.replace(_CONNECTION, cp_max=1).check()


def test_the_drop_in() -> None:
    manifest, kept = with_connection(_CONNECTION, *_manifest())
    [entry] = [file for file in manifest["files"] if file["member"] == MEMBER]
    assert entry["path"] == "/c/conf.d/60-matrix_ops-database.yaml"
    assert (entry["mode"], entry["owner"], entry["group"]) == ("0640", "root", "g")
    text = kept[MEMBER].decode()
    arguments = yaml.safe_load(text)["database"]["args"]
    assert list(arguments) == ["host", "port", "dbname", "user", "cp_min", "cp_max", "password"]
    assert arguments["password"] == "top: secret"
    assert '# Secrets: [["database", "args", "password"]]' in text
    assert len(text) == entry["size"]


def test_the_one_in_the_archive_is_replaced() -> None:
    manifest, _kept = with_connection(_CONNECTION, *_manifest(old="/c/conf.d/60-matrix_ops-database.yaml"))
    assert [file["member"] for file in manifest["files"]] == ["homeserver.yaml", MEMBER]


def test_without_a_password() -> None:
    _manifest_after, kept = with_connection(Connection("/run/postgresql", 5432, "d", "u", "", 5, 10), *_manifest())
    assert b"password" not in kept[MEMBER]


def test_what_cannot_work() -> None:
    with pytest.raises(InvalidInput, match="/c/conf.d/99.yaml in the archive sets the database after"):
        with_connection(_CONNECTION, *_manifest(later="/c/conf.d/99.yaml"))
    manifest, kept = _manifest()
    with pytest.raises(InvalidInput, match="the database in the archive is SQLite"):
        with_connection(_CONNECTION, {**manifest, "engine": "sqlite"}, kept)
    service = {**manifest["service"], "config_path": ["/c/homeserver.yaml"]}
    with pytest.raises(InvalidInput, match="has no directory for a drop-in"):
        with_connection(_CONNECTION, {**manifest, "service": service}, kept)
    service = {**manifest["service"], "config_path": ["/other/homeserver.yaml", "/c/conf.d"]}
    with pytest.raises(InvalidInput, match="does not contain /other/homeserver.yaml, its own configuration"):
        with_connection(_CONNECTION, {**manifest, "service": service}, kept)
    kept["homeserver.yaml"] += b"databases: {all: {name: psycopg2}}\n"
    with pytest.raises(InvalidInput, match="/c/homeserver.yaml in the archive sets databases, with which Synapse acce"):
        with_connection(_CONNECTION, manifest, kept)


def test_a_configuration_in_a_directory() -> None:
    manifest, kept = _manifest()
    service = {**manifest["service"], "config_path": ["/c"]}
    changed, _kept = with_connection(_CONNECTION, {**manifest, "service": service}, kept)
    assert changed["files"][-1]["path"] == "/c/60-matrix_ops-database.yaml"

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import datetime
import functools
import hashlib
import json
import os
import pathlib
import sqlite3
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConnectionFailed,
    InvalidInput,
    StateNotReached,
    SynapseError,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export import declared
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export import export as exports
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.command import SynapsePython
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.declared import DeclaredExport
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.events.objects import read_objects
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.export import ExportResource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.names import digest_of, name_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import iso_time
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import ScriptedServer

ALICE = "@alice:s.test"
PICTURE = name_of("AAbbccDDee")
TABLES = """
    CREATE TABLE users (name TEXT);
    CREATE TABLE rooms (room_id TEXT);
    CREATE TABLE events (event_id TEXT, room_id TEXT, rejection_reason TEXT);
    CREATE TABLE local_current_membership (room_id TEXT, user_id TEXT, event_id TEXT, membership TEXT);
    CREATE TABLE room_memberships (room_id TEXT, user_id TEXT, membership TEXT, forgotten INTEGER);
    CREATE TABLE e2e_device_keys_json (user_id TEXT);
    CREATE TABLE e2e_cross_signing_keys (user_id TEXT);
    CREATE TABLE e2e_room_keys (user_id TEXT);
    CREATE TABLE device_inbox (user_id TEXT);
    CREATE TABLE push_rules (user_name TEXT);
    CREATE TABLE receipts_linearized (user_id TEXT);
    CREATE TABLE user_filters (full_user_id TEXT);
    CREATE TABLE local_media_repository (
        media_id TEXT, media_length INTEGER, quarantined_by TEXT, user_id TEXT, url_cache TEXT
    );
    CREATE TABLE schema_version (version INTEGER);
    CREATE TABLE schema_compat_version (compat_version INTEGER);
    INSERT INTO schema_version VALUES (94);
    INSERT INTO schema_compat_version VALUES (90);
    INSERT INTO users VALUES ('@alice:s.test'), ('@bob:s.test');
"""


class Host:
    """A host with a server, on which the command of Synapse writes only what the test declares."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self.exports = directory / "exports"
        self.exports.mkdir()
        self.written: dict[str, t.Any] = {"user_data/profile": {"name": ALICE}}
        self.runs: list[dict[str, t.Any]] = []
        self.ids: dict[str, str] = {}
        connection = sqlite3.connect(directory / "homeserver.db")
        connection.executescript(TABLES)
        connection.close()
        database = {"name": "sqlite3", "args": {"database": str(directory / "homeserver.db")}}
        self.store = directory / "media_store"
        self.store.mkdir()
        settings = {"server_name": "s.test", "database": database, "media_store_path": str(self.store)}
        (directory / "homeserver.yaml").write_text(json.dumps(settings))
        self.declared = DeclaredExport(
            user_id="alice",
            dest=str(self.exports / "alice"),
            config_path=[str(directory / "homeserver.yaml")],
            synapse_python="/venv/bin/python",
            working_directory=None,
            export_timeout=3600,
            recreate=False,
        )

    def run_export(
        self, python: str, config_path: list[str], user_id: str, directory: str, ids_path: str, **options: t.Any
    ) -> None:
        """Write what the test declares. Ids (with ! or $, or of media) become digests, as in the command."""
        self.runs.append({"python": python, "user_id": user_id, **options})
        with open(ids_path, "x", encoding="ascii") as ids:
            ids.writelines(json.dumps(identifier) + "\n" for identifier in self.ids.values())
            for path, content in self.written.items():
                parts = path.split("/")
                for number, part in enumerate(parts):
                    if part[0] in "!$" or (parts[0] == "media_ids" and number):
                        parts[number] = digest_of(part)
                        print(json.dumps(part), file=ids)
                os.makedirs(os.path.join(directory, *parts[:-1]), exist_ok=True)
                pathlib.Path(directory, *parts).write_text(json.dumps(content))

    def upload(self, media_id: str, content: bytes, stored: bool = True, **more: t.Any) -> None:
        """Add a medium to the descriptions of the export, and to the media store."""
        path = self.store / "local_content" / media_id[:2] / media_id[2:4] / media_id[4:]
        if stored:
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
        self.written[f"media_ids/{media_id}"] = {
            **{"media_id": media_id, "media_length": len(content), "media_type": "image/png", "url_cache": None},
            **{"sha256": hashlib.sha256(content).hexdigest(), "upload_name": "/../x", "quarantined_by": None, **more},
        }

    def execute(self, *statements: str) -> None:
        """Run statements in the database."""
        connection = sqlite3.connect(self.directory / "homeserver.db")
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()

    def manifest(self, name: str = "alice") -> dict[str, t.Any]:
        """Return the manifest of an export."""
        found = json.loads((self.exports / name / "manifest.json").read_text())
        assert isinstance(found, dict)
        return found

    def export(
        self, check_mode: bool = False, client: Client | None = None, **changes: t.Any
    ) -> tuple[bool, dict[str, t.Any]]:
        resource = ExportResource(dataclasses.replace(self.declared, **changes), client)
        plan = resource.plan()
        if plan.changed and not check_mode:
            plan.execute()
            resource.verify(plan)
        result = resource.result(plan, not check_mode)
        assert list(result) == ["export"]
        assert isinstance(result["export"], dict)
        return plan.changed, result["export"]


@pytest.fixture
def host(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    found = Host(tmp_path)
    monkeypatch.setattr(exports, "read_synapse_python", lambda path: SynapsePython(path, "1.163.2", 94))
    monkeypatch.setattr(exports, "run_export", found.run_export)
    return found


def test_check_run_again(host: Host) -> None:
    changed, predicted = host.export(check_mode=True)
    assert changed and os.listdir(host.exports) == []
    changed, made = host.export()
    assert changed and os.listdir(host.exports) == ["alice"]
    unknown = {"created", "created_ts", "size", "summary", "missing_media", "not_exported"}
    assert {name: value for name, value in made.items() if name not in unknown} == predicted
    assert made.keys() - predicted.keys() == unknown
    assert made["created"] == iso_time(made["created_ts"])
    assert None not in made.values()
    nothing = {"rooms": 0, "events": 0, "encrypted_messages": 0, "media": 0, "media_files": 0, "devices": 0}
    assert made["summary"] == {"files": 2, **nothing}
    page = (host.exports / "alice" / "index.html").stat().st_size
    assert made["size"] == len(json.dumps({"name": ALICE})) + page
    assert host.export(user_id=ALICE) == (False, made)
    assert len(host.runs) == 1


def test_complete_export_needs_no_server(host: Host) -> None:
    host.export()
    (host.directory / "homeserver.db").unlink()
    assert host.export(synapse_python="/missing")[0] is False


def test_recreate(host: Host) -> None:
    host.export()
    host.written["user_data/devices"] = {}
    assert host.export(check_mode=True, recreate=True)[0] is True
    changed, made = host.export(recreate=True)
    assert changed and made["summary"]["devices"] == 1
    assert len(host.runs) == 2


def test_export_of_another_account_is_never_replaced(host: Host) -> None:
    host.export()
    with pytest.raises(InvalidInput, match="contains the export of @alice:s.test, not of @bob:s.test"):
        host.export(user_id="bob", recreate=True)


def test_changed_export_is_replaced_only_by_recreate(host: Host) -> None:
    host.export()
    (host.exports / "alice" / "note").write_text("mine")
    with pytest.raises(SynapseError, match="is not as it was made .*with recreate: true"):
        host.export()
    assert host.export(recreate=True)[0]
    assert not (host.exports / "alice" / "note").exists()


def test_empty_export_is_a_failure_and_leaves_nothing(host: Host) -> None:
    host.written = {"user_data/account_data/global": {}}
    with pytest.raises(SynapseError, match="does not contain the profile"):
        host.export()
    assert os.listdir(host.exports) == []


def test_failed_new_export_leaves_the_old_one(host: Host) -> None:
    made = host.export()[1]
    host.written = {}
    with pytest.raises(SynapseError):
        host.export(recreate=True)
    assert os.listdir(host.exports) == ["alice"]
    assert host.export() == (False, made)


def move_away(host: Host) -> str:
    """Leave the export as a task does that is killed before it has moved the new one there."""
    hidden = f".synapse_export_{hashlib.sha256(b'alice').hexdigest()[:16]}"
    (host.exports / hidden).mkdir(mode=0o700)
    (host.exports / "alice").rename(host.exports / hidden / "previous")
    return hidden


def test_export_that_was_moved_away_is_restored(host: Host) -> None:
    made = host.export()[1]
    hidden = move_away(host)
    assert host.export(check_mode=True) == (True, made)
    assert os.listdir(host.exports) == [hidden]
    assert host.export() == (True, made)
    assert host.export() == (False, made)
    assert os.listdir(host.exports) == ["alice"]
    assert len(host.runs) == 1


def test_export_that_was_moved_away_is_replaced_by_recreate(host: Host) -> None:
    made = host.export()[1]
    move_away(host)
    host.written["user_data/devices"] = {}
    before = ExportResource(dataclasses.replace(host.declared, recreate=True)).plan().before
    assert before is not None and before["created"] == made["created"]
    assert host.export(recreate=True)[1]["summary"]["devices"] == 1
    assert os.listdir(host.exports) == ["alice"]


def test_export_of_another_account_that_was_moved_away_is_refused_before_anything_is_done(host: Host) -> None:
    host.export()
    hidden = move_away(host)
    with pytest.raises(InvalidInput, match="contains the export of @alice:s.test, not of @bob:s.test"):
        host.export(user_id="bob", recreate=True)
    assert (len(host.runs), os.listdir(host.exports)) == (1, [hidden])


def test_what_another_process_creates_there_is_not_replaced(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*arguments: t.Any, **options: t.Any) -> None:
        host.run_export(*arguments, **options)
        (host.exports / "alice").mkdir()
        (host.exports / "alice" / "note").write_text("mine")

    monkeypatch.setattr(exports, "run_export", run)
    with pytest.raises(SynapseError, match="not an export of this collection"):
        host.export()
    assert (host.exports / "alice" / "note").read_text() == "mine"
    assert os.listdir(host.exports) == ["alice"]


def test_verify_looks_again(host: Host) -> None:
    resource = ExportResource(host.declared)
    plan = resource.plan()
    plan.execute()
    (host.exports / "alice" / "user_data" / "profile").unlink()
    with pytest.raises(StateNotReached, match="not the one that was just made"):
        resource.verify(plan)


def test_how_the_command_is_run(host: Host) -> None:
    host.export()
    host.export(recreate=True, working_directory=str(host.directory), export_timeout=0)
    first, second = host.runs
    assert first["timeout"] == 3600 and second["timeout"] is None
    assert os.path.dirname(os.path.dirname(first["working_directory"])) == str(host.exports)
    assert second["working_directory"] == str(host.directory)
    assert first["user_id"] == ALICE and first["python"] == "/venv/bin/python"


@pytest.mark.parametrize(("given", "run"), [("python3", "python3"), ("venv/python", os.path.abspath("venv/python"))])
def test_relative_python_is_that_of_the_directory_of_the_task(host: Host, given: str, run: str) -> None:
    host.export(synapse_python=given)
    assert host.runs[0]["python"] == run


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"user_id": "carol"}, "@carol:s.test does not exist"),
        ({"user_id": "@alice:other.test"}, "of the server other.test"),
        ({"working_directory": "/missing"}, "working_directory /missing is not a directory"),
        ({"config_path": ["/missing.yaml"]}, "/missing.yaml does not exist"),
        ({"dest": ""}, "dest is empty. Set it to a path"),
        ({"dest": None, "dest_directory": ""}, "dest_directory is empty. Set it to a path"),
        ({"dest": "/"}, "dest / is the root directory"),
        ({"dest": "/missing/alice"}, "the directory /missing does not exist, create it first"),
    ],
)
def test_refused_before_anything_is_done(host: Host, changes: dict[str, t.Any], message: str) -> None:
    for check_mode in (True, False):
        with pytest.raises(SynapseError, match=message):
            host.export(check_mode, **changes)
    assert not host.runs
    assert os.listdir(host.exports) == []


def test_plan_shows_before_and_after(host: Host) -> None:
    nothing = {"media": False, "include_quarantined": False, "include_forgotten": False}
    state = {"user_id": ALICE, "dest": host.declared.dest, **nothing}
    plan = ExportResource(host.declared).plan()
    assert (plan.before, plan.after) == (None, state)
    assert [step.description for step in plan.steps] == [f"export the data of {ALICE} to {host.declared.dest}"]
    created = host.export()[1]["created"]
    plan = ExportResource(host.declared).plan()
    assert (plan.before, plan.after, plan.changed) == (state, state, False)
    plan = ExportResource(dataclasses.replace(host.declared, media=True)).plan()
    assert plan.before == {**state, "created": created}
    assert plan.after == {**state, "created": "now", "media": True}
    assert plan.steps[0].description.endswith(f"replacing the export made at {created}")


def test_manifest_lists_every_file(host: Host) -> None:
    host.upload("AAbbccDDee", b"picture")
    host.written["user_data/devices"] = {"device_id": "A"}
    host.export(media=True)
    manifest = host.manifest()
    directory = host.exports / "alice"
    listed = {file["path"]: (file["size"], file["sha256"]) for file in manifest["files"]}
    assert listed == {
        str(path.relative_to(directory)): (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in directory.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }
    assert f"media/{PICTURE}" in listed
    assert manifest["synapse_version"] == "1.163.2" and manifest["collection_version"]
    [medium] = manifest["media"]
    assert (medium["upload_name"], medium["source"]) == ("/../x", "media_store")
    assert "reason" not in medium


def test_media(host: Host) -> None:
    host.upload("AAbbccDDee", b"picture")
    host.upload("AAbbccDDef", b"lost", stored=False)
    changed, made = host.export()
    assert made["summary"]["media_files"] == 0 and made["missing_media"] == []
    assert {"name": "the content of uploaded files (2)", "reason": "it was not requested"} in made["not_exported"]
    changed, made = host.export(media=True)
    assert changed and made["summary"]["media_files"] == 1
    assert made["missing_media"] == [{"media_id": "AAbbccDDef", "reason": "the media store does not have its file"}]
    assert (host.exports / "alice/media" / PICTURE).read_bytes() == b"picture"
    assert host.export(media=True)[0] is False
    assert host.export(media=False)[0] is False


def test_quarantined_media(host: Host) -> None:
    host.upload("AAbbccDDee", b"picture")
    host.upload("AAevilDDef", b"evil", quarantined_by="@admin:s.test")
    made = host.export(media=True)[1]
    assert made["missing_media"] == [{"media_id": "AAevilDDef", "reason": "it was quarantined by @admin:s.test"}]
    assert host.manifest()["includes_quarantined_media"] is False
    # Without media, the option has no effect.
    assert host.export(include_quarantined=True) == (False, made)
    plan = ExportResource(dataclasses.replace(host.declared, media=True, include_quarantined=True)).plan()
    assert plan.before is not None and plan.before["include_quarantined"] is False
    assert plan.after is not None and plan.after["include_quarantined"] is True
    changed, both = host.export(media=True, include_quarantined=True)
    assert changed and both["missing_media"] == [] and both["summary"]["media_files"] == 2
    assert host.manifest()["includes_quarantined_media"] is True
    for include_quarantined in (True, False):
        assert host.export(media=True, include_quarantined=include_quarantined) == (False, both)
    assert host.export() == (False, both)


def test_quarantined_media_are_not_recorded_without_media(host: Host) -> None:
    host.export(include_quarantined=True)
    assert host.manifest()["includes_quarantined_media"] is False
    assert host.export(include_quarantined=True)[0] is False


def test_require_all_media(host: Host) -> None:
    for number in range(7):
        host.upload(f"AA{number}bccDDef", b"lost", stored=False)
    host.export(media=True)
    before = host.manifest()
    with pytest.raises(SynapseError, match=r"7 of the 7 media of @alice:s.test .*AA4bccDDef .*and 2 more. Without"):
        host.export(media=True, require_all_media=True)
    assert host.manifest() == before
    assert os.listdir(host.exports) == ["alice"]


@pytest.mark.parametrize("check_mode", [True, False])
def test_require_all_media_before_the_export_where_it_is_known(host: Host, check_mode: bool) -> None:
    host.execute(
        "INSERT INTO local_media_repository VALUES ('AAbbccDDee', 7, NULL, '@alice:s.test', NULL)",
        "INSERT INTO local_media_repository VALUES ('AAevilDDef', 7, '@admin:s.test', '@alice:s.test', NULL)",
        "INSERT INTO local_media_repository VALUES ('AAnoneDDef', NULL, NULL, '@alice:s.test', NULL)",
    )
    required = functools.partial(host.export, check_mode, media=True, require_all_media=True)
    with pytest.raises(
        SynapseError, match=r"^2 of the 3 media .*AAevilDDef \(it was quar.*AAnoneDDef \(its media ID was"
    ):
        required()
    with pytest.raises(SynapseError, match="^1 of the 3 media .*AAnoneDDef"):
        required(include_quarantined=True)
    assert (host.runs, list(host.exports.iterdir())) == ([], [])
    host.export(check_mode, media=True)
    host.export(check_mode, require_all_media=True)


def test_failed_export_keeps_its_media_for_the_next(host: Host) -> None:
    host.upload("AAbbccDDee", b"picture")
    host.upload("AAbbccDDef", b"lost", stored=False)
    with pytest.raises(SynapseError, match="1 of the 2 media"):
        host.export(media=True, require_all_media=True)
    [hidden] = host.exports.iterdir()
    assert (hidden / "media" / PICTURE).read_bytes() == b"picture"
    del host.written["media_ids/AAbbccDDef"]
    host.export(media=True, require_all_media=True)
    assert os.listdir(host.exports) == ["alice"]
    # It was not fetched again.
    assert ["source" in medium for medium in host.manifest()["media"]] == [False]


def test_pending_rooms_are_in_the_same_order_in_check_mode(host: Host) -> None:
    # The name of the first directory is sorted after that of the second one.
    for room_id in ("!-later", "!invited"):
        host.execute(
            f"INSERT INTO rooms VALUES ('{room_id}')",
            f"INSERT INTO events VALUES ('${room_id}', '{room_id}', NULL)",
            f"INSERT INTO local_current_membership VALUES ('{room_id}', '{ALICE}', '${room_id}', 'invite')",
            f"INSERT INTO room_memberships VALUES ('{room_id}', '{ALICE}', 'invite', 0)",
        )
        host.written[f"rooms/{room_id}/events"] = {"type": "m.room.member", "state_key": ALICE, "content": {}}
        host.written[f"rooms/{room_id}/invite_state"] = {"type": "m.room.name", "content": {"name": "Party"}}
    assert name_of("!-later") > name_of("!invited")
    predicted, made = host.export(check_mode=True)[1], host.export()[1]
    assert [entry["room_id"] for entry in predicted["pending_rooms"]] == ["!-later", "!invited"]
    assert made["pending_rooms"] == predicted["pending_rooms"]


def test_pending_declined_and_forgotten(host: Host) -> None:
    rooms = [("!invited", "invite", 0), ("!declined", "leave", 0), ("!forgotten", "leave", 1)]
    for room_id, membership, forgotten in rooms:
        host.execute(
            f"INSERT INTO rooms VALUES ('{room_id}')",
            f"INSERT INTO events VALUES ('${room_id}', '{room_id}', NULL)",
            f"INSERT INTO local_current_membership VALUES ('{room_id}', '{ALICE}', '${room_id}', '{membership}')",
            f"INSERT INTO room_memberships VALUES ('{room_id}', '{ALICE}', '{membership}', {forgotten})",
        )
    host.written["rooms/!invited/events"] = {"type": "m.room.member", "state_key": ALICE, "content": {}}
    host.written["rooms/!invited/invite_state"] = {"type": "m.room.name", "content": {"name": "Party"}}
    predicted, made = host.export(check_mode=True)[1], host.export()[1]
    assert made["pending_rooms"] == predicted["pending_rooms"] == [{"room_id": "!invited", "membership": "invite"}]
    assert made["forgotten_rooms"] == predicted["forgotten_rooms"] == ["!forgotten"]
    assert any("1 room: !declined" in gap["name"] for gap in made["not_exported"])
    manifest = host.manifest()
    path = f"rooms/{name_of('!invited')}/invite_state"
    assert manifest["pending_rooms"] == [{"room_id": "!invited", "membership": "invite", "path": path}]
    assert path in [file["path"] for file in manifest["files"]]
    assert "Party" in (host.exports / "alice/index.html").read_text()
    assert host.runs[-1]["include_forgotten"] is False
    assert host.export(include_forgotten=True)[0] and host.runs[-1]["include_forgotten"] is True
    assert host.export(include_forgotten=True)[0] is False
    assert host.export()[0] is False


LONG = "!" + "x" * 398 + ":s"


def test_ids_that_are_no_names_of_files(host: Host) -> None:
    room_ids = [LONG, "!../../x:s", "!ROOM:s", "!room:s", "!con:s", "!\x00\n:s", "!%2F%25:s", "!a.", "!a. "]
    for room_id in room_ids:
        # An id can contain anything, even slashes: the file name is its digest.
        host.ids[digest_of(room_id)] = room_id
        host.written[f"user_data/account_data/{digest_of(room_id)}"] = {"tag": {room_id: 1}}
        host.written[f"rooms/{digest_of(room_id)}/events"] = {"type": "m.room.message", "content": {"body": room_id}}
    made = host.export()[1]
    manifest = host.manifest()
    assert made["summary"]["rooms"] == len(room_ids)
    assert sorted(room["room_id"] for room in manifest["rooms"]) == sorted(room_ids)
    for room in manifest["rooms"]:
        assert manifest["ids"][room["path"]] == room["room_id"]
        [event] = read_objects(str(host.exports / "alice" / room["path"] / "events"))
        assert event["content"] == {"body": room["room_id"]}
        data = f"user_data/account_data/{os.path.basename(room['path'])}"
        assert manifest["ids"][data] == room["room_id"]
        assert json.loads((host.exports / "alice" / data).read_text()) == {"tag": {room["room_id"]: 1}}
    assert host.export() == (False, made)


def test_manifest_has_the_ids_of_everything(host: Host) -> None:
    host.upload("AAbbccDDee", b"picture")
    host.written["rooms/!R/state/$E"] = {"type": "m.room.name"}
    host.export(media=True)
    room = f"rooms/{name_of('!R')}"
    assert host.manifest()["ids"] == {
        room: "!R",
        f"{room}/state/{name_of('$E')}": "$E",
        f"media_ids/{PICTURE}": "AAbbccDDee",
        f"media/{PICTURE}": "AAbbccDDee",
    }


@pytest.mark.parametrize(("archive", "ending"), [("directory", ""), ("zip", ".zip")])
def test_directory_for_many(host: Host, archive: str, ending: str) -> None:
    directory = host.directory / "new" / "exports"
    place: dict[str, t.Any] = {"dest": None, "dest_directory": str(directory), "format": archive}
    changed, predicted = host.export(check_mode=True, **place)
    assert changed and predicted["dest"] == str(directory / f"alice{ending}")
    assert not (host.directory / "new").exists()
    changed, made = host.export(**place)
    assert changed and made["dest"] == predicted["dest"] and os.path.exists(made["dest"])
    modes = [path.stat().st_mode & 0o777 for path in (directory.parent, directory)]
    assert modes == [0o755, 0o700]
    directory.chmod(0o750)
    assert host.export(**place) == (False, made)
    assert host.export(recreate=True, **place)[0] and directory.stat().st_mode & 0o777 == 0o750


def test_creating_the_directory_is_a_separate_step(host: Host) -> None:
    directory = str(host.directory / "exports" / "new")
    plan = ExportResource(dataclasses.replace(host.declared, dest=None, dest_directory=directory)).plan()
    assert [step.description for step in plan.steps] == [
        f"create the directory {directory}",
        f"export the data of {ALICE} to {directory}/alice",
    ]


def test_no_two_accounts_share_a_place(host: Host) -> None:
    localparts = ["alice", "ALICE", "alice.zip", "alice.tar.gz", "..", ".", "a/b", "con", "x" * 200, "x" * 201]
    for localpart in localparts[1:]:
        host.execute(f"INSERT INTO users VALUES ('@{localpart}:s.test')")
    places: dict[str, t.Any] = {"dest": None, "dest_directory": str(host.exports), "format": "zip"}
    made = []
    for localpart in localparts:
        host.written = {"user_data/profile": {"name": f"@{localpart}:s.test"}}
        made.append(host.export(user_id=f"@{localpart}:s.test", **places)[1]["dest"])
    assert made[0] == str(host.exports / "alice.zip")
    assert {os.path.dirname(path) for path in made} == {str(host.exports)}
    assert len({path.lower() for path in made}) == len(localparts) == len(os.listdir(host.exports))


def test_max_age(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.export()
    now = declared.now()
    ages = [(59, "60", False), (59, "60s", False), (62, "60s", True), (62, "1m", True), (7100, "2h", False)]
    for seconds, max_age, changed in [*ages, (86500, " 1d ", True)]:
        later = now + datetime.timedelta(seconds=seconds)
        monkeypatch.setattr(declared, "now", lambda later=later: later)
        assert host.export(check_mode=True, max_age=max_age)[0] is changed, max_age
    assert host.export(max_age="1w")[0] is False


@pytest.mark.parametrize(
    "max_age", ["", "d", "s", "-1d", "1y", "1.5h", "\N{ARABIC-INDIC DIGIT ONE}d", "9" * 5000, "9" * 30]
)
def test_max_age_that_is_no_time(host: Host, max_age: str) -> None:
    with pytest.raises(InvalidInput, match="is not a duration. Set it to a number of seconds, .* by s, m, h, d or w"):
        host.export(max_age=max_age)


def test_archive(host: Host) -> None:
    host.upload("AAbbccDDee", b"picture")
    for archive in ("tar.gz", "zip"):
        changed, made = host.export(format=archive, media=True)
        assert changed and made["dest"] == str(host.exports / f"alice.{archive}")
        assert host.export(format=archive, media=True) == (False, made)
        assert host.export(format=archive, media=True, dest=made["dest"]) == (False, made)
    assert sorted(os.listdir(host.exports)) == ["alice.tar.gz", "alice.zip"]
    with pytest.raises(InvalidInput, match="contains the export of @alice"):
        host.export(format="zip", user_id="bob")


@pytest.mark.parametrize("parallel", [0, -1, 65])
def test_parallel_must_be_possible(host: Host, parallel: int) -> None:
    with pytest.raises(InvalidInput, match=f"parallel is {parallel}. Set it to a number from 1 to 64"):
        host.export(parallel=parallel)


def test_client_api_requires_a_token(host: Host) -> None:
    with pytest.raises(InvalidInput, match="requires an access token"):
        host.export(media=True, media_source="client_api")


def test_server_that_is_down_is_not_required(host: Host) -> None:
    host.upload("AAbbccDDee", b"picture")
    host.upload("AAbbccDDef", b"lost", stored=False)
    with ScriptedServer() as server:
        client = Client(server.base_url, "token", verify=True, timeout=5, rate_limit_retry_timeout=0)
    for check_mode in (True, False):
        with pytest.raises(ConnectionFailed):
            host.export(check_mode, client, media=True, media_source="client_api")
    assert host.export(client=client, media=True)[1]["summary"]["media_files"] == 1
    assert [medium.get("reason") for medium in host.manifest()["media"]] == [
        None,
        "the media store does not have its file",
    ]

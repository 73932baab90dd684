# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import datetime
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
    CREATE TABLE schema_version (version INTEGER);
    CREATE TABLE schema_compat_version (compat_version INTEGER);
    INSERT INTO schema_version VALUES (94);
    INSERT INTO schema_compat_version VALUES (90);
    INSERT INTO users VALUES ('@alice:s.test'), ('@bob:s.test');
"""


class Host:
    """A host with a server, on which the command of Synapse only writes what the test wants."""

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
            destination=str(self.exports / "alice"),
            config_path=[str(directory / "homeserver.yaml")],
            synapse_python="/venv/bin/python",
            chdir=None,
            export_timeout=3600,
            force=False,
        )

    def run_export(
        self, python: str, config_path: list[str], user_id: str, directory: str, ids_path: str, **options: t.Any
    ) -> None:
        """Write what the test wants, whose ids begin with ! or $, or are of media: by their digests, as the command."""
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
        """Let the export describe a medium, and the store have it."""
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
        return plan.changed, resource.result(plan, not check_mode)


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
    unknown = {"created_at", "size", "counts", "missing_media", "not_exported"}
    assert {name: value for name, value in made.items() if name not in unknown} == {
        name: value for name, value in predicted.items() if name not in unknown
    }
    assert {predicted[name] for name in unknown} == {None}
    nothing = {"rooms": 0, "events": 0, "encrypted_messages": 0, "media": 0, "media_files": 0, "devices": 0}
    assert made["counts"] == {"files": 2, **nothing}
    page = (host.exports / "alice" / "index.html").stat().st_size
    assert made["size"] == len(json.dumps({"name": ALICE})) + page
    assert host.export(user_id=ALICE) == (False, made)
    assert len(host.runs) == 1


def test_complete_export_needs_no_server(host: Host) -> None:
    host.export()
    (host.directory / "homeserver.db").unlink()
    assert host.export(synapse_python="/missing")[0] is False


def test_force(host: Host) -> None:
    host.export()
    host.written["user_data/devices"] = {}
    assert host.export(check_mode=True, force=True)[0] is True
    changed, made = host.export(force=True)
    assert changed and made["counts"]["devices"] == 1
    assert len(host.runs) == 2


def test_export_of_somebody_else_is_never_replaced(host: Host) -> None:
    host.export()
    with pytest.raises(InvalidInput, match="holds the export of @alice:s.test, not of @bob:s.test"):
        host.export(user_id="bob", force=True)


def test_changed_export_is_replaced_only_by_force(host: Host) -> None:
    host.export()
    (host.exports / "alice" / "note").write_text("mine")
    with pytest.raises(SynapseError, match="is not as it was made .*with force"):
        host.export()
    assert host.export(force=True)[0]
    assert not (host.exports / "alice" / "note").exists()


def test_empty_export_is_a_failure_and_leaves_nothing(host: Host) -> None:
    host.written = {"user_data/account_data/global": {}}
    with pytest.raises(SynapseError, match="has no profile"):
        host.export()
    assert os.listdir(host.exports) == []


def test_failed_new_export_leaves_the_old_one(host: Host) -> None:
    made = host.export()[1]
    host.written = {}
    with pytest.raises(SynapseError):
        host.export(force=True)
    assert os.listdir(host.exports) == ["alice"]
    assert host.export() == (False, made)


def put_aside(host: Host) -> str:
    """Leave the export as a task does that is killed before it has put the new one there."""
    hidden = f".synapse_export_{hashlib.sha256(b'alice').hexdigest()[:16]}"
    (host.exports / hidden).mkdir(mode=0o700)
    (host.exports / "alice").rename(host.exports / hidden / "previous")
    return hidden


def test_export_that_was_put_aside_is_put_back(host: Host) -> None:
    made = host.export()[1]
    hidden = put_aside(host)
    assert host.export(check_mode=True) == (True, made)
    assert os.listdir(host.exports) == [hidden]
    assert host.export() == (True, made)
    assert host.export() == (False, made)
    assert os.listdir(host.exports) == ["alice"]
    assert len(host.runs) == 1


def test_export_that_was_put_aside_is_replaced_by_force(host: Host) -> None:
    made = host.export()[1]
    put_aside(host)
    host.written["user_data/devices"] = {}
    before = ExportResource(dataclasses.replace(host.declared, force=True)).plan().before
    assert before is not None and before["created_at"] == made["created_at"]
    assert host.export(force=True)[1]["counts"]["devices"] == 1
    assert os.listdir(host.exports) == ["alice"]


def test_export_of_somebody_else_that_was_put_aside_is_refused_before_anything_is_done(host: Host) -> None:
    host.export()
    hidden = put_aside(host)
    with pytest.raises(InvalidInput, match="holds the export of @alice:s.test, not of @bob:s.test"):
        host.export(user_id="bob", force=True)
    assert (len(host.runs), os.listdir(host.exports)) == (1, [hidden])


def test_what_comes_into_the_place_meanwhile_is_left_alone(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
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
    host.export(force=True, chdir=str(host.directory), export_timeout=0)
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
        ({"chdir": "/missing"}, "chdir /missing is not a directory"),
        ({"config_path": ["/missing.yaml"]}, "/missing.yaml does not exist"),
        ({"destination": ""}, "destination is empty: name the place"),
        ({"destination": None, "destination_directory": ""}, "destination_directory is empty: name the place"),
        ({"destination": "/"}, "destination / is the root of all directories"),
        ({"destination": "/missing/alice"}, "the directory /missing does not exist, create it first"),
    ],
)
def test_refused_before_anything_is_done(host: Host, changes: dict[str, t.Any], message: str) -> None:
    for check_mode in (True, False):
        with pytest.raises(SynapseError, match=message):
            host.export(check_mode, **changes)
    assert not host.runs
    assert os.listdir(host.exports) == []


def test_plan_shows_before_and_after(host: Host) -> None:
    state = {"user_id": ALICE, "destination": host.declared.destination, "media": False, "include_forgotten": False}
    plan = ExportResource(host.declared).plan()
    assert (plan.before, plan.after) == (None, state)
    assert [step.description for step in plan.steps] == [f"export the data of {ALICE} to {host.declared.destination}"]
    created_at = host.export()[1]["created_at"]
    plan = ExportResource(host.declared).plan()
    assert (plan.before, plan.after, plan.changed) == (state, state, False)
    plan = ExportResource(dataclasses.replace(host.declared, media=True)).plan()
    assert plan.before == {**state, "created_at": created_at}
    assert plan.after == {**state, "created_at": "now", "media": True}
    assert plan.steps[0].description.endswith(f"in place of the export made at {created_at}")


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
    assert (medium["upload_name"], medium["source"], medium["missing"]) == ("/../x", "store", None)


def test_media(host: Host) -> None:
    host.upload("AAbbccDDee", b"picture")
    host.upload("AAbbccDDef", b"lost", stored=False)
    changed, made = host.export()
    assert made["counts"]["media_files"] == 0 and made["missing_media"] == []
    assert {"what": "the bytes of 2 uploaded files", "why": "they were not asked for"} in made["not_exported"]
    changed, made = host.export(media=True)
    assert changed and made["counts"]["media_files"] == 1
    assert made["missing_media"] == [{"media_id": "AAbbccDDef", "missing": "the media store does not have its file"}]
    assert (host.exports / "alice/media" / PICTURE).read_bytes() == b"picture"
    assert host.export(media=True)[0] is False
    assert host.export(media=False)[0] is False


def test_strict(host: Host) -> None:
    for number in range(7):
        host.upload(f"AA{number}bccDDef", b"lost", stored=False)
    host.export(media=True)
    before = host.manifest()
    with pytest.raises(SynapseError, match=r"7 of the 7 media of @alice:s.test .*AA4bccDDef .*and 2 more. Without"):
        host.export(media=True, strict=True)
    assert host.manifest() == before
    assert os.listdir(host.exports) == ["alice"]


def test_failed_export_leaves_its_media_to_the_next(host: Host) -> None:
    host.upload("AAbbccDDee", b"picture")
    host.upload("AAbbccDDef", b"lost", stored=False)
    with pytest.raises(SynapseError, match="1 of the 2 media"):
        host.export(media=True, strict=True)
    [hidden] = host.exports.iterdir()
    assert (hidden / "media" / PICTURE).read_bytes() == b"picture"
    del host.written["media_ids/AAbbccDDef"]
    host.export(media=True, strict=True)
    assert os.listdir(host.exports) == ["alice"]
    # Nobody fetched it again.
    assert [medium["source"] for medium in host.manifest()["media"]] == [None]


def test_pending_rooms_are_told_in_the_same_order_by_check_mode(host: Host) -> None:
    # The directory of the first one has a name that comes after that of the other one.
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
    assert [entry["room_id"] for entry in predicted["pending"]] == ["!-later", "!invited"]
    assert made["pending"] == predicted["pending"]


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
    assert made["pending"] == predicted["pending"] == [{"room_id": "!invited", "membership": "invite"}]
    assert made["forgotten_rooms"] == predicted["forgotten_rooms"] == ["!forgotten"]
    assert any("1 room: !declined" in gap["what"] for gap in made["not_exported"])
    manifest = host.manifest()
    path = f"rooms/{name_of('!invited')}/invite_state"
    assert manifest["pending"] == [{"room_id": "!invited", "membership": "invite", "path": path}]
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
        # The name in the place of an id may be any, slashes too: what is written has its digest.
        host.ids[digest_of(room_id)] = room_id
        host.written[f"user_data/account_data/{digest_of(room_id)}"] = {"tag": {room_id: 1}}
        host.written[f"rooms/{digest_of(room_id)}/events"] = {"type": "m.room.message", "content": {"body": room_id}}
    made = host.export()[1]
    manifest = host.manifest()
    assert made["counts"]["rooms"] == len(room_ids)
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


@pytest.mark.parametrize("archive", [None, "zip"])
def test_directory_for_many(host: Host, archive: str | None) -> None:
    directory = host.directory / "new" / "exports"
    place: dict[str, t.Any] = {"destination": None, "destination_directory": str(directory), "archive": archive}
    changed, predicted = host.export(check_mode=True, **place)
    assert changed and predicted["destination"] == str(directory / f"alice{'.zip' if archive else ''}")
    assert not (host.directory / "new").exists()
    changed, made = host.export(**place)
    assert changed and made["destination"] == predicted["destination"] and os.path.exists(made["destination"])
    modes = [path.stat().st_mode & 0o777 for path in (directory.parent, directory)]
    assert modes == [0o755, 0o700]
    directory.chmod(0o750)
    assert host.export(**place) == (False, made)
    assert host.export(force=True, **place)[0] and directory.stat().st_mode & 0o777 == 0o750


def test_making_the_directory_is_a_step_of_its_own(host: Host) -> None:
    directory = str(host.directory / "exports" / "new")
    plan = ExportResource(dataclasses.replace(host.declared, destination=None, destination_directory=directory)).plan()
    assert [step.description for step in plan.steps] == [
        f"make the directory {directory}",
        f"export the data of {ALICE} to {directory}/alice",
    ]


def test_no_two_accounts_share_a_place(host: Host) -> None:
    localparts = ["alice", "ALICE", "alice.zip", "alice.tar.gz", "..", ".", "a/b", "con", "x" * 200, "x" * 201]
    for localpart in localparts[1:]:
        host.execute(f"INSERT INTO users VALUES ('@{localpart}:s.test')")
    places: dict[str, t.Any] = {"destination": None, "destination_directory": str(host.exports), "archive": "zip"}
    made = []
    for localpart in localparts:
        host.written = {"user_data/profile": {"name": f"@{localpart}:s.test"}}
        made.append(host.export(user_id=f"@{localpart}:s.test", **places)[1]["destination"])
    assert made[0] == str(host.exports / "alice.zip")
    assert {os.path.dirname(path) for path in made} == {str(host.exports)}
    assert len({path.lower() for path in made}) == len(localparts) == len(os.listdir(host.exports))


def test_max_age(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.export()
    now = declared.now()
    for seconds, max_age, changed in [(59, "60", False), (62, "1m", True), (7100, "2h", False), (86500, " 1d ", True)]:
        later = now + datetime.timedelta(seconds=seconds)
        monkeypatch.setattr(declared, "now", lambda later=later: later)
        assert host.export(check_mode=True, max_age=max_age)[0] is changed, max_age
    assert host.export(max_age="1w")[0] is False


@pytest.mark.parametrize("max_age", ["", "d", "-1d", "1y", "1.5h", "\N{ARABIC-INDIC DIGIT ONE}d", "9" * 5000, "9" * 30])
def test_max_age_that_is_no_time(host: Host, max_age: str) -> None:
    with pytest.raises(InvalidInput, match="is not a time: write a number of seconds"):
        host.export(max_age=max_age)


def test_archive(host: Host) -> None:
    host.upload("AAbbccDDee", b"picture")
    for archive in ("tar.gz", "zip"):
        changed, made = host.export(archive=archive, media=True)
        assert changed and made["destination"] == str(host.exports / f"alice.{archive}")
        assert host.export(archive=archive, media=True) == (False, made)
        assert host.export(archive=archive, media=True, destination=made["destination"]) == (False, made)
    assert sorted(os.listdir(host.exports)) == ["alice.tar.gz", "alice.zip"]
    with pytest.raises(InvalidInput, match="holds the export of @alice"):
        host.export(archive="zip", user_id="bob")


@pytest.mark.parametrize("parallel", [0, -1])
def test_parallel_must_be_possible(host: Host, parallel: int) -> None:
    with pytest.raises(InvalidInput, match="parallel must be at least 1"):
        host.export(parallel=parallel)


def test_media_over_http_want_a_token(host: Host) -> None:
    with pytest.raises(InvalidInput, match="Without an access token"):
        host.export(media=True, media_source="api")


def test_server_that_is_down_is_done_without(host: Host) -> None:
    host.upload("AAbbccDDee", b"picture")
    host.upload("AAbbccDDef", b"lost", stored=False)
    with ScriptedServer() as server:
        client = Client(server.base_url, "token", verify=True, timeout=5, rate_limit_retry_timeout=0)
    for check_mode in (True, False):
        with pytest.raises(ConnectionFailed):
            host.export(check_mode, client, media=True, media_source="api")
    assert host.export(client=client, media=True)[1]["counts"]["media_files"] == 1
    assert [medium["missing"] for medium in host.manifest()["media"]] == [
        None,
        "the media store does not have its file",
    ]

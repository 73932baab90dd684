# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import sqlite3
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _export
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    InvalidInput,
    StateNotReached,
    SynapseError,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export import DeclaredExport, ExportResource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export_command import SynapsePython

ALICE = "@alice:s.test"
TABLES = """
    CREATE TABLE users (name TEXT);
    CREATE TABLE rooms (room_id TEXT);
    CREATE TABLE events (event_id TEXT, room_id TEXT, rejection_reason TEXT);
    CREATE TABLE local_current_membership (room_id TEXT, user_id TEXT, event_id TEXT, membership TEXT);
    CREATE TABLE room_memberships (room_id TEXT, user_id TEXT, membership TEXT, forgotten INTEGER);
    CREATE TABLE room_account_data (user_id TEXT, room_id TEXT);
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
        connection = sqlite3.connect(directory / "homeserver.db")
        connection.executescript(TABLES)
        connection.close()
        database = {"name": "sqlite3", "args": {"database": str(directory / "homeserver.db")}}
        (directory / "homeserver.yaml").write_text(json.dumps({"server_name": "s.test", "database": database}))
        self.declared = DeclaredExport(
            user_id="alice",
            destination=str(self.exports / "alice"),
            config_path=[str(directory / "homeserver.yaml")],
            synapse_python="/venv/bin/python",
            chdir=None,
            export_timeout=3600,
            force=False,
        )

    def run_export(self, python: str, config_path: list[str], user_id: str, directory: str, **options: t.Any) -> None:
        self.runs.append({"python": python, "user_id": user_id, **options})
        for path, content in self.written.items():
            os.makedirs(os.path.dirname(os.path.join(directory, path)), exist_ok=True)
            pathlib.Path(directory, path).write_text(json.dumps(content))

    def export(self, check_mode: bool = False, **changes: t.Any) -> tuple[bool, dict[str, t.Any]]:
        resource = ExportResource(dataclasses.replace(self.declared, **changes))
        plan = resource.plan()
        if plan.changed and not check_mode:
            plan.execute()
            resource.verify(plan)
        return plan.changed, resource.result(plan, not check_mode)


@pytest.fixture
def host(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    found = Host(tmp_path)
    monkeypatch.setattr(_export, "read_synapse_python", lambda path: SynapsePython(path, "1.163.2", 94))
    monkeypatch.setattr(_export, "run_export", found.run_export)
    return found


def test_check_run_again(host: Host) -> None:
    changed, predicted = host.export(check_mode=True)
    assert changed and os.listdir(host.exports) == []
    changed, made = host.export()
    assert changed and os.listdir(host.exports) == ["alice"]
    unknown = {"created_at", "size", "counts"}
    assert {name: value for name, value in made.items() if name not in unknown} == {
        name: value for name, value in predicted.items() if name not in unknown
    }
    assert {predicted[name] for name in unknown} == {None}
    assert made["counts"] == {"files": 1, "rooms": 0, "events": 0, "media": 0, "devices": 0}
    assert made["size"] == len(json.dumps({"name": ALICE}))
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


def test_what_comes_into_the_place_meanwhile_is_left_alone(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*arguments: t.Any, **options: t.Any) -> None:
        host.run_export(*arguments, **options)
        (host.exports / "alice").mkdir()
        (host.exports / "alice" / "note").write_text("mine")

    monkeypatch.setattr(_export, "run_export", run)
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
        ({"destination": "/missing/alice"}, "there is no directory /missing"),
    ],
)
def test_refused_before_anything_is_done(host: Host, changes: dict[str, t.Any], message: str) -> None:
    for check_mode in (True, False):
        with pytest.raises(SynapseError, match=message):
            host.export(check_mode, **changes)
    assert not host.runs
    assert os.listdir(host.exports) == []


def test_plan_shows_before_and_after(host: Host) -> None:
    place = {"user_id": ALICE, "destination": host.declared.destination}
    plan = ExportResource(host.declared).plan()
    assert (plan.before, plan.after) == (None, place)
    assert [step.description for step in plan.steps] == [f"export the data of {ALICE} to {host.declared.destination}"]
    created_at = host.export()[1]["created_at"]
    plan = ExportResource(host.declared).plan()
    assert (plan.before, plan.after, plan.changed) == (place, place, False)
    plan = ExportResource(dataclasses.replace(host.declared, force=True)).plan()
    assert (plan.before, plan.after) == ({**place, "created_at": created_at}, {**place, "created_at": "now"})
    assert plan.steps[0].description.endswith(f"in place of the export made at {created_at}")

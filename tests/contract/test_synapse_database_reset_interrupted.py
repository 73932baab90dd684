# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_database_reset leaves if it fails or is killed in the middle, and what the next run makes of it."""

from __future__ import annotations

import json
import operator
import os
import re
import secrets
import signal
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.archive_reader import prove_archive
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.backup import Backup
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset import postgresql, sqlite_file
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import Process, find_processes
from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Result, play
from ansible_collections.matrix_ops.synapse.tests.contract.reset_server import (
    MODULE,
    backups,
    declare,
    fill,
    killed_before,
    media,
    state,
)
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until
from ansible_collections.matrix_ops.synapse.tests.contract.workers import with_workers

_EMPTY = {"users": 0, "rooms": 0, "events": 0, "answers": True, "media": 0}
_BEFORE = ("stop", "back up")
_DROP = {"sqlite": "drop", "postgresql": "drop in PostgreSQL"}
# Only the file of SQLite is kept until the end.
_FORGET = {"sqlite": ("forget the old database",), "postgresql": ()}
_ENGINES = {
    engine: pytest.param(engine, marks=pytest.mark.xdist_group(f"interrupted resets on {engine}"))
    for engine in servers.ENGINES
}


@pytest.fixture(scope="module", params=_ENGINES.values())
def own(request: pytest.FixtureRequest) -> t.Iterator[Server]:
    with servers.own_servers(request.param) as [server]:
        yield server


@pytest.fixture
def place(own: Server, tmp_path: Path) -> Place:
    fill(own)
    return Place(own, f"r{secrets.token_hex(4)}", tmp_path)


def _left(place: Place) -> list[str]:
    """Return what a reset has left in the directories of the server."""
    return [name for name in os.listdir(place.server.directory) if "matrix_ops" in name]


def _finished(place: Place, case: str) -> Result:
    """Run once more: it ends with an empty database and a server that answers. Then nothing is left to do."""
    done = play(place, MODULE, declare(place, purge_media=True), token=False)
    assert not done.get("failed"), done
    assert done["changed"], done
    assert done["database_reset"]["case"] == case
    assert {key: value for key, value in state(place).items() if key != "backups"} == _EMPTY
    assert _left(place) == []
    again = play(place, MODULE, declare(place, purge_media=True), token=False)
    assert not again["changed"], again
    archive = done["database_reset"]["backup"]
    assert prove_archive(archive).manifest["row_counts"]["users"] > 0
    return t.cast("Result", done["database_reset"])


def test_killed_again_and_again_before_the_drop(place: Place) -> None:
    for moment in (*_BEFORE, _DROP[place.server.engine]):
        place.server.forget_database()
        killed_before(place, moment, purge_media=True)
        # Whoever starts Synapse now gets the old database.
        assert place.server.rows("SELECT COUNT(*) FROM users")[0][0] > 0
        place.server.forget_database()
        assert _left(place) == [".matrix_ops-reset.json"]
    [first] = backups(place)
    assert _finished(place, "never_federated")["backup"] != str(first)


def test_killed_again_and_again_after_the_drop(place: Place) -> None:
    engine = place.server.engine
    for moment in ("start", "prove", "clear the media", *_FORGET[engine], "remove the note"):
        killed_before(place, moment, purge_media=True)
        old_file = "homeserver.db.matrix_ops-before-reset"
        assert (old_file in _left(place)) == (engine == "sqlite" and moment != "remove the note"), moment
        checked = play(place, MODULE, declare(place, purge_media=True), token=False, check=True)
        assert checked["database_reset"]["case"] == "unfinished"
    [archive] = backups(place)
    assert _finished(place, "unfinished")["backup"] == str(archive)
    assert backups(place) == [archive]


def test_killed_before_the_drop_with_accounts_from_the_future(place: Place) -> None:
    """The clock of the host was wrong when they were created: still, it is the old database."""
    place.server.write("UPDATE users SET creation_ts = 4000000000")
    place.server.forget_database()
    killed_before(place, _DROP[place.server.engine], purge_media=True)
    _finished(place, "never_federated")


def test_the_media_are_never_removed_without_a_backup(place: Place) -> None:
    """The interrupted run was to keep them, so that they are not in its backup."""
    killed_before(place, "start")
    stored = media(place.server)
    for check in (True, False):
        refused = play(place, MODULE, declare(place, purge_media=True), token=False, check=check)
        assert "The interrupted reset was begun without purge_media" in refused["msg"], refused
    assert media(place.server) == stored > 0
    assert not play(place, MODULE, declare(place), token=False).get("failed")
    done = play(place, MODULE, declare(place, purge_media=True), token=False)
    assert done["database_reset"]["media"]["removed"] == stored
    assert prove_archive(done["database_reset"]["backup"]).manifest["media"]["files"] == stored


def test_used_before_the_next_run(place: Place) -> None:
    """Somebody has started the new server by hand, and has created accounts: these stay."""
    killed_before(place, "start", purge_media=True)
    servers.restart(place.server)
    fill(place.server)
    used = state(place)
    done = play(place, MODULE, declare(place, purge_media=True), token=False)
    assert not done.get("failed"), done
    assert done["database_reset"]["case"] == "unfinished"
    after = state(place)
    assert (after["users"], after["rooms"]) == (used["users"], used["rooms"])
    # The file that the new account has uploaded.
    assert after["media"] == 1
    assert _left(place) == []


def test_name_is_changed_between_two_runs(place: Place) -> None:
    killed_before(place, "start")
    dropin = Path(place.server.config_path[1], "90-name.yaml")
    dropin.write_text(json.dumps({"server_name": "another.test"}))
    refused = play(place, MODULE, declare(place, confirm="another.test"), token=False)
    assert re.search(
        r"is the note of an interrupted reset of \S+, but the configuration is that of another\.test", refused["msg"]
    )
    dropin.unlink()
    assert not play(place, MODULE, declare(place), token=False).get("failed")


@pytest.mark.parametrize("own", [_ENGINES["sqlite"]], indirect=True)
def test_the_note_of_the_backup_is_gone(place: Place) -> None:
    killed_before(place, "start")
    note = Path(place.server.directory, ".matrix_ops-reset.json")
    content = note.read_text()
    note.unlink()
    refused = play(place, MODULE, declare(place), token=False)
    assert "is the old database of an interrupted reset, but" in refused["msg"]
    note.write_text(content)
    note.chmod(0o600)
    assert not play(place, MODULE, declare(place), token=False).get("failed")


def test_the_backup_fails(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_backup: Backup) -> t.NoReturn:
        raise SynapseError("The disk is full.")

    before = state(place)
    monkeypatch.setattr(Backup, "write", fail)
    failed = play(place, MODULE, declare(place), token=False)
    assert failed["msg"].startswith("The disk is full. Nothing is dropped: the old database is in place. Synapse runs")
    assert failed["changed"] is False
    assert failed["database"] == "old"
    assert state(place) == before
    assert _left(place) == []


def test_the_drop_fails(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something else holds on to the database, which is only seen when it is dropped."""
    server, before = place.server, state(place)
    monkeypatch.setattr(postgresql, "_LOCK_TIMEOUT", 200)
    monkeypatch.setattr(sqlite_file, "_PATIENCE", 0.2)
    write = Backup.write

    def write_and_hold(backup: Backup) -> t.Any:
        written = write(backup)
        if server.engine == "postgresql":
            server.write("BEGIN")
        server.rows("SELECT * FROM users LIMIT 1")
        return written

    monkeypatch.setattr(Backup, "write", write_and_hold)
    failed = play(place, MODULE, declare(place), token=False)
    server.forget_database()
    assert failed.get("failed"), failed
    assert "Nothing is dropped: the old database is in place. Synapse runs on it again." in failed["msg"]
    assert str(backups(place)[0]) in failed["msg"]
    assert failed["database"] == "old"
    assert state(place) == {**before, "backups": 1}
    assert _left(place) == []


def test_the_new_one_does_not_start(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """With PostgreSQL the new database stays; that of SQLite is replaced by the old one."""
    dropin = Path(place.server.config_path[1], "90-wrong.yaml")
    write, before = Backup.write, state(place)

    def write_and_break(backup: Backup) -> t.Any:
        written = write(backup)
        dropin.write_text(json.dumps({"max_upload_size": "lots"}))
        return written

    monkeypatch.setattr(Backup, "write", write_and_break)
    failed = play(place, MODULE, declare(place, purge_media=True), token=False)
    monkeypatch.undo()
    dropin.unlink()
    assert failed.get("failed"), failed
    [archive] = backups(place)
    assert f"The backup of the old one is {archive}." in failed["msg"]
    assert media(place.server) == before["media"]
    if place.server.engine == "sqlite":
        assert failed["database"] == "old"
        assert "the old database is in place. But Synapse does not run:" in failed["msg"]
        _finished(place, "never_federated")
    else:
        assert failed["database"] == "new"
        assert failed["changed"]
        assert "The old database is dropped" in failed["msg"]
        _finished(place, "unfinished")
        assert backups(place) == [archive]


def _workers(server: Server) -> list[Process]:
    """Return the processes of workers."""
    found = find_processes(server.config_path).processes
    return [process for process in found if process.app == "synapse.app.generic_worker"]


def test_workers(tmp_path: Path) -> None:
    """They run again, although the run that stopped them was killed."""
    with servers.own_servers("postgresql") as own, with_workers(own[0], 1) as [worker]:
        server = own[0]
        file = Path(server.directory, f"{worker.name}.yaml")
        pid_file = str(file.with_suffix(".pid"))
        file.write_text(json.dumps({**json.loads(file.read_text()), "worker_pid_file": pid_file}))
        fill(server)
        place = Place(server, secrets.token_hex(4), tmp_path)
        killed_before(place, "start")
        assert _workers(server) == []
        done = play(place, MODULE, declare(place), token=False)
        assert not done.get("failed"), done
        assert state(place)["users"] == 0
        [process] = until(lambda: _workers(server), bool)
        os.kill(process.pid, signal.SIGTERM)
        until(lambda: _workers(server), operator.not_)

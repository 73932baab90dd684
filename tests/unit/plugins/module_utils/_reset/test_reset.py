# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import sqlite3
import types
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConfigurationError,
    InvalidInput,
    StateNotReached,
    SynapseError,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.declared import DeclaredReset
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.note import Note, NoteFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.place import Place
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.reset import ResetResource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.marker import Marker, Stage, write_marker
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import MAIN_APP, Process
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service import used_database
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._federation.evidence_tables import TABLES

STEPS = [
    "stop matrix-synapse.service",
    "back up to /backups",
    "drop everything in the SQLite database {database}",
    "start matrix-synapse.service, and check that the new database is empty",
]


class Server:
    described = "matrix-synapse.service"
    refuses = ""
    # Why it is not the one that was declared, and why it does not answer.
    other = ""
    silent = ""
    pids: t.Sequence[int] = ()
    runs = True

    def processes(self) -> list[Process]:
        return [Process(pid, MAIN_APP, (), "python") for pid in self.pids]

    def require_control(self) -> None:
        if self.refuses:
            raise SynapseError(self.refuses)

    def require_same_configuration(self) -> None:
        if self.other:
            raise SynapseError(self.other)

    def require_answer(self) -> None:
        if self.silent:
            raise SynapseError(self.silent)

    def is_running(self) -> bool:
        return self.runs

    def running(self, before: t.Any = None) -> dict[str, t.Any]:
        return {"main": True}

    def stop(self) -> None:
        raise AssertionError("nothing is stopped")

    def start(self, running: t.Any = None) -> None:
        raise AssertionError("nothing is started")


class Backup:
    refuses = ""

    def prepare(self) -> None:
        if self.refuses:
            raise SynapseError(self.refuses)

    def write(self) -> types.SimpleNamespace:
        raise AssertionError("nothing is backed up")


@dataclasses.dataclass
class Host:
    """A host with a configuration and a database."""

    directory: pathlib.Path
    server: Server = dataclasses.field(default_factory=Server)
    backup: Backup = dataclasses.field(default_factory=Backup)
    # What Synapse's own parser says against the configuration.
    complaint: str = ""

    @property
    def database(self) -> pathlib.Path:
        return self.directory / "homeserver.db"

    def configure(self, server_name: str = "example.org", **settings: t.Any) -> None:
        database = {"name": "sqlite3", "args": {"database": str(self.database)}}
        media = str(self.directory / "media")
        configuration = {"server_name": server_name, "database": database, "media_store_path": media, **settings}
        (self.directory / "homeserver.yaml").write_text(json.dumps(configuration))

    def write(self, *statements: str) -> None:
        connection = sqlite3.connect(self.database)
        connection.execute("CREATE TABLE IF NOT EXISTS users (name, appservice_id, creation_ts)")
        connection.executescript(TABLES)
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()

    def resource(self, confirm: str = "example.org", **options: t.Any) -> ResetResource:
        declared = DeclaredReset((str(self.directory / "homeserver.yaml"),), confirm, "/backups", **options)
        return ResetResource(declared, self.server, self.backup, lambda: Place(None, None), self.require_startable)

    def require_startable(self, _configuration: Configuration, _place: Place) -> None:
        if self.complaint:
            raise ConfigurationError(self.complaint)

    def steps(self, **options: t.Any) -> list[str]:
        """Return the steps, with what depends on the test replaced."""
        resource = self.resource(**options)
        shown = resource.result(resource.plan(), False)["steps"]
        return [step.replace(str(self.database), "{database}").replace(str(self.directory), "") for step in shown]

    def add_media(self) -> None:
        file = self.directory / "media" / "local_content" / "Ab" / "Cd" / "EfGh"
        file.parent.mkdir(parents=True)
        file.touch()


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    """A host whose server has an account and a room."""
    made = Host(tmp_path)
    made.configure()
    made.write(
        "INSERT INTO users VALUES ('@a:example.org', NULL, 1000000000)",
        "INSERT INTO rooms VALUES ('!r', '@a:example.org')",
    )
    return made


def test_never_federated(host: Host) -> None:
    resource = host.resource()
    plan = resource.plan()
    assert (plan.before, plan.after) == ({"database": "in use"}, {"database": "empty"})
    result = resource.result(plan, False)["database_reset"]
    assert result["case"] == "never_federated"
    assert result["reason"].startswith("There is no evidence that example.org has ever federated.")
    assert len(result["next_steps"]) == 2
    assert host.steps() == STEPS
    assert not (host.directory / ".matrix_ops-reset.json").exists()


def test_a_server_that_does_not_run(host: Host) -> None:
    host.server.runs = False
    assert host.steps() == STEPS[1:]


def test_with_media(host: Host) -> None:
    assert host.steps(purge_media=True) == STEPS
    host.add_media()
    assert host.steps(purge_media=True) == [*STEPS, "remove the media in /media"]
    plan = host.resource(purge_media=True).plan()
    assert (plan.before, plan.after) == (
        {"database": "in use", "media": "files"},
        {"database": "empty", "media": "none"},
    )


def test_federated(host: Host) -> None:
    host.write("INSERT INTO destinations (destination) VALUES ('far.example')")
    with pytest.raises(InvalidInput, match="because example.org has federated") as raised:
        host.resource().plan()
    assert raised.value.details["evidence"] == [{"kind": "destinations", "count": 1, "servers": ["far.example"]}]


def test_wrong_confirmation(host: Host) -> None:
    with pytest.raises(
        InvalidInput, match="confirm is 'b.example', but the configuration on this host is that of example"
    ):
        host.resource("b.example").plan()


def test_server_name_changes(host: Host) -> None:
    host.write("INSERT INTO destinations (destination) VALUES ('far.example')")
    key = host.directory / "signing.key"
    key.write_text("ed25519 a_old abc\n")
    host.configure("new.example", signing_key_path=str(key))
    resource = host.resource("new.example")
    result = resource.result(resource.plan(), False)["database_reset"]
    assert (result["case"], result["old_server_name"]) == ("server_name_changes", "example.org")
    assert "still signs with the key that it had as example.org" in result["next_steps"][1]
    replaced = "replace the signing key /signing.key, and keep the old one as /signing.key.of-example.org"
    assert host.steps(confirm="new.example", new_signing_key=True) == [*STEPS[:3], replaced, STEPS[3]]
    resource = host.resource("new.example", new_signing_key=True)
    result = resource.result(resource.plan(), False)["database_reset"]
    assert result["old_signing_key"] == f"{key}.of-example.org"
    assert len(result["next_steps"]) == 2


def test_nothing_to_reset(host: Host) -> None:
    host.database.unlink()
    for _state in ("no file", "no accounts"):
        resource = host.resource(purge_media=True)
        plan = resource.plan()
        assert plan.steps == ()
        assert plan.before == plan.after == {"database": "empty", "media": "none"}
        result = resource.result(plan, False)
        assert result["steps"] == []
        assert result["database_reset"]["case"] == "unused"
        assert result["database_reset"]["next_steps"] == []
        host.write("INSERT OR IGNORE INTO destinations (destination) VALUES ('far.example')")


def test_media_that_an_earlier_reset_has_left(host: Host) -> None:
    host.database.unlink()
    host.write()
    host.add_media()
    assert host.steps() == []
    assert host.steps(purge_media=True) == [STEPS[1], "remove the media in /media"]


def test_unfinished(host: Host) -> None:
    host.database.unlink()
    notes = NoteFile([str(host.directory)])
    notes.write(Note("example.org", {"main": True}, 1_500_000_000, "/backups/one.tar"))
    assert host.steps() == [STEPS[3]]
    # Accounts that are younger than the reset.
    host.write("INSERT INTO users VALUES ('@new:example.org', NULL, 1600000000)")
    assert host.steps() == [STEPS[3]]
    resource = host.resource()
    result = resource.result(resource.plan(), False)["database_reset"]
    assert result["backup"] == "/backups/one.tar"
    assert result["case"] == "unfinished"
    # An older one: the database was not dropped.
    host.write("INSERT INTO users VALUES ('@old:example.org', NULL, 1400000000)")
    assert host.steps() == STEPS


def test_old_database_without_a_note(host: Host) -> None:
    host.database.rename(f"{host.database}.matrix_ops-before-reset")
    with pytest.raises(InvalidInput, match=r"is the old database of an interrupted reset, but \S+reset.json"):
        host.resource().plan()


def test_several_databases(host: Host) -> None:
    store = {"name": "psycopg2", "args": {"dbname": "main"}, "data_stores": ["main"]}
    other = {"name": "psycopg2", "args": {"dbname": "state"}, "data_stores": ["state"]}
    path = host.directory / "homeserver.yaml"
    path.write_text(json.dumps({"server_name": "example.org", "databases": {"a": store, "b": other}}))
    with pytest.raises(ConfigurationError, match="sets several databases"):
        host.resource().plan()


def test_a_configuration_with_which_synapse_would_not_start(host: Host) -> None:
    host.complaint = "Synapse cannot start with its configuration."
    with pytest.raises(ConfigurationError, match="Synapse cannot start"):
        host.resource().plan()
    # What was begun is finished, and an empty database stays as it is.
    NoteFile([str(host.directory)]).write(Note("example.org", {"main": True}, 1_500_000_000, "/backups/one.tar"))
    host.database.unlink()
    assert host.steps() == [STEPS[3]]


def test_a_clock_that_was_wrong_when_the_accounts_were_created(host: Host) -> None:
    """The database was not dropped although they seem to be younger than the drop."""
    status = host.database.stat()
    note = Note("example.org", {"main": True}, 900_000_000, "/backups/one.tar")
    NoteFile([str(host.directory)]).write(note)
    assert host.steps() == [STEPS[3]]
    NoteFile([str(host.directory)]).write(note._replace(identity=f"{status.st_dev}:{status.st_ino}"))
    assert host.steps() == STEPS


def test_media_that_the_backup_of_an_interrupted_reset_lacks(host: Host) -> None:
    host.database.unlink()
    notes, note = NoteFile([str(host.directory)]), Note("example.org", {"main": True}, 4e9, "/backups/one.tar")
    notes.write(note)
    assert host.steps(purge_media=True) == [STEPS[3]]
    host.add_media()
    with pytest.raises(
        InvalidInput, match=r"its backup /backups/one\.tar has no media\. Run the task with purge_media"
    ):
        host.resource(purge_media=True).plan()
    assert host.steps() == [STEPS[3]]
    notes.write(note._replace(has_media=True))
    assert host.steps(purge_media=True) == [STEPS[3], "remove the media in /media"]


def test_media_that_cannot_be_removed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.add_media()
    inside = os.path.realpath(host.directory / "media" / "local_content")
    monkeypatch.setattr(_directory, "mount_points", lambda: [inside])
    with pytest.raises(InvalidInput, match="is a mount point"):
        host.resource(purge_media=True).plan()
    assert host.steps() == STEPS


def test_a_key_that_synapse_makes_itself(host: Host) -> None:
    """By default its path has the server name, so that a server with a new name gets a new key when it starts."""
    host.configure("new.example")
    resource = host.resource("new.example", new_signing_key=True)
    result = resource.result(resource.plan(), False)["database_reset"]
    assert "old_signing_key" not in result
    assert host.steps(confirm="new.example", new_signing_key=True) == STEPS
    resource = host.resource("new.example")
    assert len(resource.result(resource.plan(), False)["database_reset"]["next_steps"]) == 2


@pytest.mark.parametrize(
    ("part", "reason"), [("server", "refuses"), ("server", "other"), ("server", "silent"), ("backup", "refuses")]
)
def test_what_a_run_would_refuse_is_refused_by_the_plan(host: Host, part: str, reason: str) -> None:
    setattr(getattr(host, part), reason, "It cannot be done.")
    with pytest.raises(SynapseError, match="It cannot be done"):
        host.resource().plan()


def test_nothing_is_said_about_the_database_of_another_configuration(host: Host) -> None:
    """It may be empty, or may have federated, and the server that runs may use another one."""
    host.write("DELETE FROM users", "DELETE FROM rooms")
    host.server.other = "It was started with another configuration."
    with pytest.raises(SynapseError, match="It was started with another configuration"):
        host.resource().plan()


def test_another_database_than_that_of_the_running_server(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration was changed, and Synapse was not restarted: what is in that database is not about it."""
    monkeypatch.setattr(used_database, "_PATIENCE", 0.0)
    host.server.pids = [os.getpid()]
    with pytest.raises(InvalidInput, match=r"does not use the SQLite database \S+homeserver\.db, which its config"):
        host.resource().plan()
    with host.database.open("rb"):
        assert host.resource().plan().changed


def test_the_environment_does_not_lead_to_another_database(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example")
    host.resource().plan()
    assert "PGHOST" not in os.environ


def test_proof(host: Host) -> None:
    resource = host.resource()
    plan = resource.plan()
    with pytest.raises(StateNotReached, match="the accounts or rooms of the old one"):
        resource.verify(plan)
    host.database.unlink()
    resource.verify(plan)


def test_configuration_of_a_worker(host: Host) -> None:
    host.configure(worker_app="synapse.app.generic_worker")
    with pytest.raises(ConfigurationError, match="is the configuration of a worker"):
        host.resource().plan()


def _act(resource: ResetResource) -> None:
    """Do the step of the plan."""
    for step in resource.plan().steps:
        step.run()


def test_two_at_the_same_time(host: Host) -> None:
    notes = NoteFile([str(host.directory)])
    with notes.locked(), pytest.raises(SynapseError, match="Another task resets or restores"):
        _act(host.resource())
    [step] = host.resource().plan().steps
    notes.write(Note("example.org", {"main": True}))
    with pytest.raises(SynapseError, match="Another task has reset example.org meanwhile"):
        step.run()


def test_federation_after_the_plan(host: Host) -> None:
    class Stopping(Server):
        def stop(self) -> None:
            host.write("INSERT INTO destinations (destination) VALUES ('late.example')")

        def start(self, running: t.Any = None) -> None:
            pass

    host.server = Stopping()
    with pytest.raises(InvalidInput, match="Evidence: .*late.example.* Nothing is dropped"):
        _act(host.resource())
    assert host.database.exists()


def test_accounts_after_the_plan(host: Host) -> None:
    host.write("DELETE FROM users", "DELETE FROM rooms")
    host.add_media()
    [step] = host.resource(purge_media=True).plan().steps
    host.write("INSERT INTO users VALUES ('@new:example.org', NULL, 1600000000)")
    with pytest.raises(SynapseError, match="was changed after it was checked"):
        step.run()


def test_the_backup_of_an_interrupted_reset_is_gone(host: Host) -> None:
    host.database.rename(f"{host.database}.matrix_ops-before-reset")
    archive = host.directory / "one.tar"
    NoteFile([str(host.directory)]).write(Note("example.org", {"main": True}, 1_500_000_000, str(archive)))
    with pytest.raises(InvalidInput, match=r"one\.tar, the backup of an interrupted reset, is gone"):
        host.resource().plan()
    archive.touch()
    assert host.steps() == [STEPS[3]]


def test_key_of_an_earlier_change_of_the_name(host: Host) -> None:
    key = host.directory / "signing.key"
    key.write_text("ed25519 a_now abc\n")
    host.configure("new.example", signing_key_path=str(key))
    pathlib.Path(f"{key}.of-example.org").write_text("ed25519 a_old abc\n")
    with pytest.raises(InvalidInput, match="of-example.org is the signing key of an earlier change"):
        host.resource("new.example", new_signing_key=True).plan()


def test_a_restore_or_a_move_is_not_finished(host: Host) -> None:
    marker = host.directory / ".matrix_ops-restore.json"
    write_marker(str(marker), Marker("abc", "example.org", 5, Stage.PLACED), ())
    with pytest.raises(InvalidInput, match="The restore of example.org is not finished"):
        host.resource().plan()
    marker.unlink()
    [step] = host.resource().plan().steps
    write_marker(str(marker), Marker("abc", "example.org", 5, Stage.BEGUN), ())
    with pytest.raises(InvalidInput, match="The restore of example.org is not finished"):
        step.run()

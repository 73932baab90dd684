# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import signal
import time
import types
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import StateNotReached, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.contents import Contents
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.media_clearing import MediaClearing
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.note import Note, NoteFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.run import (
    Parts,
    ResetRun,
    is_of_old,
    require_new,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.signing_key import SigningKey

OLD = Contents(True, ("example.org",), 3, 2, 1_000_000_000, "1:1")
NEW = Contents(True)
RUNNING = {"main": True, "units": ["worker@one.service"], "daemons": [], "directory": ""}


@dataclasses.dataclass
class World:
    """A server with its database and its backups, and what was done with them, in order.

    `fails`: what is done that fails, by its word. `keeps`: whether the old database is kept aside, as that of SQLite.
    """

    fails: str = ""
    keeps: bool = True
    runs: bool = True
    contents: Contents = OLD
    aside: bool = False
    done: list[str] = dataclasses.field(default_factory=list)

    def do(self, word: str) -> None:
        self.done.append(word)
        if self.fails == word:
            self.fails = ""
            raise SynapseError(f"It cannot {word}.")


class OneDatabase:
    shown = "the database"
    aside = "/old.db"

    def __init__(self, world: World) -> None:
        self.world = world

    def contents(self) -> Contents:
        if self.world.fails == "read" and "drop" in self.world.done:
            raise SynapseError("It cannot be read.")
        return self.world.contents

    def is_open_in(self, pids: t.Collection[int]) -> bool:
        return bool(pids)

    def require_droppable(self) -> None:
        raise AssertionError("not here")

    def drop(self) -> None:
        self.world.do("drop")
        self.world.contents, self.world.aside = Contents(), self.world.keeps
        self.world.do("drop after all")

    def is_aside(self) -> bool:
        return self.world.aside

    def put_back(self) -> None:
        self.world.do("put back")
        self.world.contents, self.world.aside = OLD, False

    def forget(self) -> None:
        self.world.do("forget")
        self.world.aside = False


class Server:
    described = "matrix-synapse.service"

    def __init__(self, world: World) -> None:
        self.world = world

    def is_running(self) -> bool:
        return self.world.runs

    def running(self, before: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        return RUNNING if self.world.runs else before or {"main": False}

    def stop(self) -> None:
        self.world.do("stop")
        self.world.runs = False

    def start(self, running: dict[str, t.Any] | None = None) -> None:
        assert running is not None
        assert running["main"]
        self.world.do("start new" if self.world.contents != OLD else "start old")
        self.world.runs = True
        if not self.world.contents.has_tables:
            self.world.contents = NEW


class Backup:
    def __init__(self, world: World) -> None:
        self.world = world

    def prepare(self) -> None:
        raise AssertionError("not here")

    def write(self) -> types.SimpleNamespace:
        self.world.do("backup")
        return types.SimpleNamespace(path="/backups/one.tar")


def made(world: World, directory: pathlib.Path, note: Note | None = None) -> ResetRun:
    notes = NoteFile([str(directory)])
    return ResetRun(Parts(OneDatabase(world), Server(world), notes, Backup(world)), note or Note("example.org", {}))


def noted(directory: pathlib.Path) -> Note | None:
    return NoteFile([str(directory)]).read("example.org")


def failing(world: World, directory: pathlib.Path) -> SynapseError:
    with pytest.raises(SynapseError) as raised:
        made(world, directory).reset()
    assert "\n" not in raised.value.message
    return raised.value


def test_everything(tmp_path: pathlib.Path) -> None:
    world = World()
    run = made(world, tmp_path)
    run.reset()
    assert world.done == ["stop", "backup", "drop", "drop after all", "start new", "forget"]
    assert run.backup_path == "/backups/one.tar"
    assert noted(tmp_path) is None


def test_the_time_of_the_drop_is_noted_before_it(tmp_path: pathlib.Path) -> None:
    world, times = World(), []

    class Watched(OneDatabase):
        def drop(self) -> None:
            note = noted(tmp_path)
            assert note is not None
            times.append((note.dropped_ts, note.backup))
            super().drop()

    before = time.time()
    parts = Parts(Watched(world), Server(world), NoteFile([str(tmp_path)]), Backup(world))
    ResetRun(parts, Note("example.org", {})).reset()
    [(dropped, backup)] = times
    assert before <= dropped <= time.time()
    assert backup == "/backups/one.tar"


def test_a_drop_without_effect(tmp_path: pathlib.Path) -> None:
    world = World(keeps=False)

    class Unchanged(OneDatabase):
        def drop(self) -> None:
            self.world.do("drop")

    parts = Parts(Unchanged(world), Server(world), NoteFile([str(tmp_path)]), Backup(world))
    with pytest.raises(StateNotReached, match=r"older than this reset.* Nothing is dropped: the old database"):
        ResetRun(parts, Note("example.org", {})).reset()
    assert world.runs


@pytest.mark.parametrize("fails", ["stop", "backup", "drop"])
@pytest.mark.parametrize("keeps", [True, False])
def test_before_the_drop_the_old_one_runs_again(tmp_path: pathlib.Path, fails: str, keeps: bool) -> None:
    world = World(fails, keeps)
    error = failing(world, tmp_path)
    assert world.done[-1] == "start old"
    assert world.contents == OLD
    assert world.runs
    assert f"It cannot {fails}. Nothing is dropped: the old database is in place. Synapse runs on it" in error.message
    assert error.details == {"changed": False, "database": "old"}
    assert ("The backup of the old one is /backups/one.tar." in error.message) is (fails == "drop")
    assert noted(tmp_path) is None


@pytest.mark.parametrize("fails", ["drop after all", "start new"])
def test_after_the_drop_the_old_one_is_put_back(tmp_path: pathlib.Path, fails: str) -> None:
    world = World(fails)
    error = failing(world, tmp_path)
    assert world.done[-3:] == ["stop", "put back", "start old"]
    assert "the old database is in place. Synapse runs on it again. The backup of the old one is" in error.message
    assert error.details["changed"] is False
    assert noted(tmp_path) is None


@pytest.mark.parametrize("fails", ["drop after all", "start new"])
def test_after_the_drop_the_new_one_stays_if_nothing_is_aside(tmp_path: pathlib.Path, fails: str) -> None:
    world = World(fails, keeps=False)
    error = failing(world, tmp_path)
    assert "The old database is dropped, and the database is new. The backup of the old one is" in error.message
    assert error.details == {"changed": True, "database": "new"}
    # The next run goes on.
    note = noted(tmp_path)
    assert note is not None
    assert note.running == RUNNING
    run = made(world, tmp_path, note)
    run.go_on()
    assert world.done[-2:] == ["start new", "forget"]
    assert run.backup_path == "/backups/one.tar"
    assert noted(tmp_path) is None


@pytest.mark.parametrize("fails", ["the key", "the database"])
def test_interrupted_while_the_old_one_is_put_back(tmp_path: pathlib.Path, fails: str) -> None:
    """Never the old database with the new key: the next run would take that key for one of an earlier change."""
    world = World("start new")
    put_back: list[str] = []

    class Key(SigningKey):
        def is_replaced(self) -> bool:
            return False

        def replace(self) -> None:
            pass

        def put_back(self) -> None:
            if fails == "the key":
                raise SynapseError("The disk is broken.")
            put_back.append("key")

    class Broken(OneDatabase):
        def put_back(self) -> None:
            raise SynapseError("The disk is broken.")

    parts = Parts(Broken(world), Server(world), NoteFile([str(tmp_path)]), Backup(world), Key("/signing.key", "old"))
    with pytest.raises(SynapseError, match="It could not be found out whether"):
        ResetRun(parts, Note("example.org", {})).reset()
    assert put_back == ([] if fails == "the key" else ["key"])
    assert world.aside


def test_the_record_of_a_restore_is_forgotten_with_the_old_database(tmp_path: pathlib.Path) -> None:
    world = World()

    def forget() -> None:
        world.do("forget the restore")

    parts = Parts(*(OneDatabase(world), Server(world), NoteFile([str(tmp_path)]), Backup(world)), forget_restore=forget)
    ResetRun(parts, Note("example.org", {})).reset()
    assert world.done[-2:] == ["forget the restore", "forget"]
    world = World("drop")
    with pytest.raises(SynapseError):
        ResetRun(
            Parts(
                *(OneDatabase(world), Server(world), NoteFile([str(tmp_path)]), Backup(world)), forget_restore=forget
            ),
            Note("example.org", {}),
        ).reset()
    assert "forget the restore" not in world.done


@pytest.mark.parametrize("with_media", [True, False])
def test_the_note_says_whether_the_media_are_in_the_backup(tmp_path: pathlib.Path, with_media: bool) -> None:
    world = World("start new", keeps=False)
    media = MediaClearing(str(tmp_path / "media")) if with_media else None
    notes = NoteFile([str(tmp_path)])
    with pytest.raises(SynapseError):
        ResetRun(
            Parts(OneDatabase(world), Server(world), notes, Backup(world), media=media), Note("example.org", {})
        ).reset()
    note = noted(tmp_path)
    assert note is not None
    assert note.has_media is with_media
    assert note.identity == OLD.identity


def test_old_one_does_not_start_either(tmp_path: pathlib.Path) -> None:
    world = World("backup")

    class Stuck(Server):
        def start(self, running: dict[str, t.Any] | None = None) -> None:
            raise StateNotReached("The port is in use.")

    parts = Parts(OneDatabase(world), Stuck(world), NoteFile([str(tmp_path)]), Backup(world))
    with pytest.raises(SynapseError, match=r"is in place\. But Synapse does not run: The port is in use\."):
        ResetRun(parts, Note("example.org", {})).reset()
    # The next run knows which workers ran.
    note = noted(tmp_path)
    assert note is not None
    assert note.running == RUNNING


def test_stopped_before(tmp_path: pathlib.Path) -> None:
    world = World("backup", runs=False)
    error = failing(world, tmp_path)
    assert "Synapse is stopped, as it was before." in error.message
    assert world.done == ["stop", "backup"]
    world = World(runs=False)
    made(world, tmp_path).reset()
    assert world.runs


def test_unreadable_afterwards(tmp_path: pathlib.Path) -> None:
    world = World("read")
    error = failing(world, tmp_path)
    assert "It could not be found out whether the database is the old or the new" in error.message
    assert "/backups/one.tar" in error.message
    assert noted(tmp_path) is not None


def test_clearing_away_fails(tmp_path: pathlib.Path) -> None:
    world = World("forget")
    error = failing(world, tmp_path)
    assert "Synapse already runs on the new database." in error.message
    assert error.details == {"changed": True, "database": "new"}
    note = noted(tmp_path)
    assert note is not None
    made(world, tmp_path, note).go_on()
    assert world.done[-2:] == ["start new", "forget"]


def test_a_new_one_that_is_used_is_not_replaced_by_the_old_one(tmp_path: pathlib.Path) -> None:
    used = Contents(True, ("example.org",), 1, 0, 2_000_000_000)
    world = World("start new", contents=used, aside=True)
    with pytest.raises(SynapseError, match="the database is new"):
        made(world, tmp_path, Note("example.org", RUNNING, 1_500_000_000, "/backups/one.tar")).go_on()
    assert world.contents == used
    assert world.aside


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_interrupted_by_a_signal(tmp_path: pathlib.Path, number: signal.Signals) -> None:
    world = World()

    class Interrupted(Backup):
        def write(self) -> types.SimpleNamespace:
            try:
                os.kill(os.getpid(), number)
            except SynapseError as error:
                raise SynapseError("The backup lasted too long.") from error
            raise AssertionError("not reached")

    before = signal.getsignal(number)
    parts = Parts(OneDatabase(world), Server(world), NoteFile([str(tmp_path)]), Interrupted(world))
    with pytest.raises(SynapseError, match=f"interrupted by {number.name}. Nothing is dropped"):
        ResetRun(parts, Note("example.org", {})).reset()
    assert world.done == ["stop", "start old"]
    assert signal.getsignal(number) is before


def test_interrupted_when_the_new_one_is_in_use(tmp_path: pathlib.Path) -> None:
    world = World()

    def forget() -> None:
        with contextlib.suppress(SynapseError):
            os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("not reached")

    parts = Parts(OneDatabase(world), Server(world), NoteFile([str(tmp_path)]), Backup(world), forget_restore=forget)
    with pytest.raises(
        SynapseError, match="interrupted by SIGTERM. Synapse already runs on the new database"
    ) as raised:
        ResetRun(parts, Note("example.org", {})).reset()
    assert raised.value.details["database"] == "new"


@pytest.mark.parametrize(
    ("contents", "dropped", "old"),
    [
        (OLD, 0, True),
        (OLD, 1_000_000_001, True),
        (OLD, 1_000_000_000, False),
        (Contents(True, (), 0, 1, None), 5, True),
        (NEW, 5, False),
        (Contents(), 0, False),
        # An application service registers itself at once.
        (Contents(True, ("example.org",), 0, 0, 6), 5, False),
    ],
)
def test_which_one_it_is(contents: Contents, dropped: int, old: bool) -> None:
    assert is_of_old(contents, Note("example.org", {}, dropped)) is old


def test_it_is_the_same_one_whatever_its_accounts_say() -> None:
    """The clock was wrong when they were created."""
    note = Note("example.org", {}, 5, identity="1:2")
    young = Contents(True, ("example.org",), 1, 0, 9, "1:2")
    assert is_of_old(young, note)
    assert not is_of_old(dataclasses.replace(young, identity="1:3"), note)


def test_the_new_one_is_proven() -> None:
    note = Note("example.org", {}, 5)
    require_new(NEW, note, "the database")
    with pytest.raises(StateNotReached, match="has not created its tables"):
        require_new(Contents(), note, "the database")
    with pytest.raises(StateNotReached, match="older than this reset"):
        require_new(OLD, note._replace(dropped_ts=2_000_000_000), "the database")


@pytest.mark.parametrize("how", ["started", "written"])
def test_used_while_the_backup_is_made(tmp_path: pathlib.Path, how: str) -> None:
    """What was written since the backup would be lost."""
    world = World()

    class Used(Backup):
        def write(self) -> types.SimpleNamespace:
            if how == "started":
                self.world.runs = True
            else:
                self.world.contents = dataclasses.replace(OLD, accounts=4)
            return super().write()

    parts = Parts(OneDatabase(world), Server(world), NoteFile([str(tmp_path)]), Used(world))
    with pytest.raises(SynapseError, match="was used while the backup was made.* Nothing is dropped"):
        ResetRun(parts, Note("example.org", {})).reset()
    assert "drop" not in world.done
    assert world.runs


def test_decided_again_when_it_is_stopped(tmp_path: pathlib.Path) -> None:
    world = World()

    def refuse() -> None:
        assert not world.runs
        raise SynapseError("It has federated.")

    parts = Parts(OneDatabase(world), Server(world), NoteFile([str(tmp_path)]), Backup(world), decide_again=refuse)
    with pytest.raises(SynapseError, match="It has federated. Nothing is dropped"):
        ResetRun(parts, Note("example.org", {})).reset()
    assert world.done == ["stop", "start old"]
    with pytest.raises(AssertionError):
        ResetRun(parts, Note("example.org", {})).clear_media()
    assert "backup" not in world.done


def test_the_old_one_was_copied_back_by_hand(tmp_path: pathlib.Path) -> None:
    world = World("start old", runs=False, aside=True)
    with pytest.raises(SynapseError, match="Nothing is dropped: the old database is in place") as raised:
        made(world, tmp_path, Note("example.org", RUNNING, 1_500_000_000, "/backups/one.tar")).go_on()
    assert raised.value.details == {"changed": False, "database": "old"}
    assert "put back" not in world.done


@pytest.mark.parametrize("fails", ["drop", "start new"])
def test_accounts_that_seem_younger_than_the_drop(tmp_path: pathlib.Path, fails: str) -> None:
    """The clock was wrong when they were created, or they are from this second."""
    young = dataclasses.replace(OLD, oldest=int(time.time()) + 9999)

    class Kept(OneDatabase):
        def put_back(self) -> None:
            super().put_back()
            self.world.contents = young

    class Stuck(Server):
        def start(self, running: dict[str, t.Any] | None = None) -> None:
            raise StateNotReached("The port is in use.")

    world = World(fails, contents=young)
    parts = Parts(Kept(world), Stuck(world), NoteFile([str(tmp_path)]), Backup(world))
    with pytest.raises(SynapseError, match="Nothing is dropped: the old database is in place") as raised:
        ResetRun(parts, Note("example.org", {})).reset()
    assert raised.value.details["database"] == "old"
    note = noted(tmp_path)
    assert note is not None
    assert note.dropped_ts == 0

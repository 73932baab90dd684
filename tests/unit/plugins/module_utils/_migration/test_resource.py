# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import sqlite3
import typing as t

import pytest
import yaml

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.schema_names import SchemaNames
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration import interrupted as interrupted_module
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration import passes as passes_module
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration import resource as resource_module
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.declared import DeclaredMigration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.move import Move
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.program import PortProgram
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.resource import MigrationResource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.source import identify
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.space import Storage
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.state import MoveState, Phase, StateFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.switch import Switch
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.target import Target
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.workplace import locked
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import MAIN_APP, Process
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service import used_database

TABLES = ("schema_version", "applied_schema_deltas", "background_updates")
SETTINGS = {"host": "localhost", "port": 5432, "dbname": "synapse", "user": "matrix"}


class World:
    """A server, and what a move of it would find."""

    described = "The daemon with homeserver.yaml"

    def __init__(self, directory: pathlib.Path) -> None:
        self.source = directory / "data" / "homeserver.db"
        self.source.parent.mkdir(mode=0o755)
        with contextlib.closing(sqlite3.connect(self.source)) as connection:
            connection.executescript(
                """
                CREATE TABLE schema_version (version INTEGER);
                CREATE TABLE applied_schema_deltas (version INTEGER, file TEXT);
                CREATE TABLE background_updates (update_name TEXT, ordering INT);
                INSERT INTO schema_version VALUES (94);
                """
            )
        (directory / "conf.d").mkdir(mode=0o755)
        self.main = directory / "homeserver.yaml"
        self.use("sqlite3", {"database": str(self.source)})
        self.declared = DeclaredMigration(
            (str(self.main), str(directory / "conf.d")), "python", "localhost", 5432, "synapse", "matrix", "", 5, 10
        )
        self.file = StateFile(self.declared.state_path, [os.geteuid()])
        self.up = True
        self.silent = False
        self.other_configuration = False
        self.pids: list[int] = []
        self.empty = True
        self.written: list[str] = []
        self.calls: list[dict[str, t.Any]] = []

    def use(self, engine: str, arguments: dict[str, t.Any]) -> None:
        """Write the configuration."""
        settings = {"server_name": "example.org", "database": {"name": engine, "args": arguments}}
        self.main.write_text(yaml.safe_dump(settings))

    def keep(self, phase: Phase, **changed: t.Any) -> MoveState:
        """Keep the state of an earlier run, which has left something in the target."""
        state = MoveState("a name", str(self.source), "t", phase=phase, **changed)
        self.file.write(state)
        copy = self.source.parent / ".matrix_ops-migration" / "first.db"
        copy.parent.mkdir(mode=0o700)
        copy.write_bytes(self.source.read_bytes())
        self.empty = False
        return state

    def resource(self, *, present: bool = True) -> MigrationResource:
        """The resource."""
        return MigrationResource(self.declared, t.cast("t.Any", self), None, present=present)

    def require_control(self) -> None:
        """Allow everything."""

    def require_same_configuration(self) -> None:
        if self.other_configuration:
            raise SynapseError("It was started with other.yaml.")

    def processes(self) -> list[Process]:
        return [Process(pid, MAIN_APP, (), "python") for pid in self.pids]

    def require_answer(self) -> None:
        if self.silent:
            raise SynapseError("It does not answer.")

    def running(self, _before: t.Any = None) -> dict[str, t.Any]:
        return {"main": self.up, "units": ["one", "two"], "daemons": []}

    def is_running(self) -> bool:
        return self.up


@pytest.fixture
def world(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> World:
    tmp_path.chmod(0o755)
    made = World(tmp_path)
    program = PortProgram("python", "program", "1.163.2", 94, frozenset(), frozenset(), frozenset(), True)
    monkeypatch.setattr(resource_module, "read_program", lambda _python: program)
    monkeypatch.setattr(interrupted_module, "find_written", lambda *_arguments: made.written)
    monkeypatch.setattr(Switch, "prepare", lambda _self: None)
    monkeypatch.setattr(Target, "is_empty", lambda _self: made.empty)
    names = SchemaNames(frozenset(TABLES), frozenset(), frozenset())
    for module in (interrupted_module, passes_module, resource_module):
        monkeypatch.setattr(module, "read_schema_names", lambda _python: names)
    monkeypatch.setattr(Target, "require_own", lambda _self, names: made.calls.append({"names": names}))
    monkeypatch.setattr(Target, "holds", lambda _self, move: move == "a name")
    monkeypatch.setattr(Target, "open", lambda _self: contextlib.nullcontext())
    monkeypatch.setattr(resource_module, "find_server_directory", lambda _host, _port: "")
    monkeypatch.setattr(Target, "require_usable", lambda _self, processes: made.calls.append({"processes": processes}))

    def run(_self: Move, state: MoveState, *_others: t.Any, resumes: bool, anew: bool) -> None:
        made.calls.append({"resumes": resumes, "anew": anew, "move": state.move})
        made.use("psycopg2", SETTINGS)
        state.phase, state.result = Phase.DONE, {"rows": 5}
        made.file.write(state)

    monkeypatch.setattr(Move, "run", run)
    return made


def move(world: World) -> dict[str, t.Any]:
    """Run the plan, and return how the move was begun."""
    resource = world.resource()
    plan = resource.plan()
    assert plan.changed
    plan.execute()
    resource.verify(plan)
    assert resource.result(plan, True)["migration"]["rows"] == 5
    return world.calls[-1]


def test_variables_of_libpq_do_not_matter(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c search_path=other")
    world.resource().plan()
    # Synapse's program and the daemon would have it too.
    assert "PGOPTIONS" not in os.environ


def test_a_disk_of_postgresql_that_is_too_small_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    data = str(world.source.parent)
    monkeypatch.setattr(
        resource_module, "find_server_directory", lambda *address: data * (address == ("localhost", 5432))
    )
    monkeypatch.setattr(Target, "storage", lambda _self: Storage("", 0, 2**30))
    world.resource().plan()
    monkeypatch.setattr(resource_module, "used_size", lambda _settings: 2**60)
    with pytest.raises(InvalidInput, match="the data of PostgreSQL and .*Nothing was changed"):
        world.resource().plan()
    assert not os.path.exists(world.declared.state_path)


def test_a_move_is_planned_and_done_once(world: World) -> None:
    plan = world.resource().plan()
    assert plan.steps[0].description.startswith(f"move the SQLite database {world.source} to the PostgreSQL database")
    assert ", stop the daemon with homeserver.yaml, copy the rest, write " in plan.steps[0].description
    assert world.calls == [{"processes": 3}]
    assert not os.path.exists(world.declared.state_path)
    begun = move(world)
    assert (begun["resumes"], begun["anew"]) == (False, False)
    again = world.resource()
    assert not again.plan().changed
    assert again.result(again.plan(), False)["migration"]["rows"] == 5


def test_tables_that_are_not_copied_are_no_surprise(world: World) -> None:
    resource = world.resource()
    assert resource.result(resource.plan(), False)["warnings"] == []
    with contextlib.closing(sqlite3.connect(world.source)) as connection:
        connection.executescript("CREATE TABLE of_a_module (id); INSERT INTO of_a_module VALUES (1)")
    resource = world.resource()
    [warning] = resource.result(resource.plan(), False)["warnings"]
    assert "of_a_module (1). They are not copied" in warning


@pytest.mark.parametrize(
    ("phase", "up", "resumes"),
    [
        (Phase.BEGUN, True, False),
        (Phase.FIRST_PASS, True, True),
        (Phase.STOPPING, True, True),
        (Phase.STOPPING, False, True),
        (Phase.LAST_PASS, False, True),
        (Phase.LAST_PASS, True, False),
        (Phase.SWITCHING, False, True),
        (Phase.FAILED, True, False),
        (Phase.BACK, True, False),
    ],
)
def test_what_an_interrupted_move_goes_on_with(world: World, phase: Phase, up: bool, resumes: bool) -> None:
    world.keep(phase, file=identify(str(world.source)))
    world.up = up
    begun = move(world)
    assert begun["resumes"] is resumes
    assert begun["move"] == "a name"
    assert begun["anew"] or resumes


def test_a_source_that_was_written_begins_again(world: World) -> None:
    world.keep(Phase.LAST_PASS, file=[0])
    world.up = False
    assert move(world) == {"resumes": False, "anew": True, "move": "a name"}


def test_a_snapshot_of_another_schema_is_not_used(world: World) -> None:
    world.keep(Phase.FIRST_PASS)
    with contextlib.closing(sqlite3.connect(world.source.parent / ".matrix_ops-migration" / "first.db")) as connection:
        connection.executescript("UPDATE schema_version SET version = 93")
    assert move(world)["resumes"] is False


def test_content_of_others_is_refused(world: World) -> None:
    world.empty = False
    with pytest.raises(InvalidInput, match="is not empty, and what is in it does not come from an interrupted move"):
        world.resource().plan()


@pytest.mark.parametrize("phase", [Phase.DONE, Phase.BACK, Phase.FAILED])
def test_a_target_that_was_used_is_not_emptied(world: World, phase: Phase) -> None:
    world.keep(phase, transaction="77")
    world.written = ["5 new or changed rows of events"]
    with pytest.raises(InvalidInput, match=r"was moved to .* before, and what was written .*: 5 new or changed rows"):
        world.resource().plan()
    world.written = []
    assert move(world)["anew"] is True


@pytest.mark.parametrize("phase", list(Phase))
def test_what_others_have_in_the_target_is_found_before_the_move(
    world: World, phase: Phase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: Target, _names: t.Any) -> t.NoReturn:
        raise InvalidInput("The target also contains what does not come from Synapse.")

    world.keep(phase, file=identify(str(world.source)))
    world.up = False
    monkeypatch.setattr(Target, "require_own", refuse)
    with pytest.raises(InvalidInput, match="also contains what does not come from Synapse"):
        world.resource().plan()


def test_a_link_to_the_source_is_that_database(world: World) -> None:
    link = world.source.parent / "link.db"
    link.symlink_to(world.source)
    world.use("sqlite3", {"database": str(link)})
    assert f"move the SQLite database {world.source} to" in world.resource().plan().steps[0].description
    back = world.resource(present=False)
    plan = back.plan()
    assert plan.before == plan.after
    back.verify(plan)


def test_another_postgresql_is_refused(world: World) -> None:
    world.use("psycopg2", {**SETTINGS, "dbname": "other"})
    with pytest.raises(InvalidInput, match="Synapse already uses the PostgreSQL database other"):
        world.resource().plan()


def test_a_server_that_always_used_postgresql_is_as_declared(world: World) -> None:
    world.use("psycopg2", SETTINGS)
    resource = world.resource()
    plan = resource.plan()
    assert not plan.changed
    assert resource.result(plan, False)["migration"]["source"] == ""
    with pytest.raises(InvalidInput, match="there is no SQLite database to go back to"):
        world.resource(present=False).plan()


def test_an_interrupted_switch_is_completed(world: World) -> None:
    world.keep(Phase.SWITCHING)
    world.use("psycopg2", SETTINGS)
    [step] = world.resource().plan().steps
    assert step.description == "start Synapse and complete the interrupted move"


def test_a_server_on_sqlite_is_back(world: World) -> None:
    resource = world.resource(present=False)
    plan = resource.plan()
    assert not plan.changed
    assert resource.result(plan, False)["migration"]["database"] == f"the SQLite database {world.source}"


def test_a_missing_source_is_refused(world: World) -> None:
    world.source.unlink()
    with pytest.raises(InvalidInput, match="does not exist, which is the database in"):
        world.resource().plan()


def test_another_task_at_the_same_time_is_noticed(world: World) -> None:
    resource = world.resource()
    plan = resource.plan()
    world.file.write(MoveState("another", str(world.source), "t"))
    with pytest.raises(SynapseError, match="Another task has worked on this move"):
        plan.execute()
    # A plan after a failure shows that it is not done.
    assert resource.plan().steps[0].description == plan.steps[0].description


def test_check_mode_says_that_another_task_moves_it(world: World) -> None:
    for keep, present in ((None, True), (Phase.SWITCHING, True), (Phase.RETURNING, False)):
        if keep:
            world.keep(keep, file=identify(str(world.source)))
        if keep is Phase.SWITCHING:
            world.use("psycopg2", SETTINGS)
        else:
            world.use("sqlite3", {"database": str(world.source)})
        with locked(str(world.source)), pytest.raises(SynapseError, match="Another task moves this database"):
            world.resource(present=present).plan()
        shutil.rmtree(world.source.parent / ".matrix_ops-migration", ignore_errors=True)


@pytest.mark.parametrize("present", [True, False])
def test_check_mode_looks_at_the_directory_for_the_copies(world: World, present: bool) -> None:
    if not present:
        world.keep(Phase.RETURNING, file=identify(str(world.source)))
        shutil.rmtree(world.source.parent / ".matrix_ops-migration")
    (world.source.parent / ".matrix_ops-migration").write_text("a file")
    with pytest.raises(InvalidInput, match="is not a directory that only"):
        world.resource(present=present).plan()


def test_a_server_with_another_configuration_is_not_moved(world: World) -> None:
    world.other_configuration = True
    for present in (True, False):
        with pytest.raises(SynapseError, match="started with other.yaml"):
            world.resource(present=present).plan()


def test_a_server_whose_start_could_not_be_seen_is_not_moved(world: World) -> None:
    world.silent = True
    with pytest.raises(SynapseError, match="does not answer"):
        world.resource().plan()


def test_a_server_that_runs_with_another_database_is_not_moved(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(used_database, "_PATIENCE", 0.0)
    world.pids = [os.getpid()]
    with pytest.raises(InvalidInput, match=f"does not use the SQLite database {world.source}, which its configuration"):
        world.resource().plan()
    with world.source.open("rb"):
        assert world.resource().plan().changed


def test_the_space_for_what_is_left_to_copy(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(
        resource_module, "require_space", lambda _path, _directory, copies, left: asked.append((copies, left))
    )
    world.resource().plan()
    world.keep(Phase.FIRST_PASS)
    world.resource().plan()
    # It begins anew, and replaces the copy.
    world.file.write(MoveState("a name", str(world.source), "t", phase=Phase.FAILED))
    world.resource().plan()
    assert asked == [(2, 0), (1, 0), (2, world.source.stat().st_size)]


@pytest.mark.parametrize("phase", [Phase.STOPPING, Phase.LAST_PASS])
def test_the_way_back_starts_what_an_interrupted_move_has_stopped(world: World, phase: Phase) -> None:
    world.keep(phase, running={"main": True})
    # It was killed before the stop, or has been started since then.
    assert not world.resource(present=False).plan().changed
    world.up = False
    assert world.resource(present=False).plan().changed
    world.file.write(MoveState("a name", str(world.source), "t", phase=phase, running={"main": False}))
    assert not world.resource(present=False).plan().changed


def test_a_failure_is_not_over_before_the_move_is_complete(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def stay(_self: Move, state: MoveState, *_others: t.Any, **_options: t.Any) -> None:
        world.use("psycopg2", SETTINGS)
        state.phase = Phase.SWITCHING
        world.file.write(state)
        raise SynapseError("A worker did not start. Synapse stays with PostgreSQL.")

    monkeypatch.setattr(Move, "run", stay)
    resource = world.resource()
    with pytest.raises(SynapseError, match="A worker did not start"):
        resource.plan().execute()
    assert [step.description for step in resource.plan().steps] == ["complete the interrupted move"]

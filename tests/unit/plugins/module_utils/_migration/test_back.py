# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import typing as t

import pytest
import yaml

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration import back as back_module
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.back import WayBack, require_moved
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.declared import DeclaredMigration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.source import identify
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.state import MoveState, Phase
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.switch import Found, read_present

ARGUMENTS = {"host": "localhost", "port": 5432, "dbname": "synapse", "user": "matrix"}


class World:
    """The server and its files, which only say what is done with them."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self.events: list[str] = []
        self.phases: list[Phase] = []
        self.written: list[list[str]] = []
        self.source = directory / "homeserver.db"
        self.source.write_bytes(bytes(100))
        self.configure("psycopg2", ARGUMENTS)
        self.declared = DeclaredMigration(
            (str(directory / "homeserver.yaml"), str(directory)),
            "python",
            "localhost",
            5432,
            "synapse",
            "matrix",
            "",
            5,
            10,
        )

    def configure(self, engine: str, arguments: dict[str, t.Any]) -> None:
        """Write the configuration."""
        settings = {"server_name": "example.org", "database": {"name": engine, "args": arguments}}
        (self.directory / "homeserver.yaml").write_text(yaml.safe_dump(settings))

    @property
    def found(self) -> Found:
        """The configuration as it is."""
        return read_present(self.declared)

    def state(self, phase: Phase = Phase.DONE) -> MoveState:
        """The state of a move."""
        return MoveState("a name", str(self.source), "t", phase=phase, file=identify(str(self.source)), transaction="7")

    def require_control(self) -> None:
        self.events.append("control")

    def running(self, before: dict[str, t.Any] | None) -> dict[str, t.Any]:
        return before or {"main": True}

    def stop(self) -> None:
        self.events.append("stop")

    def start(self, _running: dict[str, t.Any]) -> None:
        self.events.append("start")

    def restore(self, _before: dict[str, t.Any]) -> None:
        self.events.append("restore")

    def write(self, state: MoveState) -> None:
        self.phases.append(state.phase)

    def clear(self) -> None:
        self.events.append("clear")

    def open(self) -> t.ContextManager[Database]:
        return contextlib.nullcontext(t.cast("Database", None))

    def way(self) -> WayBack:
        """The way back."""
        return WayBack(self.declared, t.cast("t.Any", self), t.cast("t.Any", self), t.cast("t.Any", self), os.geteuid())

    def run(self, state: MoveState) -> None:
        """Go back."""
        self.way().run(state, self.found, t.cast("t.Any", self), t.cast("t.Any", self))


@pytest.fixture
def world(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path)
    monkeypatch.setattr(back_module, "find_written", lambda *_arguments: made.written.pop(0) if made.written else [])
    return made


def test_the_way_back(world: World) -> None:
    state = world.state()
    world.way().require_possible(state, world.found)
    world.run(state)
    assert world.events == ["control", "stop", "restore", "start", "clear"]
    assert world.phases == [Phase.RETURNING, Phase.BACK]


def test_the_way_back_is_not_over_before_the_copies_are_removed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed() -> t.NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(world, "clear", killed)
    with pytest.raises(KeyboardInterrupt):
        world.run(world.state())
    assert world.phases == [Phase.RETURNING]


def test_what_was_written_stays(world: World) -> None:
    world.written = [["2 new or changed rows of events"]]
    with pytest.raises(InvalidInput, match="would lose what was written .*: 2 new or changed rows of events"):
        world.way().require_possible(world.state(), world.found)
    assert "stop" not in world.events


def test_what_was_written_until_the_stop_stays_too(world: World) -> None:
    state = world.state()
    world.way().require_possible(state, world.found)
    world.written = [["1 new or changed rows of users"]]
    with pytest.raises(SynapseError, match="Nothing was changed. Synapse runs with PostgreSQL again"):
        world.run(state)
    assert world.events[-2:] == ["stop", "start"]
    assert world.phases[-1] is Phase.DONE


@pytest.mark.parametrize("moment", ["stop", "restore"])
def test_an_interrupted_way_back_does_not_leave_the_server_stopped(
    world: World, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    def end(*_arguments: t.Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(world, moment, end)
    with pytest.raises(SynapseError, match=r"The way back was interrupted by SIGTERM\. Synapse (was started|runs)"):
        world.run(world.state())
    assert world.events[-1] == "start"


@pytest.mark.parametrize("fails", ["stop", "restore"])
def test_a_failed_way_back_does_not_leave_the_server_stopped(
    world: World, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    def fail(*_arguments: t.Any) -> t.NoReturn:
        world.events.append(fails)
        raise SynapseError("No space left on device.")

    monkeypatch.setattr(world, fails, fail)
    with pytest.raises(SynapseError, match=r"No space left on device\. Synapse (runs|was started)"):
        world.run(world.state())
    assert world.events[-2:] == [fails, "start"]
    assert world.phases[-1] is (Phase.DONE if fails == "stop" else Phase.RETURNING)


def test_an_interrupted_way_back_goes_on(world: World) -> None:
    state = world.state(Phase.RETURNING)
    world.configure("sqlite3", {"database": str(world.source)})
    # Synapse may have written already.
    world.source.write_bytes(bytes(200))
    world.way().require_possible(state, world.found)
    world.run(state)
    assert world.events == ["control", "start", "clear"]
    assert world.phases[-1] is Phase.BACK


@pytest.mark.parametrize("phase", [None, Phase.FAILED, Phase.BACK, Phase.FIRST_PASS])
def test_a_server_that_was_not_moved(world: World, phase: Phase | None) -> None:
    with pytest.raises(InvalidInput, match="does not say that this module has moved it there"):
        require_moved(world.state(phase) if phase else None, world.found, world.declared)


def test_another_database_is_not_left(world: World) -> None:
    world.configure("psycopg2", {**ARGUMENTS, "dbname": "other"})
    with pytest.raises(InvalidInput, match="and not the PostgreSQL database synapse at localhost:5432"):
        world.way().require_possible(world.state(), world.found)


def test_a_source_that_has_changed_is_not_used(world: World) -> None:
    state = world.state()
    world.source.write_bytes(bytes(200))
    with pytest.raises(InvalidInput, match="has changed since the move"):
        world.way().require_possible(state, world.found)

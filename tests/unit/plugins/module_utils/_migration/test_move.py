# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration import move as move_module
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.move import Move, new_state
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.passes import Moved
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.source import identify
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.state import MoveState, Phase
from ansible_collections.matrix_ops.synapse.plugins.module_utils._samples.check import SampleCheck
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.interruption import Interrupted

RUNNING = {"main": True, "units": [], "daemons": []}


class World:
    """A service, a target, a drop-in and a state that only say what is done with them, and where it fails."""

    def __init__(self, source: pathlib.Path) -> None:
        self.source = source
        self.events: list[str] = []
        self.up = True
        self.fails = ""
        self.phases: list[Phase] = []
        self.written: list[str] = []
        self.differences: list[str] = []

    def do(self, event: str) -> None:
        """Note what is done. Raises SynapseError where it fails."""
        self.events.append(event)
        if event == self.fails:
            raise SynapseError(f"{event} failed.")

    # The service.
    def is_running(self) -> bool:
        return self.up

    def running(self, before: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        return before or {**RUNNING, "main": self.up}

    def stop(self) -> None:
        self.do("stop")
        self.up = False

    def start(self, running: dict[str, t.Any]) -> None:
        if running["main"] and not self.up:
            self.do("start")
            self.up = True

    # The state.
    def write(self, state: MoveState | None = None) -> None:
        if state is None:
            self.do("write the drop-in")
        else:
            self.phases.append(state.phase)

    # The drop-in.
    def present(self) -> dict[str, t.Any]:
        return {}

    def restore(self, _before: dict[str, t.Any]) -> None:
        self.do("restore the drop-in")

    # The passes.
    def end_earlier(self) -> None:
        self.do("end what a killed run has left")

    def begin(self, state: MoveState, save: t.Callable[[MoveState], None], *, anew: bool) -> None:
        self.do("empty the target" if anew else "mark the target")
        state.phase = Phase.FIRST_PASS
        save(state)

    def first(self, state: MoveState, save: t.Callable[[MoveState], None]) -> None:
        self.do("first pass")
        state.phase = Phase.STOPPING
        save(state)

    def sample(self) -> dict[str, t.Any]:
        return {}

    def process(self, _path: str) -> t.ContextManager[None]:
        return contextlib.nullcontext()

    def recopy(self) -> None:
        self.do("recopy")

    def last(self, state: MoveState, save: t.Callable[[MoveState], None], _process: None) -> Moved:
        self.do("copy the rest")
        state.phase, state.file = Phase.LAST_PASS, identify(str(self.source))
        save(state)
        self.do("last pass")
        state.counts, state.transaction = {"users": 2, "events": 5}, "77"
        return Moved(state.counts, {}, {})

    # The target and the directory.
    def open(self) -> t.ContextManager[Database]:
        if self.fails == "the target":
            raise SynapseError("The target cannot be reached.")
        return contextlib.nullcontext(t.cast("Database", None))

    def clear(self) -> None:
        self.do("clear")

    first_copy = last_copy = "/copy.db"


@pytest.fixture
def world(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> World:
    (tmp_path / "homeserver.db").write_bytes(bytes(100))
    made = World(tmp_path / "homeserver.db")

    def check(_sample: t.Any, _client: t.Any, *, login: bool) -> SampleCheck:
        made.do("prove" if login else "sample")
        return SampleCheck(made.differences if login else [], [], {"login": int(login)})

    monkeypatch.setattr(move_module, "check_sample", check)
    monkeypatch.setattr(move_module, "find_written", lambda *_arguments: made.written)
    return made


def run(world: World, state: MoveState | None = None, *, resumes: bool = False, anew: bool = False) -> MoveState:
    state = state or new_state(str(world.source), "the target", None, anew=False)
    the_move(world).run(state, t.cast("t.Any", world), t.cast("t.Any", world), resumes=resumes, anew=anew)
    return state


def the_move(world: World) -> Move:
    client: t.Any = object()
    return Move(
        t.cast("t.Any", world),
        client,
        t.cast("t.Any", world),
        t.cast("t.Any", world),
        t.cast("t.Any", world),
        "the target",
        0,
    )


def test_everything_is_done_in_its_order(world: World) -> None:
    state = run(world)
    assert world.events == [
        "end what a killed run has left",
        "mark the target",
        "first pass",
        "sample",
        "stop",
        "copy the rest",
        "last pass",
        "write the drop-in",
        "start",
        "prove",
        "clear",
    ]
    assert list(dict.fromkeys(world.phases)) == [
        Phase.FIRST_PASS,
        Phase.STOPPING,
        Phase.LAST_PASS,
        Phase.SWITCHING,
        Phase.DONE,
    ]
    assert state.result["rows"] == 7
    assert state.result["downtime"] >= 0


def test_a_move_is_not_done_before_its_copies_are_removed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed() -> t.NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(world, "clear", killed)
    with pytest.raises(KeyboardInterrupt):
        run(world)
    # The next run completes it, and removes the copies, which contain the whole database.
    assert world.phases[-1] is Phase.SWITCHING


def test_a_failed_first_pass_does_not_touch_the_server(world: World) -> None:
    world.fails = "first pass"
    with pytest.raises(SynapseError, match="Synapse still runs with SQLite"):
        run(world)
    assert "stop" not in world.events
    assert world.phases[-1] is Phase.FAILED


def test_an_interrupted_first_pass_is_continued(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_arguments: t.Any) -> t.NoReturn:
        raise Interrupted("The move was interrupted by SIGTERM.")

    monkeypatch.setattr(world, "first", interrupt)
    with pytest.raises(SynapseError, match="interrupted by SIGTERM. Synapse still runs with SQLite"):
        run(world)
    assert world.phases[-1] is Phase.FIRST_PASS


@pytest.mark.parametrize(
    ("fails", "kept"),
    [
        ("stop", Phase.STOPPING),
        ("copy the rest", Phase.STOPPING),
        ("last pass", Phase.FAILED),
        ("write the drop-in", Phase.FAILED),
        ("prove", Phase.FAILED),
    ],
)
def test_a_failure_after_the_stop_brings_sqlite_back(world: World, fails: str, kept: Phase) -> None:
    world.fails = fails
    with pytest.raises(SynapseError, match=f"{fails} failed. Synapse runs with SQLite as before"):
        run(world)
    assert world.up
    assert world.phases[-1] is kept
    if fails in ("write the drop-in", "prove"):
        assert world.events[-3:] == ["restore the drop-in", "clear", "start"]


def test_a_full_disk_does_not_keep_the_server_stopped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    write = world.write

    def refuse(state: MoveState | None = None) -> None:
        if "last pass" in world.events:
            raise SynapseError("No space left on device.")
        write(state)

    def full() -> None:
        raise OSError("No space left on device.")

    world.fails = "last pass"
    monkeypatch.setattr(world, "write", refuse)
    monkeypatch.setattr(world, "clear", full)
    with pytest.raises(SynapseError, match="last pass failed. Synapse runs with SQLite as before"):
        run(world)
    assert world.up


def test_a_failed_first_pass_leaves_no_copies(world: World) -> None:
    world.fails = "first pass"
    with pytest.raises(SynapseError, match="first pass failed"):
        run(world)
    assert world.events[-1] == "clear"


def test_a_server_that_does_not_start_on_the_target(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[str] = []
    start = world.start

    def fail_once(running: dict[str, t.Any]) -> None:
        starts.append("start")
        if len(starts) == 2:
            raise SynapseError("It does not start.")
        start(running)

    monkeypatch.setattr(world, "start", fail_once)
    # The target cannot tell what was written, but nothing can have been.
    world.fails = "the target"
    with pytest.raises(SynapseError, match="It does not start. Synapse runs with SQLite as before"):
        run(world)
    assert world.up
    assert "restore the drop-in" in world.events


def test_a_server_that_was_used_stays_on_the_target(world: World) -> None:
    world.differences, world.written = ["The event $1 is missing."], ["2 new or changed rows of events"]
    with pytest.raises(SynapseError, match=r"The event \$1 is missing\. Synapse stays with the target"):
        run(world)
    assert "restore the drop-in" not in world.events
    assert world.phases[-1] is Phase.SWITCHING
    world.written = []
    world.fails = "the target"
    world.up = True
    with pytest.raises(SynapseError, match="is not known, because the target cannot be reached"):
        run(world)


@pytest.mark.parametrize("moment", ["while it starts", "until it has stopped"])
def test_what_was_written_before_a_failed_start_stays(
    world: World, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    starts: list[str] = []
    start, stop = world.start, world.stop

    def fail_late(running: dict[str, t.Any]) -> None:
        start(running)
        starts.append("start")
        if len(starts) == 2:
            # The main process answers, and a worker does not start.
            world.written = ["1 new or changed rows of events"] if moment == "while it starts" else []
            raise SynapseError("A worker did not start.")

    def write_late() -> None:
        stop()
        if len(starts) == 2:
            world.written = ["1 new or changed rows of events"]

    monkeypatch.setattr(world, "start", fail_late)
    monkeypatch.setattr(world, "stop", write_late)
    with pytest.raises(SynapseError, match=r"A worker did not start\. Synapse stays with the target"):
        run(world)
    assert "restore the drop-in" not in world.events
    assert world.up
    assert world.phases[-1] is Phase.SWITCHING


def test_a_server_that_cannot_be_stopped_keeps_its_database(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = world.stop

    def refuse() -> None:
        stop()
        if "write the drop-in" in world.events:
            raise SynapseError("It did not end.")

    world.fails = "prove"
    monkeypatch.setattr(world, "stop", refuse)
    with pytest.raises(SynapseError, match=r"prove failed\. Everything is in the target, .* It did not end\."):
        run(world)
    assert "restore the drop-in" not in world.events


def test_a_difference_from_before_does_not_count(world: World) -> None:
    state = new_state(str(world.source), "the target", None, anew=False)
    state.phase, state.before = Phase.SWITCHING, ["The file of a medium is missing."]
    state.running, state.file = RUNNING, identify(str(world.source))
    state.result = {"not_copied": {}, "unstorable": {"room_tags": 1}}
    world.differences = state.before
    world.up = False
    the_move(world).finish(state, t.cast("t.Any", world))
    assert world.events == ["start", "prove", "clear"]
    assert state.result["unstorable"] == {"room_tags": 1}
    assert state.phase is Phase.DONE


@pytest.mark.parametrize("phase", [Phase.SWITCHING, Phase.RETURNING])
def test_what_people_have_changed_since_an_interrupted_switch_is_no_failure(world: World, phase: Phase) -> None:
    state = new_state(str(world.source), "the target", None, anew=False)
    state.phase, state.running, state.file = phase, RUNNING, identify(str(world.source))
    state.result = {"unknown": [], "not_copied": {}}
    world.differences, world.written = ["The account @bob has another displayname than before."], ["1 row of profiles"]
    the_move(world).finish(state, t.cast("t.Any", world))
    assert state.phase is Phase.DONE
    [unknown] = state.result["unknown"]
    assert unknown["name"] == "sample"
    assert unknown["reason"].startswith("The account @bob has another displayname than before. It may have been")
    assert unknown["fix"] == f"Compare it by hand with {world.source}."


def test_a_way_back_that_was_interrupted_does_not_claim_sqlite(world: World) -> None:
    state = new_state(str(world.source), "the target", None, anew=False)
    state.phase, state.running, state.file = Phase.RETURNING, RUNNING, identify(str(world.source))
    world.fails, world.written = "prove", ["1 row of profiles"]
    with pytest.raises(SynapseError, match="prove failed. Synapse stays with the target"):
        the_move(world).finish(state, t.cast("t.Any", world))
    # Both ways stay open.
    assert world.phases[-1] is Phase.SWITCHING
    world.written = []
    with pytest.raises(SynapseError, match="prove failed. Synapse runs with SQLite as before"):
        the_move(world).finish(state, t.cast("t.Any", world))
    assert "restore the drop-in" in world.events


def test_a_source_that_was_used_after_the_switch_is_not_left(world: World) -> None:
    state = new_state(str(world.source), "the target", None, anew=False)
    state.phase, state.running, state.file = Phase.SWITCHING, RUNNING, [0]
    with pytest.raises(SynapseError, match="has changed since everything was copied. Synapse runs with SQLite"):
        the_move(world).finish(state, t.cast("t.Any", world))
    assert world.events == ["stop", "restore the drop-in", "clear", "start"]


def test_a_source_that_changes_during_the_last_pass(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    do = world.do

    def change(event: str) -> None:
        do(event)
        if event == "last pass":
            world.source.write_bytes(bytes(200))

    monkeypatch.setattr(world, "do", change)
    with pytest.raises(SynapseError, match="was started by something else while"):
        run(world)
    assert "write the drop-in" not in world.events


@pytest.mark.parametrize("phase", [Phase.LAST_PASS, Phase.SWITCHING])
def test_an_interrupted_last_pass_goes_on(world: World, phase: Phase, monkeypatch: pytest.MonkeyPatch) -> None:
    state = new_state(str(world.source), "the target", None, anew=False)
    state.phase, state.running, world.up = phase, RUNNING, False
    state.transaction = "76"
    kept: list[tuple[Phase, str]] = []
    monkeypatch.setattr(world, "recopy", lambda: kept.append((world.phases[-1], state.transaction)))
    run(world, state, resumes=True)
    # If it is killed now, the next run must not take what is missing for removed.
    assert kept == [(Phase.LAST_PASS, "")]
    assert world.events[:4] == ["end what a killed run has left", "stop", "copy the rest", "last pass"]
    assert world.up


def test_a_move_to_another_database_never_takes_that_of_an_earlier_one_for_its_own() -> None:
    before = MoveState("a name", "/data/homeserver.db", "the target", transaction="700")
    assert new_state("/data/homeserver.db", "another target", before, anew=False).move != "a name"


def test_a_new_move_starts_what_an_interrupted_one_has_stopped(world: World) -> None:
    before = MoveState("a name", str(world.source), "the target", phase=Phase.LAST_PASS, running=RUNNING)
    state = new_state(str(world.source), "the target", before, anew=True)
    assert state.move == "a name"
    world.up = False
    run(world, state, anew=True)
    assert world.events[:4] == ["end what a killed run has left", "start", "empty the target", "first pass"]


def test_a_server_that_did_not_run_is_not_started(world: World) -> None:
    world.up = False
    state = run(world)
    assert not world.up
    assert "start" not in world.events
    assert state.result["unknown"][0]["reason"] == "Synapse was not running before."

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A move that is killed at any moment is completed by the next run, and no server runs with a part of its data."""

from __future__ import annotations

import contextlib
import functools
import json
import random
import signal
import threading
import typing as t

import psycopg2
import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.declared import APPLICATION
from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.moving import Moving, moving
from ansible_collections.matrix_ops.synapse.tests.contract.moving_process import copying, running
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until

# Phases in which the module is killed, as the file with its state names them. The first one is short.
_PHASES = ("begun", "first_pass", "stopping", "last_pass", "switching")

# In seconds.
_SHORT = 0.002


def _phase(moved: Moving) -> str:
    return str(json.loads(moved.state.read_text())["phase"]) if moved.state.exists() else ""


def _require_whole(moved: Moving) -> None:
    """Require that the configuration of the server never names a database without all data."""
    if moved.uses_postgresql():
        assert moved.differing() == {}


def _complete(moved: Moving) -> None:
    done = moved.run()
    assert not done.get("failed"), done["msg"]
    assert moved.uses_postgresql()
    assert moved.answers()
    assert moved.differing() == {}
    assert moved.message("after the move")
    assert moved.run()["changed"] is False


def _kill_when(moved: Moving, moment: t.Callable[[], t.Any]) -> None:
    """Run the move until it is so far, and kill it."""
    with running(moved) as process:
        until(lambda: moment() or process.poll() is not None, bool, _SHORT)
        process.kill()
    until(lambda: copying(moved), lambda found: not found)


def _has_reached(moved: Moving, phase: str) -> bool:
    return _phase(moved) in (*_PHASES[_PHASES.index(phase) :], "done")


def _has_table(moved: Moving, name: str) -> bool:
    return moved.ask("SELECT to_regclass(%s)::text", name) != [(None,)]


@pytest.mark.parametrize("half", range(2))
def test_killed_at_random_again_and_again(half: int) -> None:
    with moving() as moved:
        for part in range(half, 10, 2):
            # Python itself needs a second before the module begins.
            moment = 1 + random.uniform(part, part + 1)
            with running(moved) as process:
                threading.Event().wait(moment)
                process.kill()
            until(lambda: copying(moved), lambda found: not found)
            _require_whole(moved)
            if half and not moved.answers():
                # The host boots: whatever the configuration says now has everything.
                servers.restart(moved.server)
                if not moved.uses_postgresql():
                    assert moved.message("after the boot")
        _complete(moved)


def test_killed_in_each_phase() -> None:
    with moving() as moved:
        for phase in _PHASES:
            _kill_when(moved, functools.partial(_has_reached, moved, phase))
            assert _phase(moved) in _PHASES
            _require_whole(moved)
        _complete(moved)


def test_killed_while_the_tables_are_made() -> None:
    with moving() as moved:
        for table in ("background_updates", "users"):
            # Synapse's program commits some of them before the others, and then changes them in the background.
            _kill_when(moved, functools.partial(_has_table, moved, table))
            assert moved.ask("SELECT count(*) FROM port_from_sqlite3") == [(1,)]
        # What a killed program has sent last may still be at work, and hold its locks.
        arguments = {**moved.target, "application_name": APPLICATION}
        with contextlib.closing(psycopg2.connect(**arguments)) as left, left.cursor() as cursor:
            cursor.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
            _complete(moved)


def test_killed_when_a_position_is_ahead_of_its_sequence() -> None:
    with moving() as moved:
        # Messages to devices are removed when they are delivered, and the position of their stream stays.
        moved.server.write("INSERT INTO stream_positions VALUES ('to_device', 'master', 5000)")

        def has_positions() -> bool:
            asked = "SELECT 1 FROM stream_positions WHERE stream_id = 5000"
            return _has_table(moved, "stream_positions") and bool(moved.ask(asked))

        _kill_when(moved, has_positions)
        assert _phase(moved) == "first_pass"
        _complete(moved)


def test_ended_by_signals_after_the_stop() -> None:
    with moving() as moved:
        for number in (signal.SIGTERM, signal.SIGINT):
            with running(moved) as process:
                until(lambda: _phase(moved), lambda found: found == "last_pass" or process.poll() is not None)
                process.send_signal(number)
                assert process.stdout is not None
                result: dict[str, t.Any] = json.loads(process.stdout.read())
            assert result.get("failed"), result
            assert f"interrupted by {number.name}" in result["msg"]
            assert "Synapse runs with SQLite as before" in result["msg"]
            assert moved.answers()
            assert moved.message("after the interruption")
        _complete(moved)

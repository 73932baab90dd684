# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A move that is killed at any moment is completed by the next run, and no server runs with a part of its data."""

from __future__ import annotations

import contextlib
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

# Phases in which the module is killed, as the file with its state names them. It stays in each for a while.
_PHASES = ("begun", "first_pass", "stopping", "last_pass", "switching")


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


@pytest.mark.parametrize("part", range(10))
def test_killed_at_random(part: int) -> None:
    with moving() as moved:
        moment = random.uniform(part, part + 1)
        with running(moved) as process:
            # Python itself needs a second before the module begins.
            threading.Event().wait(1 + moment)
            process.kill()
        until(lambda: copying(moved), lambda found: not found)
        _require_whole(moved)
        if part % 2 and not moved.answers():
            # The host boots: whatever the configuration says now has everything.
            servers.restart(moved.server)
            if not moved.uses_postgresql():
                assert moved.message("after the boot")
        _complete(moved)


@pytest.mark.parametrize("phase", _PHASES)
def test_killed_in_each_phase(phase: str) -> None:
    with moving() as moved:
        with running(moved) as process:
            until(lambda: _phase(moved), lambda found: found == phase or process.poll() is not None)
            process.kill()
        until(lambda: copying(moved), lambda found: not found)
        _require_whole(moved)
        _complete(moved)


@pytest.mark.parametrize("table", ["background_updates", "users"])
def test_killed_while_the_tables_are_made(table: str) -> None:
    with moving() as moved:
        with running(moved) as process:
            # Synapse's program commits some of them before the others, and then changes them in the background.
            until(
                lambda: moved.ask(f"SELECT to_regclass('{table}')::text") != [(None,)] or process.poll() is not None,
                bool,
            )
            process.kill()
        until(lambda: copying(moved), lambda found: not found)
        assert moved.ask("SELECT count(*) FROM port_from_sqlite3") == [(1,)]
        _complete(moved)


def test_what_a_killed_run_has_left_in_postgresql_is_ended() -> None:
    with moving() as moved:
        with running(moved) as process:
            until(
                lambda: moved.ask("SELECT to_regclass('users')::text") != [(None,)] or process.poll() is not None, bool
            )
            process.kill()
        until(lambda: copying(moved), lambda found: not found)
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
            [(table,)] = moved.ask("SELECT to_regclass('stream_positions')::text")
            return bool(table and moved.ask("SELECT 1 FROM stream_positions WHERE stream_id = 5000"))

        with running(moved) as process:
            until(lambda: has_positions() or process.poll() is not None, bool)
            process.kill()
        until(lambda: copying(moved), lambda found: not found)
        assert _phase(moved) == "first_pass"
        _complete(moved)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ended_by_a_signal_after_the_stop(number: signal.Signals) -> None:
    with moving() as moved:
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

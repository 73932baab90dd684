# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_export leaves when it is ended in the middle, and that the next run makes a complete export."""

from __future__ import annotations

import dataclasses
import operator
import random
import re
import signal
import threading
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import export_hostile
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Parameters, play
from ansible_collections.matrix_ops.synapse.tests.contract.export_content import Found, describe
from ansible_collections.matrix_ops.synapse.tests.contract.export_people import collector, people
from ansible_collections.matrix_ops.synapse.tests.contract.export_process import (
    command_of,
    exporting,
    hanging_environment,
    is_running,
    result_of,
)
from ansible_collections.matrix_ops.synapse.tests.contract.export_proof import (
    MODULE,
    Export,
    declare,
    exports,
    left,
    on_each_engine,
    prove_export,
    prove_refused,
    require_whole,
)
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until

pytestmark = on_each_engine("interrupted exports")

# Of the media, before it hangs.
_FETCHED = 4
# Longer than most exports take.
_LONGEST = 4.0


def _odd(place: Place) -> Parameters:
    return {**declare(place, people(place.server).odd.localpart), "export_timeout": 60}


def _holds_odd(place: Place) -> Found:
    return {"messages": people(place.server).odd_messages}


def _has_written(place: Place) -> bool:
    """Return whether Synapse's command has started to write events."""
    return any(exports(place).glob(".synapse_export_*/export/rooms/*/events"))


def _fetched(place: Place) -> list[str]:
    """Return the media that have their names. One that is being fetched has another ending."""
    media = [path.name for path in exports(place).glob(".synapse_export_*/media/*")]
    return [name for name in media if re.fullmatch(r"\w+\+[0-9a-f]{32}", name)]


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["SIGINT", "SIGTERM", "SIGKILL"]
)
def test_ended_by_a_signal(place: Place, number: signal.Signals) -> None:
    declared = _odd(place)
    with exporting(place, declared, hangs=True) as process:
        command = command_of(process)
        until(lambda: _has_written(place), bool)
        # The other one continues to write, but in its hidden directory.
        prove_refused(place, "Another task is exporting to", declared, lambda place: {"left": left(place)})
        process.send_signal(number)
        if number == signal.SIGKILL:
            assert process.wait() == -number
        else:
            result = result_of(process)
            assert result["failed"], result
            assert f"interrupted by {number.name}" in result["msg"]
        until(lambda: is_running(command), operator.not_)
    hidden = list(exports(place).iterdir())
    assert len(hidden) == (1 if number == signal.SIGKILL else 0)
    assert all(path.name.startswith(".synapse_export_") for path in hidden), hidden
    assert all(path.stat().st_mode & 0o777 == 0o700 for path in hidden)
    prove_export(place, Export(_odd, holds=_holds_odd))


def test_taking_too_long(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in hanging_environment().items():
        monkeypatch.setenv(name, value)
    result = play(place, MODULE, {**_odd(place), "export_timeout": 4})
    assert result.get("failed"), result
    assert "within 4 seconds. Increase export_timeout" in result["msg"]
    assert left(place) == []


@pytest.mark.parametrize("source", ["client_api", "media_store"])
def test_killed_in_the_middle_of_the_media(place: Place, source: str) -> None:
    made = collector(place.server)
    declared = declare(place, made.person.localpart, media=True)
    with exporting(place, {**declared, "media_source": source}, media=_FETCHED) as process:
        until(lambda: _fetched(place), lambda found: len(found) == _FETCHED)
        process.kill()
        process.wait()
    holds, missing = {"media_files": made.files}, made.missing
    _result, found = prove_export(
        place, Export(lambda _place: declared, holds=lambda _place: holds, missing=lambda _place: missing)
    )
    # Those that the killed one has fetched have no source.
    media = [medium for medium in found["manifest"]["media"] if "file" in medium]
    assert sum("source" not in medium for medium in media) == _FETCHED


@dataclasses.dataclass(frozen=True)
class Killed:
    """An export that is killed at a random moment. Either `hostile` creates the user, or `localpart` is set."""

    name: str
    hostile: t.Callable[[t.Any], export_hostile.Hostile] | None = None
    localpart: str = ""
    format: str = "directory"

    def declared(self, place: Place) -> Parameters:
        """Return the parameters."""
        if self.hostile is None:
            export_hostile.accounts(place.server)
            user_id = place.server.user_id(self.localpart)
        else:
            user_id = self.hostile(place.server).person.user_id
        return declare(place, user_id, format=self.format, media=True)

    def holds(self, place: Place) -> Found:
        """Return what must be in it."""
        if self.hostile is None:
            return {"media_files": {}, "account_data_of_rooms": {}}
        made = self.hostile(place.server)
        return {"media_files": made.files, "account_data_of_rooms": made.data}


KILLED = (
    Killed("files that look like archives, in a zip", export_hostile.archives, format="zip"),
    Killed("files that look like archives", export_hostile.archives),
    Killed("ids that are paths", export_hostile.names),
    Killed("what is nested deeply, in a tar", export_hostile.deep, format="tar.gz"),
    Killed("an account called dots", localpart=".."),
    Killed("an account with a long name, in a zip", localpart="h" * 200, format="zip"),
)


@pytest.mark.parametrize("killed", [pytest.param(killed, id=killed.name) for killed in KILLED])
def test_killed_at_random(place: Place, killed: Killed) -> None:
    declared = {**killed.declared(place), "recreate": True}
    moment = random.uniform(0, _LONGEST)
    with exporting(place, declared) as process:
        command = command_of(process)
        threading.Event().wait(moment)
        process.kill()
        process.wait()
        until(lambda: is_running(command), operator.not_)
    # Everything with the name of the export is complete.
    for path in exports(place).glob("[!.]*"):
        require_whole(describe(path))
    done = play(place, MODULE, declared)
    assert done.get("changed"), (moment, done)
    prove_export(place, Export(killed.declared, holds=killed.holds, changes=False))

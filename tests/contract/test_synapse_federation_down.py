# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What both federation modules return for a server that is down, and after it is up again."""

from __future__ import annotations

import secrets
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import meeting
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    Refusal,
    Result,
    play,
    prove,
    prove_refusal,
)
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server
from ansible_collections.matrix_ops.synapse.tests.contract.servers import ENGINES, halt, restart
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until

_INFO, _DESTINATION = "synapse_federation_info", "synapse_federation_destination"


class _Outage:
    """A server, and another one that it sends to and that can be stopped. Stopping is fast, starting takes 3 s."""

    def __init__(self, pair: list[Server], number: int) -> None:
        self.rooms = meeting.meet(pair)
        self.server, self.other = pair[number], pair[1 - number]
        self._down = False

    def begin(self) -> None:
        """Stop the other server, and wait until the server has failed to send a message in one room."""
        if not self._down:
            self._down = True
            halt(self.other)
            meeting.say(self.server, self.rooms[0], f"down {secrets.token_hex(4)}")
            until(self.noted, lambda found: found["failure_ts"] is not None)

    def end(self) -> None:
        """Start the other server."""
        if self._down:
            restart(self.other)
            self._down = False

    def noted(self) -> dict[str, t.Any]:
        """What the server has stored about the other one."""
        return meeting.destination(self.server, self.other.name)

    def recover(self) -> None:
        """Start the other server, and wait until it has received everything."""
        self.end()
        # Synapse refuses it if there is no failure.
        path = f"/_synapse/admin/v1/federation/destinations/{meeting.quoted(self.other.name)}/reset_connection"
        self.server.ask("POST", path, {})
        meeting.wait_for_delivery(self.server, self.other)


@pytest.fixture(scope="module", params=range(len(ENGINES)), ids=ENGINES)
def outage(request: pytest.FixtureRequest, pair: list[Server]) -> t.Iterator[_Outage]:
    """One outage for all tests of a server, because each takes seconds."""
    outage = _Outage(pair, request.param)
    try:
        yield outage
    finally:
        outage.recover()


@pytest.fixture
def down(outage: _Outage, tmp_path: Path) -> Place:
    """A server while the other one is down."""
    outage.begin()
    return Place(outage.server, f"c{secrets.token_hex(4)}", tmp_path)


@pytest.fixture
def stopped(outage: _Outage, tmp_path: Path) -> Place:
    """The server that is down."""
    outage.begin()
    return Place(outage.other, f"c{secrets.token_hex(4)}", tmp_path)


def _reads(place: Place, **asked: t.Any) -> Result:
    return prove(place, Expectation("read", _INFO, parameters=lambda place: asked, changes=False))


def test_shows_that_it_is_down(outage: _Outage, down: Place) -> None:
    found = _reads(down, destination=outage.other.name, failing=True, gather=["rooms"])
    assert found["summary"] == {"total": 1}
    [row] = found["destinations"]
    assert row["retry_state"] == "backing_off"
    assert row["failing_since_ts"] == row["last_attempt_ts"] == outage.noted()["retry_last_ts"]
    assert row["next_attempt_ts"] / 1000 > time.time()
    delivered = {room["room_id"]: room["delivered"] for room in row["rooms"]}
    assert [delivered[room] for room in outage.rooms] == [False, True]


def test_reads_the_database_of_a_stopped_server(outage: _Outage, stopped: Place) -> None:
    asked = {"source": "database", "config_path": stopped.server.config_path, "access_token": None}
    found = _reads(stopped, **asked, gather=["talking_to", "ever_federated"])
    assert found["server_name"] == stopped.server.name
    assert found["ever_federated"]["verdict"]
    assert outage.server.name in [row["server"] for row in found["talking_to"]]


@pytest.mark.parametrize("module", [_INFO, _DESTINATION])
def test_refused_by_a_stopped_server(outage: _Outage, stopped: Place, module: str) -> None:
    asked = {} if module == _INFO else {"destination": outage.server.name}
    message = "failed. Connection refused. Check that Synapse runs"
    prove_refusal(stopped, Refusal("stopped", module, parameters=lambda place: asked, message=message))


def test_reset_while_it_is_down(outage: _Outage, down: Place) -> None:
    before = outage.noted()
    declared = {"destination": outage.other.name}
    predicted = play(down, _DESTINATION, declared, check=True)
    assert outage.noted() == before
    done = play(down, _DESTINATION, declared)
    again = until(outage.noted, lambda found: found["retry_last_ts"] > before["retry_last_ts"])
    assert predicted["changed"]
    assert not predicted["failed_again"]
    assert predicted["destination"]["retry_state"] == "ok"
    assert done["changed"]
    assert done["steps"] == predicted["steps"]
    # Synapse tries at once, so it may have failed before or after the module reads the result.
    assert done["failed_again"] is (done["destination"]["retry_state"] == "backing_off")
    assert done["destination"]["retry_state"] in {"ok", "backing_off"}
    assert done["destination"].get("last_attempt_ts") in {None, again["retry_last_ts"]}


def test_reset_after_it_is_up_again(outage: _Outage, down: Place) -> None:
    before = outage.noted()
    assert before["retry_last_ts"] > 0
    outage.end()
    declared, delivered = {"destination": outage.other.name}, "last_successful_stream_ordering"
    done = play(down, _DESTINATION, declared)
    assert done["changed"], done
    assert not done["failed_again"], done
    after = until(outage.noted, lambda found: found[delivered] > before[delivered])
    again = play(down, _DESTINATION, declared)
    assert not again["changed"], again
    assert again["destination"]["retry_state"] == "ok"
    assert again["destination"][delivered] == after[delivered]

    def asked() -> list[dict[str, t.Any]]:
        return list(play(down, _INFO, {**declared, "gather": ["rooms"]})["destinations"])

    [row] = until(asked, lambda found: all(room["delivered"] for room in found[0]["rooms"]))
    assert row["retry_state"] == "ok"
    assert {room["room_id"] for room in row["rooms"]} >= set(outage.rooms)

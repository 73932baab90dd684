# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_federation_destination does to destinations: real ones, and ones that a test writes to the database."""

from __future__ import annotations

import functools
import re
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import meeting
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place, State
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    Refusal,
    named,
    prove,
    prove_refusal,
)

_MODULE = "synapse_federation_destination"
_HOUR = 3_600_000
# In 2096, so that the backoff has not ended.
_LATER = 4_000_000_000_000
_DELIVERED = "last_successful_stream_ordering"


def _fail(place: Place) -> None:
    meeting.fail_to_reach(place.server)


def _show(name: str | None = None) -> t.Callable[[Place], State]:
    """What the server shows of a destination; without a name, of the other server."""
    return lambda place: meeting.destination(place.server, name or place.ids["other"])


def _show_all(place: Place) -> State:
    return {"destinations": meeting.destinations(place.server)}


def _is_reset(name: str) -> State:
    return {"destination": name, "retry_last_ts": 0, "retry_interval": 0, "failure_ts": None}


def _is_ok(name: str) -> dict[str, t.Any]:
    return {"destination": lambda found: _without_delivery(found) == {"destination": name, "retry_state": "ok"}}


def _without_delivery(found: dict[str, t.Any]) -> dict[str, t.Any]:
    return {key: value for key, value in found.items() if key != _DELIVERED}


_MET = (
    Expectation(
        "a destination that is an IPv6 literal with a port",
        _MODULE,
        prepare=_fail,
        parameters=lambda place: {"destination": meeting.DEAD[0]},
        state=_show(meeting.DEAD[0]),
        shows=lambda place: _is_reset(meeting.DEAD[0]),
        returns=lambda place: _is_ok(meeting.DEAD[0]),
    ),
    Expectation(
        "a destination with a port",
        _MODULE,
        prepare=_fail,
        parameters=lambda place: {"destination": meeting.DEAD[1], "state": "reset"},
        state=_show(meeting.DEAD[1]),
        shows=lambda place: _is_reset(meeting.DEAD[1]),
        returns=lambda place: _is_ok(meeting.DEAD[1]),
    ),
    Expectation(
        "a destination that has never failed",
        _MODULE,
        parameters=lambda place: {"destination": place.ids["other"]},
        changes=False,
        state=_show(),
        shows=lambda place: _is_reset(place.ids["other"]),
        returns=lambda place: _is_ok(place.ids["other"]),
    ),
)


def _declare(**declared: t.Any) -> t.Callable[[Place], dict[str, t.Any]]:
    return lambda place: {"destination": meeting.DEAD[0], **declared}


_refusal = functools.partial(Refusal, module=_MODULE, prepare=_fail, state=_show_all)

_REFUSALS = (
    _refusal(
        "an unreachable server",
        parameters=_declare(base_url="http://127.0.0.1:1"),
        message=r"failed: Connection refused\. Check that Synapse runs",
    ),
    _refusal(
        "a wrong token",
        parameters=_declare(access_token="not_a_token"),
        message="401 M_UNKNOWN_TOKEN.*synapse_access_token",
    ),
    _refusal(
        "the token of a user who is not an admin",
        parameters=lambda place: _declare(access_token=place.server.user_token)(place),
        message="not a server admin.*token of a server admin",
    ),
    _refusal(
        "a destination that was never seen",
        parameters=_declare(destination="never.test"),
        message=r"'never\.test' is not a destination of this server.*nothing to reset.*synapse_federation_info lists",
    ),
    _refusal(
        "a known destination without its port",
        parameters=lambda place: {"destination": re.sub(":[0-9]+$", "", place.ids["other"])},
        message="is not a destination of this server.*with its port",
    ),
    _refusal(
        "a user ID",
        parameters=lambda place: {"destination": place.ids["user"]},
        message="'@.*' is not the name of a server.*after the first colon of the user IDs",
    ),
    _refusal(
        "a URL",
        parameters=lambda place: {"destination": f"https://{place.ids['other']}/"},
        message="'https://.*' is not the name of a server.*without https://",
    ),
    _refusal(
        "a name with a NUL character",
        parameters=lambda place: {"destination": f"{place.ids['other']}\0"},
        message="is not the name of a server",
    ),
    _refusal(
        "a name with white space",
        parameters=lambda place: {"destination": f" {place.ids['other']}"},
        message="is not the name of a server",
    ),
    _refusal(
        "the server itself",
        parameters=lambda place: {"destination": place.server.name},
        message="is this server itself",
    ),
    _refusal("no name at all", parameters=_declare(destination=""), message="'' is not the name of a server"),
    _refusal("an unknown state", parameters=_declare(state="absent"), message="value of state must be one of: reset"),
)


def _note(**columns: int | None) -> t.Callable[[Place], None]:
    """Write the columns of a destination of this case to the database, unless it is already there."""
    return lambda place: meeting.note(place.server, _noted(place), **columns)


def _noted(place: Place) -> str:
    return f"{place.unique}.dead.test"


_noted_case = functools.partial(
    Expectation,
    module=_MODULE,
    parameters=lambda place: {"destination": _noted(place)},
    state=lambda place: meeting.destination(place.server, _noted(place)),
    shows=lambda place: _is_reset(_noted(place)),
)

_NOTED = (
    _noted_case(
        "a destination whose backoff is over",
        prepare=_note(
            retry_last_ts=_HOUR * 2, retry_interval=_HOUR, failure_ts=_HOUR, last_successful_stream_ordering=7
        ),
        returns=lambda place: {
            **_is_ok(_noted(place)),
            "steps": [f"reset the backoff of {_noted(place)}, which has been failing since 1970-01-01T01:00:00Z"],
            "diff": lambda found: found["before"]["last_attempt_ts"] == 2 * _HOUR,
        },
    ),
    _noted_case(
        "a destination without the time of its first failure",
        prepare=_note(retry_last_ts=_HOUR, retry_interval=_HOUR, failure_ts=None),
        returns=lambda place: {
            **_is_ok(_noted(place)),
            "steps": [f"reset the backoff of {_noted(place)}"],
        },
    ),
    _noted_case(
        "a destination by the alias of the option",
        prepare=_note(retry_last_ts=_LATER, retry_interval=_HOUR, failure_ts=_HOUR),
        parameters=lambda place: {"name": _noted(place)},
        returns=lambda place: _is_ok(_noted(place)),
    ),
    _noted_case(
        "a destination that has failed once and was reached later",
        prepare=_note(retry_last_ts=0, retry_interval=0, failure_ts=None, last_successful_stream_ordering=7),
        changes=False,
        returns=lambda place: _is_ok(_noted(place)),
    ),
)


def _prove_reset(place: Place, case: Expectation) -> None:
    """Prove a case, that the diff shows the earlier failure, and that the position of the delivery is kept."""
    case.prepare(place)
    before = case.state(place)
    assert (before["retry_last_ts"] > 0) is case.changes
    done = prove(place, case)
    shown = [done["diff"]["before"][name] for name in ("failing_since_ts", "last_attempt_ts", "retry_interval_ms")]
    failure = [before[name] for name in ("failure_ts", "retry_last_ts", "retry_interval")]
    assert shown == (failure if case.changes else [None, None, None])
    assert done["failed_again"] is False
    assert done["destination"].get(_DELIVERED) == before[_DELIVERED] == case.state(place)[_DELIVERED]


@pytest.mark.parametrize("case", named(_MET))
def test_declared(met: Place, case: Expectation) -> None:
    _prove_reset(met, case)


@pytest.mark.parametrize("case", named(_NOTED))
def test_noted(place: Place, case: Expectation) -> None:
    _prove_reset(place, case)


@pytest.mark.parametrize("case", named(_REFUSALS))
def test_refused(met: Place, case: Refusal) -> None:
    prove_refusal(met, case)

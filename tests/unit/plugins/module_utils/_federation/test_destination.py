# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a destination is described, and how its backoff is reset."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._federation.destination import (
    DestinationResource,
    describe_destination,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

NAME = "[2001:db8::1]:8448"
PATH = "/_synapse/admin/v1/federation/destinations/%5B2001%3Adb8%3A%3A1%5D%3A8448"
WHOAMI = Call("GET", "/_matrix/client/v3/account/whoami", {"user_id": "@admin:x.org:8448"})
UNKNOWN: dict[str, t.Any] = {"errcode": "M_NOT_FOUND", "error": "Unknown destination"}
NEEDLESS: dict[str, t.Any] = {
    "errcode": "M_UNKNOWN",
    "error": "The retry timing does not need to be reset for this destination.",
}
# In milliseconds; the clock of these tests is a minute later.
FAILED = 1700000000123
NOW = 1700000060.0

NEVER_FAILED = {"failure_ts": None, "retry_last_ts": 0, "retry_interval": 0, "last_successful_stream_ordering": 7}
FAILING = {**NEVER_FAILED, "failure_ts": FAILED, "retry_last_ts": FAILED, "retry_interval": 600_000}
AS_RESET = {"destination": NAME, "failing_since_ts": None, "last_attempt_ts": None, "retry_interval_ms": None}
AS_FAILING = {
    "destination": NAME,
    "failing_since_ts": FAILED,
    "last_attempt_ts": FAILED,
    "retry_interval_ms": 600_000,
}


def described(**changes: t.Any) -> dict[str, t.Any]:
    return describe_destination({"destination": NAME, **FAILING, **changes}, NOW)


def known(found: dict[str, t.Any]) -> Call:
    return Call("GET", PATH, {"destination": NAME, **found})


def reset(answer: t.Any = None, status: int = 200) -> Call:
    return Call("POST", f"{PATH}/reset_connection", answer or {}, status, body={})


def destination(server: ScriptedServer, name: str = NAME) -> DestinationResource:
    return DestinationResource(Client(server.base_url, "token"), name, clock=lambda: NOW)


class TestDescription:
    def test_that_backs_off(self) -> None:
        assert described() == {
            "destination": NAME,
            "retry_state": "backing_off",
            "failing_since": "2023-11-14T22:13:20Z",
            "failing_since_ts": FAILED,
            "last_attempt": "2023-11-14T22:13:20Z",
            "last_attempt_ts": FAILED,
            "retry_interval_ms": 600_000,
            "next_attempt_ts": FAILED + 600_000,
            "next_attempt": "2023-11-14T22:23:20Z",
            "last_successful_stream_ordering": 7,
        }

    def test_that_has_been_failing_since_before_the_last_attempt(self) -> None:
        found = described(failure_ts=FAILED - 86_400_000)
        assert (found["failing_since"], found["last_attempt"]) == ("2023-11-13T22:13:20Z", "2023-11-14T22:13:20Z")

    @pytest.mark.parametrize(
        ("interval", "retry_state"),
        [(59_878, "backing_off"), (59_877, "retry_due"), (0, "retry_due"), (None, "retry_due")],
    )
    def test_whose_backoff_is_over_or_not(self, interval: int | None, retry_state: str) -> None:
        found = described(retry_interval=interval)
        assert (found["retry_state"], found["retry_interval_ms"]) == (retry_state, interval or 0)

    @pytest.mark.parametrize("nothing", [0, None])
    def test_without_a_failure_from_either_source(self, nothing: int | None) -> None:
        # An old row may still contain the time of a failure that is over.
        found = described(retry_last_ts=nothing, retry_interval=nothing)
        assert found == {"destination": NAME, "retry_state": "ok", "last_successful_stream_ordering": 7}

    def test_that_nothing_was_ever_delivered_to(self) -> None:
        found = described(retry_last_ts=0, last_successful_stream_ordering=None)
        assert found == {"destination": NAME, "retry_state": "ok"}

    def test_without_the_time_of_the_first_failure(self) -> None:
        found = described(failure_ts=None)
        assert not {"failing_since", "failing_since_ts"} & set(found)
        assert found["last_attempt_ts"] == FAILED

    def test_with_the_longest_interval_of_synapse(self) -> None:
        found = described(retry_interval=2**62)
        assert found["retry_state"] == "backing_off"
        assert "next_attempt" not in found
        assert found["next_attempt_ts"] == FAILED + 2**62

    def test_of_something_else_is_refused(self) -> None:
        with pytest.raises(errors.UnexpectedAnswer, match=r"answer .*\bdestination\b.*Synapse"):
            describe_destination({}, NOW)


def test_is_reset(server: ScriptedServer) -> None:
    server.expect(known(FAILING), reset(), known(NEVER_FAILED))
    resource = destination(server)
    plan = resource.plan()
    assert (plan.before, plan.after) == (AS_FAILING, AS_RESET)
    assert [step.description for step in plan.steps] == [
        f"reset the backoff of {NAME}, which has been failing since 2023-11-14T22:13:20Z"
    ]
    predicted = resource.result(plan, False)
    plan.execute()
    resource.verify(plan)
    assert resource.result(plan, True) == predicted
    assert predicted["destination"]["retry_state"] == "ok"
    assert predicted["destination"]["last_successful_stream_ordering"] == 7
    assert not predicted["failed_again"]


def test_is_reset_also_when_the_backoff_is_over(server: ScriptedServer) -> None:
    server.expect(known({**FAILING, "retry_interval": 1}))
    assert destination(server).plan().changed


def test_without_a_backoff_does_not_change(server: ScriptedServer) -> None:
    server.expect(known(NEVER_FAILED))
    resource = destination(server)
    plan = resource.plan()
    assert not plan.changed
    assert plan.before == plan.after == AS_RESET
    assert resource.result(plan, False)["destination"]["retry_state"] == "ok"


def test_that_fails_again_at_once_is_reported(server: ScriptedServer) -> None:
    again = {**FAILING, "failure_ts": FAILED + 60_000, "retry_last_ts": FAILED + 60_000}
    server.expect(known(FAILING), reset(), known(again))
    resource = destination(server)
    plan = resource.plan()
    plan.execute()
    resource.verify(plan)
    result = resource.result(plan, True)
    assert result["failed_again"]
    [warning] = result["warnings"]
    assert "Only a restart clears it, that of the main process, or of the federation senders" in warning
    assert "warnings" not in resource.result(plan, False)
    assert result["destination"]["retry_state"] == "backing_off"
    assert result["destination"]["failing_since_ts"] == FAILED + 60_000


def test_that_synapse_has_not_reset_is_an_error(server: ScriptedServer) -> None:
    # Synapse logs that it could not write, but responds with success.
    server.expect(known(FAILING), reset(), known(FAILING))
    resource = destination(server)
    plan = resource.plan()
    plan.execute()
    with pytest.raises(
        errors.StateNotReached, match=r"8448 is not as declared.*still stores the failure of .*22:13:20Z.*log"
    ):
        resource.verify(plan)


def test_that_is_reached_in_the_meantime(server: ScriptedServer) -> None:
    server.expect(known(FAILING), reset(NEEDLESS, 400), known(NEVER_FAILED))
    resource = destination(server)
    plan = resource.plan()
    plan.execute()
    resource.verify(plan)
    assert resource.result(plan, True)["failed_again"] is False
    assert "warnings" not in resource.result(plan, True)


@pytest.mark.parametrize(
    ("answer", "status", "kind"),
    [
        (UNKNOWN, 404, errors.NotFound),
        ({"errcode": "M_UNKNOWN", "error": "No"}, 400, errors.ApiError),
        ({"errcode": "M_UNKNOWN", "error": "does not need to be reset"}, 500, errors.ApiError),
    ],
)
def test_whose_reset_is_refused(
    server: ScriptedServer, answer: dict[str, t.Any], status: int, kind: type[Exception]
) -> None:
    server.expect(known(FAILING), reset(answer, status))
    with pytest.raises(kind):
        destination(server).plan().execute()


def test_that_was_never_seen_is_an_error(server: ScriptedServer) -> None:
    server.expect(Call("GET", PATH, UNKNOWN, 404), WHOAMI)
    with pytest.raises(errors.InvalidInput, match=r"'\[2001:db8::1\]:8448' is not a destination.*nothing to reset"):
        destination(server).plan()


def test_that_is_the_server_itself_is_an_error(server: ScriptedServer) -> None:
    own = "/_synapse/admin/v1/federation/destinations/x.org%3A8448"
    server.expect(Call("GET", own, UNKNOWN, 404), WHOAMI)
    with pytest.raises(errors.InvalidInput, match=r"^x\.org:8448 is this server itself\. Set destination"):
        destination(server, "x.org:8448").plan()


def test_on_a_process_without_the_endpoint_is_an_error(server: ScriptedServer) -> None:
    server.expect(Call("GET", PATH, {"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"}, 404))
    with pytest.raises(errors.EndpointMissing, match="main process"):
        destination(server).plan()


@pytest.mark.parametrize("name", ["https://b.org", "b.org/", "@a:b.org", "#a:b.org", "!a:b.org", "b org", "b\0", "b\n"])
def test_that_is_not_the_name_of_a_server_is_not_looked_up(server: ScriptedServer, name: str) -> None:
    with pytest.raises(errors.InvalidInput, match=r"is not the name of a server\. Set destination to the part after"):
        destination(server, name).plan()

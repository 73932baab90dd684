# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""A destination of the federation: another server that Synapse sends to, and how it waits after failures.

Relies on GET /_synapse/admin/v1/federation/destinations/<destination> and POST .../reset_connection of Synapse 1.163.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, JsonObject, member
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ApiError, InvalidInput, NotFound
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, State, Step, require
from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import iso_time

_DESTINATION = "/_synapse/admin/v1/federation/destinations/{destination}"

Clock = t.Callable[[], float]


def read_destination(client: Client, name: str) -> JsonObject | None:
    """Return the destination as the Admin API has it, or None if the server does not know it."""
    try:
        return client.get(_DESTINATION, destination=name)
    except NotFound:
        return None


def describe_destination(found: JsonObject, now: float) -> JsonObject:
    """Return a destination as this collection shows it, from an object of the Admin API or a row of the database.

    `now`: seconds since 1970, of a clock that agrees with that of Synapse. `state` is `ok`, `backing_off` (it failed,
    and Synapse waits) or `retry_due` (it failed, and is tried again as soon as there is something for it).
    Points of time are milliseconds since 1970, and the same as text; None if there is none.
    """
    tried, interval = _last_failure(found)
    # A table may hold a zero, or nothing at all, for what has not happened; both mean that nothing has failed.
    failing_since = found.get("failure_ts") if tried else None
    following = None if tried is None else tried + interval
    waiting = following is not None and following > now * 1000
    return {
        "destination": str(member(found, "destination")),
        "state": "backing_off" if waiting else "ok" if tried is None else "retry_due",
        "failure_ts": failing_since,
        "failing_since": iso_time(failing_since),
        "retry_last_ts": tried,
        "last_attempt": iso_time(tried),
        "retry_interval": interval,
        "next_attempt_ts": following,
        "next_attempt": iso_time(following),
        "last_successful_stream_ordering": found.get("last_successful_stream_ordering"),
    }


class DestinationResource:
    """One destination without a backoff, as the runner wants it (see _plan.Resource)."""

    def __init__(self, client: Client, name: str, *, clock: Clock = time.time) -> None:
        """`name`: the name of the other server, with its port if it has one. Nothing is sent yet."""
        self._client = client
        self._name = name
        self._clock = clock

    def plan(self) -> Plan:
        """Read the destination and decide. Raises InvalidInput if the server does not know it, or what the client
        raises.
        """
        self._before = self._read()
        failed = self._before["retry_last_ts"] is not None
        since = f", which has been failing since {self._before['failing_since']}" if self._before["failure_ts"] else ""
        step = Step(f"reset the backoff of {self._name}{since}", self._reset)
        self._reached = {
            **self._before,
            **describe_destination({"destination": self._name}, self._clock()),
            "last_successful_stream_ordering": self._before["last_successful_stream_ordering"],
        }
        return Plan(_timing(self._before), _timing(self._reached), (step,) if failed else ())

    def verify(self, plan: Plan) -> None:
        """Read the destination again. Raises StateNotReached if the failure of before is still noted.

        A new failure is none of the old one: Synapse tries at once if there is something to send.
        """
        self._reached = self._read()
        stays = self._reached["retry_last_ts"] == self._before["retry_last_ts"]
        require(
            [f"the failure of {self._before['last_attempt']} is still noted, Synapse's log says why"] if stays else [],
            f"The destination {self._name}",
        )

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        """Return `destination`, as it is, or in check mode as it would be, and whether it has `failed_again` since."""
        return {
            "destination": self._reached,
            "failed_again": self._reached["retry_last_ts"] is not None,
        }

    def _read(self) -> JsonObject:
        found = read_destination(self._client, self._name)
        if found is None:
            raise InvalidInput(self._unknown())
        return describe_destination(found, self._clock())

    def _unknown(self) -> str:
        own = self._client.server_name
        if self._name == own:
            return f"{own} is this server itself: only another server can be a destination of it."
        return (
            f"{self._name!r} is not a destination of this server: Synapse has neither sent anything to it, nor failed"
            " to, so there is nothing to reset. Write the name as in the user ids of that server, with its port if it"
            " has one; synapse_federation_info lists the destinations."
        )

    def _reset(self) -> None:
        try:
            self._client.post(f"{_DESTINATION}/reset_connection", {}, destination=self._name)
        except ApiError as error:
            # The other server has come back by itself in the meantime.
            if error.status != 400 or "does not need to be reset" not in error.error:
                raise


def _last_failure(found: JsonObject) -> tuple[int | None, int]:
    """When Synapse last tried in vain, None if the last try went well, and how long it waits since; milliseconds."""
    tried = found.get("retry_last_ts") or None
    return (None, 0) if tried is None else (int(tried), int(found.get("retry_interval") or 0))


def _timing(described: JsonObject) -> State:
    """What resetting changes. The state in words is left out, because it changes by itself as time passes."""
    return {name: described[name] for name in ("destination", "failure_ts", "retry_last_ts", "retry_interval")}

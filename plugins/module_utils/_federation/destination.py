# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""A destination of the federation: another server that Synapse sends to, and its backoff after failures.

Relies on GET /_synapse/admin/v1/federation/destinations/<destination> and POST .../reset_connection of Synapse 1.163.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, JsonObject, member
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ApiError, InvalidInput, NotFound
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, State, Step, require
from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import returned_time

_DESTINATION = "/_synapse/admin/v1/federation/destinations/{destination}"

Clock = t.Callable[[], float]


def read_destination(client: Client, name: str) -> JsonObject | None:
    """Return the destination as the Admin API shows it, or None if the server does not know it."""
    try:
        return client.get(_DESTINATION, destination=name)
    except NotFound:
        return None


def require_server_name(name: str) -> None:
    """Raise InvalidInput if `name` cannot be the name of a server.

    Synapse accepts more than the Matrix specification, so only what is surely wrong is refused. With PostgreSQL, for
    example, Synapse answers 500 if there is a NUL character.
    """
    if not name.strip(".") or any(
        character in "@#!/" or character.isspace() or not character.isprintable() for character in name
    ):
        raise InvalidInput(
            f"{name!r} is not the name of a server. Set destination to the part after the first colon of the user IDs"
            " of that server, for example matrix.example.net or matrix.example.net:8448, without https://."
        )


def describe_destination(found: JsonObject, now: float) -> JsonObject:
    """Return a destination as modules return it, from an object of the Admin API or a row of the database.

    `now`: seconds since 1970, of a clock that agrees with the clock of Synapse. `retry_state` is `ok`, `backing_off`
    (the last attempt failed, and Synapse waits) or `retry_due` (it failed, and Synapse tries again when it has
    something to send). Values that do not apply are left out.
    """
    delivered = found.get("last_successful_stream_ordering")
    destination = {
        "destination": str(member(found, "destination")),
        "retry_state": "ok",
        **({} if delivered is None else {"last_successful_stream_ordering": delivered}),
    }
    # After a successful attempt, the columns contain 0 or NULL, or an old failure_ts.
    attempt = int(found.get("retry_last_ts") or 0)
    if not attempt:
        return destination
    interval = int(found.get("retry_interval") or 0)
    return {
        **destination,
        "retry_state": "backing_off" if attempt + interval > now * 1000 else "retry_due",
        **returned_time("failing_since", found.get("failure_ts")),
        **returned_time("last_attempt", attempt),
        **returned_time("next_attempt", attempt + interval),
        "retry_interval_ms": interval,
    }


class DestinationResource:
    """One destination without a backoff, for the runner (see _plan.Resource)."""

    def __init__(self, client: Client, name: str, *, clock: Clock = time.time) -> None:
        """`name`: the name of the other server, with its port if it has one. Sends no request yet."""
        self._client = client
        self._name = name
        self._clock = clock

    def plan(self) -> Plan:
        """Read the destination and decide. Raises InvalidInput if the server does not know it, or if it is no name of a
        server, and what the client raises.
        """
        require_server_name(self._name)
        self._before = self._read()
        since = self._before.get("failing_since")
        failing = f", which has been failing since {since}" if since else ""
        step = Step(f"reset the backoff of {self._name}{failing}", self._reset)
        delivered = self._before.get("last_successful_stream_ordering")
        reset = {"destination": self._name, "last_successful_stream_ordering": delivered}
        self._reached = describe_destination(reset, self._clock())
        return Plan(_timing(self._before), _timing(self._reached), (step,) if _has_failed(self._before) else ())

    def verify(self, plan: Plan) -> None:
        """Read the destination again. Raises StateNotReached if Synapse still stores the earlier failure.

        A new failure is allowed: Synapse tries at once if it has something to send.
        """
        self._reached = self._read()
        remains = self._reached.get("last_attempt_ts") == self._before["last_attempt_ts"]
        problem = f"Synapse still stores the failure of {self._before.get('last_attempt')}; check the log of Synapse"
        require([problem] if remains else [], f"The destination {self._name}")

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        """Return the `destination` as it is, or would be in check mode, and whether it has `failed_again`.

        If it has, `warnings` contains what a reset does not clear: the .well-known file that each process keeps in its
        memory (synapse/http/federation/well_known_resolver.py).
        """
        failed_again = _has_failed(self._reached)
        warning = (
            f"Synapse has tried to reach {self._name} again after the reset, and failed. If the .well-known file of"
            f" {self._name} was wrong and is corrected, Synapse can use the old one for up to 48 hours. Only a restart"
            " clears it, that of the main process, or of the federation senders if there are any."
        )
        warnings = {"warnings": [warning]} if executed and failed_again else {}
        return {"destination": self._reached, "failed_again": failed_again, **warnings}

    def _read(self) -> JsonObject:
        found = read_destination(self._client, self._name)
        if found is None:
            raise InvalidInput(self._unknown())
        return describe_destination(found, self._clock())

    def _unknown(self) -> str:
        own = self._client.server_name
        if self._name == own:
            return f"{own} is this server itself. Set destination to the name of another server."
        return (
            f"{self._name!r} is not a destination of this server: Synapse has never tried to send anything to it, so"
            " there is nothing to reset. Set destination to the server name in the user IDs of that server, with its"
            " port if it has one. The module synapse_federation_info lists the destinations."
        )

    def _reset(self) -> None:
        try:
            self._client.post(f"{_DESTINATION}/reset_connection", {}, destination=self._name)
        except ApiError as error:
            # Synapse has reached the other server in the meantime.
            if error.status != 400 or "does not need to be reset" not in error.error:
                raise


def _has_failed(described: JsonObject) -> bool:
    """Whether the last attempt failed."""
    return bool(described["retry_state"] != "ok")


def _timing(described: JsonObject) -> State:
    """Return what a reset changes. `retry_state` is not part of it, because it also changes as time passes."""
    names = ("destination", "failing_since_ts", "last_attempt_ts", "retry_interval_ms")
    return {name: described.get(name) for name in names}

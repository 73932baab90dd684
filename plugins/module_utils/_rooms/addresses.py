# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The addresses that a room itself names (m.room.canonical_alias): what they are, and who may change them.

Deleting an alias does not always change them: Synapse tries it as whoever deletes it, and says nothing if that person
has no power in the room. Relies on POST /_synapse/admin/v1/users/<id>/login and on
PUT /_matrix/client/v3/rooms/<id>/state of Synapse 1.163.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._access.login import end_session
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, JsonObject, member
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import EndpointMissing, NotFound, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import server_name_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.power import (
    read_joined,
    read_power,
    read_state_event,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import iso_time

EVENT = "m.room.canonical_alias"
_USER = "/_synapse/admin/v2/users/{user_id}"
_LOGIN_AS = "/_synapse/admin/v1/users/{user_id}/login"
_SEND = "/_matrix/client/v3/rooms/{room_id}/state/" + EVENT
# A token in somebody's name ends by itself after that, even if it cannot be logged out.
_VALID_FOR_MS = 10 * 60 * 1000


@dataclasses.dataclass(frozen=True)
class Addresses:
    """What a room names: its main address `canonical` ("" for none) and its other ones."""

    canonical: str = ""
    alternatives: tuple[str, ...] = ()

    def names(self, alias: str) -> bool:
        """Whether the room names the alias as one of its addresses."""
        return alias == self.canonical or alias in self.alternatives

    def without(self, alias: str) -> Addresses:
        """Return the same addresses without one of them."""
        kept = tuple(other for other in self.alternatives if other != alias)
        return Addresses("" if alias == self.canonical else self.canonical, kept)

    def same_as(self, other: Addresses) -> bool:
        """Whether both name the same ones; the order of the alternatives does not matter."""
        return self.canonical == other.canonical and set(self.alternatives) == set(other.alternatives)


@dataclasses.dataclass(frozen=True)
class Writer:
    """Who can change the addresses of a room: a local member with the power for it. None: nobody, for a `reason`."""

    user_id: str | None
    reason: str = ""


def read_addresses(client: Client, room_id: str) -> tuple[Addresses, JsonObject]:
    """Return what a room names, and the whole content of the event that says so. Nothing for a room without state."""
    content = read_state_event(client, room_id, EVENT).content
    alternatives = content.get("alt_aliases")
    return (
        Addresses(
            str(content.get("alias") or ""),
            tuple(str(alias) for alias in alternatives) if isinstance(alternatives, list) else (),
        ),
        content,
    )


def find_writer(client: Client, room_id: str) -> Writer:
    """Return who on this server can change the addresses of a room: the caller, if it can, else the most powerful one.

    Raises what the client raises.
    """
    power = read_power(client, room_id)
    required = power.required(EVENT)
    joined = [user for user in read_joined(client, room_id) if server_name_of(user) == client.server_name]
    able = [user for user in joined if power.of(user) >= required]
    if not able:
        where = (
            "nobody of this server is in the room any more"
            if not joined
            else f"nobody of this server in the room has the power for it ({required:g})"
        )
        return Writer(None, where)
    if client.caller in able:
        return Writer(client.caller)
    for user in sorted(able, key=lambda user: (-power.of(user), user)):
        if _can_write(client, user):
            return Writer(user)
    return Writer(None, f"whoever has the power for it is locked, suspended or shadow-banned ({', '.join(able[:3])})")


def write_addresses(
    client: Client, room_id: str, writer: str, change: t.Callable[[Addresses], Addresses]
) -> str | None:
    """Let `writer` change what the room names into what `change` makes of it. What else its event holds is kept.

    For anybody but the caller, the admin obtains a token that makes no device and ends after some minutes, and logs it
    out afterwards. Returns a warning if that was not possible, else None. Raises SynapseError, which explains if
    another service is in charge of the logins.
    """
    current, content = read_addresses(client, room_id)
    addresses = change(current)
    if addresses.same_as(current):
        return None
    body = {key: value for key, value in content.items() if key not in ("alias", "alt_aliases")}
    if addresses.canonical:
        body["alias"] = addresses.canonical
    if addresses.alternatives:
        body["alt_aliases"] = list(addresses.alternatives)
    if writer == client.caller:
        client.put(_SEND, body, room_id=room_id)
        return None
    end_ms = client.now_ms() + _VALID_FOR_MS
    try:
        token = str(member(client.post(_LOGIN_AS, {"valid_until_ms": end_ms}, user_id=writer), "access_token"))
    except (EndpointMissing, NotFound) as error:
        error.explain(f"So nothing can be changed in the name of {writer}.")
        raise
    speaker = client.speaking_as(token)
    try:
        speaker.put(_SEND, body, room_id=room_id)
    except SynapseError as error:
        left = _still_open(speaker, writer, end_ms)
        if left:
            error.explain(left)
        raise
    return _still_open(speaker, writer, end_ms)


def _still_open(speaker: Client, writer: str, end_ms: int) -> str | None:
    """Log `speaker` out, and say in a sentence if that was not possible."""
    problem = end_session(speaker)
    if problem is None:
        return None
    return (
        f"The access token that the task used in the name of {writer} could not be logged out; it ends by itself at"
        f" {iso_time(end_ms)}. {problem.message}"
    )


def _can_write(client: Client, user_id: str) -> bool:
    try:
        account = client.get(_USER, user_id=user_id)
    except NotFound:
        return False
    return not any(account.get(name) for name in ("deactivated", "locked", "suspended", "shadow_banned"))

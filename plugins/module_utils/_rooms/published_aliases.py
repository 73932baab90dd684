# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The aliases that a room publishes in m.room.canonical_alias: which they are, and who can change them.

Removing an alias does not always change them: Synapse tries it as the user who removes the alias, and silently gives up
if that user does not have the power level in the room. Relies on POST /_synapse/admin/v1/users/<id>/login and on
PUT /_matrix/client/v3/rooms/<id>/state of Synapse 1.163.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._access.login import end_session
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.delegation import IN_CHARGE, is_delegated
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, JsonObject, member
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import EndpointMissing, NotFound, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import server_name_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.power import (
    DESERTED,
    UNREADABLE,
    read_joined,
    read_power,
    read_state_event,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import iso_time

EVENT = "m.room.canonical_alias"
_USER = "/_synapse/admin/v2/users/{user_id}"
_LOGIN_AS = "/_synapse/admin/v1/users/{user_id}/login"
_SEND = "/_matrix/client/v3/rooms/{room_id}/state/" + EVENT
# A token in the name of another user expires after this time, even if it cannot be logged out.
_VALID_FOR_MS = 10 * 60 * 1000


@dataclasses.dataclass(frozen=True)
class PublishedAliases:
    """What a room publishes: its `canonical` alias ("" for none) and its `alternatives`."""

    canonical: str = ""
    alternatives: tuple[str, ...] = ()

    def __contains__(self, alias: str) -> bool:
        return alias == self.canonical or alias in self.alternatives

    def without(self, alias: str) -> PublishedAliases:
        """Return the same aliases without one of them."""
        kept = tuple(other for other in self.alternatives if other != alias)
        return PublishedAliases("" if alias == self.canonical else self.canonical, kept)

    def same_as(self, other: PublishedAliases) -> bool:
        """Whether both contain the same aliases. The order of the alternatives does not matter."""
        return self.canonical == other.canonical and set(self.alternatives) == set(other.alternatives)


@dataclasses.dataclass(frozen=True)
class Writer:
    """The user who can change what a room publishes. Without a `user_id` there is none, and `reason` says why."""

    user_id: str | None
    reason: str = ""


def read_published(client: Client, room_id: str) -> tuple[PublishedAliases, JsonObject]:
    """Return what a room publishes, and the whole content of the event. Both are empty for a room without state."""
    content = read_state_event(client, room_id, EVENT).content
    alternatives = content.get("alt_aliases")
    return (
        PublishedAliases(
            str(content.get("alias") or ""),
            tuple(str(alias) for alias in alternatives) if isinstance(alternatives, list) else (),
        ),
        content,
    )


def content_with(content: JsonObject, published: PublishedAliases) -> JsonObject:
    """Return the content of the event with what the room publishes replaced. Other keys stay."""
    body = {key: value for key, value in content.items() if key not in ("alias", "alt_aliases")}
    if published.canonical:
        body["alias"] = published.canonical
    if published.alternatives:
        body["alt_aliases"] = list(published.alternatives)
    return body


def find_writer(client: Client, room_id: str) -> Writer:
    """Return the user of this server who changes what a room publishes.

    This is the caller if it can do that, otherwise the user with the highest power level. Raises what the client
    raises.
    """
    power = read_power(client, room_id)
    joined = [user for user in read_joined(client, room_id) if server_name_of(user) == client.server_name]
    if not joined:
        return Writer(None, DESERTED)
    if not power.is_known():
        return Writer(None, UNREADABLE)
    required = power.required(EVENT)
    able = [user for user in joined if power.of(user) >= required]
    if not able:
        return Writer(None, f"no user of this server in the room has the required power level ({required:g})")
    for user in sorted(able, key=lambda user: (user != client.caller, -power.of(user), user)):
        if not _can_write(client, user):
            continue
        if user != client.caller and is_delegated(client):
            return Writer(
                None,
                f"{IN_CHARGE[0].lower()}{IN_CHARGE[1:]}, so that a server admin cannot act in the name of {user}",
            )
        return Writer(user)
    return Writer(
        None,
        "every user of this server who has the required power level is locked, suspended or shadow-banned"
        f" ({', '.join(able[:3])})",
    )


def write_published(
    client: Client, room_id: str, writer: str, change: t.Callable[[PublishedAliases], PublishedAliases]
) -> str | None:
    """Replace what the room publishes by what `change` returns, as the user `writer`. Other keys of the event stay.

    If `writer` is not the caller, the admin gets a token for that user, which creates no device and expires after some
    minutes, and logs it out afterwards. Returns a warning if the logout failed, else None. Raises SynapseError, which
    says so if another service manages the logins.
    """
    current, content = read_published(client, room_id)
    published = change(current)
    if published.same_as(current):
        return None
    body = content_with(content, published)
    if writer == client.caller:
        client.put(_SEND, body, room_id=room_id)
        return None
    end_ms = client.now_ms() + _VALID_FOR_MS
    try:
        token = str(member(client.post(_LOGIN_AS, {"valid_until_ms": end_ms}, user_id=writer), "access_token"))
    except (EndpointMissing, NotFound) as error:
        error.explain(f"Therefore nothing can be changed in the name of {writer}.")
        raise
    speaker = client.speaking_as(token)
    try:
        speaker.put(_SEND, body, room_id=room_id)
    except SynapseError as error:
        still_open = _log_out(speaker, writer, end_ms)
        if still_open:
            error.explain(still_open)
        raise
    return _log_out(speaker, writer, end_ms)


def _log_out(speaker: Client, writer: str, end_ms: int) -> str | None:
    """Log `speaker` out. Return a warning if that failed."""
    problem = end_session(speaker)
    if problem is None:
        return None
    return (
        f"The access token that the task used in the name of {writer} could not be logged out. It expires at"
        f" {iso_time(end_ms)}. {problem.message}"
    )


def _can_write(client: Client, user_id: str) -> bool:
    try:
        account = client.get(_USER, user_id=user_id)
    except NotFound:
        return False
    return not any(account.get(name) for name in ("deactivated", "locked", "suspended", "shadow_banned"))

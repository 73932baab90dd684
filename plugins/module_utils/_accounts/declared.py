# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The declared and the current state of an account, and the requests that change it. This module sends nothing itself.

Relies on the User Admin API of Synapse 1.163: PUT and GET /_synapse/admin/v2/users/<id>, the list GET v3/users,
POST v1/deactivate/<id>, PUT v1/suspend/<id>, POST and DELETE v1/users/<id>/shadow_ban and .../override_ratelimit.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.normal_form import (
    LOCALPART,
    LOCALPART_CHARACTERS,
    normal_address,
    normal_external_id,
    normal_form,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.old_addresses import (
    kept_beside,
    left_after_deactivation,
    require_deactivatable,
    require_removable,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.password import require_password
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import JsonObject, member
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import Identifier
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import State

Address = dict[str, str]

USER = "/_synapse/admin/v2/users/{user_id}"
DEACTIVATE = "/_synapse/admin/v1/deactivate/{user_id}"
SUSPEND = "/_synapse/admin/v1/suspend/{user_id}"
SHADOW_BAN = "/_synapse/admin/v1/users/{user_id}/shadow_ban"
RATE_LIMIT = "/_synapse/admin/v1/users/{user_id}/override_ratelimit"

# The rows of the user list do not contain these attributes, only the response for one account does.
DETAILS = frozenset({"suspended", "threepids", "external_ids", "rate_limit", "appservice_id"})

# The column of both numbers is a BIGINT.
_MAXIMUM_RATE = 2**63 - 1
_CREATE = "create the account"
_UNKNOWN = object()
# The attributes that one PUT sets on an existing account, and those that it sets when it creates an account.
_WRITABLE = ("admin", "display_name", "avatar_url", "user_type", "threepids", "external_ids", "locked")
_CREATABLE = ("admin", "display_name", "avatar_url", "user_type", "threepids", "external_ids")


@dataclasses.dataclass(frozen=True)
class DeclaredAccount:
    """An account as a task declares it. None means that the attribute is not declared and does not change.

    `user_type` "" and `rate_limit` {} mean that it has none. `threepids` and `external_ids` are complete lists.
    `update_password` defines when `password` is set on an account that exists and is active: "always", "on_create"
    (never), or "if_different" (if the stored password is different).
    """

    present: bool = True
    create: bool = True
    admin: bool | None = None
    password: str | None = None
    update_password: str = "on_create"
    logout_devices: bool = False
    display_name: str | None = None
    avatar_url: str | None = None
    user_type: str | None = None
    threepids: t.Sequence[Address] | None = None
    external_ids: t.Sequence[Address] | None = None
    rate_limit: t.Mapping[str, int] | None = None
    locked: bool | None = None
    suspended: bool | None = None
    shadow_banned: bool | None = None
    erase: bool = False

    def check(self) -> None:
        """Raise InvalidInput for a value that Synapse refuses, or that it accepts although it makes no sense."""
        if self.password is not None and not self.password:
            raise InvalidInput(
                "password is empty: Synapse would accept it, and anyone could log in. Set a password that is not empty."
            )
        if self.password is not None:
            require_password("password", self.password)
        if self.rate_limit and any(number < 0 for number in self.rate_limit.values()):
            raise InvalidInput("rate_limit contains a negative number. For no limit, set the number to 0.")
        if self.rate_limit and any(number > _MAXIMUM_RATE for number in self.rate_limit.values()):
            raise InvalidInput(
                f"rate_limit contains a number above {_MAXIMUM_RATE}, which Synapse cannot store. For no limit, set the"
                " number to 0."
            )
        self.attributes()

    def attributes(self) -> dict[str, t.Any]:
        """Return the declared attributes that Synapse shows of an account, in the form in which it shows them.

        Raises InvalidInput for a value that Synapse cannot store.
        """
        declared: dict[str, t.Any] = {}
        for name in ("admin", "display_name", "avatar_url", "user_type", "locked", "suspended", "shadow_banned"):
            value = getattr(self, name)
            if value is not None:
                declared[name] = normal_form(name, value) if isinstance(value, str) else value
        if self.threepids is not None:
            declared["threepids"] = _ordered(map(normal_address, self.threepids))
        if self.external_ids is not None:
            declared["external_ids"] = _ordered(map(normal_external_id, self.external_ids))
        if self.rate_limit is not None:
            declared["rate_limit"] = _rate_limit(self.rate_limit)
        return declared

    def needs_details(self) -> bool:
        """Whether a declared attribute is not in the list of accounts."""
        return not DETAILS.isdisjoint(self.attributes())


class Change(t.NamedTuple):
    """One request that changes an account.

    `shown`: whether the account shows afterwards that the change was made. It does not show a new password.
    """

    description: str
    method: str
    template: str
    body: JsonObject
    shown: bool = True

    @property
    def creates(self) -> bool:
        """Whether it creates the account."""
        return self.description == _CREATE


def account_state(answer: JsonObject) -> dict[str, t.Any]:
    """Return an account as this collection shows it, from the response of GET v2/users/<id>.

    Text that is not set is "", whether Synapse returns null or "".
    """
    return {
        **listed_state(answer),
        "appservice_id": answer.get("appservice_id") or "",
        "suspended": bool(answer.get("suspended")),
        "threepids": _ordered(
            {"medium": str(entry["medium"]), "address": str(entry["address"])}
            for entry in answer.get("threepids") or ()
        ),
        "external_ids": _ordered(
            {"auth_provider": entry["auth_provider"], "external_id": entry["external_id"]}
            for entry in answer.get("external_ids") or ()
        ),
    }


def listed_state(row: JsonObject) -> dict[str, t.Any]:
    """Return an account as this collection shows it, from a row of GET v3/users. It contains no DETAILS."""
    return {
        "user_id": member(row, "name"),
        "admin": bool(member(row, "admin")),
        "display_name": row.get("displayname") or "",
        "avatar_url": row.get("avatar_url") or "",
        "user_type": row.get("user_type") or "",
        "guest": bool(row.get("is_guest")),
        "locked": bool(row.get("locked")),
        "shadow_banned": bool(row.get("shadow_banned")),
        "deactivated": bool(member(row, "deactivated")),
        "erased": bool(row.get("erased")),
    }


def rate_limit_state(answer: JsonObject) -> dict[str, int]:
    """Return the rate limit of an account from the response of GET override_ratelimit: {} if it has none."""
    return _rate_limit(answer)


def decide(user_id: Identifier, declared: DeclaredAccount, current: State) -> tuple[State, list[Change]]:
    """Return the account as it will be, and the requests that make the change.

    `current` is None for an account that does not exist. Otherwise it contains at least every declared attribute.
    This function cannot compare passwords: the caller replaces "if_different" by "always" or "on_create" before.
    Raises InvalidInput if the account must not be created, or for a change that no API makes.
    """
    if current is None and user_id.localpart != user_id.localpart.lower():
        small = user_id.localpart.lower()
        if LOCALPART.fullmatch(small):
            fix = f"Set user_id to @{small}:{user_id.server_name}."
        else:
            fix = f"A localpart can only contain {LOCALPART_CHARACTERS}."
        raise InvalidInput(
            f"The account {user_id} does not exist, and Synapse creates no account with upper-case letters. {fix}"
        )
    if not declared.present:
        return _decide_absent(str(user_id), current, declared.erase)
    if current is None:
        return _decide_new(user_id, declared)
    return _decide_existing(str(user_id), current, declared)


def differences(declared: DeclaredAccount, state: State) -> list[str]:
    """Return the attributes that are not as declared, with their current values; nothing if all are.

    The password is not compared, because Synapse does not show it.
    """
    if state is None:
        return ["it does not exist"] if declared.present else []
    expected: dict[str, t.Any] = {"deactivated": True}
    if declared.present:
        expected = {**_beside_old_addresses(declared.attributes(), state), "deactivated": False}
    if not declared.present and declared.erase:
        expected["erased"] = True
    return [f"{name} is {state.get(name)!r}" for name in expected if state.get(name) != expected[name]]


def _beside_old_addresses(attributes: dict[str, t.Any], current: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return the declared attributes with the addresses of the account that Synapse cannot remove beside them."""
    if "threepids" not in attributes:
        return attributes
    addresses = attributes["threepids"]
    return {**attributes, "threepids": _ordered([*addresses, *kept_beside(addresses, current["threepids"])])}


def _decide_absent(user_id: str, current: State, erase: bool) -> tuple[State, list[Change]]:
    if current is None or (current["deactivated"] and (current["erased"] or not erase)):
        return current, []
    after = {**current, "deactivated": True}
    if "threepids" in after:
        require_deactivatable(user_id, after["threepids"])
        after["threepids"] = left_after_deactivation(after["threepids"])
    if erase:
        after.update(erased=True, display_name="", avatar_url="")
    words = "deactivate and erase the account" if erase else "deactivate the account"
    return after, [Change(words, "POST", DEACTIVATE, {"erase": erase})]


def _decide_new(user_id: Identifier, declared: DeclaredAccount) -> tuple[State, list[Change]]:
    if not declared.create:
        raise InvalidInput(
            f"The account {user_id} does not exist, and create is false. Check the spelling of user_id, or set create"
            " to true."
        )
    attributes = declared.attributes()
    blank = account_state({"name": str(user_id), "admin": False, "deactivated": False})
    blank["display_name"] = user_id.localpart
    given = {name: attributes[name] for name in _CREATABLE if attributes.get(name)}
    body = _body(given)
    if declared.password is not None:
        body["password"] = declared.password
    created = {"rate_limit": {}, **blank, **given}
    if attributes.get("user_type") == "":
        # The configuration of the server can define a user type for new accounts.
        created["user_type"] = _UNKNOWN
    changes = [Change(_CREATE, "PUT", USER, body)]
    return {**blank, **attributes}, changes + _write(attributes, created)


def _decide_existing(user_id: str, current: dict[str, t.Any], declared: DeclaredAccount) -> tuple[State, list[Change]]:
    attributes = declared.attributes()
    if "threepids" in attributes:
        require_removable(user_id, attributes["threepids"], current["threepids"])
    attributes = _beside_old_addresses(attributes, current)
    after = {**current, **attributes, "deactivated": False, "erased": False}
    password: JsonObject = {}
    if declared.password is not None:
        password = {"password": declared.password, "logout_devices": declared.logout_devices}
    if not current["deactivated"]:
        return after, _write(attributes, current, password if declared.update_password == "always" else {})
    # This is the first request, because an erased account has no profile before it.
    reactivation = Change("reactivate the account", "PUT", USER, {"deactivated": False, **password})
    return after, [reactivation, *_write(attributes, current)]


def _write(
    attributes: t.Mapping[str, t.Any], current: t.Mapping[str, t.Any], password: JsonObject | None = None
) -> list[Change]:
    """Return the requests that change `current` into `attributes`: one PUT, then those for the other attributes."""
    different = {name: value for name, value in attributes.items() if value != current.get(name)}
    given = {name: different[name] for name in _WRITABLE if name in different}
    words = [*given, *(["the password"] if password else [])]
    changes: list[Change] = []
    if words:
        body = {**_body(given), **(password or {})}
        changes.append(Change(f"set {', '.join(words)}", "PUT", USER, body, bool(given)))
    if "suspended" in different:
        suspended = different["suspended"]
        description = "suspend the account" if suspended else "end the suspension of the account"
        changes.append(Change(description, "PUT", SUSPEND, {"suspend": suspended}))
    if "shadow_banned" in different:
        banned = different["shadow_banned"]
        description = "shadow-ban the account" if banned else "end the shadow ban of the account"
        changes.append(Change(description, "POST" if banned else "DELETE", SHADOW_BAN, {}))
    if "rate_limit" in different:
        limit = different["rate_limit"]
        description = "set the rate limit of the account" if limit else "remove the rate limit of the account"
        changes.append(Change(description, "POST" if limit else "DELETE", RATE_LIMIT, dict(limit)))
    return changes


def _body(attributes: t.Mapping[str, t.Any]) -> JsonObject:
    """Return attributes as PUT v2/users/<id> expects them: it removes a user type with null, and refuses ""."""
    sent = {"displayname" if name == "display_name" else name: value for name, value in attributes.items()}
    if sent.get("user_type") == "":
        sent["user_type"] = None
    return sent


def _rate_limit(limit: t.Mapping[str, t.Any]) -> dict[str, int]:
    if not limit:
        return {}
    # For Synapse, a missing number is 0, which means no limit.
    return {name: int(limit.get(name) or 0) for name in ("messages_per_second", "burst_count")}


def _ordered(entries: t.Iterable[Address]) -> list[Address]:
    """Return the entries sorted and without duplicates. Synapse returns them in no particular order."""
    unique = {tuple(sorted(entry.items())): entry for entry in entries}
    return [unique[key] for key in sorted(unique)]

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Accounts: what is declared of one, what the server says of it, and the requests between the two.

Relies on the User Admin API of Synapse 1.163 (PUT and GET /_synapse/admin/v2/users/<id>, POST v1/deactivate/<id>,
PUT v1/suspend/<id>, GET v1/username_available).
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, JsonObject, member
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ApiError,
    EndpointMissing,
    InvalidInput,
    NotFound,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import Identifier, parse_user_id
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, State, Step, require

_USER = "/_synapse/admin/v2/users/{user_id}"
_DEACTIVATE = "/_synapse/admin/v1/deactivate/{user_id}"
_SUSPEND = "/_synapse/admin/v1/suspend/{user_id}"

# What Synapse accepts in a new localpart (synapse/types, contains_invalid_mxid_characters).
_LOCALPART = re.compile(r"[a-z0-9._=/+-]+")
_MAXIMUM_PASSWORD = 512
_MAXIMUM_DISPLAYNAME = 256
_MAXIMUM_AVATAR_URL = 1000
# Stands for a password in before and after: both are secret, but a change must be seen.
_HIDDEN, _HIDDEN_NEW = "(hidden)", "(hidden, new)"


@dataclasses.dataclass(frozen=True)
class DeclaredAccount:
    """An account as a task declares it. None means: not declared, leave it as it is."""

    present: bool = True
    create: bool = True
    admin: bool | None = None
    password: str | None = None
    update_password: str = "on_create"
    logout_devices: bool = False
    displayname: str | None = None
    avatar_url: str | None = None
    locked: bool | None = None
    suspended: bool | None = None
    erase: bool = False

    def check(self) -> None:
        """Raise InvalidInput for a value that Synapse would refuse, or would take although nobody can mean it."""
        if self.password is not None and not self.password:
            raise InvalidInput(
                "password is empty: Synapse would accept that, and anybody could log in. Set a real one."
            )
        if self.password is not None and len(self.password) > _MAXIMUM_PASSWORD:
            raise InvalidInput(f"password is longer than the {_MAXIMUM_PASSWORD} characters that Synapse accepts.")
        if self.displayname is not None and len(self.displayname) > _MAXIMUM_DISPLAYNAME:
            raise InvalidInput(
                f"displayname is longer than the {_MAXIMUM_DISPLAYNAME} characters that Synapse accepts."
            )
        if self.avatar_url and not self.avatar_url.startswith("mxc://"):
            raise InvalidInput(
                f"avatar_url {self.avatar_url!r} is not the address of uploaded media: it begins with mxc://."
                " Upload the picture first; an empty avatar_url removes it."
            )
        if self.avatar_url and len(self.avatar_url) > _MAXIMUM_AVATAR_URL:
            raise InvalidInput(f"avatar_url is longer than the {_MAXIMUM_AVATAR_URL} characters that Synapse accepts.")

    def attributes(self) -> dict[str, t.Any]:
        """Return the declared attributes that an account shows, under the names that it shows them."""
        names = ("admin", "displayname", "avatar_url", "locked", "suspended")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


class Change(t.NamedTuple):
    """One request that brings an account nearer to what is declared."""

    description: str
    method: str
    template: str
    body: JsonObject


def account_state(answer: JsonObject) -> dict[str, t.Any]:
    """Return an account as this collection shows it, from the answer of GET v2/users/<id>.

    A name or picture that is not set is "", whether Synapse says null or "".
    """
    return {
        "user_id": member(answer, "name"),
        "admin": bool(member(answer, "admin")),
        "displayname": answer.get("displayname") or "",
        "avatar_url": answer.get("avatar_url") or "",
        "user_type": answer.get("user_type"),
        "is_guest": bool(answer.get("is_guest")),
        "appservice_id": answer.get("appservice_id"),
        "locked": bool(answer.get("locked")),
        "suspended": bool(answer.get("suspended")),
        "shadow_banned": bool(answer.get("shadow_banned")),
        "deactivated": bool(member(answer, "deactivated")),
        "erased": bool(answer.get("erased")),
    }


def read_account(client: Client, user_id: str) -> State:
    """Return the account `user_id` as `account_state` shows it, or None if it does not exist."""
    try:
        return account_state(client.get(_USER, user_id=user_id))
    except NotFound:
        return None


def decide(user_id: Identifier, declared: DeclaredAccount, current: State) -> tuple[State, list[Change]]:
    """Return the account as it will be, and the requests that make it so.

    `current` is None for an account that does not exist. Raises InvalidInput if it may not be created.
    """
    if current is None and user_id.localpart != user_id.localpart.lower():
        raise InvalidInput(
            f"The account {user_id} does not exist, and Synapse creates none with capital letters:"
            f" write @{user_id.localpart.lower()}:{user_id.server_name}."
        )
    if not declared.present:
        return _decide_absent(current, declared.erase)
    if current is None:
        return _decide_new(user_id, declared)
    return _decide_existing(current, declared)


def _decide_absent(current: State, erase: bool) -> tuple[State, list[Change]]:
    if current is None or (current["deactivated"] and (current["erased"] or not erase)):
        return current, []
    after = {**current, "deactivated": True}
    if erase:
        after.update(erased=True, displayname="", avatar_url="")
    words = "deactivate and erase the account" if erase else "deactivate the account"
    return after, [Change(words, "POST", _DEACTIVATE, {"erase": erase})]


def _decide_new(user_id: Identifier, declared: DeclaredAccount) -> tuple[State, list[Change]]:
    if not declared.create:
        raise InvalidInput(
            f"The account {user_id} does not exist, and create is false: see whether the name is spelt right,"
            " or set create to true to make it."
        )
    attributes = declared.attributes()
    after = account_state(
        {"name": str(user_id), "admin": False, "deactivated": False, "displayname": user_id.localpart}
    )
    after.update(attributes)
    body = {name: attributes[name] for name in ("admin", "displayname", "avatar_url") if attributes.get(name)}
    if declared.password is not None:
        body["password"] = declared.password
    changes = [Change("create the account", "PUT", _USER, body)]
    # Synapse ignores these when it creates, so they follow.
    later: JsonObject = {"locked": True} if declared.locked else {}
    if declared.displayname == "":
        later["displayname"] = ""
    return after, changes + _write(later) + _suspend(False, declared.suspended)


def _decide_existing(current: dict[str, t.Any], declared: DeclaredAccount) -> tuple[State, list[Change]]:
    changes: list[Change] = []
    after = {**current, **declared.attributes(), "deactivated": False, "erased": False}
    password = (
        {} if declared.password is None else {"password": declared.password, "logout_devices": declared.logout_devices}
    )
    if current["deactivated"]:
        changes.append(Change("reactivate the account", "PUT", _USER, {"deactivated": False, **password}))
    differences = {name: value for name, value in declared.attributes().items() if value != current[name]}
    differences.pop("suspended", None)
    if password and declared.update_password == "always" and not current["deactivated"]:
        differences.update(password)
    return after, changes + _write(differences) + _suspend(current["suspended"], declared.suspended)


def _write(attributes: dict[str, t.Any]) -> list[Change]:
    if not attributes:
        return []
    shown = ", ".join("the password" if name == "password" else name for name in attributes if name != "logout_devices")
    return [Change(f"set {shown}", "PUT", _USER, attributes)]


def _suspend(current: bool, declared: bool | None) -> list[Change]:
    if declared is None or declared == current:
        return []
    words = "suspend the account" if declared else "lift the suspension of the account"
    return [Change(words, "PUT", _SUSPEND, {"suspend": declared})]


class AccountResource:
    """One account with its declared state, as the runner wants it (see _plan.Resource)."""

    def __init__(self, client: Client, user_id: str, declared: DeclaredAccount) -> None:
        """`user_id`: in full, or the localpart alone. Nothing is sent yet."""
        self._client = client
        self._given = user_id
        self._declared = declared

    def plan(self) -> Plan:
        """Read the account and decide. Raises InvalidInput, or what the client raises."""
        self._declared.check()
        self._user_id = parse_user_id(self._given, self._client.server_name)
        current = read_account(self._client, str(self._user_id))
        after, changes = decide(self._user_id, self._declared, current)
        self._guard_caller(current, after)
        if current is None and after is not None:
            self._require_available()
        steps = tuple(Step(change.description, self._request(change)) for change in changes)
        sets_password = any("password" in change.body for change in changes)
        return Plan(
            _showing_password(current, _HIDDEN, sets_password),
            _showing_password(after, _HIDDEN_NEW, sets_password),
            steps,
        )

    def verify(self, plan: Plan) -> None:
        """Read the account again. Raises StateNotReached if something declared is not there."""
        self._reached = read_account(self._client, str(self._user_id)) or {}
        expected = dict(self._declared.attributes()) if self._declared.present else {}
        expected["deactivated"] = not self._declared.present
        if not self._declared.present and self._declared.erase:
            expected["erased"] = True
        require(
            [
                f"{name} is {self._reached.get(name)!r}"
                for name in expected
                if self._reached.get(name) != expected[name]
            ],
            f"The account {self._user_id}",
        )

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        """Return `user`: the account as it is, or in check mode as it would be; None if it does not exist."""
        user = self._reached if executed else plan.after
        return {"user": user and {name: value for name, value in user.items() if name != "password"}}

    def _request(self, change: Change) -> t.Callable[[], JsonObject]:
        return lambda: self._client.request(
            change.method, change.template, body=change.body, user_id=str(self._user_id)
        )

    def _guard_caller(self, current: State, after: State) -> None:
        if current is None or after is None or current["user_id"] != self._client.caller:
            return
        harmful = [name for name in ("locked", "suspended", "deactivated") if after[name] and not current[name]]
        if current["admin"] and not after["admin"]:
            harmful.append("not an admin")
        if harmful:
            raise InvalidInput(
                f"{current['user_id']} is the account that this task runs as: made {' and '.join(harmful)},"
                " it could not undo that. Use the access token of another server admin."
            )

    def _require_available(self) -> None:
        if not _LOCALPART.fullmatch(self._user_id.localpart):
            raise InvalidInput(
                f"The account {self._user_id} cannot be created: a localpart consists of a-z, 0-9 and . _ = / + - only."
            )
        try:
            self._client.get("/_synapse/admin/v1/username_available", params={"username": self._user_id.localpart})
        except EndpointMissing:
            # Older servers, and those that leave accounts to another service, do not answer this.
            return
        except ApiError as error:
            if error.status != 400:
                raise
            raise InvalidInput(f"The account {self._user_id} cannot be created: {error.error.rstrip('.')}.") from error


def _showing_password(state: State, shown: str, sets_password: bool) -> State:
    return {**state, "password": shown} if state is not None and sets_password else state

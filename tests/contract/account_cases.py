# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cases of the modules that change accounts and access tokens."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.tests.contract.case import Case, Place, State, everybody_but

_OLD, _NEW = "contract-old-0123", "contract-new-4567"
_PASSWORDS = (_OLD, _NEW)
_SHOWN = ("displayname", "admin", "deactivated", "suspended", "user_type")
_DEVICE = "matrix_ops.synapse"


def look_at_account(place: Place, word: str, *passwords: str) -> State:
    """Return what the server shows of an account, and which of the passwords it accepts."""
    server, user_id = place.server, place.user(word)
    found = server.found(f"/_synapse/admin/v2/users/{user_id}")
    if found is None:
        return {"account": None, "suspended": False, "rate_limit": {}}
    state: State = {"account": user_id, **{name: found.get(name) for name in _SHOWN}}
    state["threepids"] = sorted(f"{entry['medium']}:{entry['address']}" for entry in found.get("threepids") or [])
    state["rate_limit"] = server.get(f"/_synapse/admin/v1/users/{user_id}/override_ratelimit")
    state["password"] = [password for password in passwords if server.has_password(user_id, password)]
    return state


def devices_of(place: Place, user_id: str) -> list[str]:
    """Return the devices of an account, without those of Synapse's own."""
    rows = place.server.rows("SELECT device_id FROM devices WHERE user_id = ? AND NOT hidden", user_id)
    return sorted(str(device) for (device,) in rows)


def _declare_everything(place: Place) -> dict[str, t.Any]:
    return {
        "user_id": place.user("one"),
        "password": _NEW,
        "display_name": "Somebody",
        "admin": True,
        "threepids": [{"medium": "email", "address": f"{place.unique}@example.org"}],
        "rate_limit": {"messages_per_second": 5, "burst_count": 7},
        "suspended": True,
    }


def _declare_other_password(place: Place) -> dict[str, t.Any]:
    # Compared with the stored password. Otherwise each run would be a change.
    comparing = {"config_path": place.server.config_path, "synapse_python": place.server.python}
    return {**_declare_everything(place), "update_password": "if_different", **comparing}


def _make_account(place: Place) -> None:
    place.server.make_account(f"{place.unique}-one", password=_OLD, displayname="Before")


def _state_of_one(place: Place) -> State:
    return look_at_account(place, "one", *_PASSWORDS)


_SET = {**{name: name for name in ("admin", "threepids", "password")}, "displayname": "display_name"}
_ACCOUNTS = (
    Case(
        "create an account",
        "synapse_admin_user",
        lambda place: None,
        _declare_everything,
        _state_of_one,
        {"account": "create the account", "suspended": "suspend", "rate_limit": "rate limit"},
        secrets=_PASSWORDS,
    ),
    Case(
        "change an account",
        "synapse_admin_user",
        _make_account,
        _declare_other_password,
        _state_of_one,
        {**_SET, "suspended": "suspend", "rate_limit": "rate limit"},
        secrets=_PASSWORDS,
    ),
    Case(
        "deactivate an account",
        "synapse_admin_user",
        _make_account,
        lambda place: {"user_id": place.user("one"), "state": "absent"},
        _state_of_one,
        {"deactivated": "deactivate"},
        secrets=_PASSWORDS,
    ),
)


def _make_two(place: Place) -> None:
    for word in ("change", "leave"):
        place.server.make_account(f"{place.unique}-{word}", password=_OLD, displayname="Before")


def _declare_three(place: Place) -> dict[str, t.Any]:
    users = [
        {"user_id": place.user("new"), "password": _NEW, "display_name": "After", "suspended": True},
        {"user_id": place.user("change"), "display_name": "After", "suspended": True},
        {"user_id": place.user("leave"), "state": "absent"},
    ]
    return {"users": users, "parallel": 1}


def _declare_exclusive(place: Place) -> dict[str, t.Any]:
    declared = {"user_id": place.user("change"), "display_name": "After"}
    protect = everybody_but(place.unique)
    return {"users": [declared], "exclusive": True, "max_changes": 3, "protect": protect, "parallel": 1}


def _state_of_three(place: Place) -> State:
    return {word: look_at_account(place, word) for word in ("new", "change", "leave")}


_LISTS = tuple(
    Case(
        name,
        "synapse_admin_users",
        _make_two,
        declare,
        _state_of_three,
        {word: f"<unique>-{word}" for word in words},
        secrets=_PASSWORDS,
        alone=declare is _declare_exclusive,
    )
    for name, declare, words in (
        ("three accounts", _declare_three, ("new", "change", "leave")),
        ("all accounts", _declare_exclusive, ("change", "leave")),
    )
)


def _register_one(place: Place) -> None:
    place.server.register(f"{place.unique}-one", _OLD)


def _token_path(place: Place) -> str:
    return str(place.directory / "token")


def _store_token(place: Place) -> None:
    _register_one(place)
    token = place.server.log_in(place.user("one"), _OLD, _DEVICE)
    assert token
    path = place.directory / "token"
    path.touch(mode=0o600)
    path.write_text(token)


def _declare_token(place: Place, **more: t.Any) -> dict[str, t.Any]:
    return {"user_id": place.user("one"), "password": _OLD, "access_token_path": _token_path(place), **more}


def _declare_created(place: Place) -> dict[str, t.Any]:
    return _declare_token(place, create=True, admin=True, registration_shared_secret=place.server.secret)


def _state_of_token(place: Place) -> State:
    path, server = place.directory / "token", place.server
    token = path.read_text().strip() if path.exists() else None
    rows = server.rows("SELECT name, admin FROM users WHERE name = ?", place.user("one"))
    works = token is not None and server.ask("GET", "/_matrix/client/v3/account/whoami", None, token)[0] == 200
    return {
        "account": [[name, bool(admin)] for name, admin in rows],
        # The tokens, because a second login with the same device ends the token of the first.
        "devices": devices_of(place, place.user("one")),
        "file": None if token is None else "works" if works else "dead",
    }


_TOKENS = (
    Case(
        "log in",
        "synapse_access_token",
        _register_one,
        _declare_token,
        _state_of_token,
        {"devices": "log in", "file": "log in"},
        token=False,
        secrets=_PASSWORDS,
    ),
    Case(
        "create and log in",
        "synapse_access_token",
        lambda place: None,
        _declare_created,
        _state_of_token,
        {"account": "create the account", "devices": "and log in", "file": "and log in"},
        token=False,
        secrets=_PASSWORDS,
    ),
    Case(
        "create with a random password",
        "synapse_access_token",
        lambda place: None,
        lambda place: {**_declare_created(place), "password": None},
        _state_of_token,
        {"account": "create the account", "devices": "and log in", "file": "and log in"},
        token=False,
    ),
    Case(
        "log out",
        "synapse_access_token",
        _store_token,
        lambda place: _declare_token(place, state="absent"),
        _state_of_token,
        {"devices": "log out the access token"},
        token=False,
        secrets=_PASSWORDS,
    ),
)


def _declare_first_admin(place: Place) -> dict[str, t.Any]:
    return {
        "user_id": place.user("one"),
        "admin": True,
        "bootstrap_admin": True,
        "password": _OLD,
        "config_path": place.server.config_path,
        "allow_existing_admins": True,
    }


def _state_of_first_admin(place: Place) -> State:
    rows = place.server.rows("SELECT name, admin FROM users WHERE name = ?", place.user("one"))
    return {"account": [name for name, _admin in rows], "admin": [bool(admin) for _name, admin in rows]}


_FIRST = tuple(
    Case(
        name,
        "synapse_admin_user",
        prepare,
        _declare_first_admin,
        _state_of_first_admin,
        effects,
        traces=lambda place: devices_of(place, place.user("one")),
        token=False,
        secrets=_PASSWORDS,
    )
    for name, prepare, effects in (
        ("register the first admin", lambda place: None, {"account": "register the account"}),
        ("promote the first admin", _register_one, {"admin": "set admin in the database"}),
    )
)

CASES = (*_ACCOUNTS, *_LISTS, *_TOKENS, *_FIRST)

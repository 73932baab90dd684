# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""synapse_access_token creates an account, writes its token to a file or returns it, and logs it out."""

from __future__ import annotations

import functools
import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.case import Place, State
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    Parameters,
    Result,
    named,
    nothing,
    play,
    prove,
)

MODULE = "synapse_access_token"
PASSWORD = "robot secret"
_DEVICE = "matrix_ops.synapse"
_OTHER_DEVICE = "OTHER"
# Both are only known after the login.
_UNPREDICTABLE = ("token.access_token", "token.admin")


def token_path(place: Place) -> Path:
    """Return the token file of a case."""
    return place.directory / "robot.token"


def declare_robot(place: Place, **declared: t.Any) -> Parameters:
    """Declare the token of the account with the word `robot`."""
    return {"user_id": f"{place.unique}-robot", "password": PASSWORD, **declared}


def declare_admin(place: Place) -> Parameters:
    """Declare a server admin that is created, with a token file."""
    created = {"create": True, "admin": True, "config_path": place.server.config_path}
    return declare_robot(place, access_token_path=str(token_path(place)), **created)


def _declare_end(place: Place, **declared: t.Any) -> Parameters:
    return declare_robot(place, password=None, access_token_path=str(token_path(place)), state="absent", **declared)


def _keep(place: Place) -> None:
    """Let the module create the admin and write its token to the file. `token` in the ids is this token."""
    done = play(place, MODULE, declare_admin(place), token=False)
    assert not done.get("failed"), done["msg"]
    place.ids["token"] = token_path(place).read_text().strip()


def _keep_openly(place: Place) -> None:
    _keep(place)
    token_path(place).chmod(0o644)


def _keep_ended(place: Place) -> None:
    _keep(place)
    place.server.send("POST", "/_matrix/client/v3/logout", {}, place.ids["token"])


def _register(place: Place) -> None:
    """Register an account that is not an admin and has another session."""
    place.server.register(f"{place.unique}-robot", PASSWORD)
    assert place.server.log_in(place.user("robot"), PASSWORD, _OTHER_DEVICE)


def _log_in(place: Place) -> None:
    """Let the module return a token of that account."""
    _register(place)
    place.ids["token"] = play(place, MODULE, declare_robot(place), token=False)["token"]["access_token"]


def whose(place: Place, token: str) -> list[str] | None:
    """Return the user ID and the device of a token, or None if it is not valid."""
    status, answer = place.server.ask("GET", "/_matrix/client/v3/account/whoami", None, token)
    assert status in (200, 401), answer
    return [answer["user_id"], answer["device_id"]] if status == 200 else None


def look_at_robot(place: Place) -> State:
    """Return the account on the server, and the file: its mode, and the account of its token."""
    path, server = token_path(place), place.server
    account = server.found(f"/_synapse/admin/v2/users/{place.user('robot')}")
    devices = server.get(f"/_synapse/admin/v2/users/{place.user('robot')}/devices")["devices"] if account else []
    state: State = {
        "admin": account["admin"] if account else None,
        "devices": sorted((device["device_id"], device["display_name"]) for device in devices),
        "file": path.exists(),
    }
    if path.exists():
        kept = path.read_text().strip()
        state |= {"mode": oct(path.stat().st_mode & 0o777), "holder": whose(place, kept)}
        state["same"] = kept == place.ids.get("token")
    return state


def _shown_kept(place: Place, *, same: bool) -> State:
    """The file is readable by its owner only, and contains the token of the one device."""
    return {
        "admin": True,
        "devices": [(_DEVICE, "Ansible")],
        "file": True,
        "mode": "0o600",
        "holder": [place.user("robot"), _DEVICE],
        "same": same,
    }


def _returned(place: Place, *, created: bool = False, **more: t.Any) -> Result:
    token = {"user_id": place.user("robot"), "device_id": _DEVICE, **more}
    return {"token": token, "account_created": created}


def _returned_kept(place: Place, *, created: bool = False, admin: bool = True) -> Result:
    return _returned(place, created=created, admin=admin, access_token_path=str(token_path(place)))


_change = functools.partial(
    Expectation,
    module=MODULE,
    token=False,
    state=look_at_robot,
    unpredictable=_UNPREDICTABLE,
    secrets=(PASSWORD,),
)

_KEPT = (
    _change(
        "create an admin and keep its token",
        prepare=nothing,
        parameters=declare_admin,
        shows=functools.partial(_shown_kept, same=False),
        returns=lambda place: _returned_kept(place, created=True),
    ),
    _change(
        "create an admin with a random password",
        prepare=nothing,
        parameters=lambda place: {**declare_admin(place), "password": None},
        shows=functools.partial(_shown_kept, same=False),
        returns=lambda place: _returned_kept(place, created=True),
    ),
    _change(
        "set the mode of the file",
        prepare=_keep_openly,
        parameters=declare_admin,
        shows=functools.partial(_shown_kept, same=True),
        returns=_returned_kept,
    ),
    _change(
        "replace a token that was logged out",
        prepare=_keep_ended,
        parameters=declare_admin,
        shows=functools.partial(_shown_kept, same=False),
        returns=_returned_kept,
    ),
    _change(
        "a token that is in the file already",
        prepare=_keep,
        parameters=declare_admin,
        changes=False,
        shows=functools.partial(_shown_kept, same=True),
        returns=_returned_kept,
    ),
    _change(
        "a token that is in the file already, without its account",
        prepare=_keep,
        parameters=lambda place: {"access_token_path": str(token_path(place))},
        changes=False,
        shows=functools.partial(_shown_kept, same=True),
        returns=_returned_kept,
    ),
    _change(
        "a token that is in the file already, without the secret that created its account",
        prepare=_keep,
        parameters=lambda place: {**declare_admin(place), "config_path": [str(place.directory / "missing.yaml")]},
        changes=False,
        shows=functools.partial(_shown_kept, same=True),
        returns=_returned_kept,
    ),
)

_ENDED: Result = {"token": {}, "account_created": False}
_OTHERS = (
    _change(
        "log out the token",
        prepare=_keep,
        parameters=_declare_end,
        shows=lambda place: {"admin": True, "devices": [], "file": False},
        returns=lambda place: _ENDED,
    ),
    _change(
        "log out the token, without its account",
        prepare=_keep,
        parameters=lambda place: {"access_token_path": str(token_path(place)), "state": "absent"},
        shows=lambda place: {"admin": True, "devices": [], "file": False},
        returns=lambda place: _ENDED,
    ),
    _change(
        "remove the file of a token that is not valid",
        prepare=_keep_ended,
        parameters=_declare_end,
        shows=lambda place: {"admin": True, "devices": [], "file": False},
        returns=lambda place: _ENDED,
    ),
    _change(
        "a token file that does not exist",
        prepare=_register,
        parameters=_declare_end,
        changes=False,
        shows=lambda place: {"devices": [(_OTHER_DEVICE, None)], "file": False},
        returns=lambda place: _ENDED,
    ),
    _change(
        "reuse a known token",
        prepare=_log_in,
        parameters=lambda place: declare_robot(place, access_token=place.ids["token"]),
        changes=False,
        shows=lambda place: {"devices": [(_OTHER_DEVICE, None), (_DEVICE, "Ansible")], "file": False},
        # Ansible would censor a secret that the task was given, so it is left out.
        returns=lambda place: _returned(place, admin=False),
    ),
    _change(
        "keep a known token in a file",
        prepare=_log_in,
        parameters=lambda place: declare_robot(
            place, password=None, access_token=place.ids["token"], access_token_path=str(token_path(place))
        ),
        shows=lambda place: {
            **_shown_kept(place, same=True),
            "admin": False,
            "devices": [(_OTHER_DEVICE, None), (_DEVICE, "Ansible")],
        },
        returns=lambda place: _returned_kept(place, admin=False),
    ),
    _change(
        "log out a known token without a file",
        prepare=_log_in,
        parameters=lambda place: {"access_token": place.ids["token"], "state": "absent"},
        shows=lambda place: {"admin": False, "devices": [(_OTHER_DEVICE, None)], "file": False},
        returns=lambda place: _ENDED,
    ),
)


@pytest.mark.parametrize("case", named(_KEPT))
def test_kept(place: Place, case: Expectation) -> None:
    """The token is in the file, and in no result."""
    done = prove(place, case)
    told = [done, *(play(place, MODULE, case.parameters(place), token=False, check=check) for check in (True, False))]
    assert [result["account_created"] for result in told[1:]] == [False, False]
    assert token_path(place).read_text().strip() not in json.dumps(told)


@pytest.mark.parametrize("case", named(_OTHERS))
def test_declared(place: Place, case: Expectation) -> None:
    done = prove(place, case)
    if "token" in place.ids:
        assert place.ids["token"] not in json.dumps(done)
        ended = case.parameters(place).get("state") == "absent"
        assert (whose(place, place.ids["token"]) is None) is (ended and case.changes)


def test_logged_in_without_a_file(place: Place) -> None:
    """Each run returns a new token, because no file contains it."""
    case = _change(
        "log in and return the token",
        prepare=_register,
        parameters=declare_robot,
        repeatable=False,
        shows=lambda place: {"admin": False, "devices": [(_OTHER_DEVICE, None), (_DEVICE, "Ansible")], "file": False},
    )
    done = prove(place, case)
    token = done["token"]["access_token"]
    returned = {name: done[name] for name in ("token", "account_created")}
    assert returned == _returned(place, admin=False, access_token=token)
    assert whose(place, token) == [place.user("robot"), _DEVICE]
    assert token not in json.dumps(done["diff"])
    again = play(place, MODULE, declare_robot(place), token=False)
    assert again["changed"]
    assert again["token"]["access_token"] != token
    # The second login reuses the device.
    assert look_at_robot(place)["devices"] == [(_OTHER_DEVICE, None), (_DEVICE, "Ansible")]


def test_kept_token_is_what_another_module_uses(place: Place) -> None:
    _keep(place)
    declared = {"user_id": place.user("robot"), "create": False, "admin": True}
    parameters = {**declared, "access_token_path": str(token_path(place))}
    for check in (True, False):
        result = play(place, "synapse_admin_user", parameters, token=False, check=check)
        assert not result.get("failed"), result["msg"]
        assert not result["changed"]

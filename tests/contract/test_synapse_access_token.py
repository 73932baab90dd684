# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_access_token makes of an account: registers it, keeps its token in a file or returns it, and ends it."""

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
# Both are only known once there is a token.
_UNPREDICTABLE = ("access_token", "admin")


def token_path(place: Place) -> Path:
    """Return where the token of a case is kept."""
    return place.directory / "robot.token"


def declare_robot(place: Place, **declared: t.Any) -> Parameters:
    """Declare the token of the account with the word `robot`."""
    return {"user": f"{place.unique}-robot", "password": PASSWORD, **declared}


def declare_admin(place: Place) -> Parameters:
    """Declare a server admin, to be registered, whose token is kept."""
    registered = {"register": True, "admin": True, "config_path": place.server.config_path}
    return declare_robot(place, access_token_path=str(token_path(place)), **registered)


def _declare_end(place: Place, **declared: t.Any) -> Parameters:
    return declare_robot(place, password=None, access_token_path=str(token_path(place)), state="absent", **declared)


def _keep(place: Place) -> None:
    """Let the module register the admin and keep its token; it has the word `token` afterwards."""
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
    """Register somebody who is no admin, and has a session elsewhere."""
    place.server.register(f"{place.unique}-robot", PASSWORD)
    assert place.server.log_in(place.user("robot"), PASSWORD, _OTHER_DEVICE)


def _log_in(place: Place) -> None:
    """Let the module return a token of that account."""
    _register(place)
    place.ids["token"] = play(place, MODULE, declare_robot(place), token=False)["access_token"]


def _log_in_and_keep(place: Place) -> None:
    _log_in(place)
    declared = declare_robot(place, access_token=place.ids["token"], access_token_path=str(token_path(place)))
    assert play(place, MODULE, declared, token=False)["changed"]


def whose(place: Place, token: str) -> list[str] | None:
    """Return the user id and the device that a token belongs to, or None if it is not valid."""
    status, answer = place.server.ask("GET", "/_matrix/client/v3/account/whoami", None, token)
    assert status in (200, 401), answer
    return [answer["user_id"], answer["device_id"]] if status == 200 else None


def look_at_robot(place: Place) -> State:
    """Return what the server shows of the account, and what is in the file: whose token, and who may read it."""
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
    """The token is kept for its owner alone, and is that of the one device."""
    return {
        "admin": True,
        "devices": [(_DEVICE, "Ansible")],
        "file": True,
        "mode": "0o600",
        "holder": [place.user("robot"), _DEVICE],
        "same": same,
    }


def _returned(place: Place, **more: t.Any) -> Result:
    return {"user_id": place.user("robot"), "device_id": _DEVICE, "registered": False, **more}


def _returned_kept(place: Place, **more: t.Any) -> Result:
    return _returned(place, admin=True, access_token=None, access_token_path=str(token_path(place)), **more)


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
        "register an admin and keep its token",
        prepare=nothing,
        parameters=declare_admin,
        shows=functools.partial(_shown_kept, same=False),
        returns=lambda place: _returned_kept(place, registered=True),
    ),
    _change(
        "close the file",
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
        "a token that is kept already",
        prepare=_keep,
        parameters=declare_admin,
        changes=False,
        shows=functools.partial(_shown_kept, same=True),
        returns=_returned_kept,
    ),
)

_OTHERS = (
    _change(
        "log the token out",
        prepare=_keep,
        parameters=_declare_end,
        shows=lambda place: {"admin": True, "devices": [], "file": False},
    ),
    _change(
        "remove the file of a token that is not valid",
        prepare=_keep_ended,
        parameters=_declare_end,
        shows=lambda place: {"admin": True, "devices": [], "file": False},
    ),
    _change(
        "a token that is kept nowhere has ended",
        prepare=_register,
        parameters=_declare_end,
        changes=False,
        shows=lambda place: {"devices": [(_OTHER_DEVICE, None)], "file": False},
    ),
    _change(
        "reuse a known token",
        prepare=_log_in,
        parameters=lambda place: declare_robot(place, access_token=place.ids["token"]),
        changes=False,
        shows=lambda place: {"devices": [(_OTHER_DEVICE, None), (_DEVICE, "Ansible")], "file": False},
        # A value that a task is given as a secret never comes back in its result, not in a mangled form either.
        returns=lambda place: _returned(place, admin=False, access_token=None, access_token_path=None),
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
        returns=lambda place: _returned(place, admin=False, access_token=None),
    ),
    _change(
        "log a known token out",
        prepare=_log_in_and_keep,
        parameters=lambda place: _declare_end(place, access_token=place.ids["token"]),
        # Only the other session is left.
        shows=lambda place: {"admin": False, "devices": [(_OTHER_DEVICE, None)], "file": False},
    ),
)


@pytest.mark.parametrize("case", named(_KEPT))
def test_kept(place: Place, case: Expectation) -> None:
    """The token is in the file, and in nothing that is said of it."""
    done = prove(place, case)
    told = [done, *(play(place, MODULE, case.parameters(place), token=False, check=check) for check in (True, False))]
    assert [result["registered"] for result in told[1:]] == [False, False]
    assert token_path(place).read_text().strip() not in json.dumps(told)


@pytest.mark.parametrize("case", named(_OTHERS))
def test_declared(place: Place, case: Expectation) -> None:
    done = prove(place, case)
    if "token" in place.ids:
        assert place.ids["token"] not in json.dumps(done)
        ended = case.parameters(place).get("state") == "absent"
        assert (whose(place, place.ids["token"]) is None) is ended


def test_logged_in_without_a_file(place: Place) -> None:
    """The token is returned, and each time another one, because nothing keeps it."""
    case = _change(
        "log in and return the token",
        prepare=_register,
        parameters=declare_robot,
        repeatable=False,
        shows=lambda place: {"admin": False, "devices": [(_OTHER_DEVICE, None), (_DEVICE, "Ansible")], "file": False},
        returns=lambda place: _returned(place, admin=False, access_token_path=None),
    )
    done = prove(place, case)
    token = done["access_token"]
    assert whose(place, token) == [place.user("robot"), _DEVICE]
    assert token not in json.dumps(done["diff"])
    again = play(place, MODULE, declare_robot(place), token=False)
    assert again["changed"]
    assert again["access_token"] != token
    # Logins do not pile up devices.
    assert look_at_robot(place)["devices"] == [(_OTHER_DEVICE, None), (_DEVICE, "Ansible")]


def test_kept_token_is_what_another_module_uses(place: Place) -> None:
    _keep(place)
    declared = {"user_id": place.user("robot"), "create": False, "admin": True}
    parameters = {**declared, "access_token_path": str(token_path(place))}
    for check in (True, False):
        result = play(place, "synapse_admin_user", parameters, token=False, check=check)
        assert not result.get("failed"), result["msg"]
        assert not result["changed"]

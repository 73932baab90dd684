# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tests of synapse_admin_user share: the names of accounts, and what the server shows of an account."""

from __future__ import annotations

import dataclasses
import json
import typing as t
import urllib.parse

from ansible_collections.matrix_ops.synapse.tests.contract.case import Place, State
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    Parameters,
    Refusal,
    Result,
    nothing,
    play,
    prove,
    prove_refusal,
)

MODULE = "synapse_admin_user"
# What the server shows of an account that a task can declare.
_SHOWN = (
    "displayname",
    "avatar_url",
    "admin",
    "user_type",
    "locked",
    "suspended",
    "shadow_banned",
    "deactivated",
    "erased",
)
# The word for the access token of a session.
_TOKEN = "token"


def declare(place: Place, word: str, **declared: t.Any) -> Parameters:
    """Return the parameters for an account of this case, which is named by its localpart only."""
    return {"user_id": f"{place.unique}-{word}", "synapse_python": place.server.python, **declared}


def declaring(word: str, **declared: t.Any) -> t.Callable[[Place], Parameters]:
    """Return a function that returns the parameters for an account. None of them depends on the place."""
    return lambda place: declare(place, word, **declared)


def email(place: Place, address: str) -> dict[str, str]:
    """Return an e-mail address that no other case has: ~ stands for the word of this one."""
    return {"medium": "email", "address": address.replace("~", place.unique)}


def make(place: Place, word: str, **declared: t.Any) -> Result:
    """Bring an account of this case into a state with the module itself. Raises AssertionError if that fails."""
    done = play(place, MODULE, declare(place, word, **declared))
    assert not done.get("failed"), done
    return done


def look(place: Place, word: str, *passwords: str) -> State:
    """Return what the server shows of an account, and which of the passwords it accepts; {} if it does not exist."""
    user_id = place.user(word)
    quoted = urllib.parse.quote(user_id, safe="")
    found = place.server.found(f"/_synapse/admin/v2/users/{quoted}")
    if found is None:
        return {}
    state: State = {"user_id": found["name"], **{name: found.get(name) for name in _SHOWN}}
    state["addresses"] = sorted(entry["address"] for entry in found["threepids"])
    identities = [(entry["auth_provider"], entry["external_id"]) for entry in found["external_ids"]]
    state["identities"] = sorted(identities)
    state["rate_limit"] = place.server.get(f"/_synapse/admin/v1/users/{quoted}/override_ratelimit")
    state["passwords"] = [password for password in passwords if place.server.accepts(user_id, password)]
    return state


def own_accounts(place: Place) -> State:
    """Return what the server lists of the accounts of this case, except when they were last seen."""
    path = f"/_synapse/admin/v2/users?name={place.unique}&deactivated=true&locked=true&limit=1000"
    return {row["name"]: {**row, "last_seen_ts": 0} for row in place.server.get(path)["users"]}


def prove_by_admin(place: Place, case: Expectation) -> None:
    """Prove a case in which an admin declares an account, and the returned method."""
    case.prepare(place)
    predicted = play(place, MODULE, case.parameters(place), token=case.token, check=True)
    # If something changes, only a run can verify it.
    assert predicted["verified"] is not case.changes
    done = prove(place, dataclasses.replace(case, prepare=nothing, unpredictable=("verified",)))
    assert (done["method"], done["verified"], done["restart_required"]) == ("admin_api", True, False)


def prove_refused(place: Place, case: Refusal) -> None:
    """Prove a refusal, and that the result does not contain the token of the case, if it has one."""
    require_no_token(place, prove_refusal(place, case))


def require_no_token(place: Place, told: t.Any) -> None:
    """Raise AssertionError if the results contain the token of the case, if it has one."""
    shown = json.dumps(told, ensure_ascii=False)
    assert _TOKEN not in place.ids or place.ids[_TOKEN] not in shown

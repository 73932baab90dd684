# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_admin_users reports of wrong accounts: each has its own message, and the others are changed."""

from __future__ import annotations

import dataclasses
import functools
import re
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.account_list_cases import MODULE, email, look_at_accounts
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place, State, everybody_but
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Parameters,
    Refusal,
    named,
    play,
    prove_refusal,
)

_LIST_IN_WORDS = "{} of {} accounts are not as declared"


@dataclasses.dataclass(frozen=True)
class _Problem:
    """An error of an account, and its message.

    In `user_id` and `message`, ~ stands for the word of the case.
    """

    name: str
    user_id: str
    message: str
    declared: t.Callable[[Place], Parameters] = lambda place: {}

    def entry(self, place: Place) -> Parameters:
        """Return the account as a task declares it."""
        named_there = self.user_id.replace("~", place.unique).replace("SERVER", place.server.name)
        return {"user_id": named_there.replace("TOO_LONG", _too_long(place)), **self.declared(place)}

    def said(self, place: Place) -> str:
        """Return the pattern of the message."""
        return self.message.replace("~", re.escape(place.unique))


def _too_long(place: Place) -> str:
    return f"{place.unique}-".ljust(254 - len(place.server.name), "l")


def _fixed(**declared: t.Any) -> t.Callable[[Place], Parameters]:
    return lambda place: declared


def _address(medium: str, address: str) -> t.Callable[[Place], Parameters]:
    return _fixed(threepids=[{"medium": medium, "address": address}])


def _address_of_holder(place: Place) -> Parameters:
    return {"threepids": [{"medium": "email", "address": email(place).upper()}]}


def _identity_of_holder(place: Place) -> Parameters:
    return {"external_ids": [{"auth_provider": "saml", "external_id": place.unique}]}


PROBLEMS = (
    _Problem("a name that is too long", "TOO_LONG", "it is longer than 255 bytes"),
    _Problem("a name with an upper-case letter", "Mallory~", "upper-case letters. Set user_id to @mallory~:"),
    _Problem("a name with an umlaut", "mällory~", "cannot be created: a localpart can only contain a-z"),
    _Problem("a name that begins with an underscore", "_mallory~", "User ID may not begin with _"),
    _Problem("a name of digits", "12345", "reserved for guests"),
    _Problem("a name with a space", "mal lory~", "white space"),
    _Problem("a user ID without its first character", "mallory~:SERVER", "Write @mallory~:"),
    _Problem("an account of another server", "@mallory:other.test", r"of the server other\.test, but this server is"),
    _Problem(
        "an account that must not be created", "~-usr", "does not exist, and create is false", _fixed(create=False)
    ),
    _Problem(
        "a long display name", "~-1", "display_name is longer than 256 characters", _fixed(display_name="d" * 257)
    ),
    _Problem("an empty password", "~-2", "password is empty", _fixed(password="")),
    _Problem("a long password", "~-3", "password is longer than 512 characters", _fixed(password="p" * 513)),
    _Problem(
        "a picture on another server", "~-4", "starts with mxc://", _fixed(avatar_url="https://pictures.test/me.png")
    ),
    _Problem("an invalid e-mail address", "~-5", "is not a valid e-mail address", _address("email", "mallory")),
    _Problem("an invalid telephone number", "~-6", "is not a valid telephone number", _address("msisdn", "020 x1")),
    _Problem("a negative rate limit", "~-7", "negative number", _fixed(rate_limit={"burst_count": -1})),
    _Problem(
        "an e-mail address of another account",
        "~-8",
        "already belongs to @~-holder:.*Set allow_threepid_takeover to true",
        _address_of_holder,
    ),
    _Problem("an external ID of another account", "~-9", "already an external ID of @~-holder", _identity_of_holder),
    _Problem(
        "an unknown user type",
        "~-10",
        "server does not know the user type 'no_such_type'",
        _fixed(user_type="no_such_type"),
    ),
    _Problem(
        "a rate limit that cannot be stored",
        "~-11",
        "number above 9223372036854775807",
        _fixed(rate_limit={"burst_count": 2**63}),
    ),
    _Problem(
        "an external ID that cannot be stored",
        "~-12",
        "external ID at saml is longer than 2000 bytes",
        _fixed(external_ids=[{"auth_provider": "saml", "external_id": "x" * 2000}]),
    ),
    _Problem(
        "the account that the task runs as", "~-boss", "is the account that this task runs as", _fixed(locked=True)
    ),
)

_WORDS = ("holder", "boss", "fine")


def _prepare(place: Place) -> None:
    """Make an account that has the values in question, and an admin of this case, as which tasks run."""
    server = place.server
    server.make_account(
        f"{place.unique}-holder",
        displayname="holder",
        threepids=[{"medium": "email", "address": email(place)}],
        external_ids=[{"auth_provider": "saml", "external_id": place.unique}],
    )
    place.ids["token"] = server.speaking_as(server.make_account(f"{place.unique}-boss", admin=True))


def _state(place: Place) -> State:
    names = place.server.rows("SELECT name FROM users WHERE lower(name) LIKE ?", f"%{place.unique}%")
    return {**look_at_accounts(place, _WORDS), "names": sorted(str(name) for (name,) in names)}


def _declare(place: Place, *entries: Parameters, **given: t.Any) -> Parameters:
    return {"access_token": place.ids["token"], "users": list(entries), **given}


def _alone(problem: _Problem) -> Refusal:
    return Refusal(
        problem.name,
        module=MODULE,
        prepare=_prepare,
        parameters=lambda place: _declare(place, problem.entry(place)),
        message=lambda place: f"{_LIST_IN_WORDS.format(1, 1)} .*{problem.said(place)}",
        state=_state,
        secrets=("p" * 513,),
    )


_refusal = functools.partial(Refusal, module=MODULE, prepare=_prepare, state=_state)

REFUSALS = (
    _refusal(
        "an account that is declared twice",
        parameters=lambda place: _declare(
            place,
            {"user_id": place.user("holder"), "display_name": "Changed"},
            {"user_id": f"{place.unique}-fine"},
            {"user_id": place.user("fine")},
        ),
        message=lambda place: f"{place.user('fine')} is declared twice. Nothing was changed",
    ),
    _refusal(
        "no requests at the same time",
        parameters=lambda place: _declare(place, {"user_id": place.user("fine")}, parallel=0),
        message="parallel is 0. Set it to a number from 1 to 64",
    ),
    _refusal(
        "more changes than are allowed",
        parameters=lambda place: _declare(place, {"user_id": place.user("fine")}, max_changes=0),
        message="1 account would change, but max_changes is 0. Nothing was changed",
    ),
    _refusal(
        "a complete list without a limit",
        parameters=lambda place: _declare(
            place, {"user_id": place.user("holder")}, exclusive=True, protect=everybody_but(place.unique)
        ),
        message="max_changes",
    ),
    _refusal(
        "the token of an account that is not an admin",
        parameters=lambda place: {"access_token": place.server.user_token, "users": [{"user_id": place.user("fine")}]},
        message="not a server admin",
    ),
    _refusal(
        "an unreachable server",
        parameters=lambda place: _declare(place, {"user_id": place.user("fine")}, base_url="http://127.0.0.1:1"),
        message="Connection refused",
    ),
)


@pytest.mark.parametrize("case", named((*REFUSALS, *(_alone(problem) for problem in PROBLEMS))))
def test_refused(place: Place, case: Refusal) -> None:
    prove_refusal(place, case)


def test_each_error_is_reported_and_the_others_are_changed(place: Place) -> None:
    """All errors in one list, in which the first account is new and correct, and the last one changes."""
    _prepare(place)
    fine = {"user_id": f"{place.unique}-fine", "display_name": "Fine 🐇"}
    good = {"user_id": f"{place.unique}-holder", "display_name": "Fine too"}
    parameters = _declare(place, fine, *(problem.entry(place) for problem in PROBLEMS), good)
    results = [play(place, MODULE, parameters, check=check) for check in (True, False, False)]
    assert [result["changed"] for result in results] == [True, True, False]
    changed = [[user["user_id"] for user in result["users"] if user["changed"]] for result in results]
    right = [place.user("fine"), place.user("holder")]
    assert changed == [right, right, []]
    for number, result in enumerate(results):
        summary = {"total": len(PROBLEMS) + 2, "changed": len(changed[number]), "failed": len(PROBLEMS)}
        assert result["summary"] == summary
        told = dict(zip(PROBLEMS, result["users"][1:-1], strict=True))
        for problem, user in told.items():
            assert user["failed"], user
            assert re.search(problem.said(place), user["msg"]), user
        for user in (result["users"][0], result["users"][-1]):
            assert not user["failed"], user
            assert "msg" not in user
        message = str(result["msg"])
        assert re.match(
            f"{_LIST_IN_WORDS.format(len(PROBLEMS), len(PROBLEMS) + 2)} .*; and {len(PROBLEMS) - 10} more", message
        ), message
        assert "This does not affect the others. Fix these accounts and run the task again." in message, message
        assert not re.search("\n|Traceback|ppppp", message), message
    assert results[0]["users"][0]["steps"] == results[1]["users"][0]["steps"] == ["create the account"]
    assert results[0]["msg"] == results[1]["msg"]
    state = _state(place)
    assert (state["fine displayname"], state["holder displayname"]) == ("Fine 🐇", "Fine too")
    assert state["names"] == sorted(place.user(word) for word in ("boss", "fine", "holder"))

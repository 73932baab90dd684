# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How synapse_admin_user changes accounts if the task has the access token of a server admin."""

from __future__ import annotations

import functools

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.admin_user_cases import (
    MODULE,
    declare,
    declaring,
    email,
    look,
    make,
    prove_by_admin,
)
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place, State
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Expectation, Parameters, named

_FIRST, _SECOND = "zeroth secret", "another secret"
_NAME = "Alice Liddell 🐇"
_LONGEST_NAME = "ä" * 256
_ODD = "a/b=c.d-e_f+g"


def _number(place: Place) -> str:
    """A telephone number in London that no other case has."""
    return f"4420{int(place.unique[1:], 16):010}"


def _picture(place: Place) -> str:
    return f"mxc://{place.server.name}/picture"


def _alice_in_full(place: Place) -> Parameters:
    profile = {"display_name": _NAME, "avatar_url": _picture(place)}
    return declare(place, "alice", password=_FIRST, admin=True, **profile)


def _alice(place: Place) -> None:
    make(place, "alice", **_alice_in_full(place))


def _locked(place: Place) -> None:
    _alice(place)
    make(place, "alice", admin=False, display_name="", avatar_url="", locked=True, suspended=True)


def _deactivated(place: Place) -> None:
    _locked(place)
    make(place, "alice", state="absent")


def _erased(place: Place) -> None:
    _deactivated(place)
    make(place, "alice", state="absent", erase=True)


def _carol_in_full(place: Place) -> Parameters:
    """Everything that an account can have. The telephone number contains spaces, as usual."""
    number = _number(place)
    return declare(
        place,
        "carol",
        user_type="bot",
        threepids=[
            email(place, "Carol.~@Example.TEST"),
            {"medium": "msisdn", "address": f"+44 20 {number[4:7]} {number[7:]}"},
        ],
        external_ids=[{"auth_provider": "oidc-provider", "external_id": f"{place.unique}/1=+ü"}],
        rate_limit={"messages_per_second": 50},
        shadow_banned=True,
    )


def _carol_changed(place: Place) -> Parameters:
    return declare(
        place,
        "carol",
        user_type="support",
        threepids=[email(place, "carol.~@example.test"), {"medium": "msisdn", "address": f"{_number(place)}1"}],
        external_ids=[
            {"auth_provider": "saml", "external_id": place.unique},
            {"auth_provider": "oidc-other", "external_id": place.unique},
        ],
        rate_limit={"messages_per_second": 0, "burst_count": 0},
        shadow_banned=False,
    )


def _carol_in_other_words(place: Place) -> Parameters:
    number = _number(place)
    return declare(
        place,
        "carol",
        threepids=[
            {"medium": "msisdn", "address": f"+44 20{number[4:]} 1"},
            email(place, " CAROL.~@EXAMPLE.test"),
        ],
        external_ids=[
            {"auth_provider": "oidc-other", "external_id": place.unique},
            {"auth_provider": "saml", "external_id": place.unique},
        ],
        rate_limit={"burst_count": 0},
    )


def _dave(place: Place) -> Parameters:
    return declare(
        place,
        "dave",
        threepids=[email(place, "Carol.~@example.test")],
        external_ids=[{"auth_provider": "saml", "external_id": f"{place.unique}/dave"}],
        allow_threepid_takeover=True,
    )


def _with_all(place: Place) -> None:
    make(place, "carol", **_carol_in_full(place))


def _changed(place: Place) -> None:
    _with_all(place)
    make(place, "carol", **_carol_changed(place))


def _without_email(place: Place) -> None:
    _changed(place)
    make(place, "dave", **_dave(place))


def _shows_changed(place: Place) -> State:
    return {
        "user_type": "support",
        "shadow_banned": False,
        "addresses": [f"{_number(place)}1", f"carol.{place.unique}@example.test"],
        "identities": [("oidc-other", place.unique), ("saml", place.unique)],
        "rate_limit": {"messages_per_second": 0, "burst_count": 0},
    }


def _look_at_owners(place: Place) -> State:
    """The e-mail addresses, telephone numbers and external IDs of two accounts."""
    seen = {word: look(place, word) for word in ("carol", "dave")}
    return {f"{name} of {word}": seen[word].get(name) for word in seen for name in ("addresses", "identities")}


_change = functools.partial(Expectation, module=MODULE, secrets=(_FIRST, _SECOND))
_of_alice = functools.partial(_change, state=lambda place: look(place, "alice", _FIRST, _SECOND))
_of_carol = functools.partial(_change, state=lambda place: look(place, "carol"))

EXPECTATIONS = (
    _of_alice(
        "create an account",
        parameters=_alice_in_full,
        shows=lambda place: {
            "user_id": place.user("alice"),
            "admin": True,
            "displayname": _NAME,
            "avatar_url": _picture(place),
            "deactivated": False,
            "locked": False,
            "passwords": [_FIRST],
        },
        returns=lambda place: {
            "steps": ["create the account"],
            "user": lambda user: (user["user_id"], user["display_name"]) == (place.user("alice"), _NAME),
        },
    ),
    _of_alice(
        "declare an account by its full user ID, with a password that is only for a new account",
        prepare=_alice,
        # By the alias of display_name.
        parameters=lambda place: declare(
            place, "alice", user_id=place.user("alice"), password=_SECOND, displayname=_NAME
        ),
        changes=False,
        shows=lambda _place: {"displayname": _NAME, "admin": True, "passwords": [_FIRST]},
    ),
    _of_alice(
        "remove everything, lock and suspend an account",
        prepare=_alice,
        parameters=declaring("alice", admin=False, display_name="", avatar_url="", locked=True, suspended=True),
        shows=lambda _place: {"admin": False, "locked": True, "suspended": True, "passwords": []},
        returns=lambda _place: {"user": lambda user: (user["display_name"], user["avatar_url"]) == ("", "")},
    ),
    _of_alice(
        "deactivate an account",
        prepare=_locked,
        parameters=declaring("alice", state="absent"),
        shows=lambda _place: {"deactivated": True, "erased": False},
    ),
    _of_alice(
        "deactivate an account with a display name and a password",
        prepare=_alice,
        parameters=declaring("alice", state="absent"),
        shows=lambda _place: {"deactivated": True, "erased": False, "displayname": _NAME, "passwords": []},
    ),
    _of_alice(
        "erase an account that is already deactivated",
        prepare=_deactivated,
        parameters=declaring("alice", state="absent", erase=True),
        shows=lambda _place: {"deactivated": True, "erased": True},
    ),
    _of_alice(
        "deactivate and erase an account at once",
        prepare=_alice,
        parameters=declaring("alice", state="absent", erase=True),
        shows=lambda _place: {"deactivated": True, "erased": True},
        returns=lambda _place: {"user": lambda user: (user["display_name"], user["avatar_url"]) == ("", "")},
    ),
    _of_alice(
        "deactivate an account that is already erased",
        prepare=_erased,
        parameters=declaring("alice", state="absent"),
        changes=False,
        shows=lambda _place: {"deactivated": True, "erased": True},
    ),
    _change(
        "an absent account that does not exist",
        state=lambda place: look(place, "nobody"),
        parameters=declaring("nobody", state="absent"),
        changes=False,
        returns=lambda _place: {"user": {}},
    ),
    _change(
        "create a locked and suspended admin with every special character",
        state=lambda place: look(place, _ODD),
        parameters=declaring(_ODD, admin=True, locked=True, suspended=True, display_name=_LONGEST_NAME),
        shows=lambda place: {
            "user_id": place.user(_ODD),
            "admin": True,
            "locked": True,
            "suspended": True,
            "displayname": _LONGEST_NAME,
        },
    ),
    _of_carol(
        "create an account with everything that it can have",
        parameters=_carol_in_full,
        shows=lambda place: {
            "user_type": "bot",
            "shadow_banned": True,
            "identities": [("oidc-provider", f"{place.unique}/1=+ü")],
            "addresses": [_number(place), f"carol.{place.unique}@example.test"],
            "rate_limit": {"messages_per_second": 50, "burst_count": 0},
        },
    ),
    _of_carol(
        "change everything that an account can have",
        prepare=_with_all,
        parameters=_carol_changed,
        shows=_shows_changed,
    ),
    _of_carol(
        "declare the same values in another form",
        prepare=_changed,
        parameters=_carol_in_other_words,
        changes=False,
        shows=_shows_changed,
    ),
    _change(
        "move an e-mail address from one account to another",
        prepare=_changed,
        state=_look_at_owners,
        parameters=_dave,
        shows=lambda place: {
            "addresses of dave": [f"carol.{place.unique}@example.test"],
            "identities of dave": [("saml", f"{place.unique}/dave")],
            "addresses of carol": [f"{_number(place)}1"],
            "identities of carol": [("oidc-other", place.unique), ("saml", place.unique)],
        },
    ),
    _of_carol(
        "remove everything that is left",
        prepare=_without_email,
        parameters=declaring("carol", user_type="", threepids=[], external_ids=[], rate_limit={}),
        shows=lambda _place: {"user_type": None, "identities": [], "addresses": [], "rate_limit": {}},
        returns=lambda place: {
            "diff": lambda diff: diff["before"]["threepids"] == [{"medium": "msisdn", "address": f"{_number(place)}1"}],
            "user": lambda user: (user["rate_limit"], user["user_type"], user["appservice_id"]) == ({}, "", ""),
        },
    ),
)


@pytest.mark.parametrize("case", named(EXPECTATIONS))
def test_declared(place: Place, case: Expectation) -> None:
    prove_by_admin(place, case)

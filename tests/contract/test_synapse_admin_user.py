# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_admin_user does to accounts where the task has the token of a server admin."""

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
    profile = {"displayname": _NAME, "avatar_url": _picture(place)}
    return declare(place, "alice", password=_FIRST, admin=True, **profile)


def _alice(place: Place) -> None:
    make(place, "alice", **_alice_in_full(place))


def _locked(place: Place) -> None:
    _alice(place)
    make(place, "alice", admin=False, displayname="", avatar_url="", locked=True, suspended=True)


def _deactivated(place: Place) -> None:
    _locked(place)
    make(place, "alice", state="absent")


def _erased(place: Place) -> None:
    _deactivated(place)
    make(place, "alice", state="absent", erase=True)


def _carol_in_full(place: Place) -> Parameters:
    """All that an account can have. The numbers of telephones are written with blanks, as people do."""
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
        steal_threepids=True,
    )


def _with_all(place: Place) -> None:
    make(place, "carol", **_carol_in_full(place))


def _changed(place: Place) -> None:
    _with_all(place)
    make(place, "carol", **_carol_changed(place))


def _robbed(place: Place) -> None:
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
    """Who has the addresses and identities that one account may take from another."""
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
            "user": lambda user: (user["user_id"], user["displayname"]) == (place.user("alice"), _NAME),
        },
    ),
    _of_alice(
        "declare an account in full, with a password that is only for a new one",
        prepare=_alice,
        parameters=lambda place: declare(place, "alice", user_id=place.user("alice"), password=_SECOND),
        changes=False,
        shows=lambda _place: {"displayname": _NAME, "admin": True, "passwords": [_FIRST]},
    ),
    _of_alice(
        "take all of it away, lock and suspend an account",
        prepare=_alice,
        parameters=declaring("alice", admin=False, displayname="", avatar_url="", locked=True, suspended=True),
        shows=lambda _place: {"admin": False, "locked": True, "suspended": True, "passwords": []},
        returns=lambda _place: {"user": lambda user: (user["displayname"], user["avatar_url"]) == ("", "")},
    ),
    _of_alice(
        "deactivate an account",
        prepare=_locked,
        parameters=declaring("alice", state="absent"),
        shows=lambda _place: {"deactivated": True, "erased": False},
    ),
    _of_alice(
        "deactivate an account that somebody uses",
        prepare=_alice,
        parameters=declaring("alice", state="absent"),
        shows=lambda _place: {"deactivated": True, "erased": False, "displayname": _NAME, "passwords": []},
    ),
    _of_alice(
        "erase an account although it is deactivated",
        prepare=_deactivated,
        parameters=declaring("alice", state="absent", erase=True),
        shows=lambda _place: {"deactivated": True, "erased": True},
    ),
    _of_alice(
        "deactivate and erase an account in one go",
        prepare=_alice,
        parameters=declaring("alice", state="absent", erase=True),
        shows=lambda _place: {"deactivated": True, "erased": True},
        returns=lambda _place: {"user": lambda user: (user["displayname"], user["avatar_url"]) == ("", "")},
    ),
    _of_alice(
        "deactivate an account although it is erased",
        prepare=_erased,
        parameters=declaring("alice", state="absent"),
        changes=False,
        shows=lambda _place: {"deactivated": True, "erased": True},
    ),
    _change(
        "an account that is not there and shall not be",
        state=lambda place: look(place, "nobody"),
        parameters=declaring("nobody", state="absent"),
        changes=False,
        returns=lambda _place: {"user": None},
    ),
    _change(
        "create an admin with every odd character that nobody can use yet",
        state=lambda place: look(place, _ODD),
        parameters=declaring(_ODD, admin=True, locked=True, suspended=True, displayname=_LONGEST_NAME),
        shows=lambda place: {
            "user_id": place.user(_ODD),
            "admin": True,
            "locked": True,
            "suspended": True,
            "displayname": _LONGEST_NAME,
        },
    ),
    _of_carol(
        "create an account with all that it can have",
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
        "change all that an account can have",
        prepare=_with_all,
        parameters=_carol_changed,
        shows=_shows_changed,
    ),
    _of_carol(
        "write the same in another way",
        prepare=_changed,
        parameters=_carol_in_other_words,
        changes=False,
        shows=_shows_changed,
    ),
    _change(
        "give an address of one account to another one",
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
        "take away what is left",
        prepare=_robbed,
        parameters=declaring("carol", user_type="", threepids=[], external_ids=[], rate_limit={}),
        shows=lambda _place: {"user_type": None, "identities": [], "addresses": [], "rate_limit": {}},
        returns=lambda place: {
            "diff": lambda diff: diff["before"]["threepids"] == [{"medium": "msisdn", "address": f"{_number(place)}1"}],
            "user": lambda user: user["rate_limit"] is None,
        },
    ),
)


@pytest.mark.parametrize("case", named(EXPECTATIONS))
def test_declared(place: Place, case: Expectation) -> None:
    prove_by_admin(place, case)

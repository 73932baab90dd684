# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values that no server accepts or can store: refused before anything is sent, or by a question without an effect."""

from __future__ import annotations

import functools
import re
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.admin_user_cases import (
    MODULE,
    declare,
    own_accounts,
    prove_refused,
)
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Parameters, Refusal, named, play

_TOO_LONG = "is longer than .* characters"
_NUL = "contains the character NUL"
_SECRET = "nul secret"


def _address(medium: str, address: str) -> Parameters:
    return {"threepids": [{"medium": medium, "address": address}]}


def _identity(provider: str, external_id: str) -> Parameters:
    return {"external_ids": [{"auth_provider": provider, "external_id": external_id}]}


# Each for a new account and for an existing one.
_VALUES: dict[str, tuple[Parameters, str]] = {
    "an unknown user type": ({"user_type": "nonsense"}, "does not know the user type 'nonsense'.*extra_user_types"),
    "a user type in upper case": ({"user_type": "BOT"}, "does not know the user type 'BOT'"),
    "a user type with NUL": ({"user_type": "bot\0"}, f"user_type .*{_NUL}"),
    "a long display name": ({"display_name": "d" * 257}, f"display_name {_TOO_LONG}"),
    "a display name with NUL": ({"display_name": "d\0"}, f"display_name .*{_NUL}"),
    "a picture elsewhere": ({"avatar_url": "https://x.test/me.png"}, "starts with mxc://"),
    "a long URI of a picture": ({"avatar_url": f"mxc://x.test/{'a' * 990}"}, f"avatar_url {_TOO_LONG}"),
    "a picture without an ID": ({"avatar_url": "mxc://x.test"}, "is not a URI of uploaded media"),
    "a picture with an empty ID": ({"avatar_url": "mxc://x.test/"}, "is not a URI of uploaded media"),
    "a picture in a directory": ({"avatar_url": "mxc://x.test/a/b"}, "is not a URI of uploaded media"),
    "a picture with NUL": ({"avatar_url": "mxc://x.test/a\0"}, f"avatar_url .*{_NUL}"),
    "an address without @": (_address("email", "somebody"), "not a valid e-mail address"),
    "an address with two @": (_address("email", "a@b@c"), "not a valid e-mail address"),
    "a long address": (_address("email", f"{'a' * 500}@x.test"), f"the e-mail address {_TOO_LONG}"),
    "a long address after its conversion": (
        _address("email", f"{'ß' * 250}@x.test"),
        f"the e-mail address {_TOO_LONG}",
    ),
    "an address with NUL": (_address("email", "a\0@x.test"), f"email .*{_NUL}"),
    "a telephone number with letters": (_address("msisdn", "0800 CALL"), "not a valid telephone number"),
    "a long telephone number": (_address("msisdn", "4" * 101), "has more than 100 digits"),
    "an external ID without a provider": (_identity("", "x"), "empty auth_provider"),
    "an empty external ID": (_identity("saml", ""), "empty external_id"),
    "a long external ID": (_identity("saml", "x" * 1997), "external ID at saml is longer than 2000 bytes"),
    "an external ID with NUL": (_identity("saml", "x\0"), f"external_id .*{_NUL}"),
    "a rate limit beyond the database": ({"rate_limit": {"messages_per_second": 2**63}}, "above 9223372036854775807"),
    "a burst beyond the database": ({"rate_limit": {"burst_count": 10**30}}, "above 9223372036854775807"),
    "a long password": ({"password": _SECRET * 52, "update_password": "always"}, f"password {_TOO_LONG}"),
    "a password with NUL": ({"password": f"{_SECRET}\0", "update_password": "always"}, f"password {_NUL}"),
}

_refusal = functools.partial(Refusal, state=own_accounts, secrets=(_SECRET,))


def _somebody(place: Place) -> None:
    place.server.make_account(f"{place.unique}-somebody")


def _listed(place: Place, declared: Parameters) -> Parameters:
    return {"users": [{"user_id": place.user("somebody"), **declared}]}


def _cases() -> t.Iterator[Refusal]:
    for name, (declared, message) in _VALUES.items():
        for word, whose in (("mallory", "a new account"), ("somebody", "an existing account")):
            yield _refusal(
                f"{name} of {whose}",
                module=MODULE,
                prepare=_somebody,
                parameters=functools.partial(declare, word=word, **declared),
                message=message,
            )
        yield _refusal(
            f"{name} in a list",
            module="synapse_admin_users",
            prepare=_somebody,
            parameters=functools.partial(_listed, declared=declared),
            message=f"1 of 1 accounts are not as declared .*{message}",
        )


@pytest.mark.parametrize("case", named(_cases()))
def test_refused(place: Place, case: Refusal) -> None:
    prove_refused(place, case)


@pytest.mark.parametrize(
    "declared",
    [
        {"rate_limit": {"messages_per_second": 2**63 - 1, "burst_count": 2**31}},
        {"external_ids": [{"auth_provider": "saml", "external_id": "~" * 1980}]},
        {"threepids": [{"medium": "email", "address": f"{'a' * 480}@~.test"}]},
        {"avatar_url": f"mxc://x.test/{'a' * 987}"},
        {"user_type": "support", "display_name": "d" * 256, "password": "p" * 512},
    ],
    ids=lambda declared: next(iter(declared)),
)
def test_the_largest_values_are_stored(place: Place, declared: Parameters) -> None:
    """What is not refused here is accepted by Synapse, and stored by both databases."""
    if "threepids" in declared:
        declared = {
            "threepids": [
                {**each, "address": each["address"].replace("~", place.unique)} for each in declared["threepids"]
            ]
        }
    for check in (True, False, False):
        result = play(place, MODULE, declare(place, "somebody", **declared), check=check)
        assert not result.get("failed"), result
    assert not result["changed"]


def test_the_question_for_a_user_type_has_no_effect_on_any_account(place: Place) -> None:
    """The name of the account that it asks for exists on no server, and every value beside it is refused alone."""
    path = f"/_synapse/admin/v2/users/%40~%3A{place.server.name}"
    refused = {"password": 0, "logout_devices": "?", "deactivated": "?", "locked": "?"}
    for name, value in refused.items():
        for user_id in (path, f"/_synapse/admin/v2/users/{place.server.user}"):
            status, answer = place.server.ask("PUT", user_id, {"user_type": "bot", name: value})
            assert status == 400, answer
            assert re.search("Invalid password|not of type boolean", answer["error"])
    status, answer = place.server.ask("PUT", path, {"user_type": "bot"})
    assert (status, answer["errcode"]) == (400, "M_INVALID_USERNAME")
    assert place.server.rows("SELECT name FROM users WHERE name = ?", place.server.user_id("~")) == []
    assert place.server.rows("SELECT user_type FROM users WHERE name = ?", place.server.user) == [(None,)]

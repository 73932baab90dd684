# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_admin_user refuses, and that the accounts of the case do not change."""

from __future__ import annotations

import functools
import re
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.admin_user_cases import (
    MODULE,
    declare,
    declaring,
    email,
    make,
    own_accounts,
    prove_refused,
)
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Parameters, Refusal, named

_PASSWORD = "some secret"
_ITS_OWN = "is the account that this task runs as.*another server admin"


def _dave(place: Place) -> None:
    """An account with an e-mail address and an external ID, and one without."""
    identity = {"auth_provider": "saml", "external_id": place.unique}
    make(place, "dave", threepids=[email(place, "carol.~@example.test")], external_ids=[identity])
    place.server.make_account(f"{place.unique}-somebody")


def _somebody(place: Place) -> None:
    place.server.make_account(f"{place.unique}-somebody")


def _admin(place: Place) -> None:
    """An admin of this case with the word `boss`, so that a wrong change does not affect the admin of the server."""
    user_id = place.server.make_account(f"{place.unique}-boss", admin=True, password=_PASSWORD)
    token = place.server.log_in(user_id, _PASSWORD, "BOSS")
    assert token
    place.ids["token"] = token


def _declaring_itself(**declared: t.Any) -> t.Callable[[Place], Parameters]:
    return lambda place: declare(place, "boss", access_token=place.ids["token"], **declared)


def _of_dave(beginning: str, end: str = "") -> t.Callable[[Place], str]:
    return lambda place: beginning + re.escape(place.user("dave")) + end


def _empty_file(place: Place) -> None:
    (place.directory / "empty").touch(mode=0o600)


def _without_port(place: Place) -> str:
    return place.server.name.partition(":")[0]


_refusal = functools.partial(Refusal, module=MODULE, state=own_accounts, secrets=(_PASSWORD,))

REFUSALS = (
    _refusal(
        "an e-mail address of another account",
        prepare=_dave,
        parameters=lambda place: declare(place, "mallory", threepids=[email(place, "CAROL.~@example.test")]),
        message=_of_dave("already belongs to ", ".*Set allow_threepid_takeover to true"),
    ),
    _refusal(
        "an e-mail address of another account for an existing account",
        prepare=_dave,
        parameters=lambda place: declare(place, "somebody", threepids=[email(place, "carol.~@example.test")]),
        message=_of_dave("already belongs to "),
    ),
    _refusal(
        "an external ID of another account",
        prepare=_dave,
        parameters=lambda place: declare(
            place, "mallory", external_ids=[{"auth_provider": "saml", "external_id": place.unique}]
        ),
        message=_of_dave("at saml is already an external ID of ", ".*Remove it from that account"),
    ),
    _refusal(
        "an external ID of another account, although the takeover of e-mail addresses is allowed",
        prepare=_dave,
        parameters=lambda place: declare(
            place,
            "somebody",
            external_ids=[{"auth_provider": "saml", "external_id": place.unique}],
            allow_threepid_takeover=True,
        ),
        message=_of_dave("at saml is already an external ID of "),
    ),
    _refusal(
        "a comparison with a Python that is not Synapse's",
        prepare=lambda place: place.server.make_account(f"{place.unique}-somebody", password="first secret"),
        parameters=lambda place: declare(
            place,
            "somebody",
            password=_PASSWORD,
            update_password="if_different",
            config_path=place.server.config_path,
            synapse_python="/bin/false",
        ),
        message="Set synapse_python to the Python interpreter of the environment in which Synapse is installed",
    ),
    _refusal(
        "a comparison of passwords without the configuration",
        prepare=_somebody,
        parameters=declaring("somebody", password=_PASSWORD, update_password="if_different"),
        message="homeserver.yaml does not exist.*update_password=if_different needs the configuration of Synapse",
    ),
    _refusal(
        "an unreachable server",
        parameters=declaring("mallory", base_url="http://127.0.0.1:1"),
        message=r"whoami failed: Connection refused\. Check that Synapse runs",
    ),
    _refusal(
        "a service that is not Synapse",
        parameters=lambda place: declare(place, "mallory", base_url=place.server.metrics_url.removesuffix("/metrics")),
        message="got an answer that does not come from Synapse.*base_url",
    ),
    _refusal(
        "a wrong token",
        parameters=declaring("mallory", access_token="not_a_token"),
        message="401 M_UNKNOWN_TOKEN.*synapse_access_token",
    ),
    _refusal(
        "no token and no configuration",
        parameters=declaring("mallory"),
        token=False,
        message="access_token",
    ),
    _refusal(
        "the token of an account that is not an admin",
        parameters=lambda place: declare(place, "mallory", access_token=place.server.user_token),
        message="not a server admin.*token of a server admin",
    ),
    _refusal(
        "a token file that does not exist",
        parameters=lambda place: declare(place, "mallory", access_token_path=str(place.directory / "missing")),
        message="access_token_path .*/missing",
    ),
    _refusal(
        "two access tokens",
        parameters=lambda place: declare(
            place, "mallory", access_token=place.server.token, access_token_path=str(place.directory / "missing")
        ),
        message="Both access_token and access_token_path are set",
    ),
    _refusal(
        "a token file that is empty",
        prepare=_empty_file,
        parameters=lambda place: declare(place, "mallory", access_token_path=str(place.directory / "empty")),
        message="access_token_path .*/empty is empty",
    ),
    _refusal(
        "a typing error if no account must be created",
        prepare=_somebody,
        parameters=declaring("somebdy", create=False, display_name="Somebody"),
        message="somebdy.* does not exist, and create is false",
    ),
    _refusal(
        "the deactivation of its own account",
        prepare=_admin,
        parameters=_declaring_itself(state="absent"),
        message=_ITS_OWN,
    ),
    _refusal(
        "the end of its own admin rights",
        prepare=_admin,
        parameters=_declaring_itself(admin=False),
        message="not an admin.*another server admin",
    ),
    _refusal(
        "the lock of its own account",
        prepare=_admin,
        parameters=_declaring_itself(locked=True),
        message="locked.*another server admin",
    ),
    _refusal(
        "the suspension of its own account",
        prepare=_admin,
        parameters=_declaring_itself(suspended=True),
        message="suspended.*another server admin",
    ),
    _refusal(
        "an account of another server",
        parameters=lambda place: declare(place, "mallory", user_id=f"@{place.unique}-mallory:other.test"),
        message=lambda place: (
            rf"-mallory:other\.test .*of the server other\.test, but this server is {re.escape(place.server.name)}"
        ),
    ),
    _refusal(
        "an account of a server with the same name and another port",
        parameters=lambda place: declare(place, "mallory", user_id=f"@{place.unique}-mallory:{_without_port(place)}:1"),
        message=lambda place: (
            rf"of the server {re.escape(_without_port(place))}:1, but this server is {re.escape(place.server.name)}\."
        ),
    ),
    _refusal(
        "a name that is too long",
        parameters=lambda place: declare(place, "mallory", user_id=f"{place.unique}-{'m' * 255}"),
        message="longer than 255 bytes",
    ),
    _refusal(
        "an empty password",
        parameters=declaring("mallory", password=""),
        message="password is empty",
    ),
    _refusal(
        "a negative rate limit",
        prepare=_somebody,
        parameters=declaring("somebody", rate_limit={"burst_count": -1}),
        message="rate_limit contains a negative number",
    ),
    _refusal(
        "a new account with upper-case letters",
        parameters=declaring("Mallory"),
        message=lambda place: f"upper-case letters.*@{place.unique}-mallory",
    ),
)


@pytest.mark.parametrize("case", named(REFUSALS))
def test_refused(place: Place, case: Refusal) -> None:
    prove_refused(place, case)

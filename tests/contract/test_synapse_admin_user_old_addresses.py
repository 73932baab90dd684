# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""E-mail addresses as old versions of Synapse stored them: no API can remove them, and they do no harm."""

from __future__ import annotations

import dataclasses
import functools
import re
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.admin_user_cases import (
    MODULE,
    declare,
    look,
    prove_by_admin,
    prove_refused,
)
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place, State
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    Parameters,
    Refusal,
    named,
    play,
)

_STORE = "INSERT INTO user_threepids (user_id, medium, address, validated_at, added_at) VALUES (?, ?, ?, 1, 1)"


def _alice(place: Place, *stored: tuple[str, str]) -> None:
    place.server.make_account(f"{place.unique}-alice")
    for medium, address in stored:
        place.server.write(_STORE, place.user("alice"), medium, address.replace("~", place.unique))


def _with(*stored: tuple[str, str]) -> t.Callable[[Place], None]:
    return lambda place: _alice(place, *stored)


def _declaring(*addresses: str, **declared: t.Any) -> t.Callable[[Place], Parameters]:
    """Declare e-mail addresses, and telephone numbers, of the account."""

    def parameters(place: Place) -> Parameters:
        media = {True: "email", False: "msisdn"}
        threepids = [{"medium": media["@" in each], "address": each.replace("~", place.unique)} for each in addresses]
        return declare(place, "alice", threepids=threepids, **declared)

    return parameters


def _state(place: Place) -> State:
    rows = place.server.rows("SELECT medium, address FROM user_threepids WHERE user_id = ?", place.user("alice"))
    return {**look(place, "alice"), "rows": sorted(rows)}


def _removal(address: str) -> t.Callable[[Place], str]:
    """The message with the statement that removes the row."""

    def pattern(place: Place) -> str:
        where = {"user_id": place.user("alice"), "medium": "email", "address": address.replace("~", place.unique)}
        conditions = " AND ".join(f"{name} = '{value}'" for name, value in where.items())
        return re.escape(f"DELETE FROM user_threepids WHERE {conditions}")

    return pattern


_OLD = ("email", "FooBar~@example.com")
_refusal = functools.partial(Refusal, module=MODULE, state=_state)
_keep = functools.partial(Expectation, module=MODULE, state=_state)

REFUSALS = (
    _refusal(
        "the removal of all addresses",
        prepare=_with(_OLD, ("email_old", "X~"), ("msisdn", "+44 ~")),
        parameters=_declaring(),
        message=_removal("FooBar~@example.com"),
    ),
    _refusal(
        "another address",
        prepare=_with(_OLD),
        parameters=_declaring("other~@example.com"),
        message=_removal("FooBar~@example.com"),
    ),
    _refusal(
        "another address beside the new spelling",
        prepare=_with(_OLD, ("email", "foobar~@example.com")),
        parameters=_declaring("other~@example.com", display_name="Alice"),
        message=_removal("FooBar~@example.com"),
    ),
    _refusal(
        "white space",
        prepare=_with(("email", " foobar~@example.com")),
        parameters=_declaring(),
        message=_removal(" foobar~@example.com"),
    ),
    _refusal(
        "what is no address",
        prepare=_with(("email", "broken~")),
        parameters=_declaring("other~@example.com"),
        message=_removal("broken~"),
    ),
    _refusal(
        "the end of an account with what is no address",
        prepare=_with(("email", "broken~")),
        parameters=lambda place: declare(place, "alice", state="absent"),
        message=_removal("broken~"),
    ),
    _refusal(
        "a list of accounts",
        module="synapse_admin_users",
        prepare=_with(_OLD),
        parameters=lambda place: {"users": [{"user_id": place.user("alice"), "threepids": []}]},
        message=_removal("FooBar~@example.com"),
    ),
)

EXPECTATIONS = (
    _keep(
        "the same address in lower case",
        prepare=_with(_OLD),
        parameters=_declaring("foobar~@example.com"),
        shows=lambda place: {
            "rows": [("email", f"FooBar{place.unique}@example.com"), ("email", f"foobar{place.unique}@example.com")]
        },
    ),
    _keep(
        "the same address in lower case is there already",
        prepare=_with(_OLD, ("email", "foobar~@example.com")),
        parameters=_declaring("FooBar~@example.com"),
        changes=False,
    ),
    _keep(
        "a telephone number beside both spellings, of which Synapse would remove the new one",
        prepare=_with(_OLD, ("email", "foobar~@example.com"), ("email", "gone~@example.com")),
        parameters=_declaring("foobar~@example.com", "4420123456"),
        shows=lambda place: {
            "rows": [
                ("email", f"FooBar{place.unique}@example.com"),
                ("email", f"foobar{place.unique}@example.com"),
                ("msisdn", "4420123456"),
            ]
        },
    ),
    _keep(
        "other values of such an account",
        prepare=_with(_OLD, ("email", "broken~")),
        parameters=lambda place: declare(place, "alice", display_name="Alice", locked=True),
        shows=lambda _place: {"displayname": "Alice", "locked": True},
    ),
    _keep(
        "the removal of what is stored in another form, but can be removed",
        prepare=_with(("email_old", "Old~@Example.com"), ("msisdn", "+44 ~"), ("email", "foobar~@example.com")),
        parameters=_declaring(),
        shows=lambda _place: {"rows": []},
    ),
)


@pytest.mark.parametrize("case", named(REFUSALS))
def test_refused(place: Place, case: Refusal) -> None:
    prove_refused(place, case)


@pytest.mark.parametrize("case", named(EXPECTATIONS))
def test_declared(place: Place, case: Expectation) -> None:
    # A telephone number that no other case has.
    number = f"44{int(place.unique[1:], 16):010}"
    known = case.parameters

    def parameters(place: Place) -> Parameters:
        declared = known(place)
        for each in declared.get("threepids", ()):
            each["address"] = each["address"].replace("4420123456", number)
        return declared

    def shows(place: Place) -> State:
        return {
            name: [(medium, address.replace("4420123456", number)) for medium, address in value]
            if name == "rows"
            else value
            for name, value in case.shows(place).items()
        }

    prove_by_admin(place, dataclasses.replace(case, parameters=parameters, shows=shows))


def test_the_statement_of_the_message_removes_the_row(place: Place) -> None:
    """Then the same task succeeds, without a restart of Synapse."""
    _alice(place, ("email", "O'Neill~@example.com"))
    parameters = _declaring()(place)
    refused = play(place, MODULE, parameters)
    statement = re.search(r"DELETE FROM user_threepids .*?(?=\. Or add )", refused["msg"])
    assert statement, refused
    place.server.write(statement[0])
    assert _state(place)["rows"] == []
    done = play(place, MODULE, parameters)
    assert (done.get("failed"), done["changed"]) == (None, False), done


def test_an_account_that_is_deactivated_keeps_it_with_a_warning(place: Place) -> None:
    _alice(place, ("email", "FooBar~@example.com"), ("email", "foobar~@example.com"))
    parameters = declare(place, "alice", state="absent", erase=True)
    predicted, done, again = (play(place, MODULE, parameters, check=check) for check in (True, False, False))
    kept = [{"medium": "email", "address": f"FooBar{place.unique}@example.com"}]
    for result in (predicted, done):
        assert result["user"]["threepids"] == kept, result
        assert re.search(_removal("FooBar~@example.com")(place), str(result["warnings"])), result
    assert again["changed"] is False
    assert _state(place)["rows"] == [("email", f"FooBar{place.unique}@example.com")]

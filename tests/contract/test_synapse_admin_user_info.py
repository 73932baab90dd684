# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which accounts synapse_admin_user_info finds, in each source, on a server of which every account is known."""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    Refusal,
    Result,
    prove,
    prove_refusal,
)
from ansible_collections.matrix_ops.synapse.tests.contract.people import SEEN, People, Row, make_people

_MODULE = "synapse_admin_user_info"
SOURCES = pytest.mark.parametrize("source", ["admin_api", "database"])

# The value of an option, or a function that returns it if it depends on the server.
_Asked = str | bool | t.Callable[[People], str]


@dataclasses.dataclass(frozen=True)
class Query:
    """The options, and the localparts of the accounts that must be found in this order, or a condition for them."""

    title: str
    asked: dict[str, _Asked]
    finds: tuple[str, ...] | t.Callable[[Row], bool] = ()

    def parameters(self, people: People) -> dict[str, t.Any]:
        """Return the options of the module."""
        return {name: value(people) if callable(value) else value for name, value in self.asked.items()}

    def rows(self, people: People) -> list[Row]:
        """Return the accounts that must be returned."""
        if callable(self.finds):
            return [row for row in people.rows if self.finds(row)]
        found = {row["user_id"]: row for row in people.rows}
        return [found[people.server.user_id(localpart)] for localpart in self.finds]


QUERIES = (
    Query("one account", {"user_id": "alice"}, ("alice",)),
    Query(
        "one account in full, with every odd character",
        {"user_id": lambda people: people.server.user_id("a/b=c.d-e_f+g")},
        ("a/b=c.d-e_f+g",),
    ),
    Query("one account among others that a pattern would match", {"user_id": "under_score"}, ("under_score",)),
    Query("an account that was created with capital letters", {"user_id": "Old\\Name"}, ("Old\\Name",)),
    Query("an account in another letter case", {"user_id": "Alice"}),
    Query("an account that was created with capital letters, in lower case", {"user_id": "old\\name"}),
    Query("an account that does not exist", {"user_id": "nobody_at_all"}),
    Query("an account that is locked", {"user_id": "locked"}, ("locked",)),
    Query("an account whose IP addresses are forgotten", {"user_id": "inactive"}, ("inactive",)),
    Query("an account whose devices are removed", {"user_id": "departed"}, ("departed",)),
    Query("an account that only has the device that was seen first", {"user_id": "two_devices"}, ("two_devices",)),
    Query("a guest", {"user_id": lambda people: people.guest}, lambda row: row["guest"]),
    Query("an account that is erased", {"user_id": "erased"}, ("erased",)),
    Query("a part of a name", {"user_id": "lice"}),
    Query("an account that another filter does not match", {"user_id": "locked", "locked": False}),
    Query(
        "an account that all filters match",
        {
            "user_id": "locked_boss",
            "search": "BOSS",
            "locked": True,
            "admin": True,
            "deactivated": False,
            "guest": False,
        },
        ("locked_boss",),
    ),
    Query(
        "an underscore in names",
        {"search": "_", "admin": False, "deactivated": False, "locked": False},
        ("a/b=c.d-e_f+g", "setup_user", "two_devices", "under-score", "under_score", "underxscore"),
    ),
    Query("letters beyond ASCII in another letter case", {"search": "ÄrGeR"}, ("a/b=c.d-e_f+g", "umlaut")),
    Query("a letter that becomes two", {"search": "STRASSE"}, ("umlaut",)),
    Query("a part of localparts and names in another letter case", {"search": "LIDDELL"}, ("alice",)),
    Query("a part of localparts", {"search": "SETUP_"}, ("setup_admin", "setup_user")),
    Query("a part of the server's name, which is in no localpart", {"search": ".test"}),
    Query("a percent sign", {"search": "%"}, ("a/b=c.d-e_f+g", "underxscore")),
    Query("an underscore", {"search": "r_s"}, ("under_score",)),
    Query("a backslash", {"search": "\\"}, ("Old\\Name",)),
    Query("a character that is not a letter", {"search": "🐇"}, ("alice",)),
    Query("an empty text, which all names contain", {"search": ""}, lambda row: True),
    Query("admins", {"admin": True}, ("boss", "locked_boss", "setup_admin")),
    Query("accounts that are not admins", {"admin": False}, lambda row: not row["admin"]),
    Query("admins that can log in", {"admin": True, "locked": False, "deactivated": False}, ("boss", "setup_admin")),
    Query("accounts that are locked", {"locked": True}, ("locked", "locked_boss")),
    Query("accounts that are not locked", {"locked": False}, lambda row: not row["locked"]),
    Query("accounts that are deactivated", {"deactivated": True}, ("erased", "gone")),
    Query("accounts that are not deactivated", {"deactivated": False}, lambda row: not row["deactivated"]),
    Query("guests", {"guest": True}, lambda row: row["guest"]),
    Query("accounts that are not guests", {"guest": False}, lambda row: not row["guest"]),
    Query("bots", {"user_type": "bot"}, ("robot",)),
    Query(
        "ordinary accounts that are not admins",
        {"user_type": "", "admin": False},
        lambda row: not row["user_type"] and not row["admin"],
    ),
    Query("a type that no account has", {"user_type": "' OR 1=1 --"}),
)


def _engines() -> list[t.Any]:
    return [pytest.param(name, marks=pytest.mark.xdist_group(f"people on {name}")) for name in servers.ENGINES]


@pytest.fixture(scope="module", params=_engines())
def known(request: pytest.FixtureRequest) -> t.Iterator[People]:
    """All accounts of a server, on each engine."""
    with servers.own_servers(request.param, allow_guest_access=True) as started:
        yield make_people(started[0])


@pytest.fixture
def people(known: People) -> People:
    """All accounts of a server that runs."""
    if not known.running:
        servers.restart(known.server)
        known.running = True
    return known


@pytest.fixture
def stopped(known: People) -> People:
    """All accounts of a server that does not run."""
    if known.running:
        servers.halt(known.server)
        known.running = False
    return known


def look(people: People, source: str, expected: list[Row], *, token: bool = True, **asked: t.Any) -> Result:
    """Check and run. Both must return the expected rows and change nothing. Return the result."""
    users = [] if asked.get("count_only") else expected
    # The database needs no token.
    connection = {"access_token": people.token if token else None}
    case = Expectation(
        "look",
        _MODULE,
        lambda _place: {**connection, "source": source, "config_path": people.server.config_path, **asked},
        changes=False,
        state=lambda _place: people.stored(),
        returns=lambda _place: {"users": users, "summary": {"total": len(expected)}, "source": source},
        secrets=(people.token,),
    )
    return prove(Place(people.server, "people", Path(people.server.directory)), case)


def _seen(people: People) -> list[str]:
    return [people.server.user_id(localpart) for localpart in SEEN]


@SOURCES
def test_all_accounts(people: People, source: str) -> None:
    found = look(people, source, people.rows)["users"]
    assert [row["user_id"] for row in found if "last_seen_ts" in row] == _seen(people)
    assert [row["user_id"] for row in found if "last_seen" in row] == _seen(people)


@SOURCES
def test_all_accounts_are_counted(people: People, source: str) -> None:
    look(people, source, people.rows, count_only=True)


@SOURCES
@pytest.mark.parametrize("query", [pytest.param(query, id=query.title) for query in QUERIES])
def test_found(people: People, source: str, query: Query) -> None:
    look(people, source, query.rows(people), **query.parameters(people))


@SOURCES
@pytest.mark.parametrize("query", [pytest.param(query, id=query.title) for query in QUERIES])
def test_counted(people: People, source: str, query: Query) -> None:
    look(people, source, query.rows(people), count_only=True, **query.parameters(people))


def test_all_accounts_in_the_database_while_the_server_is_stopped(stopped: People) -> None:
    look(stopped, "database", stopped.rows, token=False)


def test_the_stopped_server_itself(stopped: People) -> None:
    case = Refusal(
        "stopped",
        _MODULE,
        lambda _place: {},
        "failed: Connection refused. Check that Synapse runs",
        state=lambda _place: stopped.stored(),
    )
    prove_refusal(Place(stopped.server, "people", Path(stopped.server.directory)), case)

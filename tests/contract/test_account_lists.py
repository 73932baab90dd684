# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a list of accounts must never do: after a typing error, with a duplicate e-mail address, in two runs at once."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import typing as t
import uuid

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _execution
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts import account_list
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.server_rules import ServerRules
from ansible_collections.matrix_ops.synapse.tests.contract import fault_proxy
from ansible_collections.matrix_ops.synapse.tests.contract.case import everybody_but
from ansible_collections.matrix_ops.synapse.tests.contract.fault_proxy import FaultProxy
from ansible_collections.matrix_ops.synapse.tests.contract.modules import run_module
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

MODES = pytest.mark.parametrize("check", [True, False], ids=["check", "run"])


def declare(server: Server, *users: dict[str, t.Any] | str, check: bool = False, **given: t.Any) -> dict[str, t.Any]:
    entries = [{"user_id": user} if isinstance(user, str) else user for user in users]
    parameters = {"base_url": server.base_url, "access_token": server.token, "users": entries, **given}
    return run_module("synapse_admin_users", parameters, check=check)


@pytest.fixture
def word() -> str:
    """A word that no other test has."""
    return f"w{uuid.uuid4().hex[:8]}"


@pytest.fixture
def people(server: Server, word: str) -> list[str]:
    """The localparts of three accounts."""
    names = [f"{word}-{name}" for name in ("alice", "bob", "carol")]
    for name in names:
        server.make_account(name, displayname=name)
    return names


def active(server: Server, names: t.Sequence[str]) -> list[bool]:
    return [not server.get(f"/_synapse/admin/v2/users/{server.user_id(name)}")["deactivated"] for name in names]


@MODES
def test_typing_error_deactivates_no_account(server: Server, word: str, people: list[str], check: bool) -> None:
    alice, bob, carol = people
    result = declare(
        server,
        alice.capitalize(),
        {"user_id": bob, "display_name": "New"},
        f"@{carol}:r1.tset",
        exclusive=True,
        max_changes=100,
        protect=everybody_but(word),
        check=check,
    )
    assert result["failed"]
    assert "No account was deactivated" in result["msg"]
    assert active(server, people) == [True, True, True]
    # The correct entries of the list are done all the same.
    assert [user["changed"] for user in result["users"]] == [False, True, False]


@MODES
def test_typing_error_keeps_from_declared_absence_too(server: Server, people: list[str], check: bool) -> None:
    alice, bob, _carol = people
    result = declare(server, {"user_id": bob, "state": "absent"}, f"@{alice}:r1.tset", check=check)
    assert result["failed"]
    assert active(server, people) == [True, True, True]
    assert "cannot be undone" in result["users"][0]["msg"]


@MODES
def test_misspelt_protector_deactivates_no_account(server: Server, word: str, people: list[str], check: bool) -> None:
    alice, bob, _carol = people
    protect = [*everybody_but(word), bob.upper()]
    result = declare(server, alice, exclusive=True, max_changes=100, protect=protect, check=check)
    assert result["failed"]
    assert bob.upper() in result["msg"]
    assert active(server, people) == [True, True, True]


@MODES
@pytest.mark.parametrize("steal", [False, True])
def test_address_declared_twice(server: Server, word: str, people: list[str], steal: bool, check: bool) -> None:
    alice, bob, carol = people
    spellings = (f"{word}@x.org", f" {word.upper()}@X.ORG")
    entries = [
        {"user_id": name, "display_name": "New", "threepids": [{"medium": "email", "address": address}]}
        for name, address in zip((alice, bob), spellings, strict=True)
    ]
    result = declare(
        server, *entries, {"user_id": carol, "display_name": "New"}, allow_threepid_takeover=steal, check=check
    )
    assert [user["failed"] for user in result["users"]] == [True, True, False]
    shown = [server.get(f"/_synapse/admin/v2/users/{server.user_id(name)}") for name in people]
    assert [account["threepids"] for account in shown] == [[], [], []]
    assert [account["displayname"] for account in shown] == [alice, bob, carol if check else "New"]


@MODES
def test_identity_declared_twice_makes_no_account(server: Server, word: str, check: bool) -> None:
    identity = {"auth_provider": "oidc", "external_id": word}
    entries = [{"user_id": f"{name}{word}", "external_ids": [identity]} for name in ("x", "y")]
    result = declare(server, *entries, check=check)
    assert [user["failed"] for user in result["users"]] == [True, True]
    assert server.found(f"/_synapse/admin/v2/users/{server.user_id(f'x{word}')}") is None


@MODES
@pytest.mark.parametrize("many", [True, False], ids=["list", "one"])
def test_name_that_exists_in_capital_letters(server: Server, word: str, many: bool, check: bool) -> None:
    # Old servers have such accounts.
    server.write(
        "INSERT INTO users (name, creation_ts, admin, is_guest, deactivated) VALUES (?, 1, 0, 0, 0)",
        server.user_id(f"Dave{word}"),
    )
    account = {"user_id": f"dave{word}"}
    parameters = {"base_url": server.base_url, "access_token": server.token}
    name = "synapse_admin_users" if many else "synapse_admin_user"
    result = run_module(name, {**parameters, **({"users": [account]} if many else account)}, check=check)
    assert result["failed"]
    assert "upper and lower case" in result["msg"]
    assert not result["changed"]


@MODES
def test_localpart_that_begins_with_an_underscore(server: Server, word: str, check: bool) -> None:
    """The configuration of a server can allow it. This one does not."""
    result = declare(server, f"_{word}", check=check)
    assert result["failed"]
    assert "may not begin with _" in result["msg"]


def _declare_there(described: tuple[str, str], users: list[dict[str, t.Any]]) -> dict[str, t.Any]:
    base_url, token = described
    parameters = {"base_url": base_url, "access_token": token, "users": users, "parallel": 8}
    return run_module("synapse_admin_users", parameters)


def test_two_runs_at_the_same_time(server: Server, word: str) -> None:
    users: list[dict[str, t.Any]] = [
        {
            "user_id": f"{word}-{number}",
            "display_name": f"Name {number}",
            "suspended": number % 3 == 0,
            "threepids": [{"medium": "email", "address": f"{word}-{number}@x.org"}],
            "external_ids": [{"auth_provider": "oidc", "external_id": f"{word}-{number}"}],
        }
        for number in range(60)
    ]
    described = (server.base_url, server.token)
    with concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        results = [each.result() for each in [pool.submit(_declare_there, described, users) for _run in range(2)]]
    for result in results:
        assert not result.get("failed"), result["msg"]
    after = declare(server, *users)
    assert not after["changed"]
    created = [
        user["user_id"]
        for result in results
        for user in result["users"]
        if "create the account" in user.get("steps", ())
    ]
    # Each account was created once, and only the run that created it reports this.
    assert sorted(created) == sorted(server.user_id(user["user_id"]) for user in users)


@pytest.mark.parametrize("declared", [True, False], ids=["absent", "exclusive"])
def test_what_synapse_alone_refuses_deactivates_no_account(
    server: Server, word: str, people: list[str], monkeypatch: pytest.MonkeyPatch, declared: bool
) -> None:
    # As if no question could show what the server refuses.
    monkeypatch.setattr(ServerRules, "require_accepted", lambda *_given, **_more: None)
    alice, bob, _carol = people
    users: list[dict[str, t.Any]] = [{"user_id": alice, "user_type": "nope"}]
    users += [{"user_id": bob, "state": "absent"}] if declared else []
    protect = [] if declared else everybody_but(word)
    result = declare(server, *users, exclusive=not declared, max_changes=100, protect=protect)
    assert result["failed"]
    assert "Invalid user type" in result["msg"]
    assert not result["changed"]
    assert active(server, people) == [True, True, True]


@pytest.mark.parametrize("seconds", [3.0, 6.0])
def test_slow_change_is_told_as_it_ends(
    server: Server, people: list[str], monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """One account is slow: the others are changed all the same, and the slow one is read again."""
    monkeypatch.setattr(_execution, "PATIENCE", 10.0)
    monkeypatch.setattr(account_list, "PATIENCE", 10.0)
    monkeypatch.setattr(fault_proxy, "_HOLD", seconds)
    entries = [{"user_id": name, "display_name": f"New {name}"} for name in people]
    with FaultProxy(server.base_url) as proxy:
        proxy.arm()
        parameters = {"access_token": server.token, "users": entries, "parallel": 1, "timeout": 1}
        run_module("synapse_admin_users", {"base_url": proxy.base_url, **parameters}, check=True)
        # The first change, after the requests that check mode sends as well.
        proxy.arm("delay_done", len(proxy.settle()) + 1)
        result = run_module("synapse_admin_users", {"base_url": proxy.base_url, **parameters})
        proxy.settle()
    assert [user["failed"] for user in result["users"]] == [True, False, False]
    assert [user["changed"] for user in result["users"]] == [True, True, True]
    assert result["users"][0]["outcome"] == "done"
    assert not declare(server, *entries)["changed"]

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values that Synapse changes before it stores them: a second run has nothing to do, and check mode knew the first."""

from __future__ import annotations

import typing as t
import uuid

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.modules import run_module
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

EMAIL, MSISDN = "email", "msisdn"

# What is declared, and what the account shows then. "~" stands for a word that no other test has.
ACCOUNTS: dict[str, tuple[dict[str, t.Any], dict[str, t.Any]]] = {
    "space after": ({"display_name": "Bob "}, {"displayname": "Bob"}),
    "space before": ({"display_name": " Bob"}, {"displayname": "Bob"}),
    "tab and line end": ({"display_name": "\tBob\r\n"}, {"displayname": "Bob"}),
    "no-break space": ({"display_name": "Bob\u00a0"}, {"displayname": "Bob"}),
    "ideographic space": ({"display_name": "\u3000Bob\u2003"}, {"displayname": "Bob"}),
    "space of no width": ({"display_name": "\u200bBob"}, {"displayname": "\u200bBob"}),
    "space inside": ({"display_name": "B  o\tb"}, {"displayname": "B  o\tb"}),
    "spaces alone": ({"display_name": "   "}, {"displayname": ""}),
    "no name": ({"display_name": ""}, {"displayname": ""}),
    "composed": ({"display_name": "Caf\u00e9"}, {"displayname": "Caf\u00e9"}),
    "decomposed": ({"display_name": "Cafe\u0301"}, {"displayname": "Cafe\u0301"}),
    "capital letters": ({"display_name": "\u0130STANBUL Stra\u00dfe"}, {"displayname": "\u0130STANBUL Stra\u00dfe"}),
    "rabbit": ({"display_name": "\U0001f407 "}, {"displayname": "\U0001f407"}),
    "longest": ({"display_name": "a" * 256 + " "}, {"displayname": "a" * 256}),
    "ordinary type": ({"user_type": ""}, {"user_type": None}),
    "bot": ({"user_type": "bot"}, {"user_type": "bot"}),
    "no picture": ({"avatar_url": ""}, {"avatar_url": ""}),
    "picture": ({"avatar_url": "mxc://Example.org/AbC"}, {"avatar_url": "mxc://Example.org/AbC"}),
    "e-mail": ({"threepids": [(EMAIL, " A.~@Example.ORG ")]}, {"threepids": [(EMAIL, "a.~@example.org")]}),
    "e-mail twice": (
        {"threepids": [(EMAIL, "~@x.org"), (EMAIL, "~@X.ORG")]},
        {"threepids": [(EMAIL, "~@x.org")]},
    ),
    "sharp s": ({"threepids": [(EMAIL, "stra\u00dfe~@x.org")]}, {"threepids": [(EMAIL, "strasse~@x.org")]}),
    "umlaut": ({"threepids": [(EMAIL, "\u00c4~@B\u00dcRO.org")]}, {"threepids": [(EMAIL, "\u00e4~@b\u00fcro.org")]}),
    "dotted capital": ({"threepids": [(EMAIL, "\u0130~@x.org")]}, {"threepids": [(EMAIL, "i\u0307~@x.org")]}),
    "telephone": ({"threepids": [(MSISDN, "+44 20 ~")]}, {"threepids": [(MSISDN, "4420~")]}),
    "identity": (
        {"external_ids": [("oidc", " X~ "), ("oidc", "x~")]},
        {"external_ids": [("oidc", " X~ "), ("oidc", "x~")]},
    ),
    "limit of nothing": ({"rate_limit": {}}, {"rate_limit": None}),
    "limit without a number": (
        {"rate_limit": {"burst_count": 0}},
        {"rate_limit": {"messages_per_second": 0, "burst_count": 0}},
    ),
}

ALIASES = ["#UPPER~", "#\u00dcml\u00e4ut~", "#Cafe\u0301~", "#a/b%2Fc?d~", "#\u200b~", "#~+=&\U0001f407"]


def filled(shown: t.Any, word: str) -> t.Any:
    """Return what is declared or shown with `word` in it, and pairs as the objects that the modules take."""
    if isinstance(shown, str):
        return shown.replace("~", word)
    if isinstance(shown, dict):
        return {
            key: [_pair(key, each, word) for each in value] if isinstance(value, list) else filled(value, word)
            for key, value in shown.items()
        }
    return shown


def _pair(key: str, pair: tuple[str, str], word: str) -> dict[str, str]:
    names = ("medium", "address") if key == "threepids" else ("auth_provider", "external_id")
    return dict(zip(names, (part.replace("~", word) for part in pair), strict=True))


def connected(server: Server) -> dict[str, t.Any]:
    return {"base_url": server.base_url, "access_token": server.token}


@pytest.mark.parametrize("many", [False, True], ids=["one", "list"])
@pytest.mark.parametrize("exists", [False, True], ids=["new", "changed"])
@pytest.mark.parametrize("case", ACCOUNTS)
def test_account(server: Server, case: str, exists: bool, many: bool) -> None:
    # Telephone numbers are digits.
    word = str(uuid.uuid4().int)[:12]
    declared, shown = (filled(part, word) for part in ACCOUNTS[case])
    localpart = f"normal{word}"
    if exists:
        server.make_account(localpart, displayname=" Somebody else ", user_type="support", avatar_url="mxc://a/b")
    account = {"user_id": localpart, **declared}

    def run(**how: bool) -> dict[str, t.Any]:
        name = "synapse_admin_users" if many else "synapse_admin_user"
        parameters = {"users": [account]} if many else account
        return run_module(name, {**connected(server), **parameters}, diff=True, **how)

    predicted, done, again = run(check=True), run(), run()
    assert not done.get("failed"), done["msg"]
    assert (predicted["steps"], predicted["diff"]) == (done["steps"], done["diff"])
    assert not again["changed"], again
    found = server.get(f"/_synapse/admin/v2/users/{server.user_id(localpart)}")
    if "rate_limit" in shown:
        limit = server.get(f"/_synapse/admin/v1/users/{server.user_id(localpart)}/override_ratelimit")
        found["rate_limit"] = limit or None
    for name, value in shown.items():
        if isinstance(value, list):
            parts = [{key: entry[key] for key in value[0]} for entry in found[name]]
            assert sorted(map(str, parts)) == sorted(map(str, value))
        else:
            assert (found[name] or value) == value if value in ("", None) else found[name] == value


@pytest.mark.parametrize("alias", ALIASES, ids=ascii)
def test_alias(server: Server, alias: str) -> None:
    word = uuid.uuid4().hex[:8]
    room = server.make_room(server.token)
    name = filled(alias, word)
    parameters = {**connected(server), "alias": name, "room_id": room, "canonical": True}
    results = [run_module("synapse_room_alias", parameters, check=check) for check in (True, False, False)]
    assert [result["changed"] for result in results] == [True, True, False], results
    assert results[1]["room_alias"]["alias"] == f"{name}:{server.name}"


@pytest.mark.parametrize("device", [" device ", "Ger\u00e4t", "a/b", "\U0001f407"], ids=ascii)
def test_device(server: Server, device: str, tmp_path: t.Any) -> None:
    word = uuid.uuid4().hex[:8]
    server.make_account(f"device{word}", password="p")
    parameters = {
        "base_url": server.base_url,
        "user_id": f"device{word}",
        "password": "p",
        "device_id": device,
        "device_display_name": f" {device} ",
        "access_token_path": str(tmp_path / "token"),
    }
    results = [run_module("synapse_access_token", parameters, check=check) for check in (True, False, False)]
    assert [result["changed"] for result in results] == [True, True, False], results
    assert [result["token"]["device_id"] for result in results] == [device] * 3


def test_e_mail_of_old_in_capital_letters(server: Server) -> None:
    """Synapse before 1.19 stored them so, and cannot remove them any more."""
    word = uuid.uuid4().hex[:8]
    user_id = server.make_account(f"old{word}")
    server.write(
        "INSERT INTO user_threepids (user_id, medium, address, validated_at, added_at) VALUES (?, 'email', ?, 1, 1)",
        user_id,
        f"OLD.{word}@x.org",
    )
    address = {"medium": "email", "address": f"OLD.{word}@x.org"}
    parameters = {**connected(server), "user_id": f"old{word}", "threepids": [address]}
    results = [run_module("synapse_admin_user", parameters) for _number in range(2)]
    assert [result.get("failed", False) for result in results] == [False, False], results
    assert not results[1]["changed"]

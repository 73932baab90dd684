# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists of accounts of every kind, what the server shows of each account, and the proof of a list."""

from __future__ import annotations

import dataclasses
import functools
import json
import typing as t
import urllib.parse

from ansible_collections.matrix_ops.synapse.tests.contract.case import Place, State
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Expectation, Parameters, play, prove

MODULE = "synapse_admin_users"
PASSWORDS = ("secret of boss", "other secret of boss", "secret of secretive", "only for a new account")

# Unusual localparts. Each starts with the characters in question, and ~ stands for the word of the case.
_ODD = {"letters": "a/b=c.d-e_f+g~", "up": "../~", "signs": "-._=/~+"}


@dataclasses.dataclass(frozen=True)
class ListExpectation(Expectation):
    """The declared states of many accounts. Each has a word, see `localpart`.

    `changed`: those that change, in the order of the result. `others`: those that are in the result in addition to the
    declared ones.
    """

    changed: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


expect_list = functools.partial(ListExpectation, module=MODULE, secrets=PASSWORDS)


def localpart(place: Place, word: str) -> str:
    """Return the localpart of an account of this case; the one with the word `longest` has the maximum length.

    In a word that holds ~, such as person~1, that stands for the word of the case.
    """
    if word == "longest":
        # @, : and the server name are the rest of 255 bytes.
        return f"{place.unique}-".ljust(253 - len(place.server.name), "l")
    return _ODD.get(word, word if "~" in word else f"~-{word}").replace("~", place.unique)


def user_id(place: Place, word: str) -> str:
    """Return the full user ID of an account of this case."""
    return place.server.user_id(localpart(place, word))


def declare_list(place: Place, users: t.Sequence[tuple[str, Parameters]], **given: t.Any) -> Parameters:
    """Return the parameters of a task that declares accounts, each with its word and its declared state."""
    entries = [{"user_id": localpart(place, word), **declared} for word, declared in users]
    return {"users": entries, "config_path": place.server.config_path, "synapse_python": place.server.python, **given}


def look_at_accounts(place: Place, words: t.Iterable[str]) -> State:
    """Return what the server shows of each account, under "word attribute", such as "boss admin"."""
    state: State = {}
    for word in words:
        quoted = urllib.parse.quote(user_id(place, word), safe="")
        found = place.server.found(f"/_synapse/admin/v2/users/{quoted}")
        state[f"{word} exists"] = found is not None
        if found is None:
            continue
        del found["last_seen_ts"]
        found["addresses"] = sorted(entry["address"] for entry in found["threepids"])
        found["rate_limit"] = place.server.get(f"/_synapse/admin/v1/users/{quoted}/override_ratelimit")
        state |= {f"{word} {name}": value for name, value in found.items()}
    return state


def shown(accounts: t.Mapping[str, Parameters | None]) -> State:
    """Return a part of what `look_at_accounts` returns, of a few attributes for each word, or None for no account."""
    state: State = {f"{word} exists": told is not None for word, told in accounts.items()}
    for word, told in accounts.items():
        state |= {f"{word} {name}": value for name, value in (told or {}).items()}
    return state


def prove_list(place: Place, case: ListExpectation) -> dict[str, t.Any]:
    """Prove what `prove` does, and that the result has the accounts in the order of the list. Return the run's result.

    A list shows only accounts that change: a second run shows none.
    """
    done = prove(place, dataclasses.replace(case, repeatable=False))
    parameters = case.parameters(place)
    changed = [user_id(place, word) for word in case.changed]
    assert [user["user_id"] for user in done["users"] if user["changed"]] == changed
    step = f"change {len(changed)} account{'' if len(changed) == 1 else 's'}"
    assert done["steps"] == ([step] if changed else [])
    assert [list(done["diff"][part]) for part in ("before", "after")] == [changed, changed]
    assert not [user for user in done["users"] if user["failed"]]
    assert [user["user_id"] for user in done["users"] if user.get("steps")] == changed
    declared = [str(user["user_id"]) for user in parameters["users"]]
    declared = [name if name.startswith("@") else place.server.user_id(name) for name in declared]
    assert [user["user_id"] for user in done["users"]] == declared + [user_id(place, word) for word in case.others]
    assert done["summary"] == {"total": len(done["users"]), "changed": len(changed), "failed": 0}
    after, again = case.state(place), play(place, case.module, parameters)
    assert not again.get("failed"), again
    assert (again["changed"], again["steps"], again["diff"]) == (False, [], {"before": {}, "after": {}})
    assert [user["user_id"] for user in again["users"]] == declared
    assert not [user for user in again["users"] if user["changed"]]
    assert case.state(place) == after, "a second run has changed the server"
    assert not [secret for secret in (*place.server.secrets, *case.secrets) if secret in json.dumps(again)]
    return done


def _addresses(place: Place) -> list[Parameters]:
    # Telephone numbers are digits.
    return [
        {"medium": "email", "address": email(place).upper()},
        {"medium": "msisdn", "address": f"+44 20 {digits(place)}"},
    ]


def email(place: Place) -> str:
    """Return the e-mail address of the account with the word `carol`, as Synapse shows it."""
    return f"{place.unique}@example.test"


def digits(place: Place) -> str:
    """Return digits for a telephone number that no other case has."""
    return str(int(place.unique[1:], 16))


def _identities(place: Place) -> list[Parameters]:
    return [{"auth_provider": "saml", "external_id": f"{place.unique}/1=+ü"}]


def _picture(place: Place) -> str:
    return f"mxc://{place.server.name}/full"


def look_at_passwords(place: Place, words: t.Iterable[str]) -> State:
    """Return which of the passwords each account accepts, under "word takes"."""
    return {
        f"{word} takes": [password for password in PASSWORDS if place.server.accepts(user_id(place, word), password)]
        for word in words
    }


def make_plain(place: Place) -> None:
    """Make an account with the word `plain`, which is always as declared."""
    place.server.make_account(localpart(place, "plain"))


def declare_created(place: Place) -> Parameters:
    """Declare new accounts of every kind."""
    return declare_list(
        place,
        [
            ("letters", {"display_name": "ÄRGER mit 100% 🐇"}),
            ("up", {"display_name": "شخص"}),
            ("signs", {"display_name": "'; DROP TABLE users; --"}),
            ("longest", {"display_name": "ä" * 256}),
            ("full", {"user_id": user_id(place, "full"), "display_name": "", "avatar_url": _picture(place)}),
            ("plain", {"admin": False, "locked": False, "rate_limit": {}}),
            ("boss", {"admin": True, "password": "secret of boss"}),
            ("secretive", {"password": "secret of secretive"}),
            ("locked", {"locked": True, "suspended": True}),
            ("banned", {"shadow_banned": True, "user_type": "bot"}),
            (
                "carol",
                {
                    "threepids": _addresses(place),
                    "external_ids": _identities(place),
                    "rate_limit": {"messages_per_second": 0, "burst_count": 7},
                },
            ),
            ("gone", {}),
            ("erased", {}),
            ("never_there", {"state": "absent", "erase": True}),
        ],
    )


def declare_changed(place: Place) -> Parameters:
    """Declare other values for those accounts, in every way."""
    return declare_list(
        place,
        [
            # By the alias of display_name.
            ("letters", {"displayname": "ÄRGER mit 100% 🐇"}),
            ("up", {"display_name": ""}),
            ("boss", {"admin": False, "password": "other secret of boss", "update_password": "if_different"}),
            ("secretive", {"password": "secret of secretive", "update_password": "if_different"}),
            ("full", {"password": "only for a new account"}),
            ("locked", {"locked": False, "suspended": False}),
            ("banned", {"shadow_banned": False, "user_type": ""}),
            ("carol", {"threepids": _addresses(place)[1:], "external_ids": [], "rate_limit": {}}),
            ("signs", {"threepids": [{"medium": "email", "address": email(place)}]}),
            ("gone", {"state": "absent"}),
            ("erased", {"state": "absent", "erase": True}),
            ("newcomer", {}),
        ],
        allow_threepid_takeover=True,
    )


def declare_returned(place: Place) -> Parameters:
    """Declare the deactivated accounts again."""
    return declare_list(
        place,
        [
            ("gone", {"locked": True}),
            ("erased", {"display_name": "Back again", "suspended": True, "rate_limit": {"burst_count": 1}}),
            ("newcomer", {"create": False}),
        ],
    )


def shown_created(place: Place) -> State:
    """What the server must show of the new accounts."""
    return shown(
        {
            "letters": {"displayname": "ÄRGER mit 100% 🐇", "admin": False, "locked": False, "suspended": False},
            "up": {"displayname": "شخص"},
            "signs": {"displayname": "'; DROP TABLE users; --"},
            "longest": {"displayname": "ä" * 256, "name": user_id(place, "longest")},
            "full": {"avatar_url": _picture(place)},
            "boss": {"admin": True, "displayname": localpart(place, "boss")},
            "locked": {"locked": True, "suspended": True},
            "banned": {"shadow_banned": True, "user_type": "bot"},
            "carol": {
                "addresses": sorted([f"4420{digits(place)}", email(place)]),
                "external_ids": _identities(place),
                "rate_limit": {"messages_per_second": 0, "burst_count": 7},
            },
            "never_there": None,
        }
    )


def shown_changed(place: Place) -> State:
    """What the server must show of the changed accounts."""
    return shown(
        {
            "boss": {"admin": False, "takes": ["other secret of boss"]},
            "locked": {"locked": False, "suspended": False},
            "banned": {"shadow_banned": False, "user_type": None},
            "carol": {"addresses": [f"4420{digits(place)}"], "external_ids": [], "rate_limit": {}},
            "signs": {"addresses": [email(place)]},
            "full": {"takes": []},
            "secretive": {"takes": ["secret of secretive"]},
            "gone": {"deactivated": True, "erased": False},
            "erased": {"deactivated": True, "erased": True},
            "newcomer": {"deactivated": False},
        }
    )


def create(place: Place) -> None:
    """Make the accounts of every kind."""
    make_plain(place)
    _play(place, declare_created(place))


def create_and_change(place: Place) -> None:
    """Make the accounts of every kind, and change them."""
    create(place)
    _play(place, declare_changed(place))


def create_change_and_return(place: Place) -> None:
    """Make the accounts of every kind, change them, and reactivate the deactivated ones."""
    create_and_change(place)
    _play(place, declare_returned(place))


def _play(place: Place, parameters: Parameters) -> None:
    done = play(place, MODULE, parameters)
    assert not done.get("failed"), done["msg"]

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.contents import Contents
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.decision import (
    Case,
    Decision,
    decide,
    require_confirmation,
)

NAME = "example.org:8448"
USED = Contents(True, (NAME,), 3, 2, 1_700_000_000)
RENAMED = Contents(True, ("old.example",), 3, 2, 1_700_000_000)
FEDERATED = [{"kind": "destinations", "count": 12, "servers": ["a.example", "b.example", "c.example", "d.example"]}]


def nothing() -> list[dict[str, t.Any]]:
    return []


def never() -> list[dict[str, t.Any]]:
    raise AssertionError("the evidence was read although it does not matter")


@pytest.mark.parametrize(
    ("contents", "case"),
    [
        (Contents(), Case.UNUSED),
        (Contents(True), Case.UNUSED),
        # An application service has registered itself.
        (Contents(True, (NAME,), 0, 0, 5), Case.UNUSED),
    ],
)
def test_nothing_to_drop(contents: Contents, case: Case) -> None:
    assert decide(NAME, contents, never) == Decision(case)


def test_never_federated() -> None:
    assert decide(NAME, USED, nothing) == Decision(Case.NEVER_FEDERATED)


def test_rooms_without_accounts_are_used() -> None:
    assert decide(NAME, Contents(True, (), 0, 1), nothing) == Decision(Case.NEVER_FEDERATED)


@pytest.mark.parametrize("contents", [RENAMED, Contents(True, ("old.example",), 0, 0, 5)])
def test_of_another_server_name_the_evidence_does_not_matter(contents: Contents) -> None:
    assert decide(NAME, contents, never) == Decision(Case.SERVER_NAME_CHANGES, "old.example")


def test_federated() -> None:
    with pytest.raises(InvalidInput) as raised:
        decide(NAME, USED, lambda: FEDERATED)
    message = raised.value.message
    assert "example.org:8448 has federated" in message
    assert (
        "servers that it has sent something to, or has tried to: a.example, b.example, c.example and 9 more" in message
    )
    for word in ("synapse_room ", "free_alias", "grant_admin", "reset_password", "synapse_database_info", ".tune"):
        assert word in message, word
    assert "\n" not in message
    assert raised.value.details["evidence"] == FEDERATED
    assert [sorted(each) for each in raised.value.details["remedies"]] == [["problem", "remedy"]] * 5


def test_accounts_of_two_servers() -> None:
    with pytest.raises(InvalidInput, match="old.example, but the database"):
        decide(NAME, Contents(True, (NAME, "old.example"), 3, 2, 5), never)


@pytest.mark.parametrize(
    ("confirm", "expected"),
    [
        ("", "confirm is empty. Set it to the server name, example.org:8448"),
        ("example.org", "the configuration on this host is that of example.org:8448"),
        ("EXAMPLE.org:8448", "exactly the same"),
        ("example.org:8448 ", "confirm is 'example.org:8448 ', but"),
        ("ex\u0430mple.org:8448", r"confirm is 'ex\\u0430mple.org:8448', but"),
        ("old.example", "is the old server name. The configuration sets server_name to example.org:8448"),
    ],
)
def test_wrong_confirmation(confirm: str, expected: str) -> None:
    with pytest.raises(InvalidInput, match=expected):
        require_confirmation(NAME, confirm, ["old.example"])


def test_right_confirmation() -> None:
    require_confirmation(NAME, NAME, [NAME])

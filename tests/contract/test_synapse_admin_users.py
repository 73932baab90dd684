# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How synapse_admin_users creates and changes lists of accounts, in every way at once."""

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.account_list_cases import (
    ListExpectation,
    create,
    declare_changed,
    declare_created,
    declare_list,
    expect_list,
    look_at_accounts,
    look_at_passwords,
    make_plain,
    prove_list,
    shown_changed,
    shown_created,
)
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place, State
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import named

_NEW = (
    "letters",
    "up",
    "signs",
    "longest",
    "full",
    "boss",
    "secretive",
    "locked",
    "banned",
    "carol",
    "gone",
    "erased",
)
_EVERYBODY = (*_NEW, "plain", "newcomer", "never_there")


def _state(place: Place) -> State:
    return look_at_accounts(place, _EVERYBODY)


def _state_and_passwords(place: Place) -> State:
    return {**_state(place), **look_at_passwords(place, ("boss", "secretive", "full"))}


EXPECTATIONS = (
    expect_list(
        "create accounts of every kind",
        prepare=make_plain,
        parameters=declare_created,
        changed=_NEW,
        state=_state,
        shows=shown_created,
    ),
    expect_list(
        "change them in every way",
        prepare=create,
        parameters=declare_changed,
        changed=("up", "boss", "locked", "banned", "carol", "signs", "gone", "erased", "newcomer"),
        state=_state_and_passwords,
        shows=shown_changed,
    ),
    expect_list(
        "accounts that are as declared",
        prepare=create,
        parameters=declare_created,
        changes=False,
        state=_state,
        shows=shown_created,
    ),
    expect_list("an empty list", parameters=lambda place: declare_list(place, []), changes=False),
)


@pytest.mark.parametrize("case", named(EXPECTATIONS))
def test_declared(place: Place, case: ListExpectation) -> None:
    prove_list(place, case)

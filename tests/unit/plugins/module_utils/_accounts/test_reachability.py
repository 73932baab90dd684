# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.reachability import Reachability
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConnectionFailed, InvalidInput


def slow() -> ConnectionFailed:
    return ConnectionFailed("No answer.", waited=2)


def test_ends_at_once_where_nobody_listens() -> None:
    reachability = Reachability(4)
    assert reachability
    reachability.note(ConnectionFailed("Refused.", sent=False))
    assert not reachability
    reachability.forget()
    assert reachability


@pytest.mark.parametrize(("parallel", "allowed"), [(1, 3), (4, 8)])
def test_ends_after_several_in_a_row(parallel: int, allowed: int) -> None:
    reachability = Reachability(parallel)
    for _number in range(allowed - 1):
        reachability.note(slow())
    assert reachability
    reachability.note(slow())
    assert not reachability


@pytest.mark.parametrize("answered", [True, False])
def test_an_answer_between_them_counts(answered: bool) -> None:
    reachability = Reachability(1)
    for _number in range(5):
        reachability.note(slow())
        reachability.note(slow())
        if answered:
            reachability.answered()
        else:
            reachability.note(InvalidInput("No."))
    assert reachability

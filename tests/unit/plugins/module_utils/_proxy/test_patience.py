# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Place
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.patience import Patience

ONE, OTHER = Place("https", "one.example", 443), Place("https", "other.example", 8448)


@pytest.mark.parametrize("kind", ["timeout", "silent", "unresolved"])
def test_a_place_that_never_answered(kind: str) -> None:
    patience = Patience(10.0)
    assert (patience.refusal(ONE), patience.seconds(ONE)) == (None, 10.0)
    patience.failed(ONE, kind, "the first reason", 10.0)
    patience.failed(ONE, kind, "another reason", 10.0)
    assert patience.refusal(ONE) == (kind, "the first reason")
    assert patience.refusal(OTHER) is None
    # All places together must not take too long.
    assert patience.seconds(OTHER) == 3.0


@pytest.mark.parametrize(("kind", "seconds"), [("refused", 5.0), ("closed", 5.0), ("tls", 0.1), ("unresolved", 0.1)])
def test_what_takes_no_time_is_asked_again(kind: str, seconds: float) -> None:
    patience = Patience(10.0)
    patience.failed(ONE, kind, "the reason", seconds)
    assert (patience.refusal(ONE), patience.seconds(ONE), patience.seconds(OTHER)) == (None, 10.0, 10.0)


def test_a_place_that_answers_sometimes() -> None:
    patience = Patience(10.0)
    patience.answered(ONE)
    patience.failed(ONE, "silent", "the reason", 10.0)
    assert (patience.refusal(ONE), patience.seconds(ONE)) == (None, 5.0)
    patience.failed(ONE, "silent", "the reason", 5.0)
    assert (patience.refusal(ONE), patience.seconds(ONE)) == (None, 1.0)


def test_a_time_that_is_short_already() -> None:
    patience = Patience(0.5)
    patience.failed(ONE, "silent", "the reason", 0.5)
    assert (patience.seconds(ONE), patience.seconds(OTHER)) == (0.5, 0.5)

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._deadline import Deadline


def test_less_and_less_is_left_until_it_has_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    deadline = Deadline(5)
    assert (deadline.seconds, deadline.left()) == (5, 5)
    now = 104.0
    assert deadline.left() == 1
    now = 105.0
    with pytest.raises(TimeoutError):
        deadline.left()

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import types
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.login import require_possible
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput

_OPTIONS = {"login_host": "h", "login_port": 5432, "login_db": "d", "login_user": "u", "cp_min": 2, "cp_max": 3}


def test_what_is_possible() -> None:
    require_possible(types.SimpleNamespace(**_OPTIONS))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"login_host": ""}, "login_host is empty"),
        ({"login_db": ""}, "login_db is empty"),
        ({"login_user": "a\0b"}, "login_user is empty or no text"),
        ({"login_port": 0}, "login_port is 0"),
        ({"login_port": 65536}, "login_port is 65536"),
        ({"cp_max": 1}, "cp_min is 2 and cp_max is 1"),
        ({"cp_min": 0}, "cp_min is 0"),
    ],
)
def test_what_can_never_work(changed: dict[str, t.Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        require_possible(types.SimpleNamespace(**{**_OPTIONS, **changed}))

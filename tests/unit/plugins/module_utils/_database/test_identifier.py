# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.identifier import quoted


@pytest.mark.parametrize(
    ("name", "expected"),
    [("synapse", '"synapse"'), ('a"; DROP TABLE users; --', '"a""; DROP TABLE users; --"'), ("Ü ", '"Ü "')],
)
def test_quoted(name: str, expected: str) -> None:
    assert quoted(name) == expected

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.presented_certificate import Presented


@pytest.mark.parametrize(
    ("own", "wanted", "fits"),
    [
        ("Example.ORG", "example.org.", True),
        ("*.example.org", "a.example.org", True),
        ("*.example.org", "example.org", False),
        ("*.example.org", "b.a.example.org", False),
        ("*", "localhost", False),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("xn--bcher-kva.example", "bücher.example", True),
        ("a..b", "é..b", False),
    ],
)
def test_how_names_are_compared(own: str, wanted: str, fits: bool) -> None:
    assert Presented(names=(own,)).fits(wanted) is fits

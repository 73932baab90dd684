# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._federation.stored import STORED
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.refusal import refuse_federated, remedies


def test_remedies_name_the_server() -> None:
    found = remedies("example.org")
    assert any("'#lobby:example.org'" in each["remedy"] for each in found)
    assert len({each["problem"] for each in found}) == len(found) == 5


@pytest.mark.parametrize(
    ("count", "servers", "shown"),
    [
        (1, ["a"], "servers whose signing keys it has fetched: a"),
        (3, ["a", "b", "c"], "servers whose signing keys it has fetched: a, b, c"),
        (250, ["a", "b", "c", "d"], "servers whose signing keys it has fetched: a, b, c and 247 more"),
    ],
)
def test_evidence_is_shown(count: int, servers: list[str], shown: str) -> None:
    evidence = [{"kind": "signing_keys", "count": count, "servers": servers}]
    assert f"Evidence: {shown}. What helps instead: For a room" in refuse_federated("example.org", evidence).message


@pytest.mark.parametrize("kind", STORED)
def test_each_kind_has_words(kind: str) -> None:
    evidence = [{"kind": kind, "count": 1, "servers": ["a"]}]
    assert "Evidence: servers " in refuse_federated("example.org", evidence).message


def test_an_unknown_kind_is_shown_by_its_name() -> None:
    evidence = [{"kind": "new_kind", "count": 2, "servers": ["a", "b"]}]
    assert "new_kind: a, b" in refuse_federated("example.org", evidence).message

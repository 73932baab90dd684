# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is not proven is unknown, and a difference is an error."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, StateNotReached
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore import proof as proof_module
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.proof import Proof
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.target import differing_counts
from ansible_collections.matrix_ops.synapse.plugins.module_utils._samples.check import SampleCheck


def test_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = [f"The account @{number} does not exist." for number in range(7)]
    monkeypatch.setattr(proof_module, "check_sample", lambda _sample, _client: SampleCheck(differences, [], {}))
    with pytest.raises(StateNotReached, match="@0 does not exist; .* and 2 more. Compare it"):
        Proof(lambda: None).sample({"accounts": [{}]}, [])


def test_a_token_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def checked(sample: dict[str, t.Any], client: Client | None) -> SampleCheck:
        seen.append((sample, client))
        return SampleCheck([], [], {})

    monkeypatch.setattr(proof_module, "check_sample", checked)

    def refused() -> None:
        raise InvalidInput("There is no file.")

    proof = Proof(refused)
    proof.sample({"media": [{"media_id": "a"}, {"media_id": "b"}], "accounts": [{}]}, [{"media_id": "b"}])
    assert seen == [({"media": [{"media_id": "a"}], "accounts": [{}]}, None)]
    assert [each["name"] for each in proof.unknown] == ["access_token", "media"]


def test_counts() -> None:
    assert differing_counts({"a": 1, "e2e_one_time_keys_json": 5}, {"a": 1, "e2e_one_time_keys_json": 0}) == []
    assert differing_counts({"a": 1, "b": 2}, {"a": 2, "c": 3}) == [
        "a (1 instead of 2)",
        "b (2 instead of no table)",
        "c (missing instead of 3)",
    ]

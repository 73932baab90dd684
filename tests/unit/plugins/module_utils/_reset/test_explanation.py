# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.decision import Case, Decision
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.explanation import next_steps, reason_of


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (Case.UNUSED, "there is nothing to reset."),
        (Case.NEVER_FEDERATED, "There is no evidence that new.example has ever federated. That is not a proof"),
        (Case.SERVER_NAME_CHANGES, "The server name changes from old.example to new.example."),
        (Case.UNFINISHED, "An earlier reset dropped the database and was interrupted."),
    ],
)
def test_reason(case: Case, expected: str) -> None:
    assert expected in reason_of(Decision(case, "old.example"), "new.example")


@pytest.mark.parametrize(
    ("old_server_name", "keeps_key", "keeps_media", "words"),
    [
        ("", True, False, ["accounts"]),
        ("", True, True, ["accounts", "media"]),
        ("old.example", True, False, ["accounts", "old.example"]),
        # With a database that is empty now, another reset does nothing.
        ("old.example", True, False, ["accounts", "After the reset, stop Synapse, move the file of the key away"]),
        ("old.example", False, True, ["accounts", "media"]),
    ],
)
def test_next_steps(old_server_name: str, keeps_key: bool, keeps_media: bool, words: list[str]) -> None:
    decision = Decision(Case.SERVER_NAME_CHANGES, old_server_name)
    found = next_steps(decision, keeps_key=keeps_key, keeps_media=keeps_media)
    assert len(found) == len(words)
    assert all(word in step for word, step in zip(words, found))


def test_no_next_steps_without_a_drop() -> None:
    """The accounts of application services, which the database may have, are still there."""
    assert next_steps(Decision(Case.UNUSED), keeps_key=True, keeps_media=True) == []

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An event that is surely too large is refused before it is sent, and for a new room also one that may be."""

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.event_size import require_size


def measure(text: str, room_id: str = "!r") -> None:
    require_size({"body": text}, kind="m.room.message", room_id=room_id, sender="@a:x.org", what="The message")


def test_one_that_may_fit_is_accepted() -> None:
    measure("a" * 65_000)


@pytest.mark.parametrize("text", ["a" * 65_300, "ä" * 32_650, '"' * 32_650])
def test_one_that_cannot_fit_is_refused(text: str) -> None:
    with pytest.raises(errors.InvalidInput, match=r"The message would need an event of more than 65[5-9]\d\d bytes"):
        measure(text)


def test_nothing_uncertain_is_sent_to_a_new_room() -> None:
    measure("a" * 64_000, "")
    with pytest.raises(
        errors.InvalidInput, match="of more than 64[5-9]\\d\\d bytes, .* at most 65536, with up to 1024 th"
    ):
        measure("a" * 64_300, "")


def test_bytes_that_are_not_text_are_refused() -> None:
    with pytest.raises(errors.InvalidInput, match="The message contains bytes that are not UTF-8"):
        measure("\udcff")

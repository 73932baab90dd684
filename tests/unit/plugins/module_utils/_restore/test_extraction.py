# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import tracemalloc
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.archive_reader import Member
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.tar_headers import Entry, Source
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.extraction import _Members

_MEMBERS = 200_000


class _Reader:
    """What is read of an archive here: members without content."""

    def members(self) -> t.Iterator[Member]:
        for number in range(3):
            entry = Entry(f"media/0/{number}", 0, 0o600, "root", "root", 0)
            yield Member(entry, Source(io.BytesIO()), lambda _size: None)


def test_a_digest_among_many_needs_no_copy_of_all() -> None:
    digests = b"".join(number.to_bytes(32, "big") for number in range(_MEMBERS))
    members = _Members(t.cast("t.Any", _Reader()), digests)
    tracemalloc.start()
    try:
        # That of the header is the first one.
        assert int.from_bytes(members.expected, "big") == 1
        members.advance()
        assert int.from_bytes(members.expected, "big") == 2
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000

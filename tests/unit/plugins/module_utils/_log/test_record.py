# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import Record, bytes_of, readable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"", ""),
        (b"a\nb", "a\nb"),
        ("\u00e4\U0001f600".encode(), "\u00e4\U0001f600"),
        (b"a\xff\xc3b", "a\\xff\\xc3b"),
        (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
        (b"\0\x1c", "\0\x1c"),
    ],
)
def test_bytes_as_they_can_be_printed(text: bytes, shown: str) -> None:
    assert readable(text) == shown
    # Nothing that cannot be written again.
    readable(text).encode()


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("\u00e4", b"\xc3\xa4"),
        ("a\udcff", b"a\xff"),
        ("\ud800", b"\\ud800"),
        ("", b""),
    ],
)
def test_the_bytes_of_a_text(text: str, read: bytes) -> None:
    assert bytes_of(text) == read


def test_a_record_without_a_prefix() -> None:
    assert Record(None, "synapse.app", "INFO", "main", b"text").prefix == b""

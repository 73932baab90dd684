# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.layout import (
    Attributes,
    archive_pattern,
    overhead,
    padding,
    safe_name,
    sum_line,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.tar_headers import header_of


@pytest.mark.parametrize(
    ("server_name", "name"),
    [
        ("example.org", "example.org"),
        ("example.org:8448", "example.org_8448"),
        ("[2001:db8::1]:8448", "_2001_db8__1__8448"),
        ("..", "server"),
        ("-a", "a"),
        ("a/../b", "a_.._b"),
    ],
)
def test_the_server_name_in_the_name_of_a_file(server_name: str, name: str) -> None:
    assert safe_name(server_name) == name


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        ("synapse-example.org-20260131T120000Z.tar", True),
        ("synapse-example.org-20260131T120000Z.tar.age", True),
        ("synapse-example.org-20260131T120000Z.tar.gpg", True),
        ("synapse-example.org-20260131T120000Z.tar.json", False),
        ("synapse-example.org-20260131T120000Z.tar.partial", False),
        ("synapse-exampleXorg-20260131T120000Z.tar", False),
        ("synapse-a.example.org-20260131T120000Z.tar", False),
        ("synapse-example.org-2026.tar", False),
    ],
)
def test_the_names_of_archives(name: str, is_ours: bool) -> None:
    assert bool(archive_pattern("example.org").fullmatch(name)) == is_ours


def test_lines_of_sums() -> None:
    assert sum_line(b"\x01" * 32, "media/0/a b") == b"01" * 32 + b"  media/0/a b\n"
    assert sum_line(b"\x01" * 32, "a\\b\nc") == b"\\" + b"01" * 32 + b"  a\\\\b\\nc\n"
    assert sum_line(b"\x01" * 32, "\udcff").endswith(b"  \xff\n")


@pytest.mark.parametrize(("size", "expected"), [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511)])
def test_padding(size: int, expected: int) -> None:
    assert padding(size) == expected


@pytest.mark.parametrize("name", ["a", "a" * 100, "a" * 101, "ä" * 20, "media/0/" + "a/" * 2000, "\udcff\n" * 500])
def test_what_a_member_needs_besides_its_content(name: str) -> None:
    for size in (0, 1, 511, 512):
        line = sum_line(bytes(32), name)
        needed = len(header_of(name, size, Attributes())) + padding(size) + len(line)
        assert needed <= overhead(name) <= needed + 6 * 512

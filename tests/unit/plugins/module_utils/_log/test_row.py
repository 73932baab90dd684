# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.row import Row, Rows, Slow


def row(time: bytes) -> Row:
    return Row(time, b"", b"", b"", b"", 0)


def test_equal_requests_keep_the_order_of_the_log() -> None:
    equal = [Slow(1.0, row(b"1"), line, "a.log") for line in (b"b", b"a")]
    assert sorted(equal, key=lambda slow: slow.order) == equal


def test_the_order_of_slow_requests() -> None:
    first, second, other_file, slower = (
        Slow(1.0, row(b"1"), b"x", "b.log"),
        Slow(1.0, row(b"2"), b"a", "a.log"),
        Slow(1.0, row(b"2"), b"a", "b.log"),
        Slow(2.0, row(b"9"), b"x", "z.log"),
    )
    assert sorted([second, other_file, slower, first], key=lambda slow: slow.order) == [
        slower,
        first,
        second,
        other_file,
    ]


def test_rows() -> None:
    rows = Rows(
        [b"1", b"2"], [b"a", b"b"], [b"0.1", b"0.2"], [b"200"] * 2, [b"GET /"] * 2, [5, 6], [None, 0.0], [b"x", b"y"]
    )
    assert rows.row(1) == Row(b"2", b"b", b"0.2", b"200", b"GET /", 6)
    assert rows.chosen([1]) == Rows([b"2"], [b"b"], [b"0.2"], [b"200"], [b"GET /"], [6], [0.0], [b"y"])
    assert Rows._fields[: len(Row._fields)] == Row._fields

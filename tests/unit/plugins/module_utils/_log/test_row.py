# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.row import Columns, Row, Slow


def row(time: bytes) -> Row:
    return Row(time, *([b""] * 11))


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


def test_columns_have_the_order_of_rows() -> None:
    assert Columns._fields == Row._fields
    assert Columns(*zip(row(b"1"), row(b"2"))).time == (b"1", b"2")

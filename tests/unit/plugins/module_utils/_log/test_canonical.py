# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plain format for records of other sources."""

from __future__ import annotations

import re

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.canonical import (
    CANONICAL,
    canonical_line,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import Record

FULL = Record(1779274891.265, "synapse.access.http.8008", "INFO", "GET-1 a - b", b"192.0.2.9 - \xff", b"")


@pytest.mark.parametrize(
    "record",
    [
        FULL,
        FULL._replace(time=None),
        FULL._replace(time=0.0),
        FULL._replace(request="", level=""),
        FULL._replace(message=b""),
        FULL._replace(level="a strange level"),
    ],
)
def test_it_is_read_as_it_was_written(record: Record) -> None:
    line = canonical_line(record)
    assert line.endswith(b"\n")
    assert CANONICAL.record(line[:-1]) == record


def test_a_separator_or_a_line_feed_cannot_make_a_field_or_a_line() -> None:
    hostile = "\x1fsynapse.access.http.8008\x1fINFO\n1.0\x1f\r"
    record = Record(None, "synapse.x" + hostile, hostile, hostile, hostile.encode(), b"")
    line = canonical_line(record)
    assert line.count(b"\n") == 1 and line.count(b"\x1f") == 4
    found = CANONICAL.record(line[:-1])
    assert found is not None
    assert found.logger == "synapse.x synapse.access.http.8008 INFO 1.0  "
    assert not CANONICAL.pattern(b"").search(b"\n" + line)


def test_the_pattern_finds_it() -> None:
    block = b"\n" + canonical_line(FULL) + canonical_line(FULL._replace(time=-1.0, logger="synapse.x"))
    pattern = CANONICAL.pattern(rb"([^\n]*)(?=\n)", capture=("time", "request"))
    assert pattern.findall(block) == [(b"1779274891.265000", b"GET-1 a - b", b"192.0.2.9 - \xff")]
    assert CANONICAL.moment(b"") is None


def test_it_survives_text_that_is_not_utf_8() -> None:
    record = FULL._replace(logger="synapse.\udcff")
    assert re.search(rb"synapse\.\xff", canonical_line(record))

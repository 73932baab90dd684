# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records with a tag: where they come from, the lines that continue them, and starts of Synapse."""

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.processed import Processed, Received
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import Record
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.tagged import (
    LINES,
    Collected,
    Gathering,
    Origin,
    Started,
    Tagged,
    access_of,
    belongs_to,
    is_start,
    origin_of,
)

PROCESSED = (
    b"127.0.0.1 - 8008 - {None} Processed request: 0.214sec/0.000sec ru=(0.207sec, 0.000sec)"
    b' db=(0.001sec/0.001sec/7) 201B 200 "POST /_matrix/client/v3/login HTTP/1.1" "curl" [0 dbevts]'
)
RECEIVED = b"127.0.0.1 - 8008 - Received request: POST /_matrix/client/v3/login"
ORIGIN = Origin("/var/log/homeserver.log")


def record(message: bytes, logger: str = "synapse.access.http.8008", level: str = "INFO") -> Record:
    return Record(1.5, logger, level, "POST-37", message)


@pytest.mark.parametrize(
    ("logger", "message", "kind"),
    [
        ("synapse.access.http.8008", PROCESSED, Processed),
        ("synapse.access.http.8008", RECEIVED, Received),
        # A format without the name of the logger.
        ("", PROCESSED, Processed),
        ("synapse.accession", PROCESSED, type(None)),
        ("synapse.handlers.sync", PROCESSED, type(None)),
        ("synapse.handlers.sync", RECEIVED, type(None)),
        ("synapse.access.http.8008", b"something else", type(None)),
    ],
)
def test_access(logger: str, message: bytes, kind: type) -> None:
    assert isinstance(access_of(record(message, logger)), kind)


@pytest.mark.parametrize(
    ("logger", "level", "message", "expected"),
    [
        ("root", "WARNING", b"***** STARTING SERVER *****", True),
        ("synapse.config.logger", "WARNING", b"***** STARTING SERVER *****\r", True),
        ("", "", b"***** STARTING SERVER *****", True),
        ("root", "INFO", b"***** STARTING SERVER *****", False),
        ("synapse.handlers.room", "WARNING", b"***** STARTING SERVER *****", False),
        ("root", "WARNING", b"They wrote ***** STARTING SERVER *****", False),
    ],
)
def test_start(logger: str, level: str, message: bytes, expected: bool) -> None:
    assert is_start(record(message, logger, level)) is expected


@pytest.mark.parametrize(
    ("one", "other", "prefix", "pid"),
    [
        (b"", b"", "", None),
        (b"synapse-1  | ", b"synapse-1  | ", "synapse-1 |", None),
        (
            b"synapse-1  | 2026-11-29T10:00:00.123456789Z ",
            b"synapse-1  | 2026-11-29T10:00:01.2Z ",
            "synapse-1 |",
            None,
        ),
        (b"2026-11-29T10:00:00.123456789Z ", b"2026-11-29T10:00:00.5+01:00 ", "", None),
        (b"2026-11-29T10:00:00.1Z stdout F ", b"2026-11-29T10:00:00.1Z stderr P ", "", None),
        (b"Nov 29 10:00:00 host matrix[12]: ", b"Nov  3 10:00:01 host matrix[12]: ", "host matrix[12]:", 12),
        (b"Nov 29 10:00:00.123456 host python: ", b"Nov 29 10:00:00.9 host python: ", "host python:", None),
        (b"<30>Nov 29 10:00:00 host m[7]: ", b"<28>Nov 29 11:00:00 host m[7]: ", "host m[7]:", 7),
        (
            b"2026-11-29T10:00:00+0100 host m[7]: ",
            b"2026-11-29T10:00:00,123 host m[7]: ",
            "host m[7]:",
            7,
        ),
        (b"1795392006.154321 host m[7]: ", b"1795392007.1 host m[7]: ", "host m[7]:", 7),
        (
            b"Sun 2026-11-29 10:00:00 UTC host m[7]: ",
            b"Mon 2026-11-30 10:00:00 CEST host m[7]: ",
            "host m[7]:",
            7,
        ),
        (b"\x1b[36msynapse-1  |\x1b[0m ", b"\x1b[36;1msynapse-1  |\x1b[0m ", "synapse-1 |", None),
    ],
)
def test_times_do_not_tell_processes_apart(one: bytes, other: bytes, prefix: str, pid: int | None) -> None:
    assert origin_of("/log", one) == Origin("/log", prefix, pid)
    assert origin_of("/log", other) == Origin("/log", prefix, pid)


def test_containers_and_processes_are_told_apart() -> None:
    assert origin_of("/log", b"synapse-1  | ") != origin_of("/log", b"synapse-2  | ")
    assert origin_of("/log", b"Nov 29 10:00:00 h m[1]: ") != origin_of("/log", b"Nov 29 10:00:00 h m[2]: ")


def test_gathered_lines() -> None:
    gathering = Gathering(record(b"failed", "synapse.http.server", "ERROR"), ORIGIN, b"head failed\r", "/log.1")
    gathering.add(b"Traceback:")
    gathering.add(b"")
    tagged = gathering.tagged()
    assert tagged.lines == (b"head failed", b"Traceback:", b"")
    assert (tagged.time, tagged.access, tagged.omitted, tagged.file, tagged.origin) == (1.5, None, 0, "/log.1", ORIGIN)


def test_too_many_lines_are_counted() -> None:
    gathering = Gathering(record(b"x", "a"), ORIGIN, b"first")
    for number in range(LINES + 4):
        gathering.add(b"%d" % number)
    tagged = gathering.tagged()
    assert (len(tagged.lines), tagged.lines[-1], tagged.omitted) == (LINES, b"%d" % (LINES - 2), 5)


def test_a_long_line_is_shortened() -> None:
    gathering = Gathering(record(b"x", "a"), ORIGIN, b"y" * (1 << 20))
    gathering.add(b"z" * ((1 << 20) + 1))
    whole, short = gathering.tagged().lines
    assert len(whole) == 1 << 20
    assert short == b"z" * (64 << 10) + b" [...] (%d more bytes are left out)" % ((1 << 20) + 1 - (64 << 10))


def test_lines_do_not_need_much_memory() -> None:
    gathering = Gathering(record(b"x", "a"), ORIGIN, b"first")
    for _number in range(50):
        gathering.add(b"y" * 500_000)
    tagged = gathering.tagged()
    assert len(tagged.lines) + tagged.omitted == 51
    assert 2_000_000 < tagged.cost < 5_000_000


def test_what_a_record_costs() -> None:
    plain = Gathering(record(b"x", "a"), ORIGIN, b"y" * 1000).tagged()
    access = Gathering(record(PROCESSED), ORIGIN, b"y" * 1000).tagged()
    assert 1000 < plain.cost < access.cost < 10_000


def tagged(*lines: bytes) -> Tagged:
    return Tagged(ORIGIN, 1.5, None, lines, 2, "/log")


def test_collected_records() -> None:
    first, start, last = tagged(b"a"), Started(ORIGIN, 2.0), tagged(b"b" * 1000)
    collected = Collected(first.cost + start.cost + last.cost)
    for record in (first, start, last):
        collected.add(record)
    assert (collected.records, collected.omitted_lines, collected.room) == ([first, start, last], 0, 0)


def test_records_without_room_are_counted() -> None:
    collected = Collected(tagged(b"a").cost)
    for record in (tagged(b"a"), tagged(b"b", b"c"), Started(ORIGIN, 2.0), tagged()):
        collected.add(record)
    # Two lines, and twice the two that had been left out before.
    assert (collected.records, collected.omitted_lines) == ([tagged(b"a")], 6)


def test_collected_in_two_places() -> None:
    one, other = Collected(10_000), Collected(tagged(b"b").cost)
    one.add(tagged(b"a"))
    other.add(tagged(b"b"))
    other.add(tagged(b"c"))
    one.extend(other)
    assert (one.records, one.omitted_lines) == ([tagged(b"a"), tagged(b"b")], 3)


@pytest.mark.parametrize(
    ("request_of_record", "logger", "message", "belongs"),
    [
        ("PUT-37", "synapse.federation.federation_server", b"Handling", True),
        ("PUT-37-$abc_-12", "synapse.federation.federation_server", b"Handling", True),
        ("PUT-37-!room", "synapse.federation.federation_server", b"Handling", True),
        ("PUT-37-!room-$abc", "", b"Handling", True),
        ("PUT-370-$abc", "synapse.federation.federation_server", b"Handling", False),
        ("PUT-37-5", "synapse.http.server", b"A client has used the method PUT-37", False),
        ("PUT-37-$x-5", "synapse.access.http.8008", b"anything", False),
        ("PUT-37-$x-5", "", b"192.0.2.9 - 8008 - Received request: PUT-37-$x /", False),
        ("PUT-37-", "synapse.federation.federation_server", b"Handling", False),
    ],
)
def test_what_is_done_for_an_event_of_the_request_belongs_to_it(
    request_of_record: str, logger: str, message: bytes, *, belongs: bool
) -> None:
    assert belongs_to(Record(None, logger, "INFO", request_of_record, message), "PUT-37") is belongs

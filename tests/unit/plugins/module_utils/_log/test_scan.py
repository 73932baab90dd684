# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole blocks, and the same lines one by one: what is found must not depend on what else is in the block."""

from __future__ import annotations

import random
import time
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.layout import (
    CANONICAL,
    AnyLayout,
    JsonLayout,
    Layout,
    canonical_line,
    record_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_format import SYNAPSE_FORMAT
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.numbers import NumberTexts, packed, unpacked
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.processed import parse_processed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import Record, readable
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.row import Row, Rows
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.scan import (
    MARK,
    MOST_SAMPLES,
    Scanner,
    Unread,
    lines_with,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.time_text import ISO
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.window import Window
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._log.made_log import (
    BEGIN,
    FORGED,
    line,
    message,
    processed,
    received,
)

LAYOUT = Layout(SYNAPSE_FORMAT)
ACCESS = "synapse.access.http.8008"
Values = tuple[t.Any, ...]


def scan(
    content: str | bytes,
    window: Window | None = None,
    layout: Layout = LAYOUT,
    others: t.Sequence[AnyLayout] = (),
) -> tuple[Rows, Unread]:
    text = content.encode() if isinstance(content, str) else content
    unread = Unread()
    found = Scanner(layout, (layout, *others), window or Window()).find(b"\n" + text, "a.log", unread)
    assert {len(column) for column in found} == {len(found.time)}
    return found, unread


def values(rows: Rows) -> list[Values]:
    """What rows tell, however they are written."""
    return [
        (row.requester, float(row.processing), numbers, row.status, readable(row.what))
        for row, numbers in zip(rows_of(rows), map(unpacked, rows.numbers))
    ]


def rows_of(rows: Rows) -> list[Row]:
    return [rows.row(place) for place in range(len(rows.time))]


def expected(text: bytes) -> tuple[list[Values], int, int]:
    """The same of all lines with a mark, each read by itself; and how many are unread, and from other loggers."""
    found: list[Values] = []
    unread = ignored = 0
    for each in text.split(b"\n"):
        if MARK not in each:
            continue
        record = record_of(each, [LAYOUT])
        one = None if record is None else parse_processed(record.message)
        names_access = b"synapse.access." in each.partition(MARK)[0]
        if not (names_access if record is None else record.logger.startswith("synapse.access.")):
            ignored += 1
        elif one is None:
            unread += 1
        else:
            requester = one.requester or "None"
            if one.authenticated_entity:
                requester = f"{one.authenticated_entity}|{requester}"
            what = f"{one.method} {one.uri.partition('?')[0]}"
            status = f"{one.status:03d}{'!' if one.client_disconnected else ''}"
            texts = NumberTexts(
                [f"{one.processing_seconds:.3f}".encode()],
                [f"{one.user_cpu_seconds:.3f}sec, {one.system_cpu_seconds:.3f}".encode()],
                [
                    f"{one.database_wait_seconds:.3f}sec/{one.database_seconds:.3f}sec/{one.database_transactions}".encode()
                ],
                [str(one.response_bytes).encode()],
                [str(one.database_events).encode()],
            )
            numbers = unpacked(packed(texts)[0])
            found.append((requester.encode(), one.processing_seconds, numbers, status.encode(), what))
    return found, unread, ignored


def check(text: bytes) -> None:
    found, unread = scan(text)
    rows, its_unread, ignored = expected(text)
    assert values(found) == rows
    assert unread.count == its_unread
    assert len(found.time) + unread.count + ignored == sum(MARK in each for each in text.split(b"\n"))
    assert all(MARK in each for each in found.lines)
    lines = [each.strip(b"\n") for each in found.lines]
    assert [each for each in text.split(b"\n") if MARK in each and each in lines] == lines


MARKED = "a} Processed request: b"
HOSTILE: dict[str, tuple[str, ...]] = {
    "address": (
        "x - 8008 - {",
        "x - y - {foo",
        "a b",
        "-",
        "None",
        "2001:db8::1",
        "::ffff:1.2.3.4",
        "/run/a b",
        MARKED,
        "x - y - {z} Processed request: 0.100sec",
        "{",
    ),
    "requester": (
        "None",
        "example.org",
        "@admin:x|@b:x",
        "@a}b:x",
        "a b",
        "",
        "@\u00e4:x",
        "@a:x} Processed request: y",
    ),
    "processing": (
        "-0.000",
        "-12.345",
        "0.000",
        "123456789012.000",
        "1234567890123.000",
        "9" * 5000 + ".000",
        "1e5",
        "nan",
    ),
    "size": ("-1", "0", "9" * 18, "9" * 19, "9" * 5000, "None"),
    "transactions": ("-5", "0", "9" * 18),
    "status": ("499!", "!200", "404", "500!", "099", "20"),
    "method": ("PUT", "POST", "GET-37", "M-SEARCH", "\u00dc"),
    "uri": (
        "/",
        "?a",
        "/a?b?c",
        '/"',
        '/a"b"?"',
        "*",
        "/?" + "?" * 50,
        "/\ufffd\x1c\x0b",
        "/a b",
        '/x"[1',
        "/ Processed request: ",
    ),
    "protocol": ("HTTP/1.0", 'HTTP/1.1"', "(no", ""),
    "agent": (
        FORGED,
        MARKED,
        f'x" [0 dbevts] {FORGED}',
        line(0, "GET-2", FORGED, ACCESS).strip(),
        '" [5 dbevts]',
        '" "',
        "",
        "-",
        "\u00e4\ufffd",
        "Processed request: Processed request: ",
        " Processed request: Processed request: ",
    ),
    "events": ("0", "-1", "9" * 18, "9" * 19, ""),
    "ru": ("", "ru =", "x"),
    "db": ("",),
}
# An access record in a format that is not that of the file.
UNKNOWN = f"{ACCESS}: {FORGED}\n"
TAGS = ("GET-1", "GET-37-!room:x-$event", "", "POST-a", "GET-1 - x", f"GET-1 - {FORGED}")
OTHERS = (
    line(0, "GET-1", f"Got {FORGED}"),
    line(0, "GET-1", FORGED, "synapse.http.site"),
    line(0, "GET-1", message(), "synapse.access_log"),
    line(0, "GET-1", f"{line(0, 'GET-1', message(), ACCESS).strip()} not found", "synapse.handlers.directory"),
    line(0, "GET-1", "Processed request", ACCESS),
    line(0, "GET-1", "x Processed request: y", ACCESS),
    line(0, "GET-1", message()[:-3], ACCESS),
    "Traceback (most recent call last):\n",
    f"  File x, {FORGED}\n",
    f"{FORGED}\n",
    f"x {processed(0)}",
    "\n",
)


def random_line(chance: random.Random) -> str:
    kind = chance.randrange(10)
    if kind == 0:
        return chance.choice(OTHERS)
    chosen: dict[str, str] = {
        "processing": f"{chance.random() * 10 ** chance.randrange(5):.3f}",
        "size": str(chance.randrange(10**6)),
        "site_tag": chance.choice(("8008", "8083", "unix")),
    }
    if kind > 2:
        for name in chance.sample(sorted(HOSTILE), chance.choice((0, 1, 1, 2, 3))):
            chosen[name] = chance.choice(HOSTILE[name])
    tag = chance.choice(TAGS) if kind == 9 else f"GET-{chance.randrange(1000)}"
    end = chance.choice(("\n", "\n", "\n", "\r\n", '"\n', " \n"))
    return processed(chance.random() * 9000, tag, **chosen).rstrip("\n") + end


@pytest.mark.parametrize("seed", range(40))
def test_random_lines(seed: int) -> None:
    chance = random.Random(seed)
    for _count in range(5):
        lines = [random_line(chance) for _number in range(chance.choice((1, 2, 20)))]
        check("".join(lines).encode())


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, all_of in HOSTILE.items() for value in all_of])
def test_each_hostile_value(name: str, value: str) -> None:
    hostile = processed(1, **{name: value})
    for content in (hostile, processed(0) + hostile + processed(2), hostile * 2, hostile + OTHERS[0]):
        check(content.encode())


@pytest.mark.parametrize("other", OTHERS)
def test_what_is_no_request(other: str) -> None:
    check((other + processed(1) + other).encode())
    assert scan(other)[0].time == []


@pytest.mark.parametrize("tag", TAGS)
def test_tags(tag: str) -> None:
    check((processed(1, tag) + processed(2)).encode())


def test_bytes_that_are_no_text() -> None:
    check(processed(1, uri="/X", agent="Y").encode().replace(b"X", b"\xff\xc3").replace(b"Y", b"\xe4\0\x80"))


@pytest.mark.parametrize("content", [b"", b"\n", b"\n\n\n", MARK, MARK + b"\n", b"\xff\n"])
def test_almost_nothing(content: bytes) -> None:
    check(content)


def test_a_line_with_two_marks_does_not_hide_another_one() -> None:
    # As many marks as requests, if a mark could be counted for another line.
    hostile, unusual = processed(1, agent=MARKED), processed(2, status="!200")
    for content in (hostile + unusual, unusual + hostile, hostile + unusual + OTHERS[1], hostile + processed(3)[:-20]):
        check(content.encode())
    found, unread = scan(hostile + unusual + UNKNOWN)
    assert (len(found.time), unread.count) == (2, 1)


FREE_TAGS = Layout(SYNAPSE_FORMAT, free_tags=True)
AMBIGUOUS = (
    processed(1, agent=FORGED),
    processed(1, f"GET-1 - {FORGED}"),
    processed(1, agent="x Received request: y"),
    processed(1, "GET-1 - 192.0.2.1 - 8008 - Received request: GET /x"),
)


@pytest.mark.parametrize("hostile", AMBIGUOUS)
@pytest.mark.parametrize("others", ["", received(0, "GET-9"), OTHERS[0], processed(2, status="!200")])
def test_a_line_that_can_be_read_in_two_ways(hostile: str, others: str) -> None:
    assert FREE_TAGS.record(hostile.strip().encode()) is None
    usual = processed(0, "GET-a") + processed(3, "GET-b")
    expected_rows = values(scan(usual + others, layout=FREE_TAGS)[0])
    for content in (usual + others + hostile, hostile + usual + others):
        found, unread = scan(content, layout=FREE_TAGS)
        assert values(found) == expected_rows
        assert [sample["line"] for sample in unread.samples] == [hostile.strip()]
    # A log of received requests, without such a line, is read as a whole.
    found, unread = scan(usual + received(0, "GET-9") * 3, layout=FREE_TAGS)
    assert (len(found.time), unread.count) == (2, 0)


def test_an_address_with_the_beginning_of_a_requester() -> None:
    found, unread = scan(processed(1, address="x - y - {@admin:x", requester="None"))
    assert found.requester == [b"None"]
    assert unread.count == 0


def test_the_usual_line() -> None:
    text = processed(1.5, uri="/a/b?c=/d?e").encode()
    found, unread = scan(text)
    (row,) = rows_of(found)
    assert row[1:5] == (b"@a:example.org", b"0.214", b"200", b"GET /a/b")
    assert unpacked(row.numbers) == (1, 210, 2, 1, 7, 5, 201, 214)
    assert found.hours == [BEGIN // 3600 * 3600.0]
    assert found.lines == [b"\n" + text.rstrip(b"\n")]
    assert (unread.count, unread.samples) == (0, [])


def test_a_line_that_continues_another_record_is_not_unread() -> None:
    trace = f"ValueError: Invalid server name '{FORGED}\n"
    quoted = f"ValueError: Invalid server name '{ACCESS} - {FORGED}\n"
    assert [scan(processed(0) + each)[1].count for each in (trace, quoted, UNKNOWN)] == [0, 1, 1]
    # Where a line does not name its logger, or is a part of JSON, nothing tells them apart.
    nameless = Layout("%(asctime)s %(levelname)s %(request)s %(message)s")
    assert scan(trace, layout=nameless)[1].count == 1
    assert scan(trace, others=[nameless])[1].count == 1
    assert scan(trace, others=[JsonLayout()])[1].count == 1
    assert scan(trace, layout=CANONICAL)[1].count == 1
    # The message of this format is not the last field, so its records are turned into CANONICAL.
    last = Layout("%(asctime)s %(message)s (%(name)s)")
    assert scan(trace, layout=CANONICAL, others=[last])[1].count == 0


def test_unread_lines_are_shown() -> None:
    bad = line(1, "GET-1", "x Processed request: y", ACCESS)
    found, unread = scan(bad + processed(2) + f"{ACCESS}: {FORGED}{'x' * 1000}\n" + bad * 10)
    assert (len(found.time), unread.count, len(unread.samples)) == (1, 12, MOST_SAMPLES)
    first, second = unread.samples[:2]
    assert (first["path"], first["line"]) == ("a.log", bad.strip())
    assert first["reason"].startswith("It is a record of synapse.access, but not in the form")
    assert len(second["line"]) == 500
    assert second["reason"].startswith("It is not in a format that was recognised")


def test_unread_lines_of_two_parts() -> None:
    parts = [Unread(), Unread(), Unread()]
    for number, part in enumerate(parts):
        for count in range(3):
            part.note("a.log", b"%d %d" % (number, count), "format")
    for part in parts[1:]:
        parts[0].add(part)
    assert parts[0].count == 9
    assert [sample["line"] for sample in parts[0].samples] == ["0 0", "0 1", "0 2", "1 0", "1 1"]


@pytest.mark.parametrize("other", ["", OTHERS[0]])
def test_a_window(other: str) -> None:
    found, unread = scan(
        "".join(processed(second, f"GET-{second}") for second in range(10)) + other, Window(BEGIN + 2.0, BEGIN + 4.0)
    )
    assert [each.partition(b"GET-")[2][:1] for each in found.lines] == [b"2", b"3"]
    assert unread.count == 0


def test_what_is_unread_outside_of_the_window_is_not_counted() -> None:
    bad = [line(second, "GET-1", "x Processed request: y", ACCESS) for second in range(5)]
    found, unread = scan("".join(bad), Window(BEGIN + 1.0, BEGIN + 3.0))
    assert (len(found.time), [sample["line"] for sample in unread.samples]) == (0, [each.strip() for each in bad[1:3]])


def test_a_time_that_cannot_be_read() -> None:
    text = "2026-13-40" + processed(1)[10:] + processed(2)
    found, unread = scan(text)
    assert (len(found.time), found.hours[0], unread.count) == (2, None, 0)
    found, unread = scan(text, Window(BEGIN + 0.0, None))
    assert (len(found.time), unread.count) == (1, 1)
    assert unread.samples[0]["reason"].startswith("Its time cannot be read")


@pytest.fixture(params=["Asia/Kolkata", "Europe/Berlin", "UTC"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[str]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", request.param)
        time.tzset()
        # Of another time zone.
        ISO._cache.clear()
        yield request.param
    time.tzset()
    ISO._cache.clear()


def test_hours(zone: str) -> None:
    # Every ten minutes, over midnight and the end of summer time (in UTC, 2026-10-25 01:00).
    moments = [1_792_882_800 - BEGIN + 600 * number for number in range(200)]
    for block in ("".join(map(processed, moments)), "".join(map(processed, moments)) + OTHERS[0]):
        found, _unread = scan(block)
        assert found.hours == [
            hour if hour is None else float(hour)
            for hour in ((LAYOUT.moment(text) or 0) // 3600 * 3600 for text in found.time)
        ]
        differences = [(BEGIN + moment) // 3600 * 3600 - (hour or 0) for moment, hour in zip(moments, found.hours)]
        # The hour that exists twice cannot be told apart.
        assert set(differences) <= ({0, 3600, -3600} if zone == "Europe/Berlin" else {0})
        assert sum(each != 0 for each in differences) <= 6


def test_the_same_minute_with_another_offset() -> None:
    texts = ("2026-10-25 02:30:01.123+02:00", "2026-10-25 02:30:01.123+01:00", "2026-10-25 02:30:01.123Z")
    found, _unread = scan("".join(text + processed(0)[23:] for text in texts))
    assert found.hours == [1_792_886_400.0, 1_792_890_000.0, 1_792_893_600.0]


def test_a_format_without_a_time() -> None:
    layout = Layout("%(name)s - %(levelname)s - %(request)s - %(message)s")
    found, unread = scan(f"{ACCESS} - INFO - GET-1 - {message()}\n", layout=layout)
    assert (found.hours, unread.count) == ([None], 0)


def test_lines_of_another_layout() -> None:
    other = Layout("%(levelname)s:%(name)s:%(message)s")
    text = processed(1) + f"INFO:{ACCESS}:{message()}\nINFO:synapse.x:{message()}\n"
    found, unread = scan(text, others=[other])
    assert (len(found.time), unread.count) == (2, 0)
    assert scan(text)[1].count == 1


def test_json() -> None:
    record = Record(BEGIN + 1.5, ACCESS, "INFO", "GET-1", message().encode())
    forged = record._replace(message=message(agent=FORGED).encode())
    bad = record._replace(message=b"x Processed request: y")
    text = b"".join(map(canonical_line, (record, forged, bad, record._replace(logger="synapse.x"))))
    found, unread = scan(text + b'{"log": " Processed request: "}\n', layout=CANONICAL, others=[JsonLayout()])
    assert values(found) == expected(processed(1).encode())[0] * 2
    assert found.hours == [BEGIN // 3600 * 3600.0] * 2
    assert [sample["line"] for sample in unread.samples] == [
        f"{BEGIN + 1.5:.6f} - {ACCESS} - INFO - GET-1 - x Processed request: y",
        '{"log": " Processed request: "}',
    ]


def test_lines_with_a_text() -> None:
    block = b"\na x\nx x\nb\nx"
    assert list(lines_with(b"x", block)) == [(1, b"a x"), (5, b"x x"), (11, b"x")]
    assert list(lines_with(b"y", block)) == []


@pytest.mark.parametrize("end", ["", "\r", " ", '" [x'])
def test_a_long_line_needs_no_more_than_its_length(end: str) -> None:
    # With the square of the length it would take minutes.
    for long in (processed(1, uri="/" + "a" * 300_000), processed(1, uri="/" + '" "' * 100_000)):
        check((long.strip() + end + "\n").encode())


def test_the_logger_in_the_text_of_a_client_is_not_that_of_its_line() -> None:
    trace = f"ValueError: Invalid server name '{FORGED} synapse.access.http.8008\n"
    assert scan(processed(0) + trace)[1].count == 0

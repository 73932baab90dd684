# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.journal_entry import (
    FIELDS,
    Entry,
    EntryReader,
    record_of_entry,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.layout import JsonLayout, Layout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import Record

UNIT = "matrix-synapse.service"
MOMENT = 1_700_000_000.25
PRECISE = Layout("%(asctime)s - %(name)s - %(lineno)d - %(levelname)s - %(request)s - %(message)s")
OF_JOURNAL = Layout("%(name)s: [%(request)s] %(message)s")
PROCESSED = (
    "::1 - 8008 - {None} Processed request: 0.001sec/0.000sec ru=(0.001sec, 0.000sec) db=(0.000sec/0.000sec/0) 2B 200"
    ' "GET /x HTTP/1.1" "curl" [0 dbevts]'
)


def line(message: t.Any = "text", **fields: t.Any) -> str:
    """A line of journalctl --output json."""
    entry = {"__REALTIME_TIMESTAMP": "1700000000250000", "_PID": "12", "_SYSTEMD_UNIT": UNIT, "PRIORITY": "6"}
    entry.update(MESSAGE=message, SYSLOG_IDENTIFIER="python", __CURSOR="s=1", _BOOT_ID="b", **fields)
    return json.dumps(entry) + "\n"


def part(message: str, ended_by: str | None = None, stream: str = "one", **fields: t.Any) -> str:
    """A line of standard output, which ended in a special way."""
    return line(
        message, _STREAM_ID=stream, _TRANSPORT="stdout", **({"_LINE_BREAK": ended_by} if ended_by else {}), **fields
    )


def read(*lines: str) -> list[Entry]:
    reader = EntryReader(lambda unit: unit == UNIT)
    return [entry for each in lines for entry in reader.read(each)] + list(reader.rest())


def messages(*lines: str) -> list[bytes]:
    return [entry.message for entry in read(*lines)]


def test_an_entry() -> None:
    assert read(line("Hello")) == [Entry(MOMENT, 12, UNIT, "python", b"Hello")]


def test_an_entry_of_a_handler_for_the_journal() -> None:
    python_systemd = line("x", LOGGER="synapse.access.http.8008", PRIORITY="7")
    cysystemd = line("x", LOGGER_NAME="synapse.a", PRIORITY="4", REQUEST="GET-37")
    newer = line("x", LOGGER_NAME="synapse.a", PRIORITY="2", EXTRA_REQUEST="GET-38")
    found = read(python_systemd, cysystemd, newer)
    assert [(entry.logger, entry.level, entry.request) for entry in found] == [
        ("synapse.access.http.8008", "DEBUG", ""),
        ("synapse.a", "WARNING", "GET-37"),
        ("synapse.a", "CRITICAL", "GET-38"),
    ]


@pytest.mark.parametrize(
    ("priority", "level"),
    [("0", "CRITICAL"), ("1", "CRITICAL"), ("3", "ERROR"), ("5", "INFO"), ("6", "INFO"), (None, ""), ("", "")],
)
def test_priorities_and_levels(priority: str | None, level: str) -> None:
    assert read(line(LOGGER="a", PRIORITY=priority))[0].level == level
    # journald sets the priority of standard output, whatever the level is.
    assert read(line(PRIORITY=priority))[0].level == ""


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ([104, 105, 255, 0], b"hi\xff\0"),
        (["first", "second"], b"first"),
        ([[104, 105], "second"], b"hi"),
        (None, b""),
        ([], b""),
        ("", b""),
        ("a\nb\x0b\u2028c\ufffd", "a\nb\x0b\u2028c\ufffd".encode()),
        ("\ud800", b"\\ud800"),
    ],
)
def test_messages_of_every_kind(message: t.Any, found: bytes) -> None:
    assert messages(line(message)) == [found]


def test_a_message_that_is_missing() -> None:
    assert read(line().replace("MESSAGE", "OTHER"))[0].message == b""
    assert read(line(_PID=None))[0].pid is None


@pytest.mark.parametrize(
    ("fields", "unit"),
    [
        ({"_SYSTEMD_UNIT": "init.scope", "UNIT": UNIT}, UNIT),
        ({"_SYSTEMD_UNIT": "systemd-journald.service", "OBJECT_SYSTEMD_UNIT": UNIT}, UNIT),
        ({"_SYSTEMD_UNIT": "other.service", "UNIT": "another.service"}, "other.service"),
        ({"_SYSTEMD_UNIT": None}, ""),
    ],
)
def test_the_unit_that_an_entry_belongs_to(fields: dict[str, t.Any], unit: str) -> None:
    assert read(line(**fields))[0].unit == unit


def test_entries_that_journald_discarded() -> None:
    assert read(line(N_DROPPED="42", _TRANSPORT="driver"))[0].dropped == 42
    # Synapse cannot write such an entry.
    assert read(line(N_DROPPED="42", _TRANSPORT="journal"))[0].dropped == 0


@pytest.mark.parametrize("comment", ["", "\n", "-- No entries --\n", "-- Boot 3 --\n"])
def test_lines_without_an_entry(comment: str) -> None:
    assert read(comment) == []


@pytest.mark.parametrize(
    "wrong",
    [
        "Nov 20 10:00:00 host python[12]: text\n",
        "[1]\n",
        "3\n",
        "{}\n",
        '{"__REALTIME_TIMESTAMP": "x"}\n',
        '{"__REALTIME_TIMESTAMP": null}\n',
        '{"__REALTIME_TIMESTAMP": "1"',
        line([1, 300]),
        line({"a": 1}),
        "[" * 100_000 + "\n",
    ],
)
def test_another_format(wrong: str) -> None:
    with pytest.raises(SynapseError, match="^journalctl printed something that is not an entry of the journal in JSON"):
        read(wrong)


def test_a_line_that_journald_divided_is_joined() -> None:
    assert messages(part("a", "nul"), part("b", "line-max"), part("c"), part("d")) == [b"a\0bc", b"d"]
    assert messages(part("a", "eof"), part("b", "pid-change"), part("c")) == [b"a", b"b", b"c"]
    assert messages(part("a", "nul")) == [b"a"]


def test_divided_lines_of_several_streams() -> None:
    mixed = [part("a", "nul"), part("x", stream="two"), part("b", "nul", "three"), part("c", stream="three"), part("d")]
    assert messages(*mixed) == [b"x", b"b\0c", b"a\0d"]


def test_lines_that_a_container_engine_divided() -> None:
    first = line("a", CONTAINER_PARTIAL_MESSAGE="true", CONTAINER_PARTIAL_ID="1")
    last = line("b", CONTAINER_PARTIAL_ID="1")
    assert messages(first, line("between"), last) == [b"between", b"ab"]


def test_divided_lines_need_a_bounded_memory() -> None:
    endless = [part("x" * 100_000, "line-max")] * 30
    assert [len(message) for message in messages(*endless)] == [1024 * 1024]
    many = [part(str(number), "nul", str(number)) for number in range(200)]
    reader = EntryReader(lambda unit: True)
    assert len([entry for each in many for entry in reader.read(each)]) == 200 - 64
    assert len(list(reader.rest())) == 64


def test_a_client_cannot_forge_a_request_with_a_nul() -> None:
    forged = f"2026-05-20 11:01:31,265 - synapse.access.http.8008 - 1 - INFO - GET-1 - {PROCESSED}"
    name = part("2026-05-20 11:01:31,265 - synapse.handlers - 1 - INFO - PUT-2 - Name is now x", "nul")
    records = [record_of_entry(entry, [PRECISE]) for entry in read(name, part(forged))]
    assert [record.logger for record in records if record] == ["synapse.handlers"]


def entry(message: str, **more: t.Any) -> Entry:
    return Entry(MOMENT, 12, UNIT, "python", message.encode(), **more)


def test_the_record_in_a_line_of_standard_error() -> None:
    text = f"2026-05-20 11:01:31,265 - synapse.access.http.8008 - 643 - INFO - GET-37 - {PROCESSED}"
    record = record_of_entry(entry(text), [PRECISE])
    assert record is not None
    assert record[1:5] == ("synapse.access.http.8008", "INFO", "GET-37", PROCESSED.encode())
    # The time of the line counts.
    assert record.time == PRECISE.moment(b"2026-05-20 11:01:31,265") != MOMENT
    assert record_of_entry(entry('  File "x.py", line 3'), [PRECISE]) is None


def test_the_time_of_the_entry() -> None:
    record = record_of_entry(entry(f"synapse.access.http.8080: [POST-1] {PROCESSED}"), [PRECISE, OF_JOURNAL])
    assert record == Record(MOMENT, "synapse.access.http.8080", "", "POST-1", PROCESSED.encode())


def test_a_record_in_json() -> None:
    text = json.dumps({"log": PROCESSED, "namespace": "synapse.access.http.1", "level": "INFO", "request": "GET-1"})
    record = record_of_entry(entry(text), [JsonLayout()])
    assert record is not None
    assert (record.logger, record.request, record.message) == ("synapse.access.http.1", "GET-1", PROCESSED.encode())


def test_the_handler_for_the_journal_without_a_formatter() -> None:
    found = entry(PROCESSED, logger="synapse.access.http.1", level="INFO", request="GET-3")
    assert record_of_entry(found, ()) == Record(MOMENT, "synapse.access.http.1", "INFO", "GET-3", PROCESSED.encode())
    traceback = entry("Failed\nTraceback\n  x", logger="synapse.a", level="ERROR")
    assert record_of_entry(traceback, ()) == Record(MOMENT, "synapse.a", "ERROR", "", b"Failed\nTraceback\n  x")


def test_the_handler_for_the_journal_with_a_formatter() -> None:
    text = f"synapse.access.http.1: [GET-3] {PROCESSED}"
    found = entry(text, logger="synapse.access.http.1", level="INFO")
    assert record_of_entry(found, [OF_JOURNAL]) == Record(
        MOMENT, "synapse.access.http.1", "INFO", "GET-3", PROCESSED.encode()
    )


def test_a_message_cannot_forge_the_logger() -> None:
    text = f"synapse.access.http.1: [GET-3] {PROCESSED}"
    record = record_of_entry(entry(text, logger="synapse.handlers"), [OF_JOURNAL])
    assert record == Record(MOMENT, "synapse.handlers", "", "", text.encode())


def test_a_request_has_one_line() -> None:
    text = f"synapse.access.http.1: [GET-3] {PROCESSED}"
    assert record_of_entry(entry(f"{text}\nmore"), [OF_JOURNAL]) is None
    assert record_of_entry(entry(f"{PROCESSED}\n", logger="synapse.access.http.1"), ()) is None
    record = record_of_entry(entry(f"synapse.handlers: [] x\n{text}"), [OF_JOURNAL])
    assert record is not None
    assert (record.logger, record.message) == ("synapse.handlers", f"x\n{text}".encode())


def test_only_fields_are_read_that_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Recorded(dict[str, t.Any]):
        def get(self, key: t.Any, default: t.Any = None) -> t.Any:
            asked.add(key)
            return super().get(key, default)

    asked: set[str] = set()
    found = Recorded(json.loads(line(LOGGER="x")))
    monkeypatch.setattr(json, "loads", lambda _text: found)
    assert len(read("{}")) == 1
    assert {"MESSAGE", "REQUEST", "_LINE_BREAK"} < asked < set(FIELDS)

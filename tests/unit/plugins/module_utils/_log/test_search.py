# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Search for the records of one request in a part of a file."""

from __future__ import annotations

import datetime
import gzip
import json
import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log import search as search_module
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.container_layout import ContainerLayout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.layout import AnyLayout, JsonLayout, Layout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_file import LogFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_format import SYNAPSE_FORMAT
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.parts import Part
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.prefix import Prefix
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.processed import Processed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.search import search
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.tagged import Collected, Started, Tagged
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.window import Window

PLAIN = Layout(SYNAPSE_FORMAT)
BEGIN = 1_795_000_000
ALWAYS = Window()
ROOM = 1 << 20
START = "***** STARTING SERVER *****"


def line(tag: str, message: str, logger: str = "synapse.http.server", level: str = "INFO", second: int = 0) -> bytes:
    moment = datetime.datetime.fromtimestamp(BEGIN + second).strftime("%Y-%m-%d %H:%M:%S,000")
    return f"{moment} - {logger} - 12 - {level} - {tag} - {message}\n".encode()


def processed(tag: str, uri: str = "/_matrix/client/v3/sync", agent: str = "curl", second: int = 0) -> bytes:
    return line(
        tag,
        "192.0.2.9 - 8008 - {@a:example.org} Processed request: 0.214sec/0.000sec ru=(0.207sec, 0.000sec)"
        f' db=(0.001sec/0.001sec/7) 201B 200 "GET {uri} HTTP/1.1" "{agent}" [0 dbevts]',
        "synapse.access.http.8008",
        second=second,
    )


def log_file(directory: Path, content: bytes, *layouts: AnyLayout) -> LogFile:
    path = directory / "homeserver.log"
    path.write_bytes(content)
    file = LogFile(str(path), os.stat(path))
    file.layouts = layouts or (PLAIN,)
    file.first, file.last = float(BEGIN), float(BEGIN + 1000)
    return file


def found(file: LogFile, tag: str = "GET-37", window: Window = ALWAYS, room: int = ROOM) -> Collected:
    return search(Part(file, 0, file.end), tag, window, room)


def lines_of(collected: Collected) -> list[bytes]:
    return [text for record in collected.records if isinstance(record, Tagged) for text in record.lines]


@pytest.mark.parametrize(
    "other",
    [
        processed("GET-370"),
        processed("GET-3"),
        processed("XGET-37"),
        processed("GET-37-5"),
        processed("X-GET-37"),
        processed("get-37"),
        processed("GET-38", uri="/GET-37"),
        processed("GET-38", uri="/x?a=-GET-37-"),
        processed("GET-38", agent="GET-37"),
        processed("GET-38", agent=" - GET-37 - "),
        processed("GET-38", agent=processed("GET-37").decode().strip()),
        line("GET-38", "GET-37"),
        line("GET-38", " - GET-37 - [TXN END]"),
        line("GET-38", processed("GET-37").decode().strip()),
        line("GET-38", "failed") + b"Traceback - GET-37 - \n",
        line("GET-38", START, "synapse.handlers.room", "WARNING"),
        line("GET-38", f"x {START}", "root", "WARNING"),
    ],
)
def test_other_records(tmp_path: Path, other: bytes) -> None:
    assert found(log_file(tmp_path, other + processed("GET-38"))).records == []
    # It does not hide the genuine one either.
    mine = processed("GET-37")
    assert lines_of(found(log_file(tmp_path, other + mine + other))) == [mine[:-1]]


def test_a_line_that_is_no_record(tmp_path: Path) -> None:
    content = b"no time - synapse - 12 - INFO - GET-37 - text\n"
    assert found(log_file(tmp_path, content + line("GET-38", "a") + content)).records == []


def test_each_record_of_the_request(tmp_path: Path) -> None:
    mine = [
        line("GET-37", "a"),
        line("GET-37", "b GET-37 - GET-37 "),
        processed("GET-37"),
        line("GET-37", "in the end"),
    ]
    others = line("GET-370", "x") + line("main", "y")
    collected = found(log_file(tmp_path, others.join([b"", *mine, b""])))
    assert lines_of(collected) == [text[:-1] for text in mine]
    assert [type(t.cast(Tagged, each).access) for each in collected.records] == [
        type(None),
        type(None),
        Processed,
        type(None),
    ]
    assert {t.cast(Tagged, each).time for each in collected.records} == {float(BEGIN)}
    assert {t.cast(Tagged, each).file for each in collected.records} == {str(tmp_path / "homeserver.log")}
    assert {each.origin.source for each in collected.records} == {str(tmp_path / "homeserver.log")}


def test_starts_of_synapse(tmp_path: Path) -> None:
    content = line("sentinel", START, "root", "WARNING", 5) + line("main", START, "synapse.config.logger", "WARNING", 6)
    collected = found(log_file(tmp_path, content))
    assert [(type(each), each.time) for each in collected.records] == [(Started, BEGIN + 5.0), (Started, BEGIN + 6.0)]


TRACEBACK = b"Traceback (most recent call last):\n  File GET-37, line 1\n\nValueError: - GET-37 -\n"


@pytest.mark.parametrize("after", [b"", line("GET-38", "next"), processed("GET-37")])
def test_lines_that_continue_a_record(tmp_path: Path, after: bytes) -> None:
    content = line("GET-37", "failed") + TRACEBACK + after
    collected = found(log_file(tmp_path, line("GET-38", "before") + b"not mine\n" + content))
    expected = content if b"GET-38" not in after else content[: -len(after)]
    assert lines_of(collected) == expected.split(b"\n")[:-1]


@pytest.mark.parametrize("content", [processed("GET-37")[:-1], line("GET-37", "x") + b"end of a traceback"])
def test_a_file_without_a_line_feed_at_the_end(tmp_path: Path, content: bytes) -> None:
    assert lines_of(found(log_file(tmp_path, content))) == content.split(b"\n")


def test_carriage_returns(tmp_path: Path) -> None:
    content = (line("GET-37", "failed") + TRACEBACK + processed("GET-37")).replace(b"\n", b"\r\n")
    collected = found(log_file(tmp_path, content))
    assert lines_of(collected) == content.split(b"\r\n")[:-1]
    assert isinstance(t.cast(Tagged, collected.records[1]).access, Processed)


def test_line_separators_of_other_programs_do_not_end_a_line(tmp_path: Path) -> None:
    mine = line("GET-37", "a\x1cb\x0bc\x85d\u2028e\rf")
    assert lines_of(found(log_file(tmp_path, mine))) == [mine[:-1]]


SMALL = (
    line("GET-370", "x")
    + line("GET-37", "first")
    + b"continued\n"
    + line("main", START, "root", "WARNING")
    + processed("GET-37")
    + line("GET-38", "- GET-37 -")
    + line("GET-37", "failed")
    + TRACEBACK
    + line("GET-37", "last")
    + TRACEBACK[:-1]
)


@pytest.mark.parametrize("size", [1, 7, 60, 64, 100, 250, 1000])
def test_the_size_of_the_blocks_does_not_matter(tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    file = log_file(tmp_path, SMALL)
    expected = found(file).records
    monkeypatch.setattr(search_module, "_BLOCK", size)
    assert found(file).records == expected
    assert len(expected) == 5


def test_two_parts_are_the_whole(tmp_path: Path) -> None:
    file = log_file(tmp_path, SMALL)
    expected = found(file).records
    for middle in range(len(SMALL) + 1):
        parts = [Part(file, 0, middle), Part(file, middle, len(SMALL))]
        assert [each for part in parts for each in search(part, "GET-37", ALWAYS, ROOM).records] == expected, middle


def test_a_long_traceback_after_the_end_of_a_part(tmp_path: Path) -> None:
    content = line("GET-37", "failed") + b"".join(b"%d\n" % number for number in range(300_000)) + line("GET-38", "x")
    file = log_file(tmp_path, content)
    (record,) = search(Part(file, 0, 10), "GET-37", ALWAYS, ROOM * 10).records
    assert isinstance(record, Tagged)
    assert (len(record.lines), record.omitted) == (10_000, 290_001)


@pytest.mark.parametrize("length", [1 << 20, 20 << 20])
def test_a_very_long_line(tmp_path: Path, length: int) -> None:
    long = line("GET-38", "- GET-37 - " * (length // 11))
    content = long + processed("GET-37") + line("GET-37", "y" * length) + line("GET-38", "x") + line("GET-37", "end")
    first, second, third = lines_of(found(log_file(tmp_path, content), room=ROOM * 10))
    assert first == processed("GET-37")[:-1]
    assert second.startswith(line("GET-37", "yyyyyy")[:-1])
    assert len(second) < 100_000
    assert b" [...] (" in second
    assert third == line("GET-37", "end")[:-1]


def test_a_window(tmp_path: Path) -> None:
    content = b"".join(
        line("GET-37", f"at {second}", second=second) + b"continued %d\n" % second for second in range(5)
    )
    content = line("main", START, "root", "WARNING") + content
    collected = found(log_file(tmp_path, content), window=Window(BEGIN + 1.0, BEGIN + 3.0))
    assert [text.rpartition(b" ")[2] for text in lines_of(collected)] == [b"1", b"1", b"2", b"2"]
    # When the process started is known although it was before.
    assert isinstance(collected.records[0], Started)


def test_compressed(tmp_path: Path) -> None:
    file = log_file(tmp_path, gzip.compress(SMALL))
    file.compression = "gzip"
    assert lines_of(found(file)) == lines_of(found(log_file(tmp_path, SMALL)))


def json_line(tag: str, message: str, logger: str = "synapse.http.server", level: str = "INFO") -> bytes:
    event = {"log": message, "namespace": logger, "level": level, "time": BEGIN + 0.25, "request": tag}
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


@pytest.mark.parametrize("tag", ["GET-37", 'GET-a"b\\c', "GET-\u00fc"])
def test_json(tmp_path: Path, tag: str) -> None:
    mine = [json_line(tag, "failed\nTraceback"), json_line(tag, "x")]
    others = json_line(f"{tag}0", tag) + json_line("main", f'"request":"{tag}"') + json_line(f"X{tag}", "")
    content = others.join([b"", *mine]) + b"something without a format - %s -\n" % tag.encode() + others
    collected = found(log_file(tmp_path, content, JsonLayout()), tag)
    assert lines_of(collected) == [text[:-1] for text in mine]
    assert t.cast(Tagged, collected.records[0]).time == BEGIN + 0.25


def test_a_start_in_json(tmp_path: Path) -> None:
    content = json_line("main", START, "synapse.config.logger", "WARNING") + json_line("GET-37", START)
    assert [type(each) for each in found(log_file(tmp_path, content, JsonLayout())).records] == [Started, Tagged]


def stored(line_of_synapse: bytes) -> bytes:
    """A line as Docker stores it, whose JSON escapes more than it must."""
    event = {"log": line_of_synapse.decode(), "stream": "stdout", "time": "2026-11-29T10:00:00.5Z"}
    text = json.dumps(event, separators=(",", ":"))
    return text.replace("&", r"\u0026").replace("<", r"\u003c").encode() + b"\n"


@pytest.mark.parametrize("tag", ["GET-37", 'GET-a"b\\c&d', "GET-\u00fc", "GET-&37"])
def test_a_container(tmp_path: Path, tag: str) -> None:
    mine = [*line(tag, "failed").splitlines(True), *TRACEBACK.splitlines(True), line(tag, "x")]
    others = [line(f"{tag}0", tag), line("main", START, "root", "WARNING")]
    content = b"".join(map(stored, [*others, *mine, *others]))
    collected = found(log_file(tmp_path, content, ContainerLayout(PLAIN)), tag)
    assert lines_of(collected) == [text[:-1] for text in mine]
    assert [type(each) for each in collected.records] == [Started, Tagged, Tagged, Started]


@pytest.mark.parametrize("tag", ["GET-37", 'GET-a"b\\c&d', "GET-\u00fc"])
def test_json_of_a_container(tmp_path: Path, tag: str) -> None:
    mine = [json_line(tag, "failed"), json_line(tag, "x")]
    content = b"".join(
        map(stored, [json_line("main", tag), mine[0], b"something else\n", mine[1], json_line("main", "")])
    )
    collected = found(log_file(tmp_path, content, ContainerLayout(JsonLayout())), tag)
    assert lines_of(collected) == [text[:-1] for text in mine]


@pytest.mark.parametrize("tag", ["GET-37", 'GET-"37'])
def test_a_file_whose_format_has_changed(tmp_path: Path, tag: str) -> None:
    mine = [line(tag, "a"), json_line(tag, "b")]
    assert lines_of(found(log_file(tmp_path, b"".join(mine), PLAIN, JsonLayout()), tag)) == [each[:-1] for each in mine]


@pytest.mark.parametrize(
    ("text", "mine", "other"),
    [
        ("%(request)s %(message)s", b"GET-37 a\n", b"GET-37a b\n"),
        ("%(levelname)s [%(request)s] %(message)s", b"INFO [GET-37] a\n", b"INFO [GET-38] [GET-37] b\n"),
        ("%(levelname)s [%(request)10s] %(message)s", b"INFO [    GET-37] a\n", b"INFO [   GET-370] b\n"),
        ("%(levelname)s x%(request)s- %(message)s", b"INFO xGET-37- a\n", b"INFO xGET-370- b\n"),
    ],
)
def test_other_formats(tmp_path: Path, text: str, mine: bytes, other: bytes) -> None:
    collected = found(log_file(tmp_path, other + mine + other, Layout(text)))
    assert lines_of(collected) == [mine[:-1]]


def test_processes_of_one_file(tmp_path: Path) -> None:
    layout = Layout(SYNAPSE_FORMAT, prefix=Prefix(rb"[^ |\n]+ +\| "))
    content = b"one-1  | " + line("GET-37", "a") + b"two-1  | " + line("GET-37", "b")
    content += b"one-1  | " + line("main", START, "root", "WARNING")
    collected = found(log_file(tmp_path, content, layout))
    assert [each.origin.prefix for each in collected.records] == ["one-1 |", "two-1 |", "one-1 |"]


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    content = b"".join(line("GET-37", "x" * 1000) + b"continued\n" for each in range(20))
    collected = found(log_file(tmp_path, content), room=10_000)
    assert 4 < len(collected.records) < 10
    assert len(lines_of(collected)) + collected.omitted_lines == 40


def test_a_request_that_cannot_be_read_continues_no_other_one(tmp_path: Path) -> None:
    forged = processed("GET-7 - 6.6.6.6 - 8008 - {@admin:x} Processed request: 9.999sec/0.000sec")
    layout = Layout(SYNAPSE_FORMAT, free_tags=True)
    assert layout.record(forged[:-1]) is None
    file = log_file(tmp_path, processed("GET-37") + forged + b"  continued\n", layout)
    (found,) = search(Part(file, 0, file.size), "GET-37", ALWAYS, ROOM).records
    assert isinstance(found, Tagged)
    assert found.lines == (processed("GET-37")[:-1],)


@pytest.mark.parametrize("tag", ["GET-37 - x", "GET-evil - text about GET-37"])
def test_a_tag_with_a_separator(tag: str, tmp_path: Path) -> None:
    file = log_file(tmp_path, processed("GET-37") + processed(tag), Layout(SYNAPSE_FORMAT, free_tags=True))
    for wanted in ("GET-37", tag):
        (found,) = search(Part(file, 0, file.size), wanted, ALWAYS, ROOM).records
        assert isinstance(found, Tagged)
        assert found.lines == (processed(wanted)[:-1],)

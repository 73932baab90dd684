# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All lines of one request, in the files of a log and in the journal."""

from __future__ import annotations

import datetime
import gzip
import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log import parts
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log import request as request_module
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.files import open_files
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.journal_entry import Entry
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.layout import Layout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_format import SYNAPSE_FORMAT
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.occurrence import Occurrence
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.request import (
    MOST_OCCURRENCES,
    checked_tag,
    find_in_records,
    find_request,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.window import Window

BEGIN = 1_795_000_000
ALWAYS = Window()
START = "***** STARTING SERVER *****"


def line(second: float, tag: str, message: str, logger: str = "synapse.http.server", level: str = "INFO") -> str:
    moment = datetime.datetime.fromtimestamp(BEGIN + second)
    text = moment.strftime("%Y-%m-%d %H:%M:%S,") + f"{moment.microsecond // 1000:03d}"
    return f"{text} - {logger} - 12 - {level} - {tag} - {message}\n"


def processed(second: float, tag: str = "GET-37", seconds: float = 1.0, site_tag: str = "8008") -> str:
    message = (
        f"192.0.2.9 - {site_tag} - {{@a:example.org}} Processed request: {seconds:.3f}sec/0.000sec"
        " ru=(0.207sec, 0.000sec) db=(0.001sec/0.001sec/7) 201B 200"
        ' "GET /_matrix/client/v3/sync HTTP/1.1" "curl" [0 dbevts]'
    )
    return line(second, tag, message, f"synapse.access.http.{site_tag}")


def received(second: float, tag: str = "GET-37") -> str:
    message = "192.0.2.9 - 8008 - Received request: GET /_matrix/client/v3/sync"
    return line(second, tag, message, "synapse.access.http.8008", "DEBUG")


def start(second: float) -> str:
    return line(second, "main", START, "synapse.config.logger", "WARNING")


def others(second: float) -> str:
    return line(second, "GET-370", "GET-37") + processed(second, "GET-36") + line(second, "main", "GET-37")


def log(directory: Path, *parts: str, name: str = "homeserver.log") -> str:
    path = directory / name
    path.write_bytes("".join(parts).encode())
    return str(path)


def found(*paths: str, tag: str = "GET-37", window: Window = ALWAYS) -> list[Occurrence]:
    return find_request(tag, open_files(paths), window).occurrences


def lines_of(text: str) -> list[bytes]:
    return text.encode().split(b"\n")[:-1]


def test_one_request(tmp_path: Path) -> None:
    mine = received(1) + line(1.5, "GET-37", "failed") + "Traceback:\n  a\n" + processed(2) + line(9, "GET-37", "later")
    (each,) = found(log(tmp_path, others(0), mine, others(10)))
    assert each.lines == lines_of(mine)
    assert (each.first, each.last) == (BEGIN + 1.0, BEGIN + 9.0)
    assert (each.received is not None, each.processed is not None) == (True, True)


def test_no_request(tmp_path: Path) -> None:
    assert find_request("GET-37", open_files([log(tmp_path, others(0))]), ALWAYS) == ([], 0, 0)


def test_two_workers(tmp_path: Path) -> None:
    one = log(tmp_path, others(0), processed(3))
    two = log(tmp_path, others(0), line(1, "GET-37", "a"), processed(2, site_tag="8083"), name="worker1.log")
    first, second = found(one, two)
    assert first.process == {"source": two, "site_tag": "8083"}
    assert second.process == {"source": one, "site_tag": "8008"}


@pytest.mark.parametrize("marked", [True, False])
def test_two_restarts(tmp_path: Path, marked: bool) -> None:
    runs = [line(at + 2, "GET-37", f"in run {at}") + processed(at + 2.5) for at in (0, 100, 200)]
    starts = [start(at) if marked else "" for at in (0, 100, 200)]
    content = [part for each in zip(starts, runs) for part in each]
    result = found(log(tmp_path, others(0), *content))
    assert [each.lines for each in result] == [lines_of(run) for run in runs]
    assert [each.started for each in result] == ([BEGIN + 0.0, BEGIN + 100.0, BEGIN + 200.0] if marked else [None] * 3)


def test_a_restart_before_the_end(tmp_path: Path) -> None:
    content = [start(0), line(1, "GET-37", "a"), start(50), line(51, "GET-37", "b")]
    result = found(log(tmp_path, others(0), *content))
    assert [(each.started, each.lines) for each in result] == [
        (BEGIN + 0.0, lines_of(content[1])),
        (BEGIN + 50.0, lines_of(content[3])),
    ]


@pytest.mark.parametrize("compressed", [False, True])
def test_a_rotation_in_the_middle(tmp_path: Path, compressed: bool) -> None:
    before, after = received(5) + line(6, "GET-37", "a"), line(7, "GET-37", "b") + processed(8, seconds=3.0)
    new = log(tmp_path, after, others(9))
    old = log(tmp_path, start(0), others(1), before, name="homeserver.log.2026-11-18")
    if compressed:
        packed = tmp_path / "homeserver.log.1.gz"
        packed.write_bytes(gzip.compress(Path(old).read_bytes()))
        old = str(packed)
    (each,) = found(new, old)
    assert each.lines == lines_of(before + after)
    assert each.files == [old, new]
    assert (each.started, each.process["source"]) == (BEGIN, new)


def test_json(tmp_path: Path) -> None:
    def event(tag: str, message: str, logger: str = "synapse.http.server", level: str = "INFO") -> str:
        fields = {"log": message, "namespace": logger, "level": level, "time": BEGIN + 0.25, "request": tag}
        return json.dumps(fields, separators=(",", ":")) + "\n"

    message = processed(0).partition(" - GET-37 - ")[2].strip()
    mine = event("GET-37", "failed\nTraceback") + event("GET-37", message, "synapse.access.http.8008")
    content = event("main", START, "synapse.config.logger", "WARNING") + event("GET-370", "GET-37") + mine
    (each,) = found(log(tmp_path, content))
    assert each.lines == lines_of(mine)
    assert each.processed is not None
    assert (each.processed.status, each.started) == (200, BEGIN + 0.25)


def test_a_window(tmp_path: Path) -> None:
    mine = [line(second, "GET-37", "a") + "continued\n" for second in range(10)]
    (each,) = found(log(tmp_path, *mine), window=Window(BEGIN + 2.0, BEGIN + 4.0))
    assert each.lines == lines_of(mine[2] + mine[3])


def test_several_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1})
    runs = [
        line(at, "GET-37", "a") + "continued\n" * (at % 7) + processed(at + 1) + others(at + 2)
        for at in range(0, 400, 4)
    ]
    path = log(tmp_path, *runs)
    expected = found(path)
    assert len(expected) == 100
    monkeypatch.setattr(parts, "_WORTH_A_PROCESS", 10)
    monkeypatch.setattr(parts, "_LARGEST_PART", 3000)
    assert found(path) == expected


def test_many_requests(tmp_path: Path) -> None:
    runs = [line(at, "GET-37", "a") + processed(at + 1) for at in range(0, 4 * (MOST_OCCURRENCES + 2), 4)]
    result = find_request("GET-37", open_files([log(tmp_path, *runs)]), ALWAYS)
    assert len(result.occurrences) == MOST_OCCURRENCES
    assert (result.omitted_occurrences, result.omitted_lines) == (2, 4)
    assert result.occurrences[-1].lines == lines_of(runs[-1])


def test_memory_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_module, "_ROOM", 20_000)
    runs = [line(at, "GET-37", "a" * 1000) for at in range(100)]
    result = find_request("GET-37", open_files([log(tmp_path, *runs)]), ALWAYS)
    (each,) = result.occurrences
    assert 10 < len(each.lines) < 20
    assert len(each.lines) + result.omitted_lines == 100


@pytest.mark.parametrize(
    "tag",
    [
        "GET-37",
        "M-SEARCH-5",
        "GET-37-5",
        "POST-d290f1ee-6c54",
        "PUT-a b",
        "GET-\u00fc",
        "G!-0",
        "get-49",
        "--55",
        "GET-",
    ],
)
def test_tags(tag: str) -> None:
    assert checked_tag(tag) == tag


@pytest.mark.parametrize(
    "tag",
    [
        "",
        "37",
        "GET",
        "-37",
        "get",
        "GET 37",
        "GET-37\n",
        "GET-3\n7",
        " GET-37",
        "GET-37 ",
        "GET- ",
        "\u00dc-37",
    ],
)
def test_what_is_no_tag(tag: str) -> None:
    with pytest.raises(InvalidInput, match="is not the tag of a request: write it as in the log.*GET-37"):
        find_request(tag, [], ALWAYS)
    with pytest.raises(InvalidInput, match="is not the tag of a request"):
        find_in_records(tag, [], Window())


def test_a_format_without_the_tag(tmp_path: Path) -> None:
    path = log(tmp_path, processed(0).replace(" - GET-37", ""))
    files = open_files([path])
    files[0].layouts = (Layout("%(asctime)s - %(name)s - %(lineno)d - %(levelname)s - %(message)s"),)
    with pytest.raises(SynapseError, match=rf"in {path}, because .* add %\(request\)s to the format"):
        find_request("GET-37", files, ALWAYS)


def test_json_without_the_tag(tmp_path: Path) -> None:
    event = {"severity": "INFO", "message": '"request":', "logger": "synapse.app", "time": "2026-11-29T10:00:00.000Z"}
    path = log(tmp_path, json.dumps(event, separators=(",", ":")) + "\n")
    with pytest.raises(SynapseError, match=f"in {path}, because .* use TerseJsonFormatter instead"):
        find_request("GET-37", open_files([path]), ALWAYS)


def stored(text: str) -> str:
    return json.dumps({"log": text, "stream": "stdout", "time": "2026-11-29T10:00:00.5Z"}, separators=(",", ":")) + "\n"


def test_a_container(tmp_path: Path) -> None:
    mine = [line(1, "GET-37", "failed"), "Traceback:\n", processed(2)]
    (each,) = found(log(tmp_path, *map(stored, [start(0), processed(0, "GET-370"), *mine])))
    assert each.lines == lines_of("".join(mine))
    assert (each.started, each.processed is not None) == (BEGIN, True)


class TestJournal:
    layout: t.ClassVar = Layout(SYNAPSE_FORMAT)

    def records(self, *entries: tuple[str, int, str]) -> t.Iterator[tuple[Entry, t.Any]]:
        for number, (unit, pid, message) in enumerate(entries):
            entry = Entry(BEGIN + number, pid, unit, "synapse", message.rstrip("\n").encode())
            yield entry, self.layout.record(entry.message.partition(b"\n")[0])

    def test_processes(self) -> None:
        main, worker = "matrix-synapse.service", "worker@1.service"
        result = find_in_records(
            "GET-37",
            self.records(
                (main, 1, start(0)),
                (main, 1, line(1, "GET-37", "a")),
                (worker, 2, line(1, "GET-37", "v")),
                (main, 1, "Traceback:"),
                (worker, 3, "a traceback of another process"),
                (worker, 2, "  continued"),
                (main, 1, line(2, "GET-370", "GET-37")),
                (main, 1, "not mine"),
                (main, 1, processed(3)),
                (main, 4, start(5)),
                (main, 4, line(6, "GET-37", "x")),
            ),
            Window(),
        )
        assert [(each.process.get("pid"), each.started, len(each.lines)) for each in result.occurrences] == [
            (1, BEGIN, 3),
            (2, None, 2),
            (4, BEGIN + 5.0, 1),
        ]
        first = result.occurrences[0]
        assert (first.process["source"], first.lines[1], first.files) == (main, b"Traceback:", [])
        assert first.processed is not None

    def test_an_entry_with_several_lines(self) -> None:
        message = line(1, "GET-37", "a") + "Traceback:\n  b"
        (each,) = find_in_records("GET-37", self.records(("a.service", 1, message)), Window()).occurrences
        assert each.lines == message.encode().split(b"\n")

    def test_a_request_that_cannot_be_read_continues_no_other_one(self) -> None:
        strange = processed(2, "GET-7 - 6.6.6.6 - 8008 - {@admin:x} Processed request: 1.000sec")
        layout = Layout(SYNAPSE_FORMAT, free_tags=True)
        assert layout.record(strange.rstrip("\n").encode()) is None
        texts = [each.rstrip("\n").encode() for each in (processed(1), strange, "text")]
        records = [(Entry(BEGIN, 1, "a.service", "synapse", each), layout.record(each)) for each in texts]
        (occurrence,) = find_in_records("GET-37", records, Window()).occurrences
        assert occurrence.lines == texts[:1]

    def test_a_window(self) -> None:
        entries = [("a.service", 1, line(second, "GET-37", "a")) for second in range(5)]
        (each,) = find_in_records("GET-37", self.records(*entries), Window(BEGIN + 1.0, BEGIN + 3.0)).occurrences
        assert each.lines == [entry[2].rstrip("\n").encode() for entry in entries[1:3]]

    def test_memory_is_limited(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(request_module, "_ROOM", 20_000)
        entries = [("a.service", 1, line(second, "GET-37", "a" * 1000)) for second in range(100)]
        result = find_in_records("GET-37", self.records(*entries), Window())
        assert len(result.occurrences[0].lines) + result.omitted_lines == 100
        assert result.omitted_lines > 50

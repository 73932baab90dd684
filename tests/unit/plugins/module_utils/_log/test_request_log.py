# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log import counting
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log import request_log as request_log_module
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.dict_configuration import Level
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.files import open_files
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.journal_entry import Entry
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.journal_log import JournalLog
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_configuration import LogSinks
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_format import SYNAPSE_FORMAT, Format
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.request_log import Questions, RequestLog
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.sink import Sink
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.sources import Places, Sources
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.window import Window
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Work
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import Unknown
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._log.made_log import (
    BEGIN,
    FORGED,
    as_json,
    line,
    processed,
    received,
    write,
)

ALWAYS = Window()
UNIT = "synapse.service"
FAILED = line(
    5,
    "PUT-1",
    "authenticate_request failed: 401: Invalid signature for server b.c with key ed25519:a: Unable to verify",
    "synapse.federation.transport.server._base",
    "WARNING",
)


def questions(**asked: t.Any) -> Questions:
    nothing = Questions(
        None, summary=False, signature_failures=False, unfinished_after=None, most_slow=3, most_requesters=2
    )
    return nothing._replace(**asked)


def read(*paths: str, window: Window = ALWAYS, **asked: t.Any) -> dict[str, t.Any]:
    places: dict[str, t.Any] = dict.fromkeys(Places._fields)
    places.update(path=list(paths), config_path=["/nonexistent/a.yaml"])
    answers = RequestLog(Places(**places), window, 5).read(questions(**asked))
    json.dumps(answers, allow_nan=False)
    return answers


@pytest.fixture(autouse=True)
def in_flight(monkeypatch: pytest.MonkeyPatch) -> list[tuple[t.Any, ...]]:
    """The metrics of a process in place of those of this host. Returns how they were asked for."""
    asked: list[tuple[t.Any, ...]] = []

    def answer(*arguments: t.Any) -> tuple[list[dict[str, t.Any]], list[Unknown]]:
        asked.append(arguments)
        return [{"pid": 1, "method": "GET", "servlet": "A", "count": 2}], [Unknown("metrics", "No.", "Do.")]

    monkeypatch.setattr(request_log_module, "in_flight_requests", answer)
    return asked


def test_a_summary(tmp_path: Path) -> None:
    bad = line(8, "GET-1", "x Processed request: y", "synapse.access.http.8008")
    lines = [processed(number, f"GET-{number}", processing=f"{number}.000", agent=FORGED) for number in range(8)]
    path = write(tmp_path, "".join(lines) + bad)
    answers = read(path, summary=True)
    assert set(answers) == {"sources", "not_read", "summary", "unread", "unknown", "warnings"}
    assert answers["summary"]["count"] == 8
    assert [slow["request"] for slow in answers["summary"]["slowest"]] == ["GET-7", "GET-6", "GET-5"]
    assert answers["summary"]["slowest"][0]["user_agent"] == FORGED
    assert (answers["unread"]["count"], answers["unread"]["samples"][0]["line"]) == (1, bad.strip())
    assert (answers["unknown"], answers["warnings"]) == ([], [])
    (source,) = answers["sources"]
    assert source == {
        "path": path,
        "stream": path,
        "size": len("".join(lines) + bad),
        "formats": [SYNAPSE_FORMAT],
        "first": "2026-11-18T11:06:40Z",
        "first_ts": BEGIN * 1000,
        "last": "2026-11-18T11:06:48Z",
        "last_ts": (BEGIN + 8) * 1000,
    }


def test_a_summary_of_json(tmp_path: Path) -> None:
    path = write(tmp_path, as_json(processed(0, "GET-7", uri="/x?y")))
    (slow,) = read(path, summary=True)["summary"]["slowest"]
    assert (slow["request"], slow["uri"], slow["path"], slow["time_ts"]) == ("GET-7", "/x?y", path, BEGIN * 1000)


def test_a_file_that_was_renamed_while_it_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, processed(0, "GET-7"))
    original = counting.count_files

    def renamed(*arguments: t.Any) -> t.Any:
        Path(path).rename(f"{path}.1")
        counts = original(*arguments)
        # In another process, this one does not learn of it.
        arguments[0][0].path = path
        return counts

    monkeypatch.setattr(request_log_module, "count_files", renamed)
    (slow,) = read(path, summary=True)["summary"]["slowest"]
    assert (slow["request"], slow["path"]) == ("GET-7", f"{path}.1")


@pytest.mark.parametrize(("window", "within"), [(ALWAYS, ""), (Window(BEGIN + 0.0, None), " in this time")])
def test_no_requests(tmp_path: Path, window: Window, within: str) -> None:
    answers = read(write(tmp_path, line(1, "main", "x", "synapse.app")), window=window, summary=True)
    assert answers["summary"]["count"] == 0
    (unknown,) = answers["unknown"]
    assert (unknown["name"], unknown["reason"]) == (
        "summary",
        f"The log has no line about a processed request{within}.",
    )


def test_a_request(tmp_path: Path) -> None:
    path = write(tmp_path, line(1.9, "GET-1", "a") + "b\n" + processed(1, "GET-10") + processed(2, "GET-1"))
    answers = read(path, request="GET-1")
    assert set(answers) == {
        "sources",
        "not_read",
        "requests",
        "omitted_requests",
        "omitted_lines",
        "unknown",
        "warnings",
    }
    (found,) = answers["requests"]
    assert len(found["lines"]) == 3
    assert (found["finished"], found["processed"]["status"]) == (True, 200)
    assert read(path, request="GET-1", window=Window(BEGIN + 50.0, None))["requests"] == []


def test_what_is_no_tag_is_refused_first() -> None:
    with pytest.raises(InvalidInput, match="'37' is not the tag"):
        read("/nonexistent", request="37")
    with pytest.raises(SynapseError, match="/nonexistent"):
        read("/nonexistent", request="GET-37")


def test_signature_failures(tmp_path: Path) -> None:
    answers = read(write(tmp_path, processed(0) + FAILED), signature_failures=True)
    assert set(answers) == {
        "sources",
        "not_read",
        "signature_failures",
        "other_signature_failures",
        "unknown",
        "warnings",
    }
    (failure,) = answers["signature_failures"]
    assert (failure["origin"], failure["line"], answers["other_signature_failures"]) == ("b.c", FAILED.strip(), 0)


def test_all_questions(tmp_path: Path) -> None:
    text = (
        received(0, "GET-1")
        + processed(1, "GET-1", processing="1.000")
        + FAILED
        + received(5, "GET-2")
        + line(100, "main", "x")
    )
    answers = read(write(tmp_path, text), request="GET-1", summary=True, signature_failures=True, unfinished_after=60.0)
    assert len(answers["requests"]) == answers["summary"]["count"] == len(answers["signature_failures"]) == 1
    assert [request["request"] for request in answers["unfinished"]["requests"]] == ["GET-2"]
    assert answers["unfinished"]["received_lines"] is True


def test_a_window(tmp_path: Path) -> None:
    text = "".join(received(number, f"GET-{number}") + processed(number + 0.5, f"GET-{number}") for number in range(9))
    answers = read(
        write(tmp_path, text + FAILED), window=Window(BEGIN + 2.0, BEGIN + 4.0), summary=True, unfinished_after=0.0
    )
    assert answers["summary"]["count"] == 2
    assert (answers["unfinished"]["requests"], answers["unfinished"]["waiting"]) == ([], 0)


def test_no_lines_about_received_requests(tmp_path: Path, in_flight: list[tuple[t.Any, ...]]) -> None:
    answers = read(write(tmp_path, processed(0)), unfinished_after=0.0)
    assert answers["unfinished"] == {
        "received_lines": False,
        "in_flight": [{"pid": 1, "method": "GET", "servlet": "A", "count": 2}],
    }
    assert in_flight == [(["/nonexistent/a.yaml"], 5)]
    first, second = answers["unknown"]
    assert first["name"] == "unfinished"
    assert "only at the level DEBUG" in first["reason"]
    assert first["fix"].startswith("Add this to the log configuration, and reload Synapse (SIGHUP):")
    assert second == {"name": "metrics", "reason": "No.", "fix": "Do."}


def sinks(path: str, level: int) -> LogSinks:
    sink = Sink("file", path, "file", 0, Format(SYNAPSE_FORMAT), "file")
    return LogSinks((sink,), Level(level, "root"), "/etc/log.yaml")


@pytest.mark.parametrize(
    ("level", "fix"),
    [
        (20, "set it in /etc/log.yaml with the lines below"),
        (10, "The log configuration keeps such lines: if it was changed, reload Synapse"),
    ],
)
def test_the_advice_for_a_log_configuration(
    tmp_path: Path, level: int, fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = open_files([write(tmp_path, processed(0))])
    found = Sources(files, [], None, False, [sinks(files[0].path, level)], ["Beware."])
    monkeypatch.setattr(request_log_module, "find_sources", lambda places: found)
    answers = read(unfinished_after=0.0)
    assert fix in answers["unknown"][0]["fix"]
    assert (level == 20) == answers["unknown"][0]["fix"].endswith("synapse.access:\n        level: DEBUG")
    assert answers["warnings"] == ["Beware."]


def test_each_file_that_is_searched_is_reported(tmp_path: Path, reports: list[tuple[t.Any, ...]]) -> None:
    read(*(write(tmp_path, processed(0), name) for name in ("a.log", "b.log")), unfinished_after=0.0)
    assert reports == [(Work.UNFINISHED_REQUESTS, 0, 2), (Work.UNFINISHED_REQUESTS, 1, 2)]


class TestJournal:
    @pytest.fixture
    def journal(self, monkeypatch: pytest.MonkeyPatch) -> list[Entry]:
        """The entries of the journal of UNIT, which a test adds."""
        entries: list[Entry] = []

        def read_journal(units: list[str], *arguments: t.Any, **more: t.Any) -> t.Iterator[Entry]:
            assert units == [UNIT]
            return iter(entries)

        monkeypatch.setattr(
            "ansible_collections.matrix_ops.synapse.plugins.module_utils._log.journal_log.read_journal", read_journal
        )
        found = Sources([], [UNIT], None, False, [], ["Beware."])
        monkeypatch.setattr(request_log_module, "find_sources", lambda places: found)
        return entries

    def add(self, entries: list[Entry], *lines: str) -> None:
        for number, text in enumerate(lines, len(entries)):
            entries.append(Entry(BEGIN + number, 12, UNIT, "synapse", text.strip().encode()))

    def test_all_questions(self, journal: list[Entry]) -> None:
        self.add(
            journal,
            received(0, "GET-1", uri="/x"),
            processed(1, "GET-1", uri="/x", processing="1.000"),
            FAILED,
            received(3, "GET-2"),
        )
        self.add(journal, *[line(4, "main", "x")] * 100, FORGED)
        self.add(journal, line(5, "GET-5", "x Processed request: y", "synapse.access.http.8008"))
        answers = read(request="GET-1", summary=True, signature_failures=True, unfinished_after=60.0)
        (found,) = answers["requests"]
        assert (len(found["lines"]), found["process"]["pid"]) == (2, 12)
        (slow,) = answers["summary"]["slowest"]
        assert (slow["request"], slow["uri"], slow["path"]) == ("GET-1", "/x", UNIT)
        (failure,) = answers["signature_failures"]
        assert failure["origin"] == "b.c"
        assert answers["unread"]["count"] == 1
        # The journal goes on after the last request.
        assert [(each["request"], each["source"]) for each in answers["unfinished"]["requests"]] == [("GET-2", UNIT)]
        (source,) = answers["sources"]
        assert (source["unit"], source["last_ts"]) == (UNIT, (BEGIN + 105) * 1000)
        assert answers["warnings"] == ["Beware."]

    def test_what_was_read_is_reported(self, journal: list[Entry], reports: list[tuple[t.Any, ...]]) -> None:
        self.add(journal, *map(processed, range(3)))
        read(summary=True)
        [(work, size)] = reports
        assert work is Work.JOURNAL
        assert 3 * 200 < size <= sum(len(entry.message) for entry in journal)

    def test_warnings_of_what_was_read(self, journal: list[Entry]) -> None:
        self.add(journal, processed(0))
        journal.append(Entry(BEGIN + 1.0, 1, UNIT, "systemd-journald", b"Suppressed", dropped=5))
        first, second = read(summary=True)["warnings"]
        assert (first, second.partition(",")[0]) == ("Beware.", f"The journal dropped 5 messages of {UNIT}")

    def test_entries_without_a_tag(self, journal: list[Entry]) -> None:
        self.add(journal, *(received(number, "GET-1").replace(" - GET-1 - ", " - ") for number in range(3)))
        answers = read(unfinished_after=0.0)
        assert answers["unfinished"]["requests"] == []
        (unknown,) = answers["unknown"]
        assert unknown["reason"].startswith("3 lines about received requests do not have the tag")

    def test_a_request_whose_records_have_no_tag(self, journal: list[Entry]) -> None:
        self.add(journal, *(processed(number, "GET-1").replace(" - GET-1 - ", " - ") for number in range(3)))
        with pytest.raises(SynapseError, match=f"^Requests cannot be found in the journal of {UNIT}, because .* add %"):
            read(request="GET-1")
        journal.clear()
        assert read(request="GET-1")["requests"] == []

    def test_the_time_of_the_record_counts_not_that_of_the_entry(self, journal: list[Entry]) -> None:
        journal.append(Entry(BEGIN + 5.0, 12, UNIT, "synapse", processed(1, "GET-1").strip().encode()))
        window = Window(BEGIN + 3.0, None)
        assert read(window=window, request="GET-1", summary=True)["requests"] == []
        assert read(window=Window(BEGIN + 1.0, None), request="GET-1")["requests"]

    def test_the_journal_is_read_once_for_what_is_counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reads: list[t.Any] = []

        def read_journal(*arguments: t.Any, **more: t.Any) -> t.Iterator[Entry]:
            reads.append(arguments)
            return iter(())

        monkeypatch.setattr(
            "ansible_collections.matrix_ops.synapse.plugins.module_utils._log.journal_log.read_journal", read_journal
        )
        monkeypatch.setattr(request_log_module, "find_sources", lambda places: Sources([], [UNIT], None, False))
        read(summary=True, signature_failures=True, unfinished_after=0.0)
        assert len(reads) == 1

    def test_no_lines_about_received_requests(self, journal: list[Entry]) -> None:
        self.add(journal, processed(0))
        assert read(unfinished_after=0.0)["unfinished"]["received_lines"] is False

    def test_clients_that_choose_tags(self, journal: list[Entry], monkeypatch: pytest.MonkeyPatch) -> None:
        made: list[t.Any] = []

        def make(*arguments: t.Any, **more: t.Any) -> JournalLog:
            made.append((arguments, more))
            return JournalLog(*arguments, **more)

        known = Format("%(message)s", datefmt="%c")
        found = Sources([], [UNIT], known, free_tags=True)
        monkeypatch.setattr(request_log_module, "find_sources", lambda places: found)
        monkeypatch.setattr(request_log_module, "JournalLog", make)
        self.add(journal, processed(0))
        read(summary=True)
        assert made == [(([UNIT], known, ALWAYS), {"free_tags": True})]


def test_a_format_without_the_tag(tmp_path: Path) -> None:
    path = write(tmp_path, received(0, "GET-1").replace(" - GET-1 - ", " - "))
    with pytest.raises(SynapseError, match=r"add %\(request\)s to the format"):
        read(path, unfinished_after=0.0)


@pytest.mark.parametrize(
    ("is_live", "until", "seconds"),
    [(True, None, [500.0]), (False, None, []), (True, BEGIN + 200.0, [200.0])],
)
def test_a_log_in_which_a_process_that_hangs_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_live: bool, until: float | None, seconds: list[float]
) -> None:
    files = open_files([write(tmp_path, received(0, "GET-1"))])
    monkeypatch.setattr(
        request_log_module, "find_sources", lambda places: Sources(files, [], None, free_tags=False, is_live=is_live)
    )
    places = Places(None, None, ["/nonexistent/a.yaml"], None)
    answers = RequestLog(places, Window(None, until), 5, BEGIN + 500.0).read(questions(unfinished_after=60.0))
    assert [request["seconds"] for request in answers["unfinished"]["requests"]] == seconds


def test_processes_that_cannot_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = open_files([write(tmp_path, processed(0))])
    found = Sources(files, [], None, free_tags=False, unknown=[Unknown("processes", "It is hidden.", "Become root.")])
    monkeypatch.setattr(request_log_module, "find_sources", lambda places: found)
    assert read(summary=True)["unknown"] == [{"name": "processes", "reason": "It is hidden.", "fix": "Become root."}]


def test_the_advice_where_the_log_configuration_is_unknown(tmp_path: Path) -> None:
    fix = read(write(tmp_path, processed(0)), unfinished_after=0.0)["unknown"][0]["fix"]
    assert fix.split("\n")[1:] == [
        "disable_existing_loggers: false",
        "loggers:",
        "    synapse.access:",
        "        level: DEBUG",
    ]

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal is read with a program in place of journalctl, which prints what a test has written."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log import journal_log
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.journal import Tools
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.journal_log import JournalLog
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.layout import CANONICAL
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_format import (
    SYNAPSE_FORMAT,
    Format,
    given_format,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.scan import Scanner, Unread
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.window import Window
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._log.made_log import (
    BEGIN,
    FORGED,
    line,
    message,
    processed,
)

UNIT, WORKER = "matrix-synapse.service", "worker@1.service"
PROGRAM = """#!/bin/sh
cat {directory}/errors >&2
cat {directory}/entries
exit "$(cat {directory}/status)"
"""


class Journal:
    """A journalctl that prints the entries that a test adds."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.program = directory / "journalctl"
        self.program.write_text(PROGRAM.format(directory=directory))
        self.program.chmod(0o755)
        self.entries: list[str] = []
        self.fail("", 0)

    def add(self, second: float, text: str, unit: str = UNIT, **fields: t.Any) -> None:
        time = str(int((BEGIN + second) * 1_000_000))
        entry = {"__REALTIME_TIMESTAMP": time, "_PID": "12", "_SYSTEMD_UNIT": unit, "MESSAGE": text.rstrip("\n")}
        self.entries.append(json.dumps({**entry, **fields}) + "\n")
        (self.directory / "entries").write_text("".join(self.entries))

    def fail(self, errors: str, status: int) -> None:
        (self.directory / "errors").write_text(errors)
        (self.directory / "status").write_text(str(status))

    def log(self, window: Window | None = None, log_format: str | None = None, **more: t.Any) -> JournalLog:
        tools = Tools(str(self.program))
        return JournalLog([UNIT, WORKER], given_format(log_format), window or Window(), tools=tools, **more)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    found = Journal(tmp_path)
    # Each unit needs one entry.
    found.add(0, processed(0, "GET-1"))
    found.add(1, processed(1, "GET-1", site_tag="8083"), WORKER)
    return found


def requests(log: JournalLog, unread: Unread | None = None) -> list[tuple[str, bytes]]:
    """The unit and the path of each request in the blocks."""
    found: list[tuple[str, bytes]] = []
    for unit, block in log.blocks(unread):
        rows = Scanner(CANONICAL, [CANONICAL], Window()).find(block, unit, Unread())
        found += [(unit, what) for what in rows.what]
    return found


def test_entries_and_blocks(journal: Journal) -> None:
    journal.add(2, "Traceback (most recent call last):")
    journal.add(3, line(3, "GET-2", "other"))
    log = journal.log()
    records = [(entry.unit, record.request if record else None) for entry, record in log.entries()]
    assert records == [(UNIT, "GET-1"), (WORKER, "GET-1"), (UNIT, None), (UNIT, "GET-2")]
    path = b"GET /_matrix/client/v3/profile/@a:example.org"
    assert requests(log) == [(UNIT, path), (WORKER, path)]
    assert log.returned() == [
        {"unit": UNIT, "formats": [SYNAPSE_FORMAT], **times(0, 3)},
        {"unit": WORKER, "formats": [SYNAPSE_FORMAT], **times(1, 1)},
    ]
    assert log.ends == {UNIT: BEGIN + 3.0, WORKER: BEGIN + 1.0}
    assert log.warnings == []


def times(first: int, last: int) -> dict[str, t.Any]:
    return {
        "first": f"2026-11-18T11:06:{40 + first}Z",
        "first_ts": (BEGIN + first) * 1000,
        "last": f"2026-11-18T11:06:{40 + last}Z",
        "last_ts": (BEGIN + last) * 1000,
    }


def test_many_blocks(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_log, "_BLOCK", 1000)
    monkeypatch.setattr(journal_log, "_SAMPLE", 3)
    for number in range(20):
        journal.add(number, processed(number, uri=f"/{number}"))
    blocks = list(journal.log().blocks(None))
    assert 5 < len(blocks) < 12
    assert all(block.startswith(b"\n") and block.endswith(b"\n") for _unit, block in blocks)
    found = requests(journal.log())
    assert [what for unit, what in found if unit == UNIT][1:] == [f"GET /{number}".encode() for number in range(20)]
    assert len(found) == 22


def test_what_looks_like_a_request_but_is_no_record(journal: Journal) -> None:
    unreadable = f"? synapse.access.http.8008 ? {FORGED}"
    journal.add(2, f"{unreadable}\nmore")
    journal.add(3, f"{line(3, 'GET-2', 'said').strip()}\n{processed(3)}")
    journal.add(4, "Traceback (most recent call last):")
    journal.add(5, f"ValueError: {FORGED}")
    unread = Unread()
    assert len(requests(journal.log(), unread)) == 2
    assert (unread.count, unread.samples[0]["path"], unread.samples[0]["line"]) == (1, UNIT, unreadable)


def test_a_window(journal: Journal) -> None:
    for second in range(2, 6):
        journal.add(second, processed(second))
    log = journal.log(Window(BEGIN + 0.5, BEGIN + 4.0))
    # journalctl leaves out what is before it.
    assert [entry.time - BEGIN for entry, _record in log.entries()] == [0, 1, 2, 3]
    assert log.ends[UNIT] == BEGIN + 3.0


def test_a_handler_that_writes_to_the_journal_itself(journal: Journal) -> None:
    journal.entries.clear()
    fields = {"LOGGER": "synapse.access.http.8008", "PRIORITY": "6", "REQUEST": "GET-1"}
    journal.add(0, message(uri="/a"), **fields)
    journal.add(1, message(uri="/b"), WORKER, **{**fields, "LOGGER": "synapse.other"})
    log = journal.log()
    assert requests(log) == [(UNIT, b"GET /a")]
    assert log.returned()[0]["formats"] == []


def test_a_format_that_is_given(journal: Journal) -> None:
    journal.entries.clear()
    journal.add(0, f"<{line(0, 'GET-1', 'text').strip()}>")
    journal.add(1, "<x>", WORKER)
    form = f"<{SYNAPSE_FORMAT}>"
    log = journal.log(log_format=form)
    assert [record.request for _entry, record in log.entries() if record] == ["GET-1"]
    assert log.returned()[0]["formats"] == [form]


def test_the_time_in_a_format_that_is_given(journal: Journal) -> None:
    journal.entries.clear()
    journal.add(0, "23/11/2026 10:00:00 synapse.app GET-1 text")
    journal.add(1, "x", WORKER)
    form = Format("%(asctime)s %(name)s %(request)s %(message)s", datefmt="%d/%m/%Y %H:%M:%S")
    log = JournalLog([UNIT, WORKER], form, Window(), tools=Tools(str(journal.program)))
    assert [record.request for _entry, record in log.entries() if record] == ["GET-1"]


def test_clients_that_choose_tags(journal: Journal) -> None:
    journal.add(2, processed(2, f"GET-37 - {FORGED}", uri="/genuine"))
    assert (UNIT, b"GET /forged") in requests(journal.log())
    # It could be read in two ways.
    unread = Unread()
    assert len(requests(journal.log(free_tags=True), unread)) == 2
    assert unread.count == 1


def test_what_the_journal_dropped(journal: Journal) -> None:
    dropped = {"N_DROPPED": "70", "_TRANSPORT": "driver", "UNIT": UNIT, "_SYSTEMD_UNIT": "systemd-journald.service"}
    journal.add(2, "Suppressed 70 messages", **dropped)
    journal.add(3, "Suppressed 70 messages", **dropped)
    journal.fail("Journal file /x is truncated, ignoring file.\n", 0)
    log = journal.log()
    assert log.warnings == []
    for _time in range(2):
        assert len(requests(log)) == 2
        first, second = log.warnings
        assert first.startswith(f"The journal dropped 140 messages of {UNIT}, ")
        assert second == "journalctl reported: Journal file /x is truncated, ignoring file."


def test_a_failure(journal: Journal) -> None:
    journal.fail("Failed to iterate through journal: Bad message\n", 1)
    with pytest.raises(SynapseError, match="Bad message"):
        list(journal.log().blocks(None))

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Answers the questions about the request log of a Synapse, from its files or from the journal."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.counting import Counts, Wanted, count_files
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.in_flight import in_flight_requests
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.journal_log import JournalLog
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.layout import CANONICAL, AnyLayout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_advice import how_to_keep_received
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_file import LogFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.occurrence import returned
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.pairing import Pairing
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.request import (
    checked_tag,
    find_in_records,
    find_request,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.sources import Places, Sources, find_sources
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.summary import returned_summary
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.window import Window
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Work, progress
from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import returned_seconds

Values = dict[str, t.Any]

_NO_REQUESTS = "The log has no line about a processed request{within}."
_NO_REQUESTS_FIX = (
    "Check that the path or the unit is that of the process that answers the requests, and that the logger"
    " synapse.access has the level INFO in Synapse's log configuration."
)
_NO_TAGS = "{count} lines about received requests do not have the tag of their request, so they were not paired."
_NO_TAGS_FIX = "Add %(request)s to the format in Synapse's log configuration."
_KEPT_ALREADY = (
    "The log configuration keeps such lines: if it was changed, reload Synapse (SIGHUP), and read the log of a time"
    " after that."
)


_NO_RECEIVED = "The log has no lines about received requests. Synapse writes them only at the level DEBUG."
_NO_RECEIVED_FIX = (
    "Add this to the log configuration, and reload Synapse (SIGHUP):\n"
    "disable_existing_loggers: false\nloggers:\n    synapse.access:\n        level: DEBUG"
)


class Questions(t.NamedTuple):
    """What to find out. `request`: a tag, None for no search. `unfinished_after`: in seconds, None for no search."""

    request: str | None
    summary: bool
    signature_failures: bool
    unfinished_after: float | None
    most_slow: int
    most_requesters: int


class RequestLog:
    """The request log of a Synapse, of which only the records of `window` count.

    `metrics_timeout`: how many seconds to wait for the metrics of a process. `now`: in seconds since 1970, the time
    that the log of a running process has reached, even if it hangs and writes nothing; None for its last record.
    """

    def __init__(self, places: Places, window: Window, metrics_timeout: float, now: float | None = None) -> None:
        self._places = places
        self._window = window
        self._metrics_timeout = metrics_timeout
        self._now = now
        self._unknown: list[Values] = []

    def read(self, questions: Questions) -> Values:
        """Return the answers. Raises SynapseError if the log cannot be read, or has no times and a window is given."""
        if questions.request is not None:
            checked_tag(questions.request)
        sources = find_sources(self._places)
        journal = self._journal(sources) if sources.units else None
        answers: Values = {}
        if questions.request is not None:
            answers.update(self._requests(questions.request, sources.files, journal))
        wanted = self._wanted(questions)
        counts = count_files(sources.files, wanted) if wanted.summary or wanted.signatures else None
        pairing = None if questions.unfinished_after is None else Pairing(questions.unfinished_after, self._window)
        if pairing is not None:
            for number, file in enumerate(sources.files):
                progress.report(Work.UNFINISHED_REQUESTS, number, len(sources.files))
                pairing.read(file)
        if journal is not None and (counts or pairing):
            _read_journal(journal, counts, pairing)
        if counts is not None:
            answers.update(self._counted(questions, counts, sources.files))
        if pairing is not None:
            answers["unfinished"] = self._unfinished(pairing, sources, journal)
        warnings = [*sources.warnings, *(journal.warnings if journal else ())]
        return {
            "sources": [*map(_returned_file, sources.files), *(journal.returned() if journal else ())],
            "not_read": list(sources.not_read),
            **answers,
            "unknown": [*(each._asdict() for each in sources.unknown), *self._unknown],
            "warnings": warnings,
        }

    def _journal(self, sources: Sources) -> JournalLog:
        return JournalLog(sources.units, sources.known, self._window, free_tags=sources.free_tags)

    def _requests(self, tag: str, files: list[LogFile], journal: JournalLog | None) -> Values:
        if journal is None:
            found = find_request(tag, files, self._window)
        else:
            found = find_in_records(tag, journal.entries(), self._window)
        return {
            "requests": [returned(occurrence) for occurrence in found.occurrences],
            "omitted_requests": found.omitted_occurrences,
            "omitted_lines": found.omitted_lines,
        }

    def _wanted(self, questions: Questions) -> Wanted:
        return Wanted(
            self._window,
            questions.most_slow if questions.summary else 0,
            summary=questions.summary,
            signatures=questions.signature_failures,
        )

    def _counted(self, questions: Questions, counts: Counts, files: list[LogFile]) -> Values:
        # A rotation may have given a file another path meanwhile.
        everything = (CANONICAL, *dict.fromkeys(layout for file in files for layout in file.layouts))
        layouts: dict[str, tuple[AnyLayout, ...]] = {file.path: (CANONICAL, *file.layouts) for file in files}
        answers: Values = {}
        if questions.signature_failures:
            answers["signature_failures"] = counts.signatures.returned()
            answers["other_signature_failures"] = counts.signatures.others
        if questions.summary:
            answers["summary"] = returned_summary(
                counts.tally, lambda path: layouts.get(path, everything), questions.most_requesters
            )
            answers["unread"] = {"count": counts.unread.count, "samples": counts.unread.samples}
            if not answers["summary"]["count"]:
                within = " in this time" if self._window.limited else ""
                self._note("summary", _NO_REQUESTS.format(within=within), _NO_REQUESTS_FIX)
        return answers

    def _unfinished(self, pairing: Pairing, sources: Sources, journal: JournalLog | None) -> Values:
        if sources.is_live:
            for source in {*(file.stream for file in sources.files), *(journal.ends if journal else ())}:
                pairing.reaches(source, self._now)
        if pairing.without_tag:
            self._note("unfinished", _NO_TAGS.format(count=pairing.without_tag), _NO_TAGS_FIX)
        if pairing.has_received:
            return {"received_lines": True, **pairing.returned()}
        self._note("unfinished", _NO_RECEIVED, _how_to_keep_received(sources))
        in_flight, unknown = in_flight_requests(self._places.config_path, self._metrics_timeout)
        self._unknown += [entry._asdict() for entry in unknown]
        return {"received_lines": False, "in_flight": in_flight}

    def _note(self, name: str, reason: str, fix: str) -> None:
        self._unknown.append({"name": name, "reason": reason, "fix": fix})


def _read_journal(journal: JournalLog, counts: Counts | None, pairing: Pairing | None) -> None:
    """Read the journal once for both."""
    size = 0
    for unit, block in journal.blocks(counts.unread if counts else None):
        size += len(block)
        progress.report(Work.JOURNAL, size)
        if counts is not None:
            counts.count(CANONICAL, block, unit, unit, (CANONICAL,))
        if pairing is not None:
            pairing.add(CANONICAL, block, unit, (CANONICAL,))
    if pairing is not None:
        for unit, end in journal.ends.items():
            pairing.reaches(unit, end)


def _how_to_keep_received(sources: Sources) -> str:
    if not sources.sinks:
        return _NO_RECEIVED_FIX
    advice = how_to_keep_received(sources.sinks[0])
    return f"{advice.text}\n{advice.lines}".strip() or _KEPT_ALREADY


def _returned_file(file: LogFile) -> Values:
    return {
        "path": file.path,
        "stream": file.stream,
        "size": file.size,
        "formats": [layout.text for layout in file.layouts],
        **returned_seconds("first", file.first),
        **returned_seconds("last", file.last),
    }

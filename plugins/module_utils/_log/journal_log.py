# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The log of units in the journal of systemd: as entries with their records, or as blocks that can be counted."""

from __future__ import annotations

import itertools
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.journal import Tools, read_journal
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.journal_entry import Entry, record_of_entry
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.layout import AnyLayout, canonical_line, recognise
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_format import Format
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import Record
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.scan import MARK, Unread, is_continuation
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.window import Window
from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import returned_seconds

# From so many entries the format is recognised.
_SAMPLE = 5_000
_BLOCK = 1 << 20


class JournalLog:
    """The entries of `units` in `window`. The journal is read anew for each question.

    `known`: the format of the messages, None to recognise it. `free_tags`: see `recognise`. `warnings`: what the
    journal may lack.
    """

    def __init__(
        self,
        units: t.Sequence[str],
        known: Format | None,
        window: Window,
        *,
        free_tags: bool = False,
        tools: Tools | None = None,
    ) -> None:
        self._units = list(units)
        self._format = known
        self._free_tags = free_tags
        self._window = window
        self._tools = tools
        self._first: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._known: tuple[AnyLayout, ...] = ()
        self._dropped: dict[str, int] = {}
        self._reported: dict[str, None] = {}

    def entries(self) -> t.Iterator[tuple[Entry, Record | None]]:
        """Return the entries of the window in their order, each with the record that begins in it, if there is one.

        Raises SynapseError as `read_journal` does.
        """
        entries = read_journal(
            self._units,
            self._window.since,
            self._window.until,
            warn=lambda line: self._reported.update({line: None}),
            tools=self._tools,
        )
        sample = list(itertools.islice(entries, _SAMPLE))
        layouts = self._known = self._layouts(sample)
        self._dropped = {}
        for entry in itertools.chain(sample, entries):
            if self._window.until is not None and entry.time >= self._window.until:
                continue
            self._first.setdefault(entry.unit, entry.time)
            self._last[entry.unit] = entry.time
            if entry.dropped:
                self._dropped[entry.unit] = self._dropped.get(entry.unit, 0) + entry.dropped
            yield entry, record_of_entry(entry, layouts)

    def blocks(self, unread: Unread | None) -> t.Iterator[tuple[str, bytes]]:
        """Return blocks of lines of CANONICAL, each with the unit that it belongs to.

        `unread`: where lines are noted that look like a processed request, but are no record.
        """
        gathered: dict[str, list[bytes]] = {}
        sizes: dict[str, int] = {}
        for entry, record in self.entries():
            if record is None:
                continues = MARK not in entry.message or is_continuation(entry.message, self._known)
                if unread is not None and not continues:
                    unread.note(entry.unit, entry.message.partition(b"\n")[0], "format")
                continue
            line = canonical_line(record)
            gathered.setdefault(entry.unit, [b"\n"]).append(line)
            sizes[entry.unit] = sizes.get(entry.unit, 0) + len(line)
            if sizes[entry.unit] > _BLOCK:
                yield entry.unit, b"".join(gathered.pop(entry.unit))
                del sizes[entry.unit]
        for unit, lines in gathered.items():
            yield unit, b"".join(lines)

    @property
    def ends(self) -> dict[str, float]:
        """The time of the last entry of each unit that was read, in seconds since 1970."""
        return dict(self._last)

    @property
    def warnings(self) -> list[str]:
        """What was wrong with the part of the journal that was read last, in sentences."""
        dropped = [
            f"The journal dropped {count} messages of {unit}, because there were too many in a short time: the numbers"
            " are too low. Set LogRateLimitIntervalSec=0 for the unit, or log to a file."
            for unit, count in self._dropped.items()
        ]
        return [*dropped, *(f"journalctl reported: {line}" for line in self._reported)]

    def returned(self) -> list[dict[str, t.Any]]:
        """Return what was read, for each unit, after it was read."""
        return [
            {
                "unit": unit,
                "formats": [layout.text for layout in self._known],
                **returned_seconds("first", self._first[unit]),
                **returned_seconds("last", self._last[unit]),
            }
            for unit in self._first
        ]

    def _layouts(self, sample: t.Sequence[Entry]) -> tuple[AnyLayout, ...]:
        lines = [entry.message.partition(b"\n")[0] for entry in sample]
        text = b"\n".join(lines) + b"\n"
        return recognise(text, self._format, free_tags=self._free_tags)

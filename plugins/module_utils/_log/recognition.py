# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Which format the lines of a log have."""

from __future__ import annotations

import collections
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.container_layout import (
    ContainerLayout,
    stored_line,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.deduction import deduce
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.json_layout import JsonLayout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_format import Format
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.plain_layout import Layout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.prefix import Prefix, prefixes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.processed import ACCESS_LOGGER
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import Record

AnyLayout = t.Union[Layout, JsonLayout]
_Fits = t.Callable[[AnyLayout, Record], bool]

# Those with more fields first: a format with less of them fits their lines too.
_HEADS = ("%(name)s - %(lineno)d - %(levelname)s - ", "%(name)s - %(levelname)s - ")
_REQUESTS = ("%(request)s - ", "%(request)s- ", "")
_KNOWN = (
    *(
        f"{time}{head}{request}%(message)s"
        for time in ("%(asctime)s - ", "")
        for head in _HEADS
        for request in _REQUESTS
    ),
    "%(name)s: [%(request)s] %(message)s",
    "%(levelname)s:%(name)s:%(message)s",
)
_ACCESS_LINE = re.compile(rb" (?:Processed|Received) request: ")
_ACCESS_MESSAGE = re.compile(
    rb"[^ \n]* - (?P<tag>[^ \n]+) - (?:\{[^ \n]*\} Processed request: -?[0-9]+\.[0-9]{3}sec/.* dbevts\]"
    rb"|Received request: [^ \n]+ [^ \n]*)\"?\r?\Z"
)
_OF_SYNAPSE = re.compile(r"(?:synapse|twisted)(?:\.|\Z)")
# A tag, or one of the many names of what Synapse does without a request, such as call_when_running.
_TAG = re.compile(r"[^ ]*\Z")
_NUMBERED = re.compile(r".*-[0-9]+\Z")
# The tag of a request: the method with a number or a text of the client, or a word without a request.
REQUEST_TAG = re.compile(r"[A-Z]+-|[!#$%&'*+.^_`|~\w]*(?:-\S*)?\Z")
# How many lines are looked at, and the share of them that a further format needs: a forged line is rarer.
_LINES = 200
_SHARE = 0.1
_ENOUGH = 0.8


def recognise(
    sample: bytes,
    known: Format | None = None,
    *,
    free_tags: bool = False,
    written: float | None = None,
) -> tuple[AnyLayout, ...]:
    """Return the layouts that fit the lines of a log, the one of most records first; none if it is not Synapse's.

    `sample`: whole lines of it, some hundred kB. `known`: the format of the log configuration; others are looked for
    too, as it may have been changed. `free_tags`: whether clients may choose the tags of requests (request_id_header);
    the tags of the sample may show it too. `written`: in seconds since 1970, when the log was written last, for times
    without a year.

    Raises ConfigurationError if the format `known` cannot be read.
    """
    lines = sample.split(b"\n")
    text = [line for line in lines if line and b"\0" not in line]
    # Some bytes that are zero are the rest of a crash; one line that is an object of JSON may be the text of a client.
    if sum(b"\0" in line for line in lines) > len(text):
        return ()
    stored = [line for line in map(stored_line, text) if line is not None]
    if len(stored) * 2 > len(text):
        inner = recognise(b"\n".join(stored), known, free_tags=free_tags, written=written)
        return tuple(map(ContainerLayout, inner))
    search = _Search(known, written)
    layouts = search.layouts([line for line in text if _ACCESS_LINE.search(line)], _is_access)
    if not layouts:
        layouts = search.layouts([line for line in text if b"synapse." in line or b"twisted" in line], _is_other)
    if not layouts:
        layouts = search.layouts(text, search.is_given)
    for layout in layouts:
        if isinstance(layout, Layout):
            layout.free_tags = free_tags or any(_has_free_tag(layout, line) for line in search.lines)
        else:
            layout.has_time = any(record.time is not None for record in map(layout.record, search.lines) if record)
    return layouts


def record_of(line: bytes, layouts: t.Iterable[AnyLayout]) -> Record | None:
    """Return the record that begins with a line (without its line feed), by the first layout that knows it.

    Returns None if none does.
    """
    for layout in layouts:
        record = layout.record(line)
        if record is not None:
            return record
    return None


class _Search:
    """The search for the layouts of one log. `lines`: those that were looked at last."""

    def __init__(self, known: Format | None, written: float | None) -> None:
        self.lines: list[bytes] = []
        self._given = (known.text, known.style, known.datefmt) if known and known.text else None
        self._written = written
        self._prefixes = [(prefix, re.compile(prefix.expression)) for prefix in prefixes(written)]
        # In the order of their first use.
        self._known: dict[tuple[str, str, str | None, bytes], AnyLayout] = {}
        if self._given is not None:
            self._layout(*self._given, self._prefixes[-1][0])

    def layouts(self, lines: list[bytes], fits: _Fits) -> tuple[AnyLayout, ...]:
        """Return the layouts for the lines that `fits` accepts as records, best first."""
        self.lines = lines[:: max(1, len(lines) // _LINES)]
        votes: collections.Counter[AnyLayout] = collections.Counter()
        for line in self.lines:
            # The message of a request shows where the head ends. Else the order of the candidates counts.
            favourites = [layout for layout, count in votes.most_common(3)] if fits is _is_access else []
            layout = self._of_line(line, fits, favourites)
            if layout is not None:
                votes[layout] += 1
        return self._covering([layout for layout, count in votes.most_common(10)], fits)

    def is_given(self, layout: AnyLayout, record: Record) -> bool:
        """Whether a record is in the given format."""
        return isinstance(layout, Layout) and (layout.text, layout.style) == (self._given or ("", ""))[:2]

    def _covering(self, layouts: list[AnyLayout], fits: _Fits) -> tuple[AnyLayout, ...]:
        """Return the layouts by the number of records that no better one reads, without the rare ones."""
        read = {
            layout: {place for place, line in enumerate(self.lines) if _read(layout, line, fits)} for layout in layouts
        }
        chosen: list[AnyLayout] = []
        least = 1.0
        while read:
            most = max(map(len, read.values()))
            # A format without the tag reads those with it too.
            tagged = [layout for layout in read if layout.has_request and len(read[layout]) >= most * _ENOUGH]
            best = max(tagged or read, key=lambda layout: len(read[layout]))
            records = read.pop(best)
            if len(records) < least:
                break
            chosen.append(best)
            least = max(least, len(records) * _SHARE)
            read = {layout: places - records for layout, places in read.items()}
        return tuple(chosen)

    def _of_line(self, line: bytes, fits: _Fits, favourites: list[AnyLayout]) -> AnyLayout | None:
        of_other_logger = False
        for layout in self._candidates(line, favourites):
            record = layout.record(line)
            if record is not None and fits(layout, record):
                return layout
            if record is not None and _OF_SYNAPSE.match(record.logger):
                of_other_logger = of_other_logger or not record.logger.startswith(ACCESS_LOGGER)
        # What looks like a request may be the text of another logger.
        return None if of_other_logger or fits is not _is_access else self._deduced(line)

    def _candidates(self, line: bytes, favourites: list[AnyLayout]) -> t.Iterator[AnyLayout]:
        yield from favourites
        for prefix, expression in self._prefixes:
            match = expression.match(line)
            if match is None:
                continue
            if self._given is not None:
                yield self._layout(*self._given, prefix)
            if line.startswith(b"{", match.end()):
                yield self._layout(JsonLayout.text, "", None, prefix)
            for text in _KNOWN:
                yield self._layout(text, "%", None, prefix)

    def _deduced(self, line: bytes) -> AnyLayout | None:
        for prefix, expression in self._prefixes:
            match = expression.match(line)
            found = None if match is None else deduce(line[match.end() :])
            if found is None:
                continue
            layout = self._layout(found.text, "%", found.datefmt, prefix)
            if _read(layout, line, _is_access):
                return layout
        return None

    def _layout(self, text: str, style: str, datefmt: str | None, prefix: Prefix) -> AnyLayout:
        key = (text, style, datefmt, prefix.expression)
        layout = self._known.get(key)
        if layout is None:
            layout = Layout(text, style, datefmt, prefix, written=self._written) if style else JsonLayout(prefix)
            self._known[key] = layout
        return layout


def _read(layout: AnyLayout, line: bytes, fits: _Fits) -> bool:
    record = layout.record(line)
    return record is not None and fits(layout, record)


def _is_access(layout: AnyLayout, record: Record) -> bool:
    match = _ACCESS_MESSAGE.match(record.message)
    # Otherwise it would contain one more field of the format, such as %(server_name)s.
    if match is None or not REQUEST_TAG.match(record.request):
        return False
    parts = record.logger.encode("utf-8", "surrogateescape").split(b".", 3)
    return not layout.has_logger or (parts[:2] == [b"synapse", b"access"] and parts[3:] == [match.group("tag")])


def _is_other(layout: AnyLayout, record: Record) -> bool:
    return bool(_OF_SYNAPSE.match(record.logger) and _TAG.match(record.request))


def _has_free_tag(layout: Layout, line: bytes) -> bool:
    record = layout.record(line) if layout.has_request else None
    return record is not None and _is_access(layout, record) and not _NUMBERED.match(record.request)

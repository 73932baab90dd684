# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""All lines of one request, by the tag that Synapse gives to the records which are written while it is processed."""

from __future__ import annotations

import functools
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.container_layout import ContainerLayout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.journal_entry import Entry
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.layout import AnyLayout, record_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_file import LogFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.occurrence import Occurrence, occurrences
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.parallel import in_processes, processors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.parts import parts_of, processes_for
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import Record
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.search import search
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.tagged import (
    Collected,
    Gathering,
    Origin,
    Started,
    belongs_to,
    is_start,
    mentions_request,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.window import Window

MOST_OCCURRENCES = 1000

# The method is a token (RFC 9110). With `request_id_header`, what follows is chosen by the client or a proxy: it may be
# empty, but it does not end with a blank.
_TAG = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+-(?:[^\n]*[^ \t\n])?")
# About how much memory the records of one part of a file may need, and all of them together.
_ROOM_OF_PART = 8 << 20
_ROOM = 32 << 20
# How many parts are read before it is known whether there is room for more.
_TOGETHER = 4
# How much of a JSON log is looked at to see whether its records have tags.
_JSON_SAMPLE = 64 << 10


class Requests(t.NamedTuple):
    """The requests that had the tag, in the order of their beginning.

    `omitted_occurrences`: how many more there are at least, all before these. `omitted_lines`: how many lines of any
    request with this tag are not in `occurrences`, in addition to the `omitted_lines` of each.
    """

    occurrences: list[Occurrence]
    omitted_occurrences: int
    omitted_lines: int


def checked_tag(tag: str) -> str:
    """Return `tag` if Synapse can give it to a request; raises InvalidInput otherwise."""
    if not _TAG.fullmatch(tag):
        raise InvalidInput(
            f"request {tag!r} is not the tag of a request: write it as in the log, with the method and a hyphen in"
            " front, for example GET-37."
        )
    return tag


def find_request(tag: str, files: t.Sequence[LogFile], window: Window) -> Requests:
    """Return the requests with exactly this tag in the files of `files.open_files`, in their order.

    Only records of the window count, with the lines that continue them.

    Raises InvalidInput if it cannot be a tag; SynapseError if the records of a file have no tag, or if a file cannot be
    read.
    """
    checked_tag(tag)
    for file in files:
        require_tags(file)
    parts = parts_of(files, window)
    processes = processes_for(parts)
    together = processors() * _TOGETHER
    collected = Collected(_ROOM)
    while parts:
        batch, parts = parts[:together], parts[together:]
        of_part = max(0, min(_ROOM_OF_PART, collected.room))
        look = functools.partial(search, tag=tag, window=window, room=of_part)
        for found in in_processes(look, batch, processes=processes):
            collected.extend(found)
    return _limited(occurrences(collected.records), collected.omitted_lines)


def find_in_records(tag: str, records: t.Iterable[tuple[Entry, Record | None]], window: Window) -> Requests:
    """Return the requests with exactly this tag in the journal.

    `records`: its entries in their order, each with what `journal_entry.record_of_entry` returns for it. An entry
    without a record continues the record of the same process before it. Only records of the window count.

    Raises InvalidInput if it cannot be a tag, SynapseError if no record has a tag, and what the iteration over
    `records` raises.
    """
    checked_tag(tag)
    collected = Collected(_ROOM)
    without_tag: str | None = None
    has_tags = False
    gathering: dict[Origin, Gathering] = {}
    for entry, record in records:
        origin = Origin(entry.unit, "", entry.pid)
        before = gathering.get(origin)
        if record is None:
            if before is not None and not mentions_request(entry.message):
                before.add(entry.message)
            elif before is not None:
                # It may be a record of the access logger with a tag that a client has chosen.
                collected.add(gathering.pop(origin).tagged())
            continue
        if before is not None:
            collected.add(gathering.pop(origin).tagged())
        has_tags = has_tags or bool(record.request)
        without_tag = without_tag or entry.unit
        if belongs_to(record, tag):
            if window.admits(record.time):
                first, *rest = entry.message.split(b"\n")
                gathering[origin] = Gathering(record, origin, first)
                for line in rest:
                    gathering[origin].add(line)
        elif is_start(record):
            collected.add(Started(origin, record.time))
    for last in gathering.values():
        collected.add(last.tagged())
    if without_tag is not None and not has_tags:
        # Synapse writes a word if there is no request.
        fix = "add %(request)s to the format, or use TerseJsonFormatter instead of GcpJsonFormatter,"
        raise _no_tags(f"the journal of {without_tag}", fix)
    return _limited(occurrences(collected.records), collected.omitted_lines)


def _limited(found: list[Occurrence], omitted_lines: int) -> Requests:
    """The latest of the occurrences, because these are more likely the ones that are meant."""
    omitted = found[:-MOST_OCCURRENCES]
    lines = sum(len(each.lines) + each.omitted_lines for each in omitted)
    return Requests(found[-MOST_OCCURRENCES:], len(omitted), omitted_lines + lines)


def require_tags(file: LogFile) -> None:
    """Raise SynapseError if no record can have a tag. Whether those in JSON have one is seen in the first of them."""
    formats = [layout for layout in file.layouts if layout.has_request]
    if any(not _is_json(layout) for layout in formats):
        return
    if formats:
        records = (record_of(line, formats) for _offset, line in file.lines(0, _JSON_SAMPLE))
        # Synapse writes a word if there is no request.
        if any(record is not None and record.request for record in records):
            return
    fix = "use TerseJsonFormatter instead of GcpJsonFormatter" if formats else "add %(request)s to the format"
    raise _no_tags(file.path, fix)


def _no_tags(place: str, fix: str) -> SynapseError:
    return SynapseError(
        f"Requests cannot be found in {place}, because its records do not have the tag of their request: {fix} in"
        " Synapse's log configuration, for what will be logged from then on."
    )


def _is_json(layout: AnyLayout) -> bool:
    return layout.inner.is_json if isinstance(layout, ContainerLayout) else layout.is_json

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""One line of a log, as a user has copied it: the fields of the request that it describes."""

from __future__ import annotations

import math
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.layout import Layout, recognise, record_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_format import SYNAPSE_FORMAT
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.processed import (
    ACCESS_LOGGER,
    parse_processed,
    parse_received,
    returned_fields,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.recognition import REQUEST_TAG
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import Record, bytes_of, readable
from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import returned_time, timestamp

_OF_SYNAPSE = Layout(SYNAPSE_FORMAT)
_MARK = "Processed request:"
# A name, the path of a socket, or an IP address, with a port if the reverse proxy adds it.
_PLAIN_ADDRESS = re.compile(r"(?:[\w.-]*|(?:unix:)?/\S*|unix:|\[?[0-9A-Fa-f:.]*(?:%[\w.-]+)?\]?)(?::[0-9]+)?")
_LONGEST_QUOTE = 200
# What may be around a line that was copied. Other characters that Python removes may belong to it.
_BLANK = " \t\r"


def processed_line(text: str) -> dict[str, t.Any]:
    """Return the fields of the request in one line of Synapse's log, see `returned_fields`.

    `text`: the line in any format that `recognise` knows, or only its message. What the line has in addition is
    returned too: `request` (the tag), `time` and `time_ts`, `logger`, `level`. A time without an offset from UTC is
    local time.

    Raises InvalidInput if it is not one whole line about a processed request.
    """
    lines = [line for line in text.split("\n") if line.strip(_BLANK)]
    if not lines:
        raise InvalidInput("There is no line of a log: the text is empty.")
    if len(lines) > 1:
        raise InvalidInput(
            f"These are {len(lines)} lines, and a request that was processed is one: split the text, and give one line"
            f" at a time. The first one is: {_quoted(lines[0])}"
        )
    record = _record(lines[0])
    if record.logger and not record.logger.startswith(ACCESS_LOGGER):
        raise InvalidInput(
            f"This line comes from the logger {_quoted(record.logger)}, but only loggers such as"
            f" {ACCESS_LOGGER}http.8008 report requests that were processed: {_quoted(lines[0])}"
        )
    processed = parse_processed(record.message)
    # Otherwise a beginning of the line that is not known would be taken for a part of the address.
    if processed is None or not (_has_head(record) or _PLAIN_ADDRESS.fullmatch(processed.client_address)):
        raise InvalidInput(f"{_reason(record, lines[0])}: {_quoted(lines[0])}")
    found = returned_fields(processed)
    found.update({name: value for name, value in _head(record).items() if value != ""})
    return found


def _record(line: str) -> Record:
    """Return the record of a line, one that has only a message if nothing is known to be before the message."""
    for copied in (line.rstrip(_BLANK), line.strip(_BLANK)):
        content = bytes_of(copied)
        # One line alone does not show where an address with a space begins, but this format does.
        record = _OF_SYNAPSE.record(content)
        if record is None or not REQUEST_TAG.match(record.request):
            # It may be another format that contains one more field, such as %(server_name)s.
            record = record_of(content, recognise(content)) or record
        if record is not None and _has_head(record):
            return record
    # An address that is empty comes after nothing, and the space that follows it belongs to the message.
    message = line.rstrip(_BLANK) if line.startswith(" - ") else line.strip(_BLANK)
    return Record(None, "", "", "", bytes_of(message))


def _has_head(record: Record) -> bool:
    return record.time is not None or bool(record.logger or record.level or record.request)


def _head(record: Record) -> dict[str, t.Any]:
    """Return what the record has besides the message."""
    milliseconds = None
    if record.time is not None and math.isfinite(record.time):
        milliseconds = timestamp(round(record.time * 1000))
    return {
        "request": record.request,
        **returned_time("time", milliseconds),
        "logger": record.logger,
        "level": record.level,
    }


def _reason(record: Record, line: str) -> str:
    """Return why a line has no request that was processed."""
    received = parse_received(record.message)
    if received is not None:
        tag = f" of {_quoted(record.request)}" if record.request else " of the same request"
        return f"This line reports only that a request was received: give the line{tag} with 'Processed request'"
    if _MARK in line:
        return (
            f"This line contains '{_MARK}', but it is not whole, has an unknown format or can be read in several ways"
        )
    return "This is not a line of Synapse's log about a request that was processed"


def _quoted(text: str) -> str:
    """Return the beginning of a text that may contain anything, as it can be printed."""
    beginning = readable(bytes_of(text[: _LONGEST_QUOTE + 1]))
    shown = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in beginning
    )
    return shown if len(shown) <= _LONGEST_QUOTE else f"{shown[: _LONGEST_QUOTE - 1]}…"

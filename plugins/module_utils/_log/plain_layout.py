# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""One format of plain text lines: the regular expressions that find its records, and the records."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.format_pieces import Piece, pieces_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.prefix import NO_PREFIX, Prefix
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.processed import ACCESS_LOGGER
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import Record, readable
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.time_text import (
    EPOCH,
    ISO,
    DirectiveTime,
    TimeText,
)

_ACCESS_LOGGERS = rb"synapse\.access\.https?\."
_SEPARATOR = b"\x1f"
_CAPTURED = {"name": "logger", "levelname": "level", "request": "request"}
_NUMBERS = {"levelno", "lineno", "process", "thread", "msecs", "relativeCreated", "created"}
_ONE_WORD = {"module", "filename", "funcName", "pathname", "server_name"}
_NUMBERED_TAG = re.compile(rb"[^ \n]*-[0-9]+\Z")
_MARKERS = (b" Processed request: ", b" Received request: ")
# Bounded, so that a long line does not need the square of its length.
_SOME_TEXT = rb"[^\n]{0,255}?"
_LONG_TEXT = rb"[^\n]{0,8192}?"
# Where a message of the access logger has to begin if clients choose the tags, so that the end of a tag is uncertain.
_REQUEST = rb"[^ \n]* - [^ \n]+ - (?:\{[^ \n]*\} Processed|Received) request: "
# In a format without the logger, another logger's text looks like a request: only this may be before the rest of it.
_ADDRESS = rb"(?:(?=[^ \n]*[.:])\[?[0-9A-Fa-f:.]+(?:%[^ \n\]]*)?\]?(?::[0-9]+)?|None|unknown|-|/[^ \n]*|)(?= - )"
_BEGINS_WITH_ADDRESS = re.compile(_ADDRESS + _REQUEST)
_NO_OTHER_LOGGER = rb"(?![^\n]*\b(?:synapse|twisted)\.[a-z])"


class Layout:
    """One format of plain text lines.

    `text`: the format of the log configuration, in Python's `style` (%, { or $), with `datefmt` for its time. `prefix`:
    what stands before each line. `free_tags`: whether clients may choose the tags of requests (request_id_header), so
    that a line which can be read in two ways is not a record. `written`: in seconds since 1970, when the log was
    written last, for times without a year.

    `has_time`, `has_logger`, `has_request`: what a line tells. `direct`: whether `pattern` can be used, because the
    message is the last field.

    Raises ConfigurationError if the format cannot be read or does not contain the message.
    """

    is_json: t.Final = False

    def __init__(
        self,
        text: str,
        style: str = "%",
        datefmt: str | None = None,
        prefix: Prefix = NO_PREFIX,
        *,
        free_tags: bool = False,
        written: float | None = None,
    ) -> None:
        self.text = text
        self.style = style
        self.prefix = prefix
        self.free_tags = free_tags
        self._asctime: TimeText = DirectiveTime(datefmt, written) if datefmt else ISO
        pieces = pieces_of(text, style)
        place = next(index for index, piece in enumerate(pieces) if piece.field == "message")
        self._pieces, self._tail = pieces[:place], pieces[place + 1 :]
        self.direct = not self._tail
        fields = {piece.field for piece in pieces}
        self.has_logger = "name" in fields
        self.has_request = "request" in fields
        self._time_field = _time_field(pieces, self._asctime)
        self._time = {"asctime": self._asctime, "created": EPOCH}.get(self._time_field, prefix.time)
        self.has_time = self._time is not None
        # Where the separator ends a tag, nothing in it can look like the next field.
        self._checked = self.has_request and not any(piece.literal.startswith(_SEPARATOR) for piece in pieces)
        order = [piece.field for piece in self._pieces if piece.field in ("name", "request")]
        self._tag_first = order[:1] == ["request"] and self.has_logger
        self._strict = re.compile(self._whole_line())
        # A tag with spaces in front of the logger could be any text that another logger wrote.
        self._loose = None
        if self._checked and not self._tag_first:
            self._loose = re.compile(self._whole_line(request=_LONG_TEXT))
        self._loose_request = None
        if self._loose is not None and self.has_logger:
            self._loose_request = re.compile(self._whole_line(request=_LONG_TEXT, message=_REQUEST))

    def __repr__(self) -> str:
        return f"Layout({self.text!r}, prefix={self.prefix.expression!r})"

    def pattern(self, message: bytes, capture: t.Sequence[str] = ()) -> re.Pattern[bytes]:
        """Return the expression that finds records of the access logger in a block of lines.

        A block begins with a line feed. `message`: the expression for the message, up to and including what ends it,
        for example (?=\\n). `capture`: any of time, request and prefix, which become named groups in their order of
        appearance, before those of the message. One that the format does not contain is a group that is always empty,
        in front of the others. If clients choose the tags, lines with two messages about a request are found too, and
        the caller has to look at each of these lines by `record`.

        Raises ValueError if the message is not the last field of the format (see `direct`).
        """
        if not self.direct:
            raise ValueError(f"The message is not the last field of {self.text!r}.")
        missing = set(capture)
        head = self._head(missing, access=True)
        absent = b"".join(_group(name, b"") for name in capture if name in missing)
        check = _NO_OTHER_LOGGER if self.free_tags and self._checked and self._tag_first else b""
        if not self.has_logger:
            check += b"(?=" + _ADDRESS + b")"
        return re.compile(rb"\n" + absent + head + check + message)

    def record(self, line: bytes) -> Record | None:
        """Return the record that begins with a line (without its line feed), None if none does.

        A line of which the request's tag could end at several places is not a record: a client may have forged it. If
        clients choose the tags, that is each line with two messages about a request. In a format without the logger, a
        message about a request is one of the access logger only if it begins with an address.
        """
        match = self._strict.match(line)
        strict = match is not None
        if match is None:
            match = self._loose.match(line) if self._loose is not None else None
            if match is None:
                return None
        group = match.groupdict(b"")
        moment = self.moment(group["time"]) if self.has_time else None
        if self.has_time and moment is None and group["time"]:
            return None
        logger = readable(group.get("logger", b""))
        is_request = logger.startswith(ACCESS_LOGGER)
        if not self.has_logger:
            is_request = any(marker in group["message"] for marker in _MARKERS)
        if self._checked and is_request:
            safe = strict and not self.free_tags and (not self.has_logger or _NUMBERED_TAG.match(group["request"]))
            if not safe and not self._is_unambiguous(group["message"], logger):
                # A tag that contains the text between tag and message is a longer one.
                match = self._loose_request.match(line) if self._loose_request is not None else None
                if match is None or not self._is_unambiguous(match["message"], logger):
                    return None
                group = match.groupdict(b"")
        if is_request and not self.has_logger and not _BEGINS_WITH_ADDRESS.match(group["message"]):
            return None
        return Record(
            moment,
            logger,
            readable(group.get("level", b"")),
            readable(group.get("request", b"")),
            group["message"],
            group["prefix"],
        )

    def begins(self, line: bytes) -> bool:
        """Whether a line begins as a record does, also if `record` cannot tell what it is."""
        return self._strict.match(line) is not None or (self._loose is not None and bool(self._loose.match(line)))

    def moment(self, text: bytes) -> float | None:
        """Return the seconds since 1970 of a captured time, None if it is not one.

        It is local time unless the text has an offset from UTC.
        """
        return None if self._time is None else self._time.moment(text)

    def _is_unambiguous(self, message: bytes, logger: str) -> bool:
        """Whether the message of an access record begins where it seems to begin, although clients choose the tags."""
        if sum(message.count(marker) for marker in _MARKERS) != 1:
            return False
        if self._tag_first and not re.match(_NO_OTHER_LOGGER, message):
            return False
        tag = logger.split(".", 3)[3:]
        tag_expression = re.escape(tag[0].encode("utf-8", "surrogateescape")) if tag else rb"[^ \n]+"
        expression = rb"[^ \n]* - " + tag_expression + rb" - (?:\{[^ \n]*\} Processed|Received) request: "
        return re.match(expression, message) is not None

    def _whole_line(self, request: bytes = b"", message: bytes = b"") -> bytes:
        names = {"prefix", "time", "logger", "level", "request"}
        head = self._head(names, request=request)
        return (
            head
            + rb"(?P<message>"
            + message
            + rb"[^\n]*)"
            + self._expression(self._tail, names, request=request)
            + rb"\Z"
        )

    def _head(self, names: set[str], *, access: bool = False, request: bytes = b"") -> bytes:
        """Return the expression for what stands before the message, with groups for `names`, which are removed.

        `access`: only before a message of the access logger. `request`: the expression for the tag.
        """
        before, moment, after = self.prefix
        has_prefix = "prefix" in names
        names.discard("prefix")
        time = b"" if moment is None else moment.expression
        if moment is not None and self._time is moment:
            time = _named("time", time, names)
        prefix = before + time + after
        if has_prefix:
            prefix = _group("prefix", prefix)
        return prefix + self._expression(self._pieces, names, access=access, request=request)

    def _expression(
        self, pieces: tuple[Piece, ...], names: set[str], *, access: bool = False, request: bytes = b""
    ) -> bytes:
        parts = []
        for index, piece in enumerate(pieces):
            if not piece.field:
                parts.append(re.escape(piece.literal))
                continue
            follows = pieces[index + 1].literal if index + 1 < len(pieces) else b""
            name = "time" if piece.field == self._time_field else _CAPTURED.get(piece.field, "")
            value = request if request and name == "request" else self._value(piece.field, follows)
            if access and name == "logger":
                value = _ACCESS_LOGGERS + value
            parts.append(b" *" * piece.before + _named(name, value, names) + b" *" * piece.after)
        return b"".join(parts)

    def _value(self, field: str, follows: bytes) -> bytes:
        if field == "asctime":
            return self._asctime.expression
        if field in _NUMBERS:
            return rb"[0-9.]*" if field == "created" else rb"[0-9.]+"
        if field == "name":
            return _word(follows) + b"+"
        if field == "levelname":
            return _word(follows) + b"*" if follows.startswith(_SEPARATOR) else rb"[A-Z]+"
        if field == "request" or field in _ONE_WORD:
            return _word(follows) + b"*"
        return _SOME_TEXT


def _time_field(pieces: tuple[Piece, ...], asctime: TimeText) -> str:
    """Return the field that tells the time of a record, empty if there is none."""
    fields = {piece.field for piece in pieces}
    if "asctime" in fields and asctime.dated:
        return "asctime"
    return "created" if "created" in fields else ""


def _group(name: str, expression: bytes) -> bytes:
    return b"(?P<" + name.encode() + b">" + expression + b")"


def _named(name: str, expression: bytes, names: set[str]) -> bytes:
    """Make it a group if its name is one of `names`, and remove the name: a field may occur twice."""
    if name not in names:
        return expression
    names.discard(name)
    return _group(name, expression)


def _word(follows: bytes) -> bytes:
    """Return the class of the bytes of a field without spaces, by the literal that follows it in the format."""
    stop = follows[:1]
    if stop == _SEPARATOR:
        return rb"[^\x1f\n]"
    # With a space in the literal, the end of the word is found without it, and a word may contain its first byte.
    if not stop or b" " in follows:
        return rb"[^ \n]"
    return b"[^ " + re.escape(stop) + rb"\n]"

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Deduce a format that is not known from a line in which Synapse logged a request."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.time_text import DirectiveTime

# What follows the client's address in a message of the access logger. The first of a line is the genuine one: what
# follows it, such as a user agent, is text of a client.
_MESSAGE = re.compile(
    rb" - (?P<tag>[^ \n]+) - (?:\{[^ \n]*\} Processed request: -?[0-9]+\.[0-9]{3}sec/|Received request: )"
)
# A reverse proxy may add the port, and nginx calls a Unix socket `unix:`. A number of the head, such as that of a tag,
# may be followed by a colon, and is not the beginning of an address of IPv6.
_CLIENT = re.compile(
    rb"(?:(?<![\w.])(?:::ffff:)?[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?::[0-9]{1,5})?"
    rb"|(?<![\w.])(?<![A-Za-z]-)(?:[0-9a-fA-F]{1,4}|:(?=:[0-9a-fA-F]))(?::[0-9a-fA-F]{0,4}){1,8}(?:%[^ \n]*)?"
    rb"|\[[0-9a-fA-F:.]+(?:%[^ \n\]]*)?\](?::[0-9]{1,5})?"
    rb"|::|None|-|(?:unix:)?/[^ \n]*|unix:)\Z"
)
_LAST_WORD = re.compile(rb"[^ \n]*\Z")
_LOGGER = re.compile(rb"(?<![\w.])(?:synapse|twisted)(?:\.[^\s.:,;()\[\]{}<>|]+)+")
_LONGEST_HEAD = 600
_MOST_WORDS = 4
_DATEFMTS = (
    "%Y/%m/%d %H:%M:%S",
    "%d/%b/%Y:%H:%M:%S %z",
    "%d/%b/%Y:%H:%M:%S",
    "%d/%b/%Y %H:%M:%S",
    "%d.%m.%Y %H:%M:%S",
    "%d-%b-%Y %H:%M:%S",
    "%d %b %Y %H:%M:%S",
    "%a %b %e %H:%M:%S %Y",
    "%b %e %H:%M:%S",
    "%Y%m%d %H%M%S",
    "%Y%m%dT%H%M%S",
    "%y-%m-%d %H:%M:%S",
    # A day and a month in numbers may be meant either way round, so such a date does not count as one.
    "%H:%M:%S",
)
_METHODS = "GET|PUT|POST|DELETE|HEAD|PATCH|OPTIONS|CONNECT|TRACE"
# What else the records of requests always contain, as they all come from one place of Synapse.
_CONSTANTS = {
    "pathname": r"/\S+\.py\b",
    "filename": r"\b\w+\.py\b",
    "funcName": r"\b_(?:started|finished)_processing\b",
    "threadName": r"\bMainThread\b",
    "processName": r"\bMainProcess\b",
    "module": r"\bsite\b",
}


class Deduced(t.NamedTuple):
    """A format in the style %, and the format of its time (None: as Python writes it by default)."""

    text: str
    datefmt: str | None


def deduce(line: bytes) -> Deduced | None:
    """Return the format of a line (without prefix and line feed), None unless it is a record of the access logger.

    The head of the line has to name the access logger before any other logger of Synapse, because another logger's text
    may contain a line of the access logger.
    """
    message = _MESSAGE.search(line[: 2 * _LONGEST_HEAD])
    if message is None or message.start() > _LONGEST_HEAD:
        return None
    head = line[: message.start()]
    logger = _LOGGER.search(head)
    expression = rb"synapse\.access\.https?\." + re.escape(message.group("tag")) + rb"(?!\w)"
    name = re.compile(expression).match(head, logger.start()) if logger else None
    if name is None:
        return None
    client = _CLIENT.search(head, name.end()) or _LAST_WORD.search(head, name.end())
    head = head if client is None else head[: client.start()]
    return _format(head.decode("utf-8", "surrogateescape"), name.group().decode("utf-8", "surrogateescape"))


def _format(head: str, name: str, without: tuple[int, ...] = ()) -> Deduced | None:
    """Return the format of a head. `without`: the places in _DATEFMTS of those that do not count."""
    text, end, datefmt = "", 0, None
    seen: set[str] = set()
    literals = []
    for match in _tokens(name, without).finditer(head):
        literal = head[end : match.start()]
        literals.append(literal)
        end = match.end()
        field = (match.lastgroup or "").rstrip("0123456789")
        if field == "datefmt":
            place = int((match.lastgroup or "")[len("datefmt") :])
            datefmt, field = _DATEFMTS[place], "asctime"
            time = DirectiveTime(datefmt)
            if time.dated and time.moment(match.group().encode("utf-8", "surrogateescape")) is None:
                # It has the name of a month in another language, so only the rest of it is a time.
                return _format(head, name, (*without, place))
            if "asctime" in seen:
                return None
        if field != "number" and field in seen:
            field = "repeated_" + field
        seen.add(field)
        following = len(head[end:]) - len(head[end:].lstrip(" "))
        width = ""
        # More than one space is a value with a width; one of them belongs to the format.
        if following > 1 and end + following < len(head):
            width = f"-{len(match.group()) + following - 1}"
            end += following - 1
        elif literal.endswith("  ") and text:
            width = str(len(match.group()) + len(literal) - len(literal.rstrip(" ")) - 1)
            literal = literal.rstrip(" ") + " "
        text += literal.replace("%", "%%") + (f"%({field}){width}s" if field != "number" else f"%(lineno){width}d")
    literals.append(head[end:])
    text += head[end:].replace("%", "%%") + "%(message)s"
    if len(re.findall(r"[^\W\d]{2,}", " ".join(literals))) > _MOST_WORDS:
        return None
    return Deduced(text, datefmt)


def _tokens(name: str, without: tuple[int, ...]) -> re.Pattern[str]:
    dates = [
        f"(?P<datefmt{number}>{pattern})" for number, pattern in enumerate(_DATE_PATTERNS) if number not in without
    ]
    return re.compile("|".join([f"(?P<name>{re.escape(name)})", _ISO, *dates, _OTHERS]))


_ISO = r"(?P<asctime>\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)"
_DATE_PATTERNS = tuple(rf"(?<!\d){DirectiveTime(datefmt).expression.decode()}(?!\d)" for datefmt in _DATEFMTS)
_OTHERS = "|".join(
    [
        r"(?P<created>(?<![\w.])\d{10}\.\d+)",
        r"(?P<levelname>\b(?:DEBUG|INFO)\b)",
        rf"(?P<request>\b(?:{_METHODS})-(?:\d+(?![\w.~-])|[^\s\[\](){{}}<>,;:|]*\w)|\b[A-Z]+-\d+)",
        *(f"(?P<{field}>{pattern})" for field, pattern in _CONSTANTS.items()),
        r"(?P<number>\b\d+(?:\.\d+)?\b)",
    ]
)

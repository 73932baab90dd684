# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The pieces of a log format, in each of the three styles of Python's logging."""

from __future__ import annotations

import re
import string
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError

# %(levelname)-8s: the name, flags, width, precision and the kind of the conversion.
_PERCENT = re.compile(r"%(?:%|\((?P<name>[^()]*)\)(?P<flags>[#0+ -]*)(?P<width>\d*)(?:\.\d*)?[diouxXeEfFgGcrsa])")
_BRACE_SPEC = re.compile(
    r"(?:(?P<fill>.)?(?P<align>[<>=^]))?[+ -]?#?(?P<zero>0?)(?P<width>\d*)[_,]?(?:\.\d+)?[a-zA-Z%]?\Z"
)
_MESSAGES = {
    "%": re.compile(r"%\(message\)"),
    "$": re.compile(r"\$(?:message\b|\{message\})"),
    "{": re.compile(r"\{message[^}]*\}"),
}
_FIELD = re.compile(r"[^\s.\[\]{}!]+\Z")


class Piece(t.NamedTuple):
    """One piece of a format: a literal text, or a field.

    `literal`: as bytes, empty for a field. `field`: its name in Python's log records, empty for a literal.
    `before`, `after`: whether spaces may stand in front of the value or behind it, because it is padded.
    """

    literal: bytes
    field: str = ""
    before: bool = False
    after: bool = False


def style_of(text: str) -> str:
    """Return the style in which a format is written: %, { or $; % if it has no field at all."""
    # In another style, what looks like a field can be text.
    for style, message in _MESSAGES.items():
        if message.search(text):
            return style
    if re.search(r"%\(\w+\)", text):
        return "%"
    if re.search(r"\$\{?[a-zA-Z_]", text):
        return "$"
    return "{" if re.search(r"\{\w+", text) else "%"


def pieces_of(text: str, style: str) -> tuple[Piece, ...]:
    """Return the pieces of a format in Python's `style` (%, { or $), literals joined.

    Raises ConfigurationError if Python would refuse the format, or if it does not contain the message.
    """
    if style not in _PARSERS:
        raise ConfigurationError(f"The style {style!r} of the log format {text!r} is unknown; use one of %, {{ and $.")
    try:
        found = list(_PARSERS[style](text))
    except ValueError as error:
        raise ConfigurationError(f"The log format {text!r} cannot be read in the style {style}: {error}.") from error
    if not any(piece.field == "message" for piece in found):
        field = {"%": "%(message)s", "{": "{message}", "$": "$message"}[style]
        raise ConfigurationError(f"The log format {text!r} (log_format) does not contain the message; add {field}.")
    return _joined(found)


def _joined(pieces: t.Iterable[Piece]) -> tuple[Piece, ...]:
    joined: list[Piece] = []
    for piece in pieces:
        if not piece.field and joined and not joined[-1].field:
            joined[-1] = Piece(joined[-1].literal + piece.literal)
        elif piece.field or piece.literal:
            joined.append(piece)
    return tuple(joined)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _percent_pieces(text: str) -> t.Iterator[Piece]:
    end = 0
    for match in _PERCENT.finditer(text):
        yield _literal(text[end : match.start()])
        end = match.end()
        if match.group("name") is None:
            yield Piece(b"%")
        else:
            left = "-" in match.group("flags")
            padded = bool(match.group("width")) and (left or "0" not in match.group("flags"))
            yield Piece(b"", match.group("name"), padded and not left, padded and left)
    yield _literal(text[end:])


def _literal(text: str) -> Piece:
    if "%" in text:
        raise ValueError(f"there is a single % in {text!r}")
    return Piece(_encoded(text))


def _brace_pieces(text: str) -> t.Iterator[Piece]:
    for literal, field, spec, conversion in string.Formatter().parse(text):
        yield Piece(_encoded(literal))
        if field is None:
            continue
        shape = _BRACE_SPEC.match(spec or "")
        if not _FIELD.match(field) or shape is None or conversion not in (None, "s"):
            raise ValueError(f"the field {{{field}}} has a form that is not supported")
        padded = bool(shape.group("width")) and not shape.group("zero") and shape.group("fill") in (None, " ")
        yield Piece(b"", field, padded and shape.group("align") != "<", padded and shape.group("align") != ">")


def _dollar_pieces(text: str) -> t.Iterator[Piece]:
    end = 0
    for match in string.Template.pattern.finditer(text):
        yield Piece(_encoded(text[end : match.start()]))
        end = match.end()
        if match.group("escaped") is not None:
            yield Piece(b"$")
        elif match.group("invalid") is not None:
            raise ValueError(f"there is a single $ in {text!r}")
        else:
            yield Piece(b"", match.group("named") or match.group("braced"))
    yield Piece(_encoded(text[end:]))


_PARSERS: dict[str, t.Callable[[str], t.Iterator[Piece]]] = {
    "%": _percent_pieces,
    "{": _brace_pieces,
    "$": _dollar_pieces,
}

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pieces of a format in the three styles."""

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.format_pieces import (
    Piece,
    pieces_of,
    style_of,
)


@pytest.mark.parametrize(
    ("text", "style"),
    [
        ("{asctime} ${name} {message}", "{"),
        ("{asctime} %(name)s {message!s:>5}", "{"),
        ("$asctime {name} ${message}", "$"),
        ("%(asctime)s {name} $name %(message)s", "%"),
        ("$messages", "$"),
        ("text", "%"),
    ],
)
def test_the_style_is_that_of_the_message(text: str, style: str) -> None:
    assert style_of(text) == style


@pytest.mark.parametrize(
    ("style", "text"),
    [
        ("%", "%(asctime)s - %(levelname)-8s: %(message)s"),
        ("{", "{asctime} - {levelname:<8}: {message}"),
        ("$", "$asctime - ${levelname}: $message"),
    ],
)
def test_the_styles_have_the_same_pieces(style: str, text: str) -> None:
    padded = style != "$"
    assert style_of(text) == style
    assert pieces_of(text, style) == (
        Piece(b"", "asctime"),
        Piece(b" - "),
        Piece(b"", "levelname", False, padded),
        Piece(b": "),
        Piece(b"", "message"),
    )


@pytest.mark.parametrize(
    ("style", "text", "before", "after"),
    [
        ("%", "%(lineno)4d", True, False),
        ("%", "%(lineno)-4d", False, True),
        ("%", "%(lineno)04d", False, False),
        ("%", "%(name).20s", False, False),
        ("{", "{lineno:>4}", True, False),
        ("{", "{lineno:^4}", True, True),
        ("{", "{lineno:04d}", False, False),
        ("{", "{lineno}", False, False),
    ],
)
def test_a_width_allows_spaces_on_its_side(style: str, text: str, before: bool, after: bool) -> None:
    piece = pieces_of(text + ("%(message)s" if style == "%" else "{message}"), style)[0]
    assert (piece.before, piece.after) == (before, after)


@pytest.mark.parametrize(
    ("style", "text", "literal"),
    [("%", "100%% %(message)s", b"100% "), ("{", "{{}} {message}", b"{} "), ("$", "$$ $message", b"$ ")],
)
def test_escapes_are_literals(style: str, text: str, literal: bytes) -> None:
    assert pieces_of(text, style)[0] == Piece(literal)


@pytest.mark.parametrize(
    ("style", "text"),
    [
        ("%", "%s %(message)s"),
        ("%", "%(message)s 100%"),
        ("{", "{message"),
        ("{", "{} {message}"),
        ("{", "{name!r} {message}"),
        ("{", "{record.name} {message}"),
        ("$", "$ {message} $message"),
        ("?", "%(message)s"),
    ],
)
def test_what_python_would_refuse_is_an_error(style: str, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        pieces_of(text, style)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(("style", "field"), [("%", "%(message)s"), ("{", "{message}"), ("$", "$message")])
def test_a_format_without_the_message_is_an_error_that_names_the_field(style: str, field: str) -> None:
    with pytest.raises(ConfigurationError, match="does not contain the message; add") as caught:
        pieces_of("plain text", style)
    assert field in str(caught.value)

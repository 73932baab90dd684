# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The texts that `bytes.find` searches in a log: without them, no line can be a record of one request."""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.container_layout import ContainerLayout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.format_pieces import Piece, pieces_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.layout import AnyLayout, Layout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.tagged import START_MESSAGE

# How much of the format is searched together with the tag.
_BEFORE = 3
_WORD = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")
# What every program writes into JSON as it is.
_NEVER_ESCAPED = re.compile(r"[0-9A-Za-z._-]+")


class Needle(t.NamedTuple):
    """A text that is searched. `before`, `after`: whether no letter, digit or underscore can be next to it there."""

    text: bytes
    before: bool = True
    after: bool = True


def needles_of(tag: str, layouts: t.Sequence[AnyLayout]) -> list[Needle]:
    """Return the texts without which no line of these formats is a record with this tag, or a start of Synapse."""
    found = {_needle(tag, layout) for layout in layouts}
    if len(found) > 1 and _NEVER_ESCAPED.fullmatch(tag):
        # One search for what they have in common is faster.
        found = {Needle(tag.encode(), all(each.before for each in found), all(each.after for each in found))}
    return [*sorted(found), Needle(START_MESSAGE)]


def hits(block: bytes, needle: Needle) -> t.Iterator[int]:
    """Return where the needle is in a block, which begins and ends with a line feed."""
    text, before, after = needle
    at = block.find(text)
    while at >= 0:
        if not (after and block[at + len(text)] in _WORD) and not (before and block[at - 1] in _WORD):
            yield at
        at = block.find(text, at + 1)


def _needle(tag: str, layout: AnyLayout) -> Needle:
    if isinstance(layout, ContainerLayout):
        # What is next to it may be escaped, and so may be the rest of the tag, in ways that differ.
        return Needle(max(_NEVER_ESCAPED.findall(tag), key=len).encode(), before=False, after=False)
    if not isinstance(layout, Layout):
        return Needle(_encoded(json.dumps(tag, ensure_ascii=False)[1:-1]))
    pieces = pieces_of(layout.text, layout.style)
    place = next((index for index, piece in enumerate(pieces) if piece.field == "request"), None)
    if place is None:
        return Needle(_encoded(tag))
    # Before the first piece is a line feed, or the prefix of a container.
    before = pieces[place - 1] if place else Piece(b"\n")
    after = pieces[place + 1] if place + 1 < len(pieces) else Piece(b"\n")
    apart = bool(after.literal) and after.literal[0] not in _WORD
    if place and before.literal and not pieces[place].before:
        # The longer text is found faster.
        return Needle(before.literal[-_BEFORE:] + _encoded(tag), before=False, after=apart)
    return Needle(_encoded(tag), bool(before.literal) and before.literal[-1] not in _WORD, apart)


def _encoded(tag: str) -> bytes:
    return tag.encode("utf-8", "surrogateescape")

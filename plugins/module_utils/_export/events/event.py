# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Reads the parts of an event as plain values, whatever the sender has put there."""

from __future__ import annotations

import typing as t

Event = t.Mapping[str, t.Any]

# A redaction of these leaves an empty content.
MESSAGES = frozenset({"m.room.message", "m.room.encrypted", "m.sticker", "m.reaction"})


def content_of(event: Event) -> dict[str, t.Any]:
    """Return the content of the event, {} if it has none."""
    content = event.get("content")
    return content if isinstance(content, dict) else {}


def word(found: t.Mapping[str, t.Any], key: str) -> str:
    """Return the text at `key`, "" if it is missing or not a text."""
    value = found.get(key)
    return value if isinstance(value, str) else ""


def is_change(event: Event) -> bool:
    """Return whether the event is a state event, not a message."""
    return "state_key" in event


def is_emptied(event: Event) -> bool:
    """Return whether a redaction has removed the content of the message."""
    return not is_change(event) and event.get("type") in MESSAGES and not content_of(event)


def relation(event: Event) -> tuple[str, str, str]:
    """Return kind, target and key of what the event relates to, with "" for a missing one.

    The kind is that of the Matrix specification, such as m.replace, or "redaction".
    """
    content = content_of(event)
    if event.get("type") == "m.room.redaction":
        return "redaction", word(content, "redacts") or word(event, "redacts"), ""
    related = content.get("m.relates_to")
    if not isinstance(related, dict):
        return "", "", ""
    return word(related, "rel_type"), word(related, "event_id"), word(related, "key")


def replied_to(event: Event) -> str:
    """Return the id of the event that this one replies to, or ""."""
    related = content_of(event).get("m.relates_to")
    reply = related.get("m.in_reply_to") if isinstance(related, dict) else None
    return word(reply, "event_id") if isinstance(reply, dict) else ""


def new_content(event: Event) -> dict[str, t.Any]:
    """Return the content with which an edit replaces that of the message; without one the edit's own content."""
    found = content_of(event).get("m.new_content")
    return found if isinstance(found, dict) else content_of(event)


def plain_text(content: t.Mapping[str, t.Any], without_quote: bool = False) -> str:
    """Return the text of a message. `without_quote` omits the quote that older clients add to a reply."""
    body = word(content, "body")
    if without_quote and body.startswith("> "):
        quote, blank, rest = body.partition("\n\n")
        if blank and all(line.startswith(">") for line in quote.split("\n")):
            return rest
    return body

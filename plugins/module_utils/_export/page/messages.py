# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The messages of a room in order of time, each with its edits, its reactions and its deletion."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.events.event import (
    Event,
    content_of,
    is_change,
    is_emptied,
    new_content,
    plain_text,
    relation,
    replied_to,
    word,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.events.ids import event_id_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.events.room import Room
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.page.event import (
    describe_change,
    describe_message,
    kind_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.page.markup import (
    Html,
    count,
    day,
    element,
    escaped,
    isolated,
    joined,
    moment,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.page.media import Media
from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import timestamp

# Events that are shown with the message that they relate to. No event can relate to them in turn.
_MERGED = ("m.annotation", "m.replace", "redaction")
_NAMED_REACTIONS = 10
_SNIPPET = 120


@dataclasses.dataclass
class _Entry:
    """An event with those that were merged into it. `place` is its position in the room, `time` is in milliseconds."""

    place: int
    event: Event
    time: int | None
    event_id: str | None
    edits: list[Event] = dataclasses.field(default_factory=list)
    reactions: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    deletion: Event | None = None
    merged: bool = False
    quoted: bool = False


class MessageWriter:
    """Writes parts of the messages of one room."""

    def __init__(self, room: Room, media: Media) -> None:
        self._room = room
        self._media = media
        self._names = room.names()
        # A few users write most messages. A page never needs more names than it has messages.
        self._person = functools.lru_cache(1000)(self._show_person)

    def write(self, events: t.Sequence[Event], first: int) -> t.Iterator[Html]:
        """Yield a part of the room in pieces. `first` is the position of its first event in the room.

        An event that relates to an event of another part is shown separately.
        """
        entries = self._entries(events, first)
        by_id = {entry.event_id: entry for entry in entries if entry.event_id}
        for entry in entries:
            entry.merged = self._merge(entry, by_id.get(relation(entry.event)[1]))
        # Times are set by other servers. The order of the room decides between equal times.
        shown = [entry for entry in entries if not entry.merged]
        shown.sort(key=lambda entry: (entry.time or 0, entry.place))
        for entry in shown:
            target = by_id.get(replied_to(entry.event))
            if target and not target.merged:
                target.quoted = True
        for date, group in itertools.groupby(shown, key=lambda entry: day(entry.time)):
            yield element("h4", escaped(date))
            yield Html('<ol class="messages">\n')
            for entry in group:
                yield self._change(entry) if is_change(entry.event) else self._message(entry, by_id)
            yield Html("</ol>\n")

    def _entries(self, events: t.Sequence[Event], first: int) -> list[_Entry]:
        version = self._room.fact("version")
        return [
            _Entry(place, event, timestamp(event.get("origin_server_ts")), event_id_of(event, version))
            for place, event in enumerate(events, first)
        ]

    @staticmethod
    def _merge(entry: _Entry, target: _Entry | None) -> bool:
        """Add an edit, a reaction or a redaction to the entry that it relates to. Return whether it was added."""
        if target is None or target is entry or is_change(entry.event) or is_change(target.event):
            return False
        kind, _target_id, key = relation(entry.event)
        if relation(target.event)[0] in _MERGED:
            return False
        same_sender = entry.event.get("sender") == target.event.get("sender")
        # A redaction without permission has removed nothing.
        if kind == "redaction" and is_emptied(target.event):
            target.deletion = entry.event
        elif kind == "m.replace" and same_sender and entry.event.get("type") == target.event.get("type"):
            target.edits.append(entry.event)
        elif kind == "m.annotation" and entry.event.get("type") == "m.reaction":
            target.reactions.setdefault(key, []).append(word(entry.event, "sender"))
        else:
            return False
        return True

    def _change(self, entry: _Entry) -> Html:
        words = describe_change(entry.event, self._names)
        who = self._person(word(entry.event, "sender"))
        return self._item(entry, "change", joined([moment(entry.time, only_time=True), who, words], " "))

    def _message(self, entry: _Entry, by_id: t.Mapping[str, _Entry]) -> Html:
        event, sender = entry.event, word(entry.event, "sender")
        kind = kind_of(event)
        own = sender == self._room.user_id
        who = [self._person(sender), *([escaped("(this account)")] if own else []), moment(entry.time, only_time=True)]
        who += [element("span", isolated(kind, 60), class_="kind")] if kind else []
        who += [escaped("in a thread")] if relation(event)[0] == "m.thread" else []
        reply_id = replied_to(event)
        target = by_id.get(reply_id)
        parts = [element("p", joined(who, " "), class_="who")]
        # In a thread, every message refers to another one for clients that do not support threads.
        if reply_id and relation(event)[0] != "m.thread":
            parts.append(self._reply(target))
        content = new_content(entry.edits[-1]) if entry.edits else content_of(event)
        if relation(event)[0] == "m.replace" and not entry.edits:
            parts.append(_more(escaped("New text of an earlier message:")))
            content = new_content(event)
        parts.append(describe_message(event, content, self._media, without_quote=target is not None))
        parts += self._later(entry)
        return self._item(entry, "own" if own else None, *parts)

    def _reply(self, target: _Entry | None) -> Html:
        if target is None:
            return element("p", escaped("In reply to an earlier message"), class_="reply quiet")
        author = word(target.event, "sender")
        name = isolated(self._names.get(author) or author)
        about = plain_text(content_of(target.event), without_quote=True)
        said = [escaped(": "), isolated(about, _SNIPPET)] if about else []
        link = element("a", escaped("In reply to "), name, href=f"#{self._anchor(target)}")
        return element("p", link, *said, class_="reply")

    def _later(self, entry: _Entry) -> t.Iterator[Html]:
        """Yield what happened to a message after it was sent."""
        if entry.edits:
            times = joined([moment(edit.get("origin_server_ts")) for edit in entry.edits], ", ")
            texts = [content_of(entry.event), *(new_content(edit) for edit in entry.edits[:-1])]
            before = [element("div", escaped(plain_text(found)), class_="text", dir="auto") for found in texts]
            summary = element("summary", escaped("Edited "), times, escaped(": show the earlier text"))
            yield element("details", summary, *before, class_="more")
        if entry.deletion:
            who = self._person(word(entry.deletion, "sender"))
            reason = word(content_of(entry.deletion), "reason")
            said = [escaped(". Reason: "), isolated(reason, 1000)] if reason else []
            when = moment(entry.deletion.get("origin_server_ts"))
            yield _more(escaped("Deleted by "), who, escaped(", "), when, *said)
        if entry.reactions:
            yield element("ul", *itertools.starmap(self._reaction, entry.reactions.items()), class_="reactions")

    def _reaction(self, key: str, senders: list[str]) -> Html:
        people = [isolated(self._names.get(sender) or sender) for sender in senders[:_NAMED_REACTIONS]]
        more = len(senders) - len(people)
        people += [escaped(count(more, "other"))] if more else []
        return element("li", isolated(key, 50), escaped(" "), joined(people, ", "))

    def _show_person(self, user_id: str) -> Html:
        """Return the name of a user, and the id, because users can choose any name."""
        name = self._names.get(user_id)
        shown = [element("span", isolated(name or user_id), class_="name")]
        shown += [isolated(user_id)] if name else []
        return joined(shown, " ")

    def _anchor(self, entry: _Entry) -> str:
        return f"message-{self._room.number}-{entry.place}"

    def _item(self, entry: _Entry, class_: str | None, *content: Html) -> Html:
        return Html(element("li", *content, class_=class_, id=self._anchor(entry) if entry.quoted else None) + "\n")


def _more(*content: Html) -> Html:
    return element("p", *content, class_="more")

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The rooms of an export on its page, with the newest messages of each, and the pages with the older ones."""

from __future__ import annotations

import itertools
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.events.event import Event, content_of, word
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.events.room import Room
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.page.account import (
    has_account_data,
    show_account_data,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.page.event import membership_words
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.page.frame import Page, open_page
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.page.markup import (
    Html,
    count,
    definitions,
    element,
    escaped,
    isolated,
    joined,
    moment,
    table,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.page.media import Media
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.page.messages import MessageWriter

_PAGES = "pages"
# The largest and the smallest number of events of a room on the page, and about the number for all rooms together.
_MOST, _LEAST, _ALTOGETHER = 1000, 50, 20_000
_PER_PAGE = 1000

_MEMBERSHIPS = {"join": "Member", "invite": "Invited", "knock": "Asked to join", "leave": "Left", "ban": "Banned"}


class _Shown(t.NamedTuple):
    """A room whose section is in the spool from `start` to `end` (bytes). `last` is in milliseconds since 1970."""

    last: int | None
    start: int
    end: int


class _Pending(t.NamedTuple):
    """An invite or a knock. `time` is in milliseconds since 1970."""

    room_id: str
    membership: str
    name: str = ""
    sender: str = ""
    time: object = None
    reason: str = ""


class Rooms:
    """All rooms of the export in `directory`, for the page at `path`. `spool` stores the part of the page for later.

    `written` are the paths of the further pages, relative to the page. `encrypted_messages` counts those of all rooms.
    """

    def __init__(self, directory: str, path: str, user_id: str, media: Media, spool: t.IO[bytes]) -> None:
        self.written: list[str] = []
        self.encrypted_messages = 0
        self._directory = directory
        self._path = path
        self._user_id = user_id
        self._media = media
        self._spool = spool
        self._shown: list[_Shown] = []
        self._pending: list[_Pending] = []

    def read(self, pending: t.Mapping[str, str], ids: t.Mapping[str, str]) -> None:
        """Read every room, and write its further pages. `pending` are the invites and knocks by room ID.

        `ids` are those of the rooms, by the paths of their directories. Without one, the name is the id.
        Raises SynapseError if a file of the export is damaged, and OSError.
        """
        directory = os.path.join(self._directory, "rooms")
        names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
        most = max(_LEAST, min(_MOST, _ALTOGETHER // max(1, len(names))))
        room_ids = set()
        for number, name in enumerate(names, 1):
            room_id = ids.get(os.path.join("rooms", name), name)
            room_ids.add(room_id)
            room = Room(number, room_id, os.path.join(directory, name), self._user_id, pending.get(room_id, ""))
            room.read()
            self.encrypted_messages += room.encrypted_messages
            if room.pending:
                self._pending.append(_pending(room))
            if not room.pending or room.events > 1:
                self._keep(room, most)
        without_files = (room_id for room_id in pending if room_id not in room_ids)
        self._pending += [_Pending(room_id, pending[room_id]) for room_id in without_files]
        self._shown.sort(key=lambda shown: shown.last or 0, reverse=True)

    def __len__(self) -> int:
        return len(self._shown)

    def count_pending(self) -> int:
        """Return how many invites and knocks there are."""
        return len(self._pending)

    def copy_to(self, page: Page) -> None:
        """Write the sections of all rooms, those with the latest messages first. Raises OSError."""
        for shown in self._shown:
            page.copy(self._spool, shown.start, shown.end)

    def list_pending(self) -> t.Iterator[Html]:
        """Yield a table of the invites and knocks."""
        caption = "Invites and requests to join that are waiting for an answer."
        headings = ("Room", "Room ID", "Type", "From", "Time", "Reason")
        yield from table(caption, headings, map(_pending_row, self._pending))

    def _keep(self, room: Room, most: int) -> None:
        start = self._spool.tell()
        for html in self._section(room, most):
            self._spool.write(html.encode())
        self._shown.append(_Shown(room.last, start, self._spool.tell()))

    def _section(self, room: Room, most: int) -> t.Iterator[Html]:
        """Yield a room with its newest messages, and write the pages with the others."""
        words = [_MEMBERSHIPS.get(room.own_membership(), "Membership unknown")]
        words += [count(room.events, "message or change", "messages and changes")]
        words += ["encrypted"] if room.fact("encryption") else []
        last = [escaped(", last "), moment(room.last)] if room.last else []
        about = element("p", escaped(", ".join(words)), *last)
        yield Html('<details class="room">')
        yield element("summary", element("h3", isolated(room.name())), about)
        # Browsers open an element if a link leads into it, but not if the link leads to the element itself.
        yield Html(f'<div class="inside" id="room-{room.number}">')
        yield definitions(_facts(room))
        if has_account_data(self._directory, os.path.basename(room.path)):
            yield element("h4", escaped("Settings for this room"))
            yield from show_account_data(self._directory, os.path.basename(room.path))
        older = max(0, room.events - most)
        events = room.read_events()
        if older:
            self._write_further(room, events, older)
            yield self._further_links(room, most, older)
        yield from MessageWriter(room, self._media).write(list(events), older)
        yield Html("</div></details>\n")

    def _further_links(self, room: Room, most: int, older: int) -> Html:
        links = (
            element("a", escaped(f"{first + 1:,} to {end:,}"), href=f"{_PAGES}/{_page_name(room, place)}")
            for place, (first, end) in enumerate(_parts(older))
        )
        words = f"These are the newest {most:,} of {room.events:,}. The older ones are on separate pages:"
        items = (element("li", link) for link in links)
        return element("div", element("p", escaped(words)), element("ul", *items, class_="pages"), class_="note")

    def _write_further(self, room: Room, events: t.Iterator[Event], older: int) -> None:
        """Write the first `older` events on separate pages."""
        directory = os.path.join(os.path.dirname(self._path), _PAGES)
        os.makedirs(directory, mode=0o700, exist_ok=True)
        writer = MessageWriter(room, self._media.below("../media"))
        parts = _parts(older)
        for place, (first, end) in enumerate(parts):
            words = f"Messages and changes {first + 1:,} to {end:,} of {room.events:,}"
            way = self._way(room, place, len(parts))
            with open_page(os.path.join(directory, _page_name(room, place)), f"{room.name()}: {words}") as page:
                about = element("p", escaped(words), class_="lead")
                page.write([element("header", element("h1", isolated(room.name())), about), way, Html("<main>")])
                page.write(writer.write(list(itertools.islice(events, end - first)), first))
                page.write([Html("</main>"), way])
            self.written.append(f"{_PAGES}/{_page_name(room, place)}")

    def _way(self, room: Room, place: int, places: int) -> Html:
        """Return links to the pages before and after the one at `place`, counted from 0."""
        index = f"../{os.path.basename(self._path)}#room-{room.number}"
        links = [element("a", escaped("All data"), href=index)]
        if place > 0:
            links.append(element("a", escaped("Older messages"), href=_page_name(room, place - 1)))
        newer = _page_name(room, place + 1) if place + 1 < places else index
        links.append(element("a", escaped("Newer messages"), href=newer))
        items = (element("li", link) for link in links)
        return element("nav", element("ul", *items), aria_label="Pages of this room")


def _parts(older: int) -> list[tuple[int, int]]:
    """Return the parts of so many events for the further pages, each with its start and its end."""
    return [(first, min(first + _PER_PAGE, older)) for first in range(0, older, _PER_PAGE)]


def _page_name(room: Room, place: int) -> str:
    return f"{room.number}-{place + 1}.html"


def _facts(room: Room) -> t.Iterator[tuple[str, Html]]:
    yield "This account", escaped(f"The account {membership_words(room.own_membership())}.")
    if room.fact("topic"):
        yield "Topic", element("div", escaped(room.fact("topic")), class_="text", dir="auto")
    if room.fact("alias"):
        yield "Room alias", isolated(room.fact("alias"))
    yield "Room ID", isolated(room.room_id)
    yield "Version", isolated(room.fact("version") or "unknown", 50)
    if room.fact("kind"):
        yield "Type", isolated("space" if room.fact("kind") == "m.space" else room.fact("kind"))
    yield "Encrypted", escaped("yes" if room.fact("encryption") else "no")
    yield "Members", escaped(f"{room.joined():,}, as far as this export shows")
    if room.first:
        yield "Time", joined([moment(room.first), moment(room.last)], " to ")
    if room.fact("closed"):
        yield "Closed", isolated(room.fact("closed"), 1000)


def _pending(room: Room) -> _Pending:
    event = room.own_event or {}
    return _Pending(
        room.room_id,
        room.pending,
        room.name(),
        word(event, "sender"),
        event.get("origin_server_ts"),
        word(content_of(event), "reason"),
    )


def _pending_row(pending: _Pending) -> tuple[Html, ...]:
    return (
        isolated(pending.name or "unknown"),
        isolated(pending.room_id),
        escaped("request to join" if pending.membership == "knock" else "invite"),
        isolated(pending.sender or "unknown"),
        moment(pending.time),
        isolated(pending.reason, 1000) if pending.reason else escaped("none"),
    )

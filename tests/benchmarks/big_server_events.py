# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Events under other names: hashed and signed anew, so that each is as valid as the one it is made from."""

from __future__ import annotations

import json
import re
import secrets
import string
import typing as t

from neighbour import MARK
from signedjson.key import read_signing_keys
from synapse.api.room_versions import KNOWN_ROOM_VERSIONS
from synapse.crypto.event_signing import add_hashes_and_signatures
from synapse.events import make_event_from_dict
from synapse.util.json import json_encoder

# Rooms, users, events, aliases and media in a text.
_NAMED = re.compile(r"mxc://[^\"\s]+|[@!$#][^\"\s\\,]+")
_OLD_EVENT_IDS = ("1", "2")
_HASHED_ROOM_ID = "12"


class Event(t.NamedTuple):
    """An event that is copied: its room, the version of that, and its JSON as Synapse keeps it."""

    event_id: str
    room_id: str
    version: str
    text: str


class Job(t.NamedTuple):
    """What is to be done for one copy: events in their order, other names, and who signs with which key."""

    number: int
    events: list[Event]
    names: dict[str, str]
    server_name: str
    key: str


class Renaming:
    """The names of one copy, by those of the first neighbourhood."""

    def __init__(self, number: int, names: dict[str, str]) -> None:
        self.number = number
        self.names = names
        self._mark = MARK.replace("0", str(number))

    def text(self, text: str) -> str:
        """Return a text with the names and the number of the copy in it."""
        known = self.names.get(text)
        if known is not None:
            return known
        return _NAMED.sub(self._name, text.replace(MARK, self._mark))

    def _name(self, found: re.Match[str]) -> str:
        return self.names.get(found[0], found[0])


def rename_events(job: Job) -> tuple[dict[str, str], dict[str, str]]:
    """Return all names of a copy, and the JSON of its events by the ids that they had before."""
    [key] = read_signing_keys([job.key.strip()])
    renaming, texts = Renaming(job.number, dict(job.names)), {}
    names = renaming.names
    for event in job.events:
        version = KNOWN_ROOM_VERSIONS[event.version]
        content = json.loads(renaming.text(event.text))
        del content["signatures"], content["hashes"]
        if event.version in _OLD_EVENT_IDS:
            content["event_id"] = f"${letters(24)}:{job.server_name}"
        add_hashes_and_signatures(version, content, job.server_name, key)
        event_id = make_event_from_dict(content, version).event_id
        names[event.event_id] = event_id
        if event.room_id not in names:
            assert event.version == _HASHED_ROOM_ID, event
            names[event.room_id] = f"!{event_id[1:]}"
        texts[event.event_id] = json_encoder.encode(content)
    return names, texts


def letters(number: int) -> str:
    """Return that many letters, by chance."""
    return "".join(secrets.choice(string.ascii_letters) for _letter in range(number))

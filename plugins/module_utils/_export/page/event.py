# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Describes an event of a room in words and HTML."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.events.event import (
    MESSAGES,
    Event,
    content_of,
    is_emptied,
    plain_text,
    relation,
    word,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.page.markup import (
    NOTHING,
    Html,
    count,
    element,
    escaped,
    isolated,
    joined,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.page.media import Media

_LONGEST_JSON = 10_000

_ENCRYPTED = "Encrypted message: the server cannot read it."
_DELETED = "Deleted message: its content was removed from the server too."
_FILES = {"m.image": "picture", "m.video": "video", "m.audio": "audio", "m.file": "file", "m.sticker": "sticker"}
_KINDS = {
    "m.notice": "notice",
    "m.server_notice": "notice of the server",
    "m.emote": "action",
    "m.location": "location",
}
# By a part of the event type, which has a different prefix until it is in the specification.
_OTHERS = {
    "poll.start": "poll",
    "poll.response": "answer to a poll",
    "poll.end": "end of a poll",
    "m.call.": "call",
    "m.key.verification.": "verification of keys",
}

_JOIN_RULES = {
    "public": "allowed everyone to join",
    "invite": "allowed only invited users to join",
    "private": "allowed only invited users to join",
    "knock": "allowed users to ask to join",
    "restricted": "allowed members of certain rooms to join",
    "knock_restricted": "allowed members of certain rooms to join, and other users to ask to join",
}
_VISIBILITY = {
    "world_readable": "made the messages readable for everyone",
    "shared": "made all messages readable for members",
    "invited": "made messages readable for members from the time of their invitation",
    "joined": "made messages readable for members from the time they joined",
}
_SETTINGS = {
    "m.room.avatar": "changed the picture of the room",
    "m.room.encryption": "turned on encryption",
    "m.room.power_levels": "changed the permissions in the room",
    "m.room.server_acl": "changed which servers may participate",
    "m.room.guest_access": "changed what guests may do",
    "m.space.child": "changed the rooms of the space",
    "m.space.parent": "changed the space of the room",
    "m.room.aliases": "changed the aliases of the room",
}
_MEMBERSHIPS = {
    "join": "is a member",
    "invite": "is invited",
    "knock": "has asked to join",
    "leave": "has left",
    "ban": "is banned",
}


def describe_message(event: Event, content: t.Mapping[str, t.Any], media: Media, without_quote: bool) -> Html:
    """Return the body of a message with the original or edited `content`."""
    kind = event.get("type")
    if is_emptied(event):
        return _quiet(_DELETED)
    if kind == "m.room.encrypted":
        return _quiet(_ENCRYPTED)
    if kind == "m.reaction":
        return _line(escaped("Reacted to another message with "), isolated(relation(event)[2] or "nothing", 50))
    if kind == "m.room.redaction":
        return _deletion(content)
    if kind_of(event) in _FILES.values():
        return _file(content, media)
    if kind in ("m.room.message", "m.sticker"):
        place = word(content, "geo_uri") if content.get("msgtype") == "m.location" else ""
        shown = _text(plain_text(content, without_quote))
        return joined([shown, _quiet(place)]) if place else shown
    return _foreign(event, content)


def kind_of(event: Event) -> str:
    """Return the type of a message in words, "" for plain text and if the body shows it."""
    kind, content = event.get("type"), content_of(event)
    if kind == "m.sticker":
        return _FILES["m.sticker"] if content else ""
    if kind == "m.room.message":
        message = word(content, "msgtype")
        return _FILES.get(message) or _KINDS.get(message) or ("" if message in ("m.text", "") else message)
    if kind in MESSAGES or kind == "m.room.redaction":
        return ""
    return next((words for part, words in _OTHERS.items() if part in str(kind)), str(kind))


def describe_change(event: Event, names: t.Mapping[str, str]) -> Html:
    """Return what a state event has changed, as the rest of a sentence that begins with its sender."""
    kind, content = str(event.get("type")), content_of(event)
    if kind == "m.room.member":
        return _membership(event, content, names)
    if kind == "m.room.create":
        version = word(content, "room_version") or "1"
        what = "space" if content.get("type") == "m.space" else "room"
        return joined([escaped(f"created the {what} (version "), isolated(version, 50), escaped(")")])
    for name, thing in (("name", "name"), ("topic", "topic"), ("canonical_alias", "main alias")):
        if kind == f"m.room.{name}":
            value = word(content, "alias" if name == "canonical_alias" else name)
            if not value:
                return escaped(f"removed the {thing} of the room")
            return joined(
                [
                    escaped(f"changed the {thing} of the room to \N{LEFT DOUBLE QUOTATION MARK}"),
                    isolated(value, 1000),
                    escaped("\N{RIGHT DOUBLE QUOTATION MARK}"),
                ]
            )
    if kind == "m.room.join_rules" and word(content, "join_rule") in _JOIN_RULES:
        return escaped(_JOIN_RULES[word(content, "join_rule")])
    if kind == "m.room.history_visibility" and word(content, "history_visibility") in _VISIBILITY:
        return escaped(_VISIBILITY[word(content, "history_visibility")])
    if kind == "m.room.pinned_events":
        pinned = content.get("pinned")
        return escaped(f"pinned {count(len(pinned), 'message')}" if isinstance(pinned, list) else "changed the pins")
    if kind == "m.room.tombstone":
        return joined(
            [escaped("closed the room, which was replaced by another one: "), isolated(word(content, "body"))]
        )
    if kind == "m.room.third_party_invite":
        shown = isolated(word(content, "display_name"))
        return joined([escaped("invited "), shown, escaped(" by e-mail or phone number")])
    if kind in _SETTINGS:
        return escaped(_SETTINGS[kind])
    return joined([escaped("changed the setting "), isolated(kind), raw("Show the content", content)])


def membership_words(membership: str) -> str:
    """Return the meaning of a membership, as the rest of a sentence about a user."""
    return _MEMBERSHIPS.get(membership, "has an unknown membership")


def raw(summary: str, value: object) -> Html:
    """Return a value for which there are no words: as JSON, behind a summary."""
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False)
    except RecursionError:
        return _quiet("It is nested too deeply to be shown: see the files of the export.")
    shown = element("pre", escaped(text, _LONGEST_JSON), dir="auto")
    rest = _quiet("The rest is in the files of the export.") if len(text) > _LONGEST_JSON else NOTHING
    return element("details", element("summary", escaped(summary)), shown, rest, class_="more")


def _membership(event: Event, content: dict[str, t.Any], names: t.Mapping[str, str]) -> Html:
    sender, target = word(event, "sender"), word(event, "state_key")
    membership, reason = word(content, "membership"), word(content, "reason")
    unsigned = event.get("unsigned")
    found = unsigned.get("prev_content") if isinstance(unsigned, dict) else None
    previous: dict[str, t.Any] = found if isinstance(found, dict) else {}
    before = word(previous, "membership")
    if membership == "join" and before == "join":
        return _new_profile(content, previous)
    own = {
        "join": "joined",
        "knock": "asked to join",
        "leave": {"invite": "declined the invitation", "knock": "withdrew the request to join"}.get(before, "left"),
        "ban": "banned themselves",
    }
    others = {
        "invite": "invited ",
        "ban": "banned ",
        "leave": {
            "ban": "lifted the ban of ",
            "invite": "withdrew the invitation of ",
            "knock": "declined the request of ",
        }.get(before, "removed "),
    }
    if sender == target and membership in own:
        done = escaped(own[membership])
    else:
        person = isolated(names.get(target) or word(content, "displayname") or target)
        verb = others.get(membership, "changed the membership of ")
        done = joined([escaped(verb), person])
    return joined([done, escaped(". Reason: "), isolated(reason, 1000)]) if reason else done


def _new_profile(content: dict[str, t.Any], previous: dict[str, t.Any]) -> Html:
    name = word(content, "displayname")
    if name != word(previous, "displayname"):
        if not name:
            return escaped("removed their name")
        return joined(
            [
                escaped("changed their name to \N{LEFT DOUBLE QUOTATION MARK}"),
                isolated(name),
                escaped("\N{RIGHT DOUBLE QUOTATION MARK}"),
            ]
        )
    changed = word(content, "avatar_url") != word(previous, "avatar_url")
    return escaped("changed their picture" if changed else "changed nothing")


def _deletion(content: t.Mapping[str, t.Any]) -> Html:
    reason = word(content, "reason")
    said = [escaped(". Reason: "), isolated(reason, 1000)] if reason else []
    return _line(escaped("Deleted another message"), *said)


def _file(content: t.Mapping[str, t.Any], media: Media) -> Html:
    body, name = word(content, "body"), word(content, "filename")
    encrypted = content.get("file")
    url = content.get("url") or (encrypted.get("url") if isinstance(encrypted, dict) else None)
    # If there is also a file name, the body is the text of the sender about the file.
    about = _text(body) if name and body and name != body else NOTHING
    return joined([media.show(url, name or body or "without a name", content.get("info")), about])


def _foreign(event: Event, content: t.Mapping[str, t.Any]) -> Html:
    """Return a type of event that this page has no words for, such as a poll or a call."""
    body = plain_text(content)
    return joined([_text(body) if body else NOTHING, raw("Show the content", content)])


def _text(text: str) -> Html:
    return element("div", escaped(text), class_="text", dir="auto") if text.strip() else _quiet("Empty message.")


def _line(*parts: Html) -> Html:
    return element("p", *parts, class_="quiet")


def _quiet(text: str) -> Html:
    return _line(escaped(text))

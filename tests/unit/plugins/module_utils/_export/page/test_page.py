# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import html.parser
import json
import os
import pathlib
import re
import stat
import tracemalloc
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.events.ids import event_id_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.page import rooms as page_rooms
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.page.page import write_page

ALICE, BOB = "@alice:s.test", "@bob:s.test"
ROOM = "!room"
HOSTILE = "</bdi></title></style><script>alert(1)</script><img src=x onerror='alert(2)'>\"'&"
MANIFEST: dict[str, t.Any] = {"user_id": ALICE, "server_name": "s.test"}
# Every element of a page. None of them can run or fetch anything by itself except img.
TAGS = re.findall(
    "[a-z0-9]+",
    "html head meta title style body header nav main footer h1 h2 h3 h4 p a bdi span div ul ol li dl dt dd table"
    " caption thead tbody tr th td time details summary pre figure figcaption img",
)
ATTRIBUTES = re.findall(
    "[a-z-]+",
    "lang charset http-equiv content name class id href src alt width height loading decoding download datetime role"
    " scope data-label dir title aria-label",
)
NOON = 1_767_225_600_000
_EMPTY = {"meta", "img"}


class Page(html.parser.HTMLParser):
    """The content of a page: its elements, which must be closed in order, its URLs, and its visible text."""

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.pictures: list[str] = []
        self.ids: list[str] = []
        self.strings: list[str] = []
        self.items: list[str] = []
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        assert {name for name, _value in attrs} <= set(ATTRIBUTES)
        values = dict(attrs)
        self.addresses += [values[name] or "" for name in ("href", "src") if name in values]
        self.pictures += [values["src"] or ""] if "src" in values else []
        self.ids += [values["id"] or ""] if "id" in values else []
        if tag not in _EMPTY:
            self.open.append(tag)
        if tag in ("li", "tr"):
            self.items.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.strings.append(data)
            if self.items and {"li", "tr"} & set(self.open):
                self.items[-1] += data

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.strings))

    def item(self, part: str) -> str:
        """Return the only entry of a list or a table that contains `part`."""
        found = [" ".join(item.split()) for item in self.items if part in item]
        assert len(found) == 1, found
        return found[0]


class Export:
    """An export that a test makes, with one room unless the test names others."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.time = NOON
        self.depth = 0
        self.outcomes: list[dict[str, t.Any]] = []

    def write(self, path: str, *objects: t.Mapping[str, t.Any]) -> None:
        (self.path / path).parent.mkdir(parents=True, exist_ok=True)
        with open(self.path / path, "a", encoding="utf-8") as file:
            file.write("".join(json.dumps(value) for value in objects))

    def event(
        self, kind: str, content: t.Any, sender: t.Any = ALICE, room: str = ROOM, time: t.Any = None, **more: t.Any
    ) -> str:
        """Add an event to a room of version 11, and return its id."""
        self.time += 1000
        self.depth += 1
        event = {"type": kind, "sender": sender, "room_id": room, "content": content, "depth": self.depth, **more}
        event["origin_server_ts"] = self.time if time is None else time
        self.write(f"rooms/{room}/events", event)
        return event_id_of(event, "11") or ""

    def state(self, kind: str, content: t.Any, key: str = "", **more: t.Any) -> str:
        return self.event(kind, content, state_key=key, **more)

    def say(self, body: t.Any, sender: str = ALICE, **more: t.Any) -> str:
        return self.event("m.room.message", {"msgtype": "m.text", "body": body}, sender, **more)

    def create(self, room: str = ROOM) -> None:
        self.state("m.room.create", {"room_version": "11"}, room=room)
        self.state("m.room.member", {"membership": "join", "displayname": "Alice"}, ALICE, room=room)
        self.state("m.room.member", {"membership": "join", "displayname": "Bob"}, BOB, sender=BOB, room=room)

    def media(self, media_id: str, media_type: str, data: bytes | None, name: str | None = None) -> None:
        found = {"media_id": media_id, "media_type": media_type, "upload_name": name, "created_ts": NOON}
        self.write(f"media_ids/{media_id}", {**found, "media_length": 8100})
        if data is not None:
            (self.path / "media").mkdir(exist_ok=True)
            (self.path / "media" / f"{media_id}+0").write_bytes(data)
            self.outcomes.append({"media_id": media_id, "file": f"{media_id}+0"})

    def page(self, **manifest: t.Any) -> Page:
        outcomes = [*self.outcomes, *manifest.pop("media", ())]
        write_page(str(self.path), {**MANIFEST, "media": outcomes, **manifest}, str(self.path / "index.html"))
        return Page(self.path / "index.html")


@pytest.fixture
def export(tmp_path: pathlib.Path) -> Export:
    return Export(tmp_path)


def test_an_empty_directory_has_a_page(export: Export) -> None:
    page = export.page()
    assert "Data of @alice:s.test" in page.text
    assert "The export contains no room" in page.text
    assert os.listdir(export.path) == ["index.html"]
    assert stat.S_IMODE(os.stat(export.path / "index.html").st_mode) == 0o600


def test_account(export: Export) -> None:
    times = {"validated_at": NOON, "added_at": NOON}
    export.write(
        "user_data/profile",
        {
            "name": ALICE,
            "displayname": "Alice",
            "creation_ts": NOON // 1000,
            "admin": True,
            "consent_version": None,
            "threepids": [{"medium": "email", "address": "alice@example.org", **times}],
            "external_ids": [{"auth_provider": "oidc-x", "external_id": "4711"}],
            "org.example.own": {"key": "value"},
        },
    )
    device = {"device_id": "PHONE", "display_name": None, "last_seen_ts": NOON, "last_seen_ip": "2001:db8::1"}
    export.write("user_data/devices", device, {"device_id": "TABLET"})
    export.write("user_data/connections", {"ip": "192.0.2.1", "last_seen": NOON, "user_agent": "Element"})
    export.write("user_data/account_data/global", {"m.direct": {BOB: [ROOM]}})
    page = export.page(created="2026-01-02T03:04:05Z", synapse_version="1.163.2")
    assert "as of 2026-01-02 03:04:05 UTC (Synapse 1.163.2)" in page.text
    assert "Account created2026-01-01 00:00:00 UTC" in page.text
    assert "Server adminyes" in page.text
    assert page.item("alice@example.org") == "E-mailalice@example.org2026-01-01 00:00:00 UTC2026-01-01 00:00:00 UTC"
    assert page.item("4711") == "oidc-x4711"
    assert page.item("PHONE") == "without a namePHONE2026-01-01 00:00:00 UTC2001:db8::1unknown"
    assert page.item("TABLET").endswith("unknownunknownunknown")
    assert page.item("192.0.2.1") == "192.0.2.12026-01-01 00:00:00 UTCElement"
    assert "Which rooms are direct conversations1 entry" in page.item("m.direct")


def test_room(export: Export) -> None:
    export.create()
    export.state("m.room.name", {"name": "Old name"})
    export.state("m.room.name", {"name": "Garden"})
    export.state("m.room.topic", {"topic": "Seeds"})
    export.state("m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"})
    export.event("m.room.encrypted", {"ciphertext": "AwgA"}, BOB)
    export.write("user_data/account_data/" + ROOM, {"m.tag": {"tags": {"m.favourite": {}}}})
    page = export.page()
    assert "Garden Member, 8 messages and changes, encrypted, last 2026-01-01 00:00:08 UTC" in re.sub(
        "GardenMember", "Garden Member", page.text
    )
    for words in ("TopicSeeds", f"Room ID{ROOM}", "Version11", "Encryptedyes", "Members2, as far", "Tags of the room"):
        assert words in page.text
    assert page.item("the server cannot read it").startswith("Bob @bob:s.test 00:00:08 UTC")
    assert "The content of 1 encrypted message:" in page.text


def test_state_files_describe_rooms_that_were_joined_late(export: Export) -> None:
    export.say("hello", sender=BOB)
    name = {"type": "m.room.name", "state_key": "", "content": {"name": "Far away"}, "depth": 3}
    member = {"type": "m.room.member", "state_key": BOB, "depth": 2}
    export.write(f"rooms/{ROOM}/state/$event", name, {**member, "content": {"membership": "join", "displayname": "B."}})
    page = export.page()
    assert "Far away" in page.text
    assert page.item("hello").startswith("B. @bob:s.test")


def test_rooms_without_a_name(export: Export) -> None:
    export.create()
    export.create("!second")
    export.state("m.room.canonical_alias", {"alias": "#second:s.test"}, room="!second")
    page = export.page()
    assert "Conversation with BobMember" in page.text
    assert "#second:s.testMember" in page.text
    # The one with the latest event comes first.
    assert page.text.index("#second:s.testMember") < page.text.index("Conversation with BobMember")


def test_messages_are_in_order_of_time(export: Export) -> None:
    export.create()
    export.say("number three", time=NOON + 90_000_000)
    export.say("number two", time=NOON + 60_000)
    export.say("number one", time=NOON + 30_000)
    export.say("of no time", time="x")
    export.say("of the far future", time=10**30)
    text = export.page().text
    order = ("of no time", "of the far future", "number one", "number two", "2 January", "number three")
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    assert "Time unknown" in text


def test_an_edit_takes_the_place_of_the_text(export: Export) -> None:
    export.create()
    target = export.say("befroe")
    relation = {"m.relates_to": {"rel_type": "m.replace", "event_id": target}}
    content = {"msgtype": "m.text", "body": "* before", "m.new_content": {"body": "before"}, **relation}
    export.event("m.room.message", content)
    # Users cannot edit the messages of other users.
    export.event("m.room.message", {**content, "m.new_content": {"body": "forged"}}, BOB)
    page = export.page()
    assert page.item("befroe") == (
        "Alice @alice:s.test (this account) 00:00:04 UTCbefore"
        "Edited 2026-01-01 00:00:05 UTC: show the earlier textbefroe"
    )
    assert page.item("forged").startswith("Bob @bob:s.test 00:00:06 UTCNew text of an earlier message:")


def test_replies_and_reactions(export: Export) -> None:
    export.create()
    target = export.say("question", sender=BOB)
    reply = {"body": "> <@bob:s.test> question\n\nanswer", "m.relates_to": {"m.in_reply_to": {"event_id": target}}}
    export.event("m.room.message", {"msgtype": "m.text", **reply})
    lost = {"body": "> quoted\n\nother answer", "m.relates_to": {"m.in_reply_to": {"event_id": "$unknown"}}}
    export.event("m.room.message", {"msgtype": "m.text", **lost})
    for sender, key in ((ALICE, "👍"), (BOB, "👍"), (BOB, "no")):
        relation = {"rel_type": "m.annotation", "event_id": target, "key": key}
        export.event("m.reaction", {"m.relates_to": relation}, sender)
    export.event("m.reaction", {"m.relates_to": {"rel_type": "m.annotation", "event_id": "$unknown", "key": "yes"}})
    page = export.page()
    link = next(address for address in page.addresses if address.startswith("#message-"))
    assert link[1:] in page.ids
    assert page.item("UTCIn reply to Bob: questionanswer")
    assert "> quoted" in page.item("other answer")
    assert page.item("👍") == "👍 Alice, Bob"
    assert page.item("no Bob") == "no Bob"
    assert "Reacted to another message with yes" in page.text


def test_redactions(export: Export) -> None:
    export.create()
    target = export.event("m.room.message", {}, BOB)
    export.event("m.room.redaction", {"redacts": target, "reason": "rude"})
    kept = export.say("still here", sender=BOB)
    export.event("m.room.redaction", {"redacts": kept})
    page = export.page()
    assert "Deleted by Alice @alice:s.test, 2026-01-01 00:00:05 UTC. Reason: rude" in page.item(
        "its content was removed"
    )
    assert "Deleted" not in page.item("still here")
    assert "Deleted another message" in page.text


@pytest.mark.parametrize(
    ("sender", "target", "content", "before", "words"),
    [
        (BOB, BOB, {"membership": "join"}, {}, "joined"),
        (BOB, BOB, {"membership": "leave"}, {"membership": "join"}, "left"),
        (BOB, BOB, {"membership": "leave"}, {"membership": "invite"}, "declined the invitation"),
        (BOB, BOB, {"membership": "knock"}, {}, "asked to join"),
        (BOB, ALICE, {"membership": "invite"}, {}, "invited Alice"),
        (BOB, ALICE, {"membership": "ban", "reason": "x"}, {}, "banned Alice. Reason: x"),
        (BOB, ALICE, {"membership": "leave"}, {"membership": "ban"}, "lifted the ban of Alice"),
        (BOB, ALICE, {"membership": "leave"}, {"membership": "join"}, "removed Alice"),
        (
            BOB,
            BOB,
            {"membership": "join", "displayname": "Bob"},
            {"membership": "join"},
            "changed their name to \N{LEFT DOUBLE QUOTATION MARK}Bob\N{RIGHT DOUBLE QUOTATION MARK}",
        ),
    ],
)
def test_memberships_in_words(
    export: Export, sender: str, target: str, content: dict[str, t.Any], before: dict[str, t.Any], words: str
) -> None:
    export.create()
    export.state("m.room.member", content, target, sender=sender, unsigned={"prev_content": before})
    assert export.page().item("00:00:04 UTC").endswith(f"Bob @bob:s.test {words}")


@pytest.mark.parametrize(
    ("kind", "content", "words"),
    [
        ("m.room.join_rules", {"join_rule": "public"}, "allowed everyone to join"),
        ("m.room.topic", {}, "removed the topic of the room"),
        ("m.room.power_levels", {"users": {}}, "changed the permissions in the room"),
        ("m.room.pinned_events", {"pinned": ["$a"]}, "pinned 1 message"),
        ("org.example.own", {"a": 1}, 'changed the setting org.example.ownShow the content{ "a": 1 }'),
        ("m.room.join_rules", {"join_rule": ["x"]}, "changed the setting m.room.join_rules"),
    ],
)
def test_changes_in_words(export: Export, kind: str, content: dict[str, t.Any], words: str) -> None:
    export.create()
    export.state(kind, content)
    assert f"Alice @alice:s.test {words}" in export.page().item("00:00:04 UTC")


def test_media(export: Export) -> None:
    export.create()
    export.write("user_data/profile", {"name": ALICE, "avatar_url": "mxc://s.test/picture"})
    export.media("picture", "image/png", b"\x89PNG", "sun.png")
    export.media("vector", "image/svg+xml", b"\n<svg onload='alert(1)'/>", "vector.svg")
    export.media("disguised", "application/pdf", b"\xef\xbb\xbf <html>", "disguised.pdf")
    export.media("report", "application/pdf", b"%PDF", "a/b.pdf")
    export.media("gone", "image/png", None, "gone.png")
    export.media("unasked", "image/png", None, "unasked.png")
    for name in ("picture", "vector", "disguised", "report", "gone", "unasked", "strangers"):
        content = {"msgtype": "m.image", "body": f"my {name}", "url": f"mxc://s.test/{name}", "info": {"w": 4, "h": 3}}
        export.event("m.room.message", content)
    for url in (
        "mxc://other.test/picture",
        "mxc://s.test/../../etc/passwd",
        "http://s.test/x",
        "mxc://s.test/a%2Fb",
        1,
    ):
        export.event("m.room.message", {"msgtype": "m.image", "body": f"from {url}", "url": url})
    outcomes = [{"media_id": "gone", "reason": "quarantined"}, {"media_id": "../../x"}, {"media_id": None}]
    page = export.page(media=outcomes)
    assert set(page.pictures) == {"media/picture%2B0"}
    assert len(page.pictures) == 3
    assert set(page.addresses) - set(page.pictures) <= {"media/picture%2B0", "media/report%2B0"} | {
        address for address in page.addresses if address.startswith("#")
    }
    assert 'width="4" height="3"' in page.source
    assert 'download="a_b.pdf"' in page.source
    assert "my gone (missing: quarantined)" in page.item("my gone")
    assert "missing: the file itself is not part of this export" in page.item("my unasked")
    assert "no link, because a browser could run" in page.item("my vector")
    assert "no link, because a browser could run" in page.item("my disguised")
    assert "a file of another user" in page.item("my strangers")
    assert "a file of another user" in page.item("from mxc://other.test")
    assert "its URL is not valid" in page.item("from mxc://s.test/../")
    assert "its URL is not valid" in page.item("from http")
    assert "8.1 kB" in page.item("a/b.pdf")
    assert "2 files: the list of files shows the reasons" in page.text


@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize(("membership", "words"), [("invite", "invite"), ("knock", "request to join")])
def test_pending(export: Export, stated: bool, membership: str, words: str) -> None:
    sender = BOB if membership == "invite" else ALICE
    content = {"membership": membership, "reason": "because"}
    export.state("m.room.member", content, ALICE, sender=sender)
    state = [{"type": "m.room.name", "state_key": "", "content": {"name": "Secret place"}}]
    if stated:
        page = export.page(pending_rooms=[{"room_id": ROOM, "membership": membership}])
    else:
        export.write(f"rooms/{ROOM}/{membership}_state", *state)
        page = export.page()
    name = "Conversation with" if stated else "Secret place"
    assert page.item(ROOM).endswith(f"{ROOM}{words}{sender}2026-01-01 00:00:01 UTCbecause")
    assert (name in page.item(ROOM)) is not stated
    assert "Rooms (0)" in page.text
    assert "Invites and requests (1)" in page.text


def test_what_is_missing(export: Export) -> None:
    page = export.page(
        forgotten_rooms=["!gone"],
        not_exported=[{"name": "Keys", "reason": "They stay."}],
        pending_rooms=[{"room_id": "!unknown", "membership": "invite"}],
    )
    assert "Rooms that were left and forgotten: !gone" in page.text
    assert page.item("Keys") == "Keys: They stay."
    assert page.item("!unknown") == "unknown!unknowninviteunknownunknownnone"


def test_hostile_content_stays_text(export: Export) -> None:
    room = "!" + HOSTILE.replace("/", "")
    export.write(
        "user_data/profile",
        {
            "name": ALICE,
            "displayname": HOSTILE,
            HOSTILE: HOSTILE,
            "threepids": [{"medium": HOSTILE, "address": HOSTILE}],
        },
    )
    export.write("user_data/devices", {"device_id": HOSTILE, "display_name": HOSTILE, "last_seen_ts": HOSTILE})
    export.write("user_data/connections", {"ip": HOSTILE, "user_agent": HOSTILE})
    export.write("user_data/account_data/global", {HOSTILE: {HOSTILE: HOSTILE}})
    export.media("picture", "image/png", b"\x89PNG", HOSTILE)
    export.media("file", HOSTILE, b"x", HOSTILE)
    export.create(room)
    export.state("m.room.member", {"membership": "join", "displayname": HOSTILE}, BOB, sender=BOB, room=room)
    export.state("m.room.member", {"membership": HOSTILE, "reason": HOSTILE}, HOSTILE, sender=HOSTILE, room=room)
    for kind in ("name", "topic", "canonical_alias", "encryption", "tombstone", "join_rules", HOSTILE):
        content = dict.fromkeys(("name", "topic", "alias", "algorithm", "body", "join_rule"), HOSTILE)
        export.state(f"m.room.{kind}", content, room=room)
    target = export.say(HOSTILE, sender=HOSTILE, room=room)
    html_body = {"format": "org.matrix.custom.html", "formatted_body": "<h1>formatted</h1>"}
    reply = {"m.relates_to": {"m.in_reply_to": {"event_id": target}}}
    export.event("m.room.message", {"msgtype": HOSTILE, "body": HOSTILE, **html_body, **reply}, BOB, room=room)
    relation = {"rel_type": "m.annotation", "event_id": target, "key": HOSTILE}
    export.event("m.reaction", {"m.relates_to": relation}, BOB, room=room)
    picture = {"msgtype": "m.image", "body": HOSTILE, "filename": HOSTILE + "2", "url": "mxc://s.test/picture"}
    export.event("m.room.message", {**picture, "info": {"w": HOSTILE, "h": HOSTILE}}, room=room)
    export.event(HOSTILE, {HOSTILE: HOSTILE}, room=room)
    page = export.page(created=HOSTILE, synapse_version=HOSTILE, forgotten_rooms=[HOSTILE], user_id=ALICE)
    assert "formatted" not in page.text
    assert page.text.count("<script>alert(1)</script>") > 30
    allowed = re.compile(r"#[a-z0-9-]+|media/(picture|file)%2B0")
    assert all(allowed.fullmatch(address) for address in page.addresses)
    assert "default-src 'none'" in page.source.replace("&#x27;", "'")


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        "text",
        {"body": ["x"], "msgtype": {"a": 1}},
        {"body": None, "m.relates_to": "x"},
        {"msgtype": "m.text", "m.relates_to": {"rel_type": 1, "event_id": [], "m.in_reply_to": []}},
        {"msgtype": "m.image", "url": {}, "file": [], "info": [], "body": 5},
        {"membership": 7, "displayname": {}, "name": 1, "topic": [], "pinned": {}, "room_version": {}},
    ],
)
@pytest.mark.parametrize(
    "kind",
    ["m.room.message", "m.room.member", "m.room.name", "m.room.create", "m.room.pinned_events", "m.reaction", "own"],
)
def test_any_shape_of_content_is_shown(export: Export, kind: str, content: t.Any) -> None:
    export.create()
    export.event(kind, content)
    export.event(kind, content, state_key=ALICE, unsigned=content)
    export.event(kind, content, state_key="", depth="x")
    export.event(kind, content, sender=["x"], state_key=None)
    assert "Conversation with Bob" in export.page().text or kind in ("m.room.member", "m.room.name")


def test_control_characters(export: Export) -> None:
    export.create()
    export.say("a\0b\x1b[31m\x85next \ud800 line\u2028end\ttab")
    text = export.page().source
    assert "a\ufffdb\ufffd[31m\nnext \ufffd line\nend\ttab" in text


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("\u202eabc", "\u202eabc\u202c"),
        ("\u2066a\u202eb", "\u2066a\u202eb\u202c\u2069"),
        ("\u2067a\u202eb\u2069c", "\u2067a\u202eb\u2069c"),
        ("\u2069\u202cabc", "abc"),
        ("\u202ea\nb", "\u202ea\u202c\nb"),
        ("\u202aa\u202c\u200fb", "\u202aa\u202c\u200fb"),
    ],
)
def test_directions_end_where_the_text_ends(export: Export, body: str, shown: str) -> None:
    export.create()
    export.say(body)
    assert f">{shown}<" in export.page().source


def test_long_rooms_go_on_on_further_pages(export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_rooms, "_MOST", 60)
    monkeypatch.setattr(page_rooms, "_PER_PAGE", 50)
    export.create()
    export.media("picture", "image/png", b"\x89PNG")
    export.event("m.room.message", {"msgtype": "m.image", "body": "old", "url": "mxc://s.test/picture"})
    for number in range(200):
        export.say(f"number {number:03}.")
    manifest = {**MANIFEST, "media": export.outcomes}
    paths = write_page(str(export.path), manifest, str(export.path / "index.html"))
    assert paths == ["index.html", "pages/1-1.html", "pages/1-2.html", "pages/1-3.html"]
    pages = [Page(export.path / path) for path in paths]
    found = [re.findall(r"number (\d+)\.", page.text) for page in pages]
    assert [len(numbers) for numbers in found] == [60, 46, 50, 44]
    assert sum(found[1:], []) + found[0] == [f"{number:03}" for number in range(200)]
    assert "These are the newest 60 of 204." in pages[0].text
    assert set(paths[1:]) <= set(pages[0].addresses)
    assert "../media/picture%2B0" in pages[1].pictures
    assert {"../index.html#room-1", "1-2.html"} <= set(pages[1].addresses)
    assert {stat.S_IMODE(os.stat(export.path / path).st_mode) for path in paths} == {0o600}
    assert stat.S_IMODE(os.stat(export.path / "pages").st_mode) == 0o700


def test_many_rooms_share_the_page(export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_rooms, "_ALTOGETHER", 120)
    for number in range(3):
        export.create(f"!{number}")
        for _again in range(60):
            export.say("said", room=f"!{number}")
    page = export.page()
    assert page.text.count("These are the newest 50 of 63.") == 3
    assert page.text.count("said") == 150


def test_memory_does_not_grow_with_a_room(export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_rooms, "_MOST", 50)
    monkeypatch.setattr(page_rooms, "_PER_PAGE", 50)
    export.create()
    peaks = []
    for amount in (400, 800):
        content = {"msgtype": "m.text", "body": "x" * 10_000}
        message = {"type": "m.room.message", "sender": BOB, "content": content, "origin_server_ts": NOON}
        export.write(f"rooms/{ROOM}/events", *[message] * amount)
        tracemalloc.start()
        write_page(str(export.path), MANIFEST, str(export.path / "index.html"))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.2


@pytest.mark.parametrize(
    "path", ["user_data/profile", f"rooms/{ROOM}/events", f"rooms/{ROOM}/invite_state", "media_ids/a"]
)
def test_a_damaged_file_is_named(export: Export, path: str) -> None:
    (export.path / path).parent.mkdir(parents=True)
    (export.path / path).write_text('{"a": 1}{"b"')
    with pytest.raises(SynapseError, match=f"{path} ends in the middle"):
        export.page()


def test_a_page_that_cannot_be_written_is_named(export: Export) -> None:
    (export.path / "index.html").mkdir()
    with pytest.raises(SynapseError, match=r"index\.html of the export cannot be written: Is a directory"):
        export.page()

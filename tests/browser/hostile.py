# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An export that tries everything to get out of its page, and a page that lets it: the checks must find that one."""

from __future__ import annotations

import base64
import json
import struct
import typing as t
import zlib
from pathlib import Path

OUTSIDE = "outside.test"
ALICE, BOB = "@alice:s.test", "@bob:s.test"
ROOM, LONG_ROOM = "!room", "!long"
LONG = 1100

_RUN = "document.documentElement.dataset.ran=1"
ATTACKS = (
    f"<script>{_RUN}</script>",
    f'"><img src="http://{OUTSIDE}/picture.png" onerror="{_RUN}">',
    f"' autofocus onfocus='{_RUN}' x='",
    f"</style></title><style>@import url(http://{OUTSIDE}/style.css);</style>",
    f'<iframe src="http://{OUTSIDE}/frame"></iframe><link rel="prefetch" href="http://{OUTSIDE}/prefetch">',
    f'<meta http-equiv="refresh" content="0;url=http://{OUTSIDE}/refresh">',
    f"<svg onload='{_RUN}'></svg>",
    "</div></details></main><h1>broken out</h1><!--",
    "W" * 400,
    "https://" + "a" * 300,
)
# What a policy has to stop if it was not escaped: elements with their properties.
ELEMENTS = (
    ("img", f"{{src: 'http://{OUTSIDE}/picture.png'}}"),
    ("script", f"{{text: '{_RUN}'}}"),
    ("script", f"{{src: 'http://{OUTSIDE}/script.js'}}"),
    ("style", "{textContent: 'body { display: none }'}"),
    ("iframe", f"{{src: 'http://{OUTSIDE}/frame'}}"),
    ("video", f"{{src: 'http://{OUTSIDE}/video'}}"),
    ("div", f'{{innerHTML: \'<i onclick="{_RUN}" style="color: red">x</i>\'}}'),
)
# Ends what isolates it, and then turns around all that follows in the line.
NAME = "\u2069\u2069\u202eeman desrever"

_TIME = 1_767_225_600_000


def pictures() -> dict[str, bytes]:
    """Return a small picture of each type that a page shows, and one that is wider than narrow screens."""
    return {
        "image/png": _png(1600, 900),
        "image/gif": base64.b64decode("R0lGODdhCAAIAIEAAB4eyAAAAAAAAAAAACwAAAAACAAIAAAIDwABCBxIsKDBgwgTKkwYEAA7"),
        "image/webp": base64.b64decode("UklGRh4AAABXRUJQVlA4TBEAAAAvB8ABAAdQ5CLXo/+BiOh/AAA="),
        "image/jpeg": base64.b64decode(
            "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAKBueIx4ZKCMgoy0qqC+8P//8Nzc8P//////////////////////////////////////////"
            "////////////////wAALCAAIAAgBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAAf/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8A"
            "H//Z"
        ),
        "image/avif": base64.b64decode(
            "AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUIAAADrbWV0YQAAAAAAAAAhaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAAAAAA"
            "AAAOcGl0bQAAAAAAAQAAAB5pbG9jAAAAAEQAAAEAAQAAAAEAAAETAAAAJAAAAChpaW5mAAAAAAABAAAAGmluZmUCAAAAAAEAAGF2MDFD"
            "b2xvcgAAAABqaXBycAAAAEtpcGNvAAAAFGlzcGUAAAAAAAAACAAAAAgAAAAQcGl4aQAAAAADCAgIAAAADGF2MUOBAAwAAAAAE2NvbHJu"
            "Y2x4AAEADQAGgAAAABdpcG1hAAAAAAAAAAEAAQQBAoMEAAAALG1kYXQSAAoIGAi/aICGg0IyFhxHh4Xd0000wsAAAJA1jjwdfKcTRRQ="
        ),
    }


def write_export(directory: Path) -> None:
    """Write an export of Alice: one room with every attack in every place, and one with many messages."""
    attack = " ".join(ATTACKS)
    profile = {"name": ALICE, "displayname": attack, "avatar_url": "mxc://s.test/png", attack: attack, "admin": False}
    address = {"medium": attack, "address": attack, "validated_at": _TIME, "added_at": _TIME}
    _write(directory / "user_data/profile", {**profile, "threepids": [address]})
    device = {"device_id": attack, "display_name": attack, "last_seen_ip": attack, "last_seen_user_agent": attack}
    _write(directory / "user_data/devices", device)
    _write(directory / "user_data/connections", {"ip": attack, "last_seen": _TIME, "user_agent": attack})
    _write(directory / "user_data/account_data/global", {attack: {attack: attack}})
    _write_media(directory, attack)
    _write(directory / f"rooms/{ROOM}/events", *_stamped(_hostile_room(attack)))
    _write(directory / f"rooms/{LONG_ROOM}/events", *_stamped(_long_room()))
    _write(directory / "rooms/!invited/invite_state", _state("m.room.name", {"name": attack}))


def manifest() -> dict[str, t.Any]:
    """Return what the manifest of the export says that its page reads."""
    media = [{"media_id": media_id, "file": _file_of(media_id)} for media_id in map(_media_id, _media())]
    return {"user_id": ALICE, "server_name": "s.test", "created": "2026-01-02T03:04:05Z", "media": media}


def write_unsafe_page(path: Path) -> None:
    """Write what a page would be that neither escapes nor forbids anything."""
    # One that leaves the page would take along what the others have done.
    attacks = "".join(attack for attack in ATTACKS if "refresh" not in attack)
    pale = '<div class="pale" style="color: #aaa; background: #fff; width: 2000px">wide and pale</div>'
    turned = f'<p class="who"><span class="name">{NAME}</span> <time>12:00</time></p>'
    path.write_text(f'<!DOCTYPE html><meta charset="utf-8">{pale}{turned}{attacks}')


def _hostile_room(attack: str) -> t.Iterator[dict[str, t.Any]]:
    yield _state("m.room.create", {"room_version": "12"})
    yield _state("m.room.member", {"membership": "join", "displayname": NAME}, BOB)
    yield _state("m.room.member", {"membership": "join", "displayname": attack}, ALICE)
    yield _state("m.room.member", {"membership": "ban", "displayname": attack, "reason": attack}, attack)
    for kind in ("name", "topic", "canonical_alias", "encryption", "tombstone", attack):
        yield _state(f"m.room.{kind}", dict.fromkeys(("name", "topic", "alias", "algorithm", "body"), attack))
    for text in (*ATTACKS, NAME, "a\u0300" + "\u0301" * 200, "first line\n    second line\n"):
        html = {"format": "org.matrix.custom.html", "formatted_body": text}
        yield _message({"msgtype": "m.text", "body": text, **html}, BOB)
        yield _message({"msgtype": attack, "body": text}, ALICE)
    for name in pictures():
        url = f"mxc://s.test/{_media_id(name)}"
        info = {"w": 1600, "h": 900} if name == "image/png" else {}
        yield _message({"msgtype": "m.image", "body": attack, "url": url, "info": info}, ALICE)
    urls = (
        "mxc://s.test/vector",
        f"http://{OUTSIDE}/x.png",
        f"mxc://{OUTSIDE}/x",
        "mxc://s.test/../index.html",
        attack,
    )
    for url in urls:
        yield _message({"msgtype": "m.image", "body": "not shown", "url": url}, BOB)
    yield {"type": "m.room.encrypted", "sender": BOB, "content": {"ciphertext": attack}}
    yield {"type": attack, "sender": attack, "content": {attack: attack}}


def _long_room() -> t.Iterator[dict[str, t.Any]]:
    yield _state("m.room.create", {"room_version": "12"})
    yield _state("m.room.name", {"name": "A long room"})
    yield _message({"msgtype": "m.image", "body": "the oldest", "url": "mxc://s.test/png"}, ALICE)
    yield from (_message({"msgtype": "m.text", "body": f"number {number}"}, BOB) for number in range(LONG - 3))


def _write_media(directory: Path, name: str) -> None:
    (directory / "media").mkdir(parents=True)
    for media_type, data in _media().items():
        media_id = _media_id(media_type)
        found = {"media_id": media_id, "media_type": media_type, "upload_name": name, "created_ts": _TIME}
        _write(directory / "media_ids" / media_id, {**found, "media_length": len(data)})
        (directory / "media" / _file_of(media_id)).write_bytes(data)


def _media() -> dict[str, bytes]:
    vector = f'<svg xmlns="http://www.w3.org/2000/svg"><script>{_RUN}</script></svg>'.encode()
    return {**pictures(), "image/vector": vector}


def _media_id(media_type: str) -> str:
    return media_type.partition("/")[2]


def _file_of(media_id: str) -> str:
    """Return the name of its file, with what has a meaning in addresses."""
    return f"+{media_id}%20=2e"


def _stamped(events: t.Iterable[dict[str, t.Any]]) -> t.Iterator[dict[str, t.Any]]:
    for depth, event in enumerate(events, 1):
        yield {**event, "depth": depth, "origin_server_ts": _TIME + depth * 60_000}


def _state(kind: str, content: dict[str, t.Any], key: str = "") -> dict[str, t.Any]:
    return {"type": kind, "sender": ALICE, "state_key": key, "content": content}


def _message(content: dict[str, t.Any], sender: str) -> dict[str, t.Any]:
    return {"type": "m.room.message", "sender": sender, "content": content}


def _write(path: Path, *objects: dict[str, t.Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(map(json.dumps, objects)))


def _png(width: int, height: int) -> bytes:
    row = b"\0" + b"\x3c\x8c\x46" * width
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(row * height)), (b"IEND", b""))
    chunks = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)

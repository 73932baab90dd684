# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import json
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.content import (
    Content,
    describe_files,
    list_files,
    read_content,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.events.objects import read_objects
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.manifest import File

ALICE = "@alice:s.test"
IDS = {"rooms/one": "!one", "rooms/two": "!two/x:s.test", "rooms/three": "!three"}
OBJECTS: list[dict[str, t.Any]] = [{}, {"body": '}{ \N{SNOWMAN} \\" ' * 30}, {"a": [{"b": 1}]}, {"n": 12}]


def write(directory: pathlib.Path, path: str, *objects: dict[str, t.Any]) -> None:
    (directory / path).parent.mkdir(parents=True, exist_ok=True)
    (directory / path).write_text("".join(json.dumps(value) for value in objects))


@pytest.fixture
def export(tmp_path: pathlib.Path) -> pathlib.Path:
    write(tmp_path, "user_data/profile", {"name": ALICE})
    write(tmp_path, "user_data/devices", {"device_id": "A"}, {"device_id": "B"})
    write(tmp_path, "user_data/account_data/global", {})
    write(tmp_path, "rooms/one/events", {"type": "x"}, {"type": "y"})
    write(tmp_path, "rooms/one/state/$event", {"type": "z"})
    write(tmp_path, "rooms/two/events", {"type": "m.room.encrypted"})
    write(tmp_path, "media_ids/abc", {"media_id": "abc"})
    return tmp_path


@pytest.mark.parametrize("chunk", [1, 2, 7, 100, 1 << 20])
@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("between", ["", "\n"])
def test_read_objects(tmp_path: pathlib.Path, chunk: int, ascii_only: bool, between: str) -> None:
    text = between.join(json.dumps(value, ensure_ascii=ascii_only) for value in OBJECTS)
    (tmp_path / "events").write_text(text, encoding="utf-8")
    if between:
        with pytest.raises(SynapseError):
            list(read_objects(str(tmp_path / "events"), chunk))
    else:
        assert list(read_objects(str(tmp_path / "events"), chunk)) == OBJECTS


def test_read_objects_holds_little_at_a_time(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = []

    class Decoder(json.JSONDecoder):
        def raw_decode(self, s: str, idx: int = 0) -> tuple[t.Any, int]:
            lengths.append(len(s))
            return super().raw_decode(s, idx)

    monkeypatch.setattr(json, "JSONDecoder", Decoder)
    write(tmp_path, "events", *OBJECTS * 500)
    assert sum(1 for _value in read_objects(str(tmp_path / "events"), 4096)) == 2000
    assert max(lengths) < 3 * 4096


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1}{"b"', "ends in the middle"),
        (b'{"a": 1}[]', "not a JSON object"),
        (b"12", "not a JSON object"),
        (b"{} trailing", "ends in the middle"),
        (b'{"a": "\xff"}', "not text"),
    ],
)
def test_read_objects_refuses(tmp_path: pathlib.Path, content: bytes, message: str) -> None:
    (tmp_path / "events").write_bytes(content)
    with pytest.raises(SynapseError, match=message):
        list(read_objects(str(tmp_path / "events")))


def test_read_objects_of_an_empty_and_a_missing_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "empty").write_text("")
    assert list(read_objects(str(tmp_path / "empty"))) == []
    with pytest.raises(SynapseError, match="missing cannot be read: No such file"):
        list(read_objects(str(tmp_path / "missing")))


def test_read_content(export: pathlib.Path) -> None:
    content, rooms = read_content(str(export), ALICE, IDS)
    assert content == Content(rooms=2, events=3, encrypted_messages=1, media=1, devices=2)
    one, two = rooms
    assert (one.room_id, one.events, one.encrypted, one.pending) == ("!one", 2, False, False)
    assert (two.room_id, two.path, two.encrypted) == ("!two/x:s.test", "rooms/two", True)


def test_rooms_say_what_they_are(export: pathlib.Path) -> None:
    state = [
        {"type": "m.room.create", "state_key": "", "content": {"room_version": "11"}, "depth": 1},
        {"type": "m.room.member", "state_key": ALICE, "content": {"membership": "leave"}, "depth": 2},
        {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "x"}, "depth": 3},
    ]
    write(export, "rooms/one/events", *state)
    write(export, "rooms/three/knock_state", {"type": "m.room.name", "state_key": "", "content": {"name": "x"}})
    one, three, _two = read_content(str(export), ALICE, IDS)[1]
    assert (one.room_version, one.membership, one.encrypted, one.encrypted_messages) == ("11", "leave", True, 0)
    assert (three.membership, three.pending, three.events) == ("knock", True, 0)


def test_read_content_without_a_profile(export: pathlib.Path) -> None:
    (export / "user_data/profile").unlink()
    with pytest.raises(SynapseError, match="does not contain the profile of @alice:s.test"):
        read_content(str(export), ALICE, IDS)


def test_read_content_of_another_account(export: pathlib.Path) -> None:
    with pytest.raises(SynapseError, match="the profile of @alice:s.test, not of @bob:s.test"):
        read_content(str(export), "@bob:s.test", IDS)


def test_read_content_reads_every_file(export: pathlib.Path) -> None:
    for path in list_files(str(export)):
        whole = (export / path).read_bytes()
        (export / path).write_bytes(whole + b"{")
        with pytest.raises(SynapseError, match="ends in the middle"):
            read_content(str(export), ALICE, IDS)
        (export / path).write_bytes(whole)


def test_describe_files(export: pathlib.Path) -> None:
    (export / "index.html").write_text("<p>")
    known = File("media_ids/abc", 1, "known", "image/png")
    described = {file.path: file for file in describe_files(str(export), {known.path: known})}
    assert sorted(described) == list_files(str(export))
    assert described["media_ids/abc"] == known
    assert described["index.html"] == File("index.html", 3, hashlib.sha256(b"<p>").hexdigest(), "text/html")
    empty = described["user_data/account_data/global"]
    assert (empty.size, empty.sha256) == (2, hashlib.sha256(b"{}").hexdigest())
    assert empty.media_type == "application/json"

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import io
import json
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.manifest import LARGEST_MANIFEST, Manifest
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._export.made_export import MANIFEST


def test_manifest_is_read_as_it_was_written() -> None:
    assert Manifest.from_json(MANIFEST.to_json()) == MANIFEST
    assert (MANIFEST.size, MANIFEST.sizes) == (2, {"profile": 2})
    assert MANIFEST.missing_media == [{"media_id": "b", "reason": "gone"}]


def test_manifest_shows_when_it_was_made_in_two_forms() -> None:
    written = json.loads(MANIFEST.to_json())
    assert (written["created"], written["created_ts"]) == ("2026-01-31T12:00:00Z", 1_769_860_800_000)
    later = dataclasses.replace(MANIFEST, created_ts=MANIFEST.created_ts + 999)
    assert (later.created, Manifest.from_json(later.to_json())) == (MANIFEST.created, later)


def test_manifest_of_an_export_without_media_has_no_such_key() -> None:
    made = dataclasses.replace(MANIFEST, media=None)
    assert "media" not in json.loads(made.to_json())
    assert "null" not in made.to_json()
    assert Manifest.from_json(made.to_json()) == made


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", "null", "12"),
        json.dumps({**json.loads(MANIFEST.to_json()), "manifest_version": 2}),
        json.dumps({**json.loads(MANIFEST.to_json()), "files": [{}]}),
        json.dumps({**json.loads(MANIFEST.to_json()), "files": None}),
        json.dumps({**json.loads(MANIFEST.to_json()), "something": "else"}),
        "[" * 100_000,
    ],
)
def test_something_else_is_not_a_manifest(text: str) -> None:
    with pytest.raises(ValueError):
        Manifest.from_json(text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(
            ("user_id", 5),
            ("created", 5),
            ("created", "zzz"),
            ("created", "2026-01-31T12:00:01Z"),
            ("created_ts", 0),
            ("created_ts", "1769860800000"),
            ("created_ts", 10**20),
            ("synapse_version", None),
            ("includes_forgotten_rooms", "yes"),
            ("includes_quarantined_media", "yes"),
        ),
        *(("media", "x"), ("media", ["x"]), ("media", [{}]), ("media", [{"media_id": "a", "reason": 5}])),
        *(
            ("pending_rooms", [5]),
            ("pending_rooms", [{"room_id": "!i"}]),
            ("pending_rooms", {}),
            ("rooms", [5]),
            ("rooms", ""),
        ),
        *(("forgotten_rooms", "x"), ("forgotten_rooms", [5]), ("not_exported", [{"name": 5, "reason": ""}])),
        *(("summary", []), ("summary", {"rooms": "1"}), ("ids", []), ("ids", {"rooms/x": 5})),
        ("files", [{"path": "profile", "size": "2", "sha256": "", "media_type": ""}]),
        *(("user_id", "\ud800"), ("synapse_version", "\udfff"), ("forgotten_rooms", ["\ud800"])),
        *(("pending_rooms", [{"room_id": "\ud800", "membership": "invite"}]), ("summary", {"\ud800": 1})),
        *(("media", [{"media_id": "\ud800"}]), ("media", [{"media_id": "", "reason": "\ud800"}])),
        ("not_exported", [{"name": "", "reason": "\ud800"}]),
        ("not_exported", [{"name": "", "reason": "", "\ud800": 1}]),
        *(("summary", {"rooms": -1}), ("summary", {"rooms": 10**4000})),
        ("files", [{"path": "profile", "size": -1, "sha256": "", "media_type": ""}]),
        ("files", [{"path": ["profile"], "size": 2, "sha256": "", "media_type": ""}]),
    ],
)
def test_damaged_manifest(field: str, value: t.Any) -> None:
    with pytest.raises(ValueError):
        Manifest.from_json(json.dumps({**json.loads(MANIFEST.to_json()), field: value}))


def test_ids_need_not_be_unicode() -> None:
    # They are used only as file names, and servers can choose any text.
    made = dataclasses.replace(MANIFEST, ids={"rooms/x": "\ud800"})
    assert Manifest.from_json(made.to_json()) == made


def test_manifest_of_a_file_is_read_up_to_a_limit() -> None:
    text = MANIFEST.to_json().encode()
    assert Manifest.read(io.BytesIO(text), len(text)) == MANIFEST
    for content, size in ((text, LARGEST_MANIFEST + 1), (text[:-5], len(text)), (b"\xff", 1)):
        with pytest.raises(ValueError):
            Manifest.read(io.BytesIO(content), size)

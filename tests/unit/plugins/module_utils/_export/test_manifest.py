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
    assert MANIFEST.missing_media == [{"media_id": "b", "missing": "gone"}]


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", "null", "12"),
        json.dumps({**json.loads(MANIFEST.to_json()), "format": 2}),
        json.dumps({**json.loads(MANIFEST.to_json()), "files": [{}]}),
        json.dumps({**json.loads(MANIFEST.to_json()), "files": None}),
        json.dumps({**json.loads(MANIFEST.to_json()), "something": "else"}),
        "[" * 100_000,
    ],
)
def test_something_else_is_no_manifest(text: str) -> None:
    with pytest.raises(ValueError):
        Manifest.from_json(text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(
            ("user_id", 5),
            ("created_at", 5),
            ("created_at", "zzz"),
            ("synapse_version", None),
            ("includes_forgotten_rooms", "yes"),
        ),
        *(("media", "x"), ("media", ["x"]), ("media", [{}]), ("media", [{"media_id": "a", "missing": 5}])),
        *(("pending", [5]), ("pending", [{"room_id": "!i"}]), ("pending", {}), ("rooms", [5]), ("rooms", "")),
        *(("forgotten_rooms", "x"), ("forgotten_rooms", [5]), ("not_exported", [{"what": 5, "why": ""}])),
        *(("counts", []), ("counts", {"rooms": "1"}), ("ids", []), ("ids", {"rooms/x": 5})),
        ("files", [{"path": "profile", "size": "2", "sha256": "", "media_type": ""}]),
        *(("user_id", "\ud800"), ("synapse_version", "\udfff"), ("forgotten_rooms", ["\ud800"])),
        *(("pending", [{"room_id": "\ud800", "membership": "invite"}]), ("counts", {"\ud800": 1})),
        *(("media", [{"media_id": "\ud800", "missing": None}]), ("media", [{"media_id": "", "missing": "\ud800"}])),
        *(("not_exported", [{"what": "", "why": "\ud800"}]), ("not_exported", [{"what": "", "why": "", "\ud800": 1}])),
        *(("counts", {"rooms": -1}), ("counts", {"rooms": 10**4000})),
        ("files", [{"path": "profile", "size": -1, "sha256": "", "media_type": ""}]),
        ("files", [{"path": ["profile"], "size": 2, "sha256": "", "media_type": ""}]),
    ],
)
def test_damaged_manifest(field: str, value: t.Any) -> None:
    with pytest.raises(ValueError):
        Manifest.from_json(json.dumps({**json.loads(MANIFEST.to_json()), field: value}))


def test_ids_need_not_be_unicode() -> None:
    # They are the names of files only, as servers have made them up.
    made = dataclasses.replace(MANIFEST, ids={"rooms/x": "\ud800"})
    assert Manifest.from_json(made.to_json()) == made


def test_manifest_of_a_file_is_read_up_to_a_limit() -> None:
    text = MANIFEST.to_json().encode()
    assert Manifest.read(io.BytesIO(text), len(text)) == MANIFEST
    for content, size in ((text, LARGEST_MANIFEST + 1), (text[:-5], len(text)), (b"\xff", 1)):
        with pytest.raises(ValueError):
            Manifest.read(io.BytesIO(content), size)

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.manifest import Manifest
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
    ],
)
def test_something_else_is_no_manifest(text: str) -> None:
    with pytest.raises(ValueError):
        Manifest.from_json(text)

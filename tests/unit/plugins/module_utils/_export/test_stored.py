# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import open_directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.stored import StoredExport
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._export.made_export import MANIFEST


def test_manifest_that_never_ends_is_none(tmp_path: pathlib.Path) -> None:
    (tmp_path / "alice").mkdir()
    path = tmp_path / "alice" / "manifest.json"
    path.write_text(MANIFEST.to_json())
    with open_directory(str(tmp_path)) as parent:
        stored = StoredExport(parent, "alice", None)
        assert stored.read_manifest() == MANIFEST
        os.truncate(path, 1 << 40)
        with pytest.raises(ValueError, match="too long for a manifest"):
            stored.read_manifest()

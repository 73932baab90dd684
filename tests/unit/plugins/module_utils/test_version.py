# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib

import pytest
import yaml

from ansible_collections.matrix_ops.synapse.plugins.module_utils._version import COLLECTION_VERSION


def test_version_is_that_of_the_collection() -> None:
    galaxy = pathlib.Path(__file__).parents[4] / "galaxy.yml"
    if not galaxy.exists():
        pytest.skip("An installed collection has no galaxy.yml.")
    assert yaml.safe_load(galaxy.read_text())["version"] == COLLECTION_VERSION

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._installation.scratch import Scratch


@pytest.fixture
def scratch(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Scratch:
    """Return a scratch directory for an installation, on a fast file system."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    return Scratch(tmp_path)

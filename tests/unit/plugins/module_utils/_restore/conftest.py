# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host for each test, with a Synapse that need not be asked for its version."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.command import SynapsePython
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore import found
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._restore.restored_host import (
    VERSION,
    Host,
    make_host,
)


@pytest.fixture
def host(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """An empty host with an archive that is not written yet. Synapse of the same version is installed."""
    made = make_host(tmp_path)
    made.installed = SynapsePython(str(tmp_path / "python"), VERSION, 94)
    monkeypatch.setattr(found, "read_installed", lambda _python: made.installed)
    return made

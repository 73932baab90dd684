# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What several unit tests need."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import ScriptedServer


@pytest.fixture
def server() -> t.Iterator[ScriptedServer]:
    """A server on loopback with scripted answers."""
    with ScriptedServer() as scripted:
        yield scripted

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.libpq_variables import (
    forget_libpq_variables,
)


def test_only_variables_of_libpq_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c search_path=other")
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
    monkeypatch.setenv("OTHER_PGOPTIONS", "stays")
    forget_libpq_variables()
    assert "PGOPTIONS" not in os.environ
    assert "PGHOSTADDR" not in os.environ
    assert os.environ["OTHER_PGOPTIONS"] == "stays"

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What several unit tests need."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Progress, Work
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import ScriptedServer


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the tester's own environment has a say."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "requests_ca_bundle", "curl_ca_bundle", "netrc"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[tuple[t.Any, ...]]:
    """What this process reports of its progress, as if somebody watched it: the work, and its numbers."""
    kept: list[tuple[t.Any, ...]] = []

    def report(_self: Progress, work: Work, *numbers: int | None, size: int | None = None) -> None:
        kept.append((work, *numbers, *(() if size is None else (size,))))

    monkeypatch.setattr(Progress, "active", True)
    monkeypatch.setattr(Progress, "report", report)
    return kept


@pytest.fixture
def server() -> t.Iterator[ScriptedServer]:
    """A server on loopback with scripted answers."""
    with ScriptedServer() as scripted:
        yield scripted

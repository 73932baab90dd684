# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import threading

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Place, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_probes import probes_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.paths import ask_paths
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.asked_paths import (
    MODES,
    found_with,
    summary,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.proxied_synapse import (
    NAME,
    Page,
    World,
    intact,
    refusing,
    subject_of,
)


class Together(World):
    """Answers the first requests only when there are four of them at the same time."""

    def __init__(self) -> None:
        super().__init__(intact)
        self._barrier = threading.Barrier(4)
        self._left = 4
        self._counting = threading.Lock()

    def send(self, place: Place, request: Request, timeout: float | None = None) -> Answer | NoAnswer:
        with self._counting:
            self._left -= 1
            is_first = self._left >= 0
        if is_first:
            self._barrier.wait(10)
        return super().send(place, request, timeout)


def test_several_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    # As it is outside of the tests.
    monkeypatch.undo()
    rows = ask_paths(subject_of(Together())).rows
    # The order of the results is always the same.
    groups = ("client", "media", "federation", "key")
    assert [row.probe for row in rows] == [probe for group in groups for probe in probes_of(group, NAME)]
    assert all(row.answer.request == row.probe.request for row in rows)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("code", "named"), [("%40", "%40"), ("%21", "%21"), ("%20", "%20"), ("%23", "%23")])
def test_refused_characters_are_named_exactly(code: str, named: str, mode: str) -> None:
    found, _world = found_with(refusing(code, 403), mode)
    (finding,) = found.findings
    assert finding.name == "path_refused"
    assert f"that contain {named}, so" in finding.what
    assert finding.values == {"characters": [named]}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("two_sites", [True, False])
def test_many_refused_characters_are_named_carefully(mode: str, two_sites: bool) -> None:
    found, _world = found_with(refusing("%2f|%40|%24|%20", 403), mode, two_sites)
    assert {finding.name for finding in found.findings} == {"path_refused"}
    for finding in found.findings:
        exact = set(finding.values["characters"]) <= {"%2F", "%40", "%24", "%20"}
        assert exact or "contain some of" in finding.what


@pytest.mark.parametrize("status", [200, 403])
@pytest.mark.parametrize("two_sites", [True, False])
def test_what_is_not_forwarded_is_not_called_replaced(status: int, two_sites: bool) -> None:
    """Only what the first requests to a site ask is forwarded."""
    forwarded = ("/_matrix/client/versions", "/_matrix/key/v2/server", "/_matrix/federation/v1/version")

    def proxy(target: str) -> str | Page:
        return target if target.partition("?")[0] in forwarded else Page(status)

    found, _world = found_with(proxy, "direct", two_sites)
    assert "errors_replaced" not in {finding.name for finding in found.findings}


def test_a_media_path_that_is_refused_is_not_called_replaced() -> None:
    found, _world = found_with(refusing("%2f", 200), "direct")
    assert "errors_replaced" not in summary(found)

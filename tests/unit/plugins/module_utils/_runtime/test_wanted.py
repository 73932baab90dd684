# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.wanted import Wanted


@pytest.mark.parametrize(
    ("wanted", "metrics", "configuration"),
    [
        (Wanted(), [], []),
        (Wanted(freshness=True), [], []),
        (Wanted(memory=True), [], []),
        (Wanted(caches=True), ["caches"], ["caches"]),
        (Wanted(activity=True), ["activity"], ["activity"]),
        (Wanted(rate_interval=1), ["rates"], ["rates"]),
        (Wanted(rate_interval=0), ["rates"], ["rates"]),
        (Wanted(presence=True), [], ["presence_settings"]),
        (Wanted(open_files=True), [], ["open_files_by_kind"]),
        (
            Wanted(True, True, True, True, True, True, 5),
            ["caches", "activity", "rates"],
            ["caches", "activity", "rates", "presence_settings", "open_files_by_kind"],
        ),
    ],
)
def test_what_is_needed(wanted: Wanted, metrics: list[str], configuration: list[str]) -> None:
    assert wanted.needing_metrics == metrics
    assert wanted.needing_configuration == configuration
    assert wanted.configuration is bool(configuration)

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.verdict import Need, Verdict


def test_failures_whose_cause_is_found() -> None:
    verdict = Verdict()
    main, worker = {"name": "main", "pid": 1}, {"name": "w", "pid": 2}
    verdict.fail("user", "Wrong user.", main)
    verdict.fail("open_files", "Too few.", main, need=Need.READY)
    verdict.fail("open_files", "Too few too.", worker, need=Need.READY)
    verdict.fail("answers", "No answer.", need=Need.CONNECTION)
    assert verdict.needs([Need.READY], [1])
    assert not verdict.needs([Need.READY], [None])
    assert not verdict.needs([Need.ANSWER], [1, 2, None])
    verdict.explain([Need.READY, Need.CONNECTION], [1, None], "It is starting.")
    assert verdict.message == "Wrong user. It is starting. Too few too."
    assert [failure["declared"] for failure in verdict.failures] == ["user", "open_files", "open_files", "answers"]
    # Each has one cause.
    verdict.explain([Need.READY, Need.CONNECTION], [1, None], "Another cause.")
    assert "Another" not in verdict.message

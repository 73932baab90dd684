# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.counting import Wanted, count_files
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.files import open_files
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_file import LogFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.window import Window
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Progress, Work
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._log.made_log import processed, write


@pytest.fixture
def files(tmp_path: Path) -> list[LogFile]:
    write(tmp_path, "".join(map(processed, range(100))), "homeserver.log.1.gz")
    write(tmp_path, "".join(map(processed, range(100, 200))), "homeserver.log")
    return open_files([str(tmp_path / "*")])


def test_plain_and_compressed_files_are_counted_in_bytes_of_the_disk(
    files: list[LogFile], reports: list[tuple[t.Any, ...]]
) -> None:
    assert count_files(files, Wanted(Window(None, None), 0)).unread.count == 0
    total = sum(file.size for file in files)
    assert reports[0] == (Work.LOG, 0, total)
    assert reports[-1] == (Work.LOG, total, total)
    assert [done for _work, done, _total in reports] == sorted(report[1] for report in reports)


def test_without_the_plugin_nothing_is_reported(
    files: list[LogFile], reports: list[tuple[t.Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Progress, "active", False)
    count_files(files, Wanted(Window(None, None), 0))
    assert reports == []


def test_without_files_there_is_nothing_to_report(reports: list[tuple[t.Any, ...]]) -> None:
    assert count_files([], Wanted(Window(None, None), 0)).unread.count == 0
    assert reports == []

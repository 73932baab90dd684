# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log import parts as parts_module
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.files import open_files
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_file import LogFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.parts import Part, parts_of, processes_for
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.window import Window
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._log.made_log import (
    BEGIN,
    processed,
    write,
)


@pytest.fixture
def files(tmp_path: Path) -> list[LogFile]:
    """A compressed file, a large and a small one."""
    write(tmp_path, "".join(map(processed, range(10))), "homeserver.log.1.gz")
    write(tmp_path, "".join(map(processed, range(100, 200))), "homeserver.log")
    write(tmp_path, processed(50), "worker.log")
    return open_files([str(tmp_path / "*")])


@pytest.fixture(autouse=True)
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts_module, "processors", lambda: 2)


def names(parts: list[Part]) -> list[str]:
    return [Path(part.file.path).name for part in parts]


def test_small_files_are_whole_parts(files: list[LogFile]) -> None:
    parts = parts_of(files, Window())
    assert names(parts) == ["homeserver.log.1.gz", "homeserver.log", "worker.log"]
    assert [(part.start, part.end) for part in parts] == [(0, file.end) for file in files]
    assert processes_for(parts) == 1


def test_a_large_file_is_divided(files: list[LogFile], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts_module, "_WORTH_A_PROCESS", 1000)
    parts = parts_of(files, Window())
    large = [part for part in parts if part.file is files[1]]
    # Four for each processor, and what remains; the others are not divided.
    assert len(large) in (8, 9)
    assert len(parts) == len(large) + 2
    assert [(part.start, part.end) for part in large] == [
        (start, min(start + large[0].end, files[1].size)) for start in range(0, files[1].size, large[0].end)
    ]
    assert processes_for(parts) is None
    monkeypatch.setattr(parts_module, "_LARGEST_PART", 500)
    assert max(part.end - part.start for part in parts_of(files, Window()) if not part.file.compressed) == 500


def test_the_smallest_part(files: list[LogFile], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts_module, "_WORTH_A_PROCESS", files[1].size - 1)
    assert len(parts_of(files, Window())) == 4


def test_a_part_of_a_file_is_divided(files: list[LogFile], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts_module, "_WORTH_A_PROCESS", 1000)
    monkeypatch.setattr(parts_module, "regions", lambda file, window: [(500, 2000), (3000, 3100)])
    parts = parts_of(files[1:2], Window(0.0, 1.0))
    assert [(part.start, part.end) for part in parts] == [(500, 1500), (1500, 2000), (3000, 3100)]


def test_the_text_of_a_compressed_file_counts(files: list[LogFile], monkeypatch: pytest.MonkeyPatch) -> None:
    (part,) = parts_of(files[:1], Window())
    assert part.weight == 10 * files[0].size
    monkeypatch.setattr(parts_module, "_WORTH_A_PROCESS", part.weight)
    assert processes_for([part]) == 1
    assert processes_for([part, part]) is None


def test_a_window(files: list[LogFile]) -> None:
    for file in files:
        file.modified = BEGIN + 200.0
    files[0].not_after = BEGIN + 200.0
    everything = ["homeserver.log.1.gz", "homeserver.log", "worker.log"]
    assert names(parts_of(files, Window(BEGIN + 190.0, None))) == everything
    # Small files need not be in order.
    assert names(parts_of(files, Window(None, BEGIN - 100.0))) == everything[1:]
    assert parts_of(files, Window(BEGIN + 100_000.0, None)) == []
    assert processes_for([]) == 1

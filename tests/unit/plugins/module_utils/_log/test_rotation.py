# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rotated files by their names, and the order of streams."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_file import LogFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.rotation import in_order, stream_of


@pytest.mark.parametrize(
    "name",
    [
        "homeserver.log",
        "homeserver.log.1",
        "homeserver.log.10",
        "homeserver.log.2.gz",
        "homeserver.log.gz",
        "homeserver.log.xz",
        "homeserver.log.1.bz2",
        "homeserver.log.old",
        "homeserver.log.2026-11-28",
        "homeserver.log.2026-11-28_13",
        "homeserver.log.2026-11-28_13-05",
        "homeserver.log.2026-11-28_13-05-59",
        "homeserver.log.2026-11-28.gz",
        "homeserver.log-20261128",
        "homeserver.log-20261128.gz",
        "homeserver.log-2026112813",
        "homeserver.log-20261128-1732752000",
        "homeserver.log-1732752000.gz",
        "homeserver.log-20261128-1732752000.gz",
        "homeserver-20261128.log",
        "homeserver-20261128.log.gz",
        "homeserver.2026-11-28.log",
    ],
)
def test_stream_of(name: str) -> None:
    assert stream_of(f"/var/log.1/{name}") == "/var/log.1/homeserver.log"


@pytest.mark.parametrize(
    "path",
    [
        "homeserver.log",
        "/x/generic_worker1.log",
        "/x/generic_worker.1.log",
        "/x/worker-8008.log",
        "/x/log",
        "/x/.gz",
        "/x/1",
        "/x/synapse-1.163.log",
    ],
)
def test_that_other_names_are_streams_of_their_own(path: str) -> None:
    assert stream_of(path) == path


def log_file(root: Path, name: str, first: float | None, last: float | None, modified: float = 0) -> LogFile:
    path = root / name
    path.write_text("x")
    os.utime(path, (modified, modified))
    file = LogFile(str(path), path.stat())
    file.stream = stream_of(name)
    file.first, file.last = first, last
    return file


def test_the_order_of_files(tmp_path: Path) -> None:
    day = 86400.0
    members = [
        log_file(tmp_path, "b.log", 5 * day, 6 * day),
        log_file(tmp_path, "a.log", 6 * day, 7 * day),
        log_file(tmp_path, "b.log.1", 3 * day, 4 * day),
        log_file(tmp_path, "a.log.1", 4 * day, 5 * day),
        log_file(tmp_path, "none.log", None, None, modified=3.5 * day),
    ]
    found = in_order(members)
    assert [os.path.basename(file.path) for file in found] == ["b.log.1", "b.log", "none.log", "a.log.1", "a.log"]
    assert [file.stream for file in found] == ["b.log", "b.log", "none.log", "a.log", "a.log"]


def test_that_files_written_at_the_same_time_are_streams_of_their_own(tmp_path: Path) -> None:
    found = in_order([log_file(tmp_path, "w.1", 0, 90000), log_file(tmp_path, "w.2", 10, 90000)])
    assert [file.stream for file in found] == [file.path for file in found]
    # The hour that is there twice at the end of summer.
    found = in_order([log_file(tmp_path, "w.1", 0, 7000), log_file(tmp_path, "w.2", 3500, 9000)])
    assert [file.stream for file in found] == ["w", "w"]


def test_what_is_known_about_the_end_of_a_compressed_file(tmp_path: Path) -> None:
    old = log_file(tmp_path, "w.1.gz", 0, None, modified=50000)
    new = log_file(tmp_path, "w", 40000, 60000)
    old.compression = "gzip"
    in_order([new, old])
    assert old.not_after is not None and 50000 + 3600 < old.not_after < 50000 + 3700
    assert new.not_after is None
    old.modified = 30000
    in_order([new, old])
    assert 40000 + 3600 < old.not_after < 40000 + 3700


@pytest.mark.parametrize("name", ["w-20260101b.log", "w.2026-01-01.txt", "w-20260101-site.log"])
def test_that_a_date_within_a_name_is_no_rotation(name: str) -> None:
    assert stream_of(f"/x/{name}") == f"/x/{name}"

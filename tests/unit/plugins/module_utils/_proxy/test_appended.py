# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is appended to a log: each line once, also after a rotation, and never from something that is not a file."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.appended import AppendedLog, files_at

MOST = 1 << 20


def texts(log: AppendedLog, most: int = MOST) -> list[bytes]:
    return [line for _identity, line in log.lines(most)]


def append(path: Path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "homeserver.log"
    path.write_bytes(b"old\n")
    return path


def test_only_what_is_new(path: Path) -> None:
    log = AppendedLog(str(path), "log_path")
    assert texts(log) == []
    append(path, b"one\ntwo\n")
    assert texts(log) == [b"one", b"two"]
    assert texts(log) == []
    append(path, b"three\n")
    assert texts(log) == [b"three"]
    assert log.last_count == len(b"three\n")
    log.close()


def test_a_line_is_complete_only_with_its_end(path: Path) -> None:
    log = AppendedLog(str(path), "log_path")
    append(path, b"be")
    assert texts(log) == []
    append(path, b"gin\nnext")
    assert texts(log) == [b"begin"]
    append(path, b"\n")
    assert texts(log) == [b"next"]
    log.close()


def test_lines_longer_than_a_block(path: Path) -> None:
    log = AppendedLog(str(path), "log_path")
    append(path, b"a" * 600_000 + b"\nb\n")
    assert texts(log) == [b"a" * 600_000, b"b"]
    log.close()


def test_rest_of_the_old_file_and_all_of_the_new_one(path: Path) -> None:
    log = AppendedLog(str(path), "log_path")
    append(path, b"before\n")
    path.rename(path.with_suffix(".log.1"))
    assert texts(log) == [b"before"]
    append(path.with_suffix(".log.1"), b"late\n")
    path.write_bytes(b"first\nsecond\n")
    assert texts(log) == [b"late", b"first", b"second"]
    append(path, b"third\n")
    assert texts(log) == [b"third"]
    log.close()


def test_lines_of_different_files_are_told_apart(path: Path) -> None:
    log = AppendedLog(str(path), "log_path")
    append(path, b"before\n")
    path.rename(path.with_suffix(".log.1"))
    path.write_bytes(b"after\n")
    identities = [identity for identity, _line in log.lines(MOST)]
    assert len(set(identities)) == 2
    log.close()


def test_copied_and_truncated(path: Path) -> None:
    path.write_bytes(b"a long old line\n")
    log = AppendedLog(str(path), "log_path")
    path.write_bytes(b"new\n")
    assert texts(log) == [b"new"]
    log.close()


def test_no_more_than_the_limit(path: Path) -> None:
    log = AppendedLog(str(path), "log_path")
    append(path, b"12345\n" * 100)
    assert texts(log, 13) == [b"12345", b"12345"]
    assert log.last_count == 13
    log.close()


def test_a_pipe_in_the_place_of_the_file_is_not_read(path: Path) -> None:
    log = AppendedLog(str(path), "log_path")
    path.unlink()
    os.mkfifo(path)
    assert texts(log) == []
    log.close()


def test_a_file_that_vanished(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"log_path .*/gone\.log was removed"):
        AppendedLog(str(tmp_path / "gone.log"), "log_path")


def test_paths_and_patterns(path: Path) -> None:
    other = path.with_name("worker.log")
    other.write_bytes(b"")
    assert files_at([str(path), str(path)], "log_path") == [str(path)]
    assert files_at([f"{path.parent}/*.log"], "log_path") == [str(path), str(other)]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.log", "log_path .*/missing.log does not exist"),
        ("", "log_path .* is a directory"),
        ("pipe", "log_path .*/pipe is a pipe"),
        ("*.nothing", "matches no file"),
    ],
)
def test_refused_paths(path: Path, name: str, words: str) -> None:
    os.mkfifo(path.with_name("pipe"))
    with pytest.raises(InvalidInput, match=words):
        files_at([f"{path.parent}/{name}"], "log_path")


@pytest.mark.parametrize("paths", [[], [""]])
def test_no_path(paths: list[str]) -> None:
    with pytest.raises(InvalidInput, match="log_path is empty"):
        files_at(paths, "log_path")


def test_a_path_that_leads_nowhere_for_a_while(path: Path) -> None:
    log = AppendedLog(str(path), "log_path")
    append(path, b"before\n")
    path.rename(path.with_name("rotated"))
    path.symlink_to(path)
    assert texts(log) == [b"before"]
    path.unlink()
    path.write_bytes(b"after\n")
    assert texts(log) == [b"after"]
    log.close()


def test_without_permission(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(InvalidInput, match=r"^log_path .* no permission to read it\. Run the task with become\.$"):
        AppendedLog(str(path), "log_path")


def test_no_file_stays_open(path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    log = AppendedLog(str(path), "log_path")
    texts(log)
    texts(log)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    path.rename(path.with_name("rotated"))
    path.mkdir()
    texts(log)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    path.rmdir()
    path.write_bytes(b"new\n")
    texts(log)
    assert len(os.listdir("/proc/self/fd")) == before + 2
    log.close()
    assert len(os.listdir("/proc/self/fd")) == before

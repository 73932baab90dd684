# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One file of a log: its lines, while it grows, is renamed, removed or truncated."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.json_layout import JsonLayout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.layout import CANONICAL, Layout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_file import LogFile, Vanished

TEXT = b"one\n\ntwo\nthe last one"
OLD = Layout("%(asctime)s - %(name)s - %(lineno)d - %(levelname)s - %(message)s")
NEW = Layout("%(levelname)s:%(name)s:%(message)s")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    result = tmp_path / "homeserver.log"
    result.write_bytes(TEXT)
    return result


def log_file(path: Path, *layouts: Layout | JsonLayout) -> LogFile:
    file = LogFile(str(path), path.stat())
    file.layouts = layouts
    return file


def test_lines(path: Path) -> None:
    file = log_file(path)
    lines = [(0, b"one"), (4, b""), (5, b"two"), (9, b"the last one")]
    assert list(file.lines()) == lines
    assert list(file.lines(1, 9)) == lines[1:3]
    assert list(file.lines(5)) == lines[2:]
    assert list(file.blocks()) == [(0, b"\n" + TEXT + b"\n")]
    assert list(file.blocks(size=5)) == [(0, b"\none\n\n"), (5, b"\ntwo\n"), (9, b"\nthe last one\n")]


def test_the_lines_of_a_compressed_file(path: Path) -> None:
    path.write_bytes(gzip.compress(TEXT))
    file = log_file(path)
    file.compression = "gzip"
    assert list(file.blocks()) == [(0, b"\n" + b"one\n\ntwo\n"), (9, b"\nthe last one\n")]
    assert [line for offset, line in file.lines(4, 6)] == [b"", b"two"]
    assert [line for offset, line in file.lines(0, file.end)] == [b"one", b"", b"two", b"the last one"]


def test_that_it_is_read_as_it_was_when_it_was_found(path: Path) -> None:
    file = log_file(path)
    with path.open("ab") as opened:
        opened.write(b" is longer now\nmore\n")
    assert list(file.lines())[-1] == (9, b"the last one")


def test_that_it_is_found_under_its_new_name(path: Path, tmp_path: Path) -> None:
    file = log_file(path)
    path.rename(tmp_path / "homeserver.log.1")
    assert len(list(file.lines())) == 4
    assert file.path == str(tmp_path / "homeserver.log.1")
    # There is a new file, and the old one is renamed again.
    path.write_bytes(b"other\n")
    (tmp_path / "homeserver.log.1").rename(tmp_path / "homeserver.log.2")
    path.rename(tmp_path / "homeserver.log.1")
    assert len(list(file.lines())) == 4
    assert file.path == str(tmp_path / "homeserver.log.2")


def test_that_it_is_found_when_a_link_leads_to_another_file(path: Path, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    target = path.rename(tmp_path / "logs/homeserver-20261128.log")
    path.symlink_to(target)
    file = log_file(path)
    (tmp_path / "logs/homeserver-20261129.log").write_bytes(b"other\n")
    path.unlink()
    path.symlink_to("logs/homeserver-20261129.log")
    assert len(list(file.lines())) == 4
    assert file.path == str(target)


def test_that_a_file_which_is_renamed_while_it_is_read_is_read_to_its_end(path: Path, tmp_path: Path) -> None:
    lines = log_file(path).blocks(size=5)
    next(lines)
    path.rename(tmp_path / "homeserver.log.1")
    assert [offset for offset, block in lines] == [5, 9]


def test_that_a_file_which_is_gone_is_an_error(path: Path, tmp_path: Path) -> None:
    file = log_file(path)
    # A file of the same name, which has another inode as long as the old one is open.
    with path.open("rb"):
        path.unlink()
        path.write_bytes(TEXT)
        with pytest.raises(Vanished, match="homeserver.log was removed or replaced while the log was being read: run"):
            list(file.lines())
    path.unlink()
    with pytest.raises(Vanished):
        list(file.lines())


def test_that_truncation_is_an_error(path: Path) -> None:
    file = log_file(path)
    found = file.blocks(size=5)
    next(found)
    path.write_bytes(b"")
    message = r"homeserver.log was truncated while it was being read, as copytruncate of logrotate does: run"
    with pytest.raises(SynapseError, match=message):
        next(found)
    with pytest.raises(SynapseError, match=message):
        next(file.lines())


def test_missing_permission(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: t.Any) -> t.NoReturn:
        raise PermissionError(13, "Permission denied")

    # Root may read every file.
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(SynapseError) as caught:
        list(log_file(path).lines())
    assert str(caught.value) == f"No permission to read {path}: run the task with become."


def test_that_no_descriptor_stays_open(path: Path) -> None:
    file = log_file(path)
    before = os.listdir("/proc/self/fd")
    list(file.lines())
    next(file.blocks(size=5))
    for compression in ("gzip", "xz"):
        file.compression = compression
        with pytest.raises(SynapseError):
            list(file.lines())
    assert os.listdir("/proc/self/fd") == before


def test_that_it_can_be_sent_to_another_process(path: Path) -> None:
    assert list(pickle.loads(pickle.dumps(log_file(path, OLD))).lines()) == list(log_file(path).lines())


def old(message: bytes) -> bytes:
    return b"2026-11-28 12:00:00,250 - synapse.x - 12 - INFO - " + message + b"\n"


def test_what_is_counted_of_plain_lines(path: Path) -> None:
    assert list(log_file(path, OLD).counted()) == [(OLD, b"\n" + TEXT + b"\n")]
    assert list(log_file(path, OLD).counted(5, 8)) == [(OLD, b"\ntwo\n")]


@pytest.mark.parametrize("first", [b"", b"a continuation\n"])
def test_what_is_counted_of_two_formats(path: Path, first: bytes) -> None:
    one, two = old(b"a") + b"  continued\n" + old(b"b"), b"INFO:synapse.x:c\n  continued\nINFO:synapse.x:d\n"
    path.write_bytes(first + one + two + one)
    assert list(log_file(path, OLD, NEW).counted()) == [
        (OLD, b"\n" + first + one),
        (NEW, b"\n" + two),
        (OLD, b"\n" + one),
    ]
    path.write_bytes(two + one)
    assert list(log_file(path, OLD, NEW).counted()) == [(NEW, b"\n" + two), (OLD, b"\n" + one)]


def test_what_is_counted_of_json(path: Path) -> None:
    event = {"log": "a\nb", "namespace": "synapse.x", "level": "INFO", "time": 12.5, "request": "GET-1"}
    # A line between the objects cannot pass for a record.
    forged = b"1.0\x1fsynapse.x\x1fINFO\x1fGET-2\x1fforged"
    path.write_bytes(json.dumps(event).encode() + b"\n" + forged + b"\n")
    ((layout, block),) = log_file(path, JsonLayout()).counted()
    assert layout is CANONICAL
    first, second = block[1:-1].split(b"\n")
    record = CANONICAL.record(first)
    assert record is not None
    assert (record.time, record.logger, record.request, record.message) == (12.5, "synapse.x", "GET-1", b"a b")
    assert second == forged.replace(b"\x1f", b" ") and CANONICAL.record(second) is None


def test_that_formats_with_something_behind_the_message_are_converted(path: Path) -> None:
    path.write_bytes(b"INFO synapse.x: hello (12)\n")
    ((layout, block),) = log_file(path, Layout("%(levelname)s %(name)s: %(message)s (%(lineno)d)")).counted()
    assert layout is CANONICAL and block.endswith(b"\x1fhello\n")


def test_what_is_counted_of_json_and_plain_lines(path: Path) -> None:
    event = {"log": "a", "namespace": "synapse.x", "level": "INFO", "time": 12.5, "request": "GET-1"}
    path.write_bytes(json.dumps(event).encode() + b"\n" + old(b"b") + b"\n")
    ((layout, block),) = log_file(path, OLD, JsonLayout()).counted()
    assert layout is CANONICAL
    records = [CANONICAL.record(line) for line in block[1:-1].split(b"\n")]
    assert [record.message for record in records if record] == [b"a", b"b"]

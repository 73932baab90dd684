# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of a log: order, streams, and one sentence for each file that is not a log of Synapse."""

from __future__ import annotations

import gzip
import lzma
import os
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log import blocks, files
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.files import open_files
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_file import LogFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_format import Format
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.patterns import find_files


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


# 2026-11-28 00:00 UTC.
DAY = 1_795_824_000


def record(hour: int, minute: int = 0, day: int = 28, message: str = "something") -> bytes:
    moment = f"2026-11-{day:02} {hour:02}:{minute:02}:00,250"
    return f"{moment} - synapse.handlers.sync - 12 - INFO - GET-{minute} - {message}\n".encode()


def log(*hours: int, day: int = 28) -> bytes:
    return b"".join(record(hour, minute, day) for hour in hours for minute in range(60))


def names(found: list[LogFile]) -> list[str]:
    return [os.path.basename(file.path) for file in found]


def test_what_a_file_tells(tmp_path: Path) -> None:
    path = tmp_path / "homeserver.log"
    path.write_bytes(b"Traceback (most recent call last):\n" + log(8, 9) + b"Traceback\n  File x\n")
    (file,) = open_files([str(path)])
    assert (file.path, file.stream, file.size) == (str(path), str(path), path.stat().st_size)
    assert (file.compressed, file.compression, file.end) == (False, "", file.size)
    assert [layout.has_time for layout in file.layouts] == [True]
    assert file.first == DAY + 8 * 3600 + 0.25
    assert file.last == DAY + 9 * 3600 + 59 * 60 + 0.25


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
def test_a_compressed_file(tmp_path: Path, compress: t.Callable[[bytes], bytes]) -> None:
    # It is recognised by its content, not by its name.
    path = tmp_path / "homeserver.log.1"
    path.write_bytes(compress(log(8, 9)))
    (file,) = open_files([str(path)])
    assert file.compressed and file.stream == str(tmp_path / "homeserver.log")
    assert (file.first, file.last, file.not_after) == (DAY + 8 * 3600 + 0.25, None, None)
    assert b"".join(block[1:] for offset, block in file.blocks()) == log(8, 9)


def test_that_text_named_gz_is_text(tmp_path: Path) -> None:
    (tmp_path / "homeserver.log.gz").write_bytes(log(8))
    assert not open_files([str(tmp_path / "homeserver.log.gz")])[0].compressed


def test_that_the_order_is_that_of_the_content(tmp_path: Path) -> None:
    for name, content in {
        "homeserver.log": log(10),
        "homeserver.log.2026-11-27": log(10, day=27),
        "homeserver.log.1": log(8),
        "homeserver.log.2.gz": gzip.compress(log(5)),
        "homeserver.log.10": log(3),
        "worker.log": log(6),
        "worker.log-20261127": log(1),
    }.items():
        (tmp_path / name).write_bytes(content)
    assert names(open_files([f"{tmp_path}/*"])) == [
        "homeserver.log.2026-11-27",
        "homeserver.log.10",
        "homeserver.log.2.gz",
        "homeserver.log.1",
        "homeserver.log",
        "worker.log-20261127",
        "worker.log",
    ]


def test_that_empty_files_do_not_count_unless_there_is_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"")
    (tmp_path / "b.log").write_bytes(gzip.compress(b""))
    with pytest.raises(SynapseError, match=r"a.log, .*b.log are empty: see in Synapse's log configuration"):
        open_files([f"{tmp_path}/*.log"])
    with pytest.raises(SynapseError, match=r"a.log is empty: see in Synapse's log configuration"):
        open_files([f"{tmp_path}/a.log"])
    (tmp_path / "c.log").write_bytes(log(1))
    assert names(open_files([f"{tmp_path}/*.log"])) == ["c.log"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bytes(range(256)) * 20, "is a binary file, not a log of Synapse: leave it out."),
        (b"\x7fELF\x02\x01\x01" + b"\0" * 1000, "is a binary file"),
        (b'127.0.0.1 - - [28/Nov/2026:00:00:01 +0000] "GET / HTTP/1.1" 200 5\n' * 100, "contains no record as Synapse"),
        (b"hello\n", "contains no record as Synapse writes them: leave it out if another program has written it"),
        ("Grüße aus Köln\n".encode("latin-1") * 20, "contains no record"),
        (gzip.compress(log(*range(24)))[:-10], "is incomplete: its gzip data ends in the middle."),
        (gzip.compress(log(1)) + b"garbage", "is damaged: its gzip data cannot be read to the end."),
        (b"\x28\xb5\x2f\xfd" + b"x" * 100, "is compressed with zstd, which cannot be read here: unpack it first."),
    ],
    ids=["bytes", "program", "nginx", "text", "Latin-1", "incomplete", "damaged", "zstd"],
)
def test_that_another_file_is_an_error(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.log").write_bytes(log(1))
    (tmp_path / "b.log").write_bytes(content)
    for paths in ([f"{tmp_path}/b.log"], [f"{tmp_path}/*.log"]):
        with pytest.raises(SynapseError) as caught:
            open_files(paths)
        assert str(caught.value).startswith(f"{tmp_path}/b.log {message}")


def test_a_format_that_does_not_fit(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(log(1))
    (tmp_path / "b.log").write_bytes(b"hello\n")
    given = Format("[%(levelname)s] %(name)s %(message)s")
    with pytest.raises(
        InvalidInput, match=r"b.log contains no record in the format that log_format sets: copy it from"
    ):
        open_files([f"{tmp_path}/b.log"], given)
    # The format may have been changed since.
    assert open_files([f"{tmp_path}/a.log"], given)[0].first


def test_that_a_file_just_begun_has_the_format_of_its_stream(tmp_path: Path) -> None:
    begun = record(3).replace(b"synapse.handlers.sync", b"root")
    for name in ("a.log", "b.log"):
        (tmp_path / name).write_bytes(begun)
    (tmp_path / "a.log.1").write_bytes(log(1))
    assert [file.first for file in open_files([f"{tmp_path}/a.log*"])] == [DAY + 3600.25, DAY + 3 * 3600 + 0.25]
    with pytest.raises(InvalidInput, match=r"/b.log contains no record as Synapse writes them"):
        open_files([f"{tmp_path}/*"])


@pytest.mark.parametrize("paths", [[], [""], ["/var/log/x", ""]])
def test_that_no_path_is_an_error(paths: list[str]) -> None:
    with pytest.raises(InvalidInput, match="logs is empty: name at least one log file."):
        open_files(paths, option="logs")


def test_that_a_long_traceback_does_not_hide_the_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_SAMPLE", 1000)
    monkeypatch.setattr(files, "_SEARCH_STEP", 1500)
    traceback = b'  File "x.py", line 1, in x\n' * 1000
    # All three places of the first look are in tracebacks.
    content = traceback + record(1) + traceback + record(2) + traceback
    (tmp_path / "a.log").write_bytes(content.replace(record(1), log(1)))
    (file,) = open_files([f"{tmp_path}/a.log"])
    assert (file.first, file.last) == (DAY + 3600.25, DAY + 7200.25)


def test_a_file_without_an_end_of_a_line(tmp_path: Path) -> None:
    with open(tmp_path / "a.log", "wb") as opened:
        opened.truncate(200 << 30)
    begin = time.monotonic()
    with pytest.raises(InvalidInput, match=r"a.log is a binary file, not a log of Synapse: leave it out."):
        open_files([f"{tmp_path}/a.log"])
    assert time.monotonic() - begin < 5


def test_that_a_log_with_a_tail_of_zeros_is_a_log(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(log(8, 9))
    os.truncate(tmp_path / "a.log", 20 << 30)
    begin = time.monotonic()
    (file,) = open_files([f"{tmp_path}/a.log"])
    assert (file.first, file.last) == (DAY + 8 * 3600 + 0.25, None)
    assert time.monotonic() - begin < 5


def test_that_a_sample_ends_with_a_line_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LONGEST_LINE", 3000)
    (tmp_path / "a.log").write_bytes(log(8) + b"x" * 50_000 + b"\n" + log(9))
    (file,) = open_files([f"{tmp_path}/a.log"])
    assert (file.first, file.last) == (DAY + 8 * 3600 + 0.25, DAY + 9 * 3600 + 59 * 60 + 0.25)


def test_that_a_byte_order_mark_hides_no_record(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"\xef\xbb\xbf" + log(8))
    (file,) = open_files([f"{tmp_path}/a.log"])
    assert file.first == DAY + 8 * 3600 + 0.25


def test_that_a_log_without_times_has_none(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"synapse.handlers.sync: [GET-1] something\n" * 100)
    (file,) = open_files([f"{tmp_path}/a.log"], Format("%(name)s: [%(request)s] %(message)s"))
    assert (file.first, file.last) == (None, None)


def test_a_rotation_between_finding_and_opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    current, rotated = tmp_path / "homeserver.log", tmp_path / "homeserver.log.1"
    current.write_bytes(log(1))
    calls: list[dict[tuple[int, int], tuple[str, os.stat_result]]] = []

    def find_and_rotate(paths: t.Sequence[str], option: str) -> t.Any:
        found = find_files(paths, option)
        if not calls:
            current.rename(rotated)
            current.write_bytes(log(2))
        calls.append(found)
        return found

    monkeypatch.setattr(files, "find_files", find_and_rotate)
    # Nothing is lost: neither what was renamed nor what is new.
    assert names(open_files([f"{tmp_path}/*"])) == ["homeserver.log.1", "homeserver.log"]
    assert len(calls) == 4


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_file_that_is_removed_between_finding_and_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    (tmp_path / "homeserver.log").write_bytes(log(2))
    calls: list[dict[tuple[int, int], tuple[str, os.stat_result]]] = []

    def find_and_remove(paths: t.Sequence[str], option: str) -> t.Any:
        oldest = tmp_path / "homeserver.log.3"
        oldest.write_bytes(log(1))
        found = find_files(paths, option)
        if len(calls) < times:
            oldest.unlink()
        calls.append(found)
        return found

    monkeypatch.setattr(files, "find_files", find_and_remove)
    if times < 3:
        assert names(open_files([f"{tmp_path}/*"])) == ["homeserver.log.3", "homeserver.log"]
    else:
        with pytest.raises(SynapseError, match="homeserver.log.3 was removed or replaced while the log was being read"):
            open_files([f"{tmp_path}/*"])

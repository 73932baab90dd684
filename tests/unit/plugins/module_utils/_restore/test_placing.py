# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is written has its name only when it is complete, with its owner and its mode."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import pathlib
import stat
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.layout import UNFINISHED
from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import Directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore import placing

OWN = Attributes(0o750, os.geteuid(), os.getegid())


@contextlib.contextmanager
def opened(path: pathlib.Path) -> t.Iterator[Directory]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield Directory(str(path), descriptor)
    finally:
        os.close(descriptor)


def test_a_killed_run_leaves_no_directory_that_synapse_cannot_enter(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_attributes: Attributes, _descriptor: int) -> t.NoReturn:
        raise KeyboardInterrupt

    with opened(tmp_path) as root:
        with (
            monkeypatch.context() as patched,
            pytest.raises(KeyboardInterrupt),
            contextlib.ExitStack() as stack,
        ):
            patched.setattr(Attributes, "give", killed)
            stack.enter_context(placing.opened_below(root, ["a", "b"], OWN))
        assert not (tmp_path / "a").exists()
        # The file of another killed run may be there too.
        for left in ("a directory", "a file", "nothing"):
            (tmp_path / "a" / "b").mkdir(parents=True, exist_ok=True)
            (tmp_path / "a" / "b").rmdir()
            if left == "a directory":
                (tmp_path / "a" / UNFINISHED).mkdir()
            elif left == "a file":
                (tmp_path / "a" / UNFINISHED).touch()
            with placing.opened_below(root, ["a", "b"], OWN) as directory:
                placing.write_stream(directory, "c", [b"1", b"2"], OWN)
            assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o750
            assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
            (tmp_path / "a" / "b" / "c").unlink()


def test_an_unfinished_directory_does_not_stop_a_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / UNFINISHED).mkdir()
    with opened(tmp_path) as root:
        placing.write_stream(root, "a", [b"1"], OWN)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_full_disk(tmp_path: pathlib.Path) -> None:
    def pieces() -> t.Iterator[bytes]:
        yield b"1"
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with (
        opened(tmp_path) as root,
        pytest.raises(SynapseError, match="/a could not be written: No space left on device"),
    ):
        placing.write_stream(root, "a", pieces(), OWN)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_did_not_take_everything(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").touch()

    def fail(_descriptor: int) -> t.NoReturn:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with opened(tmp_path) as root:
        placing.synchronise(root, "a")
        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(SynapseError, match="/a could not be written: Input/output error"):
            placing.synchronise(root, "a")
    placing.synchronise_all([str(tmp_path / "missing"), str(tmp_path), str(tmp_path)])


class Library:
    """A C library whose syncfs fails, or does not exist."""

    def __init__(self, **functions: t.Any) -> None:
        self.__dict__.update(functions)


def test_a_file_system_that_did_not_take_everything(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda *_given, **_named: Library(syncfs=lambda _descriptor: -1))
    monkeypatch.setattr(ctypes, "get_errno", lambda: errno.ENOSPC)
    with pytest.raises(SynapseError, match="could not be written: No space left on device. Correct this, and run the"):
        placing.synchronise_all([str(tmp_path)])
    monkeypatch.setattr(ctypes, "CDLL", lambda *_given, **_named: Library())
    monkeypatch.setattr(os, "sync", lambda: called.append("sync"))
    placing.synchronise_all([str(tmp_path)])
    assert called == ["sync"]

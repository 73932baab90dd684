# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import Unknown
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.trusted_json import TrustedFile

FILE = TrustedFile("value", "a list of numbers", "Remove it.")


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    file = tmp_path / "file.json"
    file.write_text("[1, 2]")
    file.chmod(0o600)
    return file


def numbers(record: t.Any) -> list[int]:
    return [int(number) for number in record]


def test_the_content_is_converted(path: pathlib.Path) -> None:
    assert FILE.read(str(path), numbers) == [1, 2]


def test_a_file_that_does_not_exist(tmp_path: pathlib.Path) -> None:
    assert FILE.read(str(tmp_path / "missing"), numbers) is None


@pytest.mark.parametrize(
    "text", ["", "{", "null", "5", '["a"]', "[NaN]", "[1e999]", "[" * 100_000, "[1]" + " " * 2**22 + "x"]
)
def test_a_file_with_other_content(path: pathlib.Path, text: str) -> None:
    path.write_text(text)
    found = FILE.read(str(path), numbers)
    if text.endswith("x"):
        # What is beyond the limit is not read.
        assert found == [1]
    else:
        assert found == Unknown("value", f"{path} does not contain a list of numbers, so it was ignored.", "Remove it.")


def test_a_file_that_this_user_cannot_read(path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: t.Any) -> t.NoReturn:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", forbidden)
    reason, fix = f"{path} cannot be read by this user, so it was ignored.", "Run the task with become, as root."
    assert FILE.read(str(path), numbers) == Unknown("value", reason, fix)


def test_a_file_below_a_file(path: pathlib.Path) -> None:
    found = FILE.read(f"{path}/below", numbers)
    assert isinstance(found, Unknown)
    assert "cannot be read (Not a directory)" in found.reason


def test_a_file_of_another_user(path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(path, 4321, -1) if os.geteuid() == 0 else monkeypatch.setattr(os, "geteuid", lambda: 4321)
    found = FILE.read(str(path), numbers)
    assert isinstance(found, Unknown)
    assert "can be written by users other than root and this user" in found.reason


def test_a_link_is_not_followed(path: pathlib.Path) -> None:
    link = path.with_name("link")
    link.symlink_to(path)
    assert FILE.read(str(link), numbers) == Unknown("value", f"{link} is a link, so it was ignored.", "Remove it.")


def test_a_file_that_other_users_can_change(path: pathlib.Path) -> None:
    path.chmod(0o660)
    found = FILE.read(str(path), numbers)
    assert isinstance(found, Unknown)
    assert "can be written by users other than root and this user" in found.reason


def test_a_pipe_does_not_block(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    found = FILE.read(str(tmp_path / "pipe"), numbers)
    assert isinstance(found, Unknown)
    assert "is not a regular file" in found.reason

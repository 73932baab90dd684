# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.clock import Clock
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import Unknown
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.restart_record import read_restart_record
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.snapshot import Snapshot

RECORD = Snapshot(Clock("boot", 1.0, 2.0), {"/a": None})


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    file = tmp_path / "record.json"
    file.write_text(json.dumps(RECORD.as_record()))
    file.chmod(0o600)
    return file


def reason(path: pathlib.Path) -> str:
    found = read_restart_record(str(path))
    assert isinstance(found, Unknown)
    assert found.name == "restart_record"
    assert found.fix.startswith("Remove it")
    return found.reason


def test_a_record_is_read(path: pathlib.Path) -> None:
    assert read_restart_record(str(path)) == RECORD
    path.chmod(0o644)
    assert read_restart_record(str(path)) == RECORD


def test_a_record_that_does_not_exist(tmp_path: pathlib.Path) -> None:
    assert read_restart_record(str(tmp_path / "missing")) is None


def test_a_link_is_not_followed(path: pathlib.Path) -> None:
    link = path.with_name("link")
    link.symlink_to(path)
    assert reason(link) == f"{link} is a link, so it was ignored."


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_to_is_ignored(path: pathlib.Path, mode: int) -> None:
    path.chmod(mode)
    assert "can be written by users other than root and this user" in reason(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_ignored(path: pathlib.Path) -> None:
    os.chown(path, 65534, 65534)
    assert "can be written by users other than root and this user" in reason(path)


def test_something_that_is_not_a_regular_file(tmp_path: pathlib.Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    assert "is not a regular file" in reason(pipe)
    assert "is not a regular file" in reason(tmp_path)


def test_a_file_in_a_file(path: pathlib.Path) -> None:
    assert "cannot be read (Not a directory)" in reason(path / "inside")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"boot_id": ', b"\xff\xfe", "[" * 100_000, '{"boot_id": 1e999}'])
def test_a_file_without_a_record(path: pathlib.Path, text: t.Any) -> None:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert reason(path) == f"{path} does not contain a restart record, so it was ignored."

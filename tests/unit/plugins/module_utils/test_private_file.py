# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._private_file import (
    PrivateFile,
    make_private,
    read_private,
    write_private,
)


def test_written_and_read_again(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "token")
    assert read_private(path) is None
    assert read_private(str(tmp_path / "nowhere" / "token")) is None
    previous = os.umask(0)
    try:
        write_private(path, "secret")
    finally:
        os.umask(previous)
    assert read_private(path) == PrivateFile("secret", "0600")
    assert (tmp_path / "token").read_text() == "secret\n"
    assert os.listdir(tmp_path) == ["token"]


def test_made_private(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "token"
    path.write_text("secret\n")
    path.chmod(0o644)
    if os.geteuid() == 0:
        os.chown(path, 4711, 4712)
    before = path.stat()
    make_private(str(path))
    assert read_private(str(path)) == PrivateFile("secret", "0600")
    assert (path.stat().st_uid, path.stat().st_gid) == (before.st_uid, before.st_gid)
    path.unlink()
    with pytest.raises(SynapseError, match="was removed by another process during the task"):
        make_private(str(path))


def test_what_is_no_text(tmp_path: pathlib.Path) -> None:
    (tmp_path / "token").write_bytes(b"\xff\xfe")
    with pytest.raises(SynapseError, match="/token cannot be read: it is not text"):
        read_private(str(tmp_path / "token"))

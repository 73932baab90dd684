# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.note import Note, NoteFile

NOTE = Note("example.org", {"main": True}, 5, "/backups/one.tar", "old.example")


@pytest.mark.parametrize("name", ["homeserver.yaml", ""])
def test_kept_next_to_the_configuration(tmp_path: pathlib.Path, name: str) -> None:
    (tmp_path / "homeserver.yaml").touch()
    file = NoteFile([str(tmp_path / name), "/elsewhere"])
    assert file.path == str(tmp_path / ".matrix_ops-reset.json")
    assert file.read("example.org") is None
    file.require_writable()
    file.write(NOTE)
    assert os.stat(file.path).st_mode & 0o777 == 0o600
    assert file.read("example.org") == NOTE
    file.remove()
    file.remove()
    assert file.read("example.org") is None


def test_of_another_server(tmp_path: pathlib.Path) -> None:
    file = NoteFile([str(tmp_path)])
    file.write(NOTE)
    with pytest.raises(
        InvalidInput, match="interrupted reset of example.org, but the configuration is that of b.example"
    ):
        file.read("b.example")


@pytest.mark.parametrize("content", ["", "[]", "{", '{"server_name": "example.org"}', '{"other": 1}'])
def test_not_a_note(tmp_path: pathlib.Path, content: str) -> None:
    file = NoteFile([str(tmp_path)])
    pathlib.Path(file.path).write_text(content)
    with pytest.raises(InvalidInput, match="is not a note of an interrupted reset"):
        file.read("example.org")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_of_another_user(tmp_path: pathlib.Path) -> None:
    file = NoteFile([str(tmp_path)])
    file.write(NOTE)
    os.chown(file.path, 65534, 65534)
    with pytest.raises(InvalidInput, match="belongs to another user"):
        file.read("example.org")


def test_one_at_a_time(tmp_path: pathlib.Path) -> None:
    notes = NoteFile([str(tmp_path)])
    second = NoteFile([str(tmp_path)])
    with notes.locked(), pytest.raises(SynapseError, match="Another task resets or restores"), second.locked():
        raise AssertionError("not reached")
    with notes.locked():
        pass
    assert os.listdir(tmp_path) == []

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installed_file import (
    InstalledFile,
    read_attributes,
    read_file,
    remove_file,
    replace_file,
    require_writable,
    set_attributes,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils import attacker

OWN = Attributes(0o640, os.geteuid(), os.getegid())
PRIVATE = Attributes(0o600, os.geteuid(), os.getegid())


def test_replace_file_gives_text_and_attributes_at_once(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "drop-in.yaml"
    path.write_text("old")
    path.chmod(0o666)
    replace_file(str(path), "näw\n", OWN)
    assert path.read_text(encoding="utf-8") == "näw\n"
    assert read_attributes(str(path)) == OWN
    assert os.listdir(tmp_path) == ["drop-in.yaml"]


def test_replace_file_leaves_the_old_file_when_it_fails(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "drop-in.yaml"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SynapseError, match="drop-in.yaml could not be written: No space left on device"):
        replace_file(str(path), "new", OWN)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["drop-in.yaml"]


def test_read_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a"
    assert read_file(str(path)) is None
    assert read_file(str(tmp_path / "nowhere" / "a")) is None
    path.write_bytes(b"content")
    path.chmod(0o640)
    assert read_file(str(path)) == InstalledFile(b"content", OWN)
    (tmp_path / "link").symlink_to("a")
    with pytest.raises(SynapseError, match="/link is a symbolic link, which is not followed"):
        read_file(str(tmp_path / "link"))
    with pytest.raises(SynapseError, match="is a directory: name a file in it"):
        read_file(f"{tmp_path}/")


def test_set_attributes_and_remove(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a"
    path.write_text("content")
    wanted = Attributes(0o600, OWN.uid, OWN.gid)
    set_attributes(str(path), wanted)
    assert read_file(str(path)) == InstalledFile(b"content", wanted)
    remove_file(str(path))
    assert read_attributes(str(path)) is None
    with pytest.raises(SynapseError, match="could not be removed: No such file"):
        remove_file(str(path))
    with pytest.raises(SynapseError, match="Another process removed .* at the same moment: run the task again"):
        set_attributes(str(path), wanted)


def test_set_attributes_leaves_other_names_of_the_file_alone(tmp_path: pathlib.Path) -> None:
    (tmp_path / "foreign").write_text("content")
    (tmp_path / "foreign").chmod(0o600)
    os.link(tmp_path / "foreign", tmp_path / "a")
    set_attributes(str(tmp_path / "a"), OWN)
    assert read_attributes(str(tmp_path / "foreign")) == PRIVATE
    assert read_attributes(str(tmp_path / "a")) == OWN


def test_require_writable(tmp_path: pathlib.Path) -> None:
    require_writable(str(tmp_path / "new"), "path")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InvalidInput, match=f"^path {tmp_path} is a directory: set the path of a file in it"):
        require_writable(str(tmp_path), "path")
    with pytest.raises(InvalidInput, match="^path .*/b/c cannot be used: the directory .*/b does not exist, create it"):
        require_writable(str(tmp_path / "b" / "c"), "path")


def test_a_relative_path_starts_where_the_process_is(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    replace_file("a", "text", OWN)
    assert (tmp_path / "a").read_text() == "text"


@pytest.fixture
def arena() -> t.Iterator[attacker.Arena]:
    with attacker.open_place() as place:
        yield attacker.arena(place)


def test_nothing_foreign_is_touched_while_somebody_attacks(
    arena: attacker.Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    before = arena.foreign_state()
    with attacker.attacking(arena, ("name",)):
        for number in range(600):
            path = str((arena.owned if number % 2 else arena.owned / "parent") / "name")
            with contextlib.suppress(SynapseError):
                if number % 5 == 0:
                    remove_file(path, trusted=[attacker.UID])
                elif number % 5 == 1:
                    set_attributes(path, PRIVATE, trusted=[attacker.UID])
                elif number % 5 == 2:
                    replace_file(path, "for all\n", Attributes(0o640, attacker.UID, OWN.gid), trusted=[attacker.UID])
                else:
                    replace_file(path, attacker.SECRET.decode(), PRIVATE, trusted=[attacker.UID])
            arena.require_target()
    attacker.require_unharmed(arena, before)

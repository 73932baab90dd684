# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run could not change is refused in check mode too, with what is in the way and what to do about it."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import open_directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.permission import (
    require_entries_changeable,
    require_removable,
    require_settable,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._installation.scratch import Scratch


def let_nothing_change(monkeypatch: pytest.MonkeyPatch, paths: t.Collection[pathlib.Path] = ()) -> None:
    """Let the kernel say of the paths, or of everything, what it says to root of what is immutable."""
    files = {(path.stat().st_dev, path.stat().st_ino) for path in paths}

    def access(path: str, mode: int, *, dir_fd: int | None = None) -> bool:
        status = os.stat(path, dir_fd=dir_fd)
        is_fixed = not files or (status.st_dev, status.st_ino) in files
        return not (mode & os.W_OK and is_fixed)

    monkeypatch.setattr(os, "access", access)


def let_be_read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class _ReadOnly:
        f_flag = os.ST_RDONLY

    monkeypatch.setattr(os, "statvfs", lambda _place: _ReadOnly)
    let_nothing_change(monkeypatch)


@pytest.mark.parametrize("is_read_only", [True, False])
def test_what_nobody_can_change(scratch: Scratch, monkeypatch: pytest.MonkeyPatch, is_read_only: bool) -> None:
    scratch.run()
    scratch.configuration.chmod(0o700)
    (scratch.data / "homeserver.db").touch()
    if is_read_only:
        let_be_read_only(monkeypatch)
        why = "is on a file system that is mounted read-only. Mount it writable first."
    else:
        let_nothing_change(monkeypatch)
        why = "perhaps because it is immutable"
    said = scratch.refusal()
    assert said.startswith(f"The owner, group or mode of {scratch.configuration} cannot be set: ") and why in said
    said = scratch.refusal(packages=("matrix-synapse==1.164.0",), directories=())
    assert said.startswith(f"environment {scratch.environment} cannot be changed: ") and why in said
    said = scratch.refusal(present=False)
    assert said.startswith(f"{scratch.environment} cannot be removed: ") and why in said
    assert "become" not in said


def test_a_place_on_what_is_mounted_read_only(scratch: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    let_be_read_only(monkeypatch)
    assert scratch.refusal(environment=None, packages=()) == (
        f"{scratch.configuration} cannot be made: {scratch.root} is on a file system that is mounted read-only."
        " Mount it writable first."
    )


def test_what_is_immutable_is_not_removed(scratch: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch.run()
    database = scratch.data / "homeserver.db"
    database.touch()
    let_nothing_change(monkeypatch, [database])
    assert scratch.refusal(present=False, purge=True) == (
        f"{database} cannot be removed: the system lets nobody change {database}, perhaps because it is immutable. See"
        f" lsattr -d {database}."
    )


def test_only_root_sets_modes_of_what_belongs_to_another_user(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_directory(str(tmp_path)) as directory:
        monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 4242)
        with pytest.raises(InvalidInput, match="it belongs to .*, and not to this user. Run the task with become"):
            require_settable(directory)
        monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid)
        require_settable(directory)


def test_without_the_permission(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "full" / "a").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    own = tmp_path.stat()

    def access(_path: str, mode: int, *, dir_fd: int) -> bool:
        return mode == os.R_OK or os.path.samestat(os.fstat(dir_fd), own)

    monkeypatch.setattr(os, "geteuid", lambda: own.st_uid + 4242)
    monkeypatch.setattr(os, "access", access)
    with open_directory(str(tmp_path), trusted=[own.st_uid]) as directory:
        require_entries_changeable(directory, "it cannot be made")
        require_removable(directory, "empty")
        with pytest.raises(InvalidInput) as error:
            require_removable(directory, "full")
    assert error.value.message == (
        f"{tmp_path}/full cannot be removed: {tmp_path}/full is read-only for this user. Run the task with become."
    )


def test_where_everybody_may_remove_only_their_own(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with open_directory(str(tmp_path)) as directory:
        tmp_path.chmod(0o1777)
        require_removable(directory, "file")
        monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 4242)
        with pytest.raises(InvalidInput, match="everybody may remove only what is their own"):
            require_removable(directory, "file")

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes that are not possible are refused in check mode too, with the reason and what to do."""

from __future__ import annotations

import os
import pathlib
import shutil

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import open_directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.environment import BEFORE
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.marker import MARKER, hidden_name
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.permission import (
    require_entries_changeable,
    require_removable,
    require_settable,
    require_tree_removable,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._installation.scratch import (
    Scratch,
    let_be_fixed,
)


def let_be_read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class _ReadOnly:
        f_flag = os.ST_RDONLY

    monkeypatch.setattr(os, "statvfs", lambda _place: _ReadOnly)


@pytest.mark.parametrize("is_read_only", [True, False])
def test_what_nobody_can_change(scratch: Scratch, monkeypatch: pytest.MonkeyPatch, is_read_only: bool) -> None:
    scratch.run()
    scratch.configuration.chmod(0o700)
    (scratch.data / "homeserver.db").touch()
    if is_read_only:
        let_be_read_only(monkeypatch)
        why = "is on a file system that is mounted read-only. Mount it writable first."
    else:
        let_be_fixed(monkeypatch)
        why = "is immutable. Run chattr -i on it first."
    said = scratch.refusal()
    assert said.startswith(f"The owner, group or mode of {scratch.configuration} cannot be set: ") and why in said
    said = scratch.refusal(packages=("matrix-synapse==1.164.0",), directories=())
    assert said.startswith(f"virtualenv {scratch.environment} cannot be changed: ") and why in said
    said = scratch.refusal(present=False)
    assert said.startswith(f"{scratch.environment} cannot be removed: ") and why in said
    assert "become" not in said


def test_a_place_on_what_is_mounted_read_only(scratch: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    let_be_read_only(monkeypatch)
    assert scratch.refusal(virtualenv=None, packages=()) == (
        f"{scratch.configuration} cannot be created: {scratch.root} is on a file system that is mounted read-only."
        " Mount it writable first."
    )


def test_what_is_immutable_is_not_removed(scratch: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch.run()
    database = scratch.data / "homeserver.db"
    database.touch()
    let_be_fixed(monkeypatch, database)
    assert scratch.refusal(present=False, purge=True) == (
        f"{database} cannot be removed: {database} is immutable. Run chattr -i on it first."
    )


@pytest.mark.parametrize("letter", ["a", "i"])
@pytest.mark.parametrize(
    ("fixed", "named"),
    [
        ("lib/matrix-synapse", "lib/matrix-synapse"),
        (f"lib/matrix-synapse/{MARKER}", "lib/matrix-synapse"),
        ("lib/matrix-synapse/homeserver.db", "lib/matrix-synapse/homeserver.db"),
        ("lib/matrix-synapse/media_store", "lib/matrix-synapse/media_store"),
        ("lib", "lib/matrix-synapse"),
        ("venvs", "venvs/matrix-synapse"),
        ("venvs/matrix-synapse", "venvs/matrix-synapse"),
        (f"venvs/matrix-synapse/{MARKER}", "venvs/matrix-synapse"),
        ("venvs/matrix-synapse/bin", "venvs/matrix-synapse"),
        ("venvs/matrix-synapse/bin/tool", "venvs/matrix-synapse"),
    ],
)
def test_what_has_an_attribute_is_not_purged(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch, fixed: str, named: str, letter: str
) -> None:
    scratch.run()
    (scratch.data / "media_store").mkdir()
    (scratch.data / "homeserver.db").touch()
    let_be_fixed(monkeypatch, scratch.root / fixed, letter=letter)
    said = scratch.refusal(present=False, purge=True)
    assert said.startswith(f"{scratch.root / named}") and "cannot be removed: " in said
    assert said.endswith(f"Run chattr -{letter} on it first.") and f" {scratch.root / fixed} is " in said
    if fixed.startswith("venvs"):
        scratch.let_python_be("3.99")
        assert said.partition(": ")[2] in scratch.refusal()


def test_what_an_interrupted_run_has_left_aside_is_not_put_back(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch.run()
    aside = scratch.environment.with_name(hidden_name(str(scratch.environment), BEFORE))
    scratch.environment.rename(aside)
    let_be_fixed(monkeypatch, aside)
    assert scratch.refusal() == f"{aside} cannot be removed: {aside} is immutable. Run chattr -i on it first."


def test_a_directory_on_the_way_that_has_an_attribute_stays(scratch: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch.run()
    let_be_fixed(monkeypatch, scratch.data.parent / MARKER)
    result = scratch.run(present=False, purge=True)[1]
    assert result["installation"]["kept_paths"] == [
        {
            "path": str(scratch.data.parent),
            "reason": f"{scratch.data.parent} cannot be removed: {scratch.data.parent / MARKER} is immutable."
            " Run chattr -i on it first.",
        }
    ]


def test_nothing_is_begun_where_it_could_not_be_removed(scratch: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    let_be_fixed(monkeypatch, scratch.root, letter="a")
    assert scratch.refusal(virtualenv=None, packages=()) == (
        f"{scratch.configuration} cannot be created: {scratch.root} is append-only. Run chattr -a on it first."
    )


def test_what_is_gone_meanwhile_is_in_nobody_s_way(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "full" / "a").mkdir(parents=True)
    with open_directory(str(tmp_path)) as directory:
        status = os.stat(tmp_path / "full")
        require_tree_removable(directory, "gone")
        require_tree_removable(directory, "full")
        shutil.rmtree(tmp_path / "full")
        monkeypatch.setattr(directory, "status", lambda _name: status)
        require_removable(directory, "full")
        require_tree_removable(directory, "full")


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
        require_entries_changeable(directory, "it cannot be created")
        require_removable(directory, "empty")
        with pytest.raises(InvalidInput) as error:
            require_removable(directory, "full")
    assert error.value.message == (
        f"{tmp_path}/full cannot be removed: the directory {tmp_path}/full is read-only for this user. Run the"
        " task with become."
    )


def test_where_everybody_may_remove_only_their_own(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with open_directory(str(tmp_path)) as directory:
        tmp_path.chmod(0o1777)
        require_removable(directory, "file")
        monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 4242)
        with pytest.raises(InvalidInput, match="each user may only remove their own files"):
            require_removable(directory, "file")

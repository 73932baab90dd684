# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installed_file import (
    Attributes,
    group_id,
    parse_mode,
    read_attributes,
    remove_file,
    replace_file,
    require_allowed,
    set_attributes,
    user_id,
)

OWN = Attributes(0o640, os.geteuid(), os.getegid())


@pytest.mark.parametrize(
    ("mode", "bits"), [("0640", 0o640), ("640", 0o640), ("0o600", 0o600), (0o644, 0o644), ("0", 0)]
)
def test_parse_mode(mode: str | int, bits: int) -> None:
    assert parse_mode(mode) == bits


@pytest.mark.parametrize("mode", ["u=rw", "", "0888", "preserve", "1777", -1, 640000, "-640"])
def test_parse_mode_refuses_what_is_none(mode: str | int) -> None:
    with pytest.raises(InvalidInput, match="octal digits in quotes"):
        parse_mode(mode)


def test_names_and_numbers_of_owners() -> None:
    assert user_id("root") == 0
    assert user_id("12345") == 12345
    assert group_id("0") == 0
    with pytest.raises(InvalidInput, match="owner no_such_user does not exist"):
        user_id("no_such_user")
    with pytest.raises(InvalidInput, match="group no_such_group does not exist"):
        group_id("no_such_group")


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
        raise OSError(28, "No space left on device")

    path = tmp_path / "drop-in.yaml"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SynapseError, match="drop-in.yaml could not be written: No space left on device"):
        replace_file(str(path), "new", OWN)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["drop-in.yaml"]


def test_the_text_is_never_readable_by_others_meanwhile(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[str] = []
    fsync = os.fsync

    def look(descriptor: int) -> None:
        modes.append(f"{os.fstat(descriptor).st_mode & 0o777:o}")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    previous = os.umask(0)
    try:
        replace_file(str(tmp_path / "a"), "secret", OWN)
    finally:
        os.umask(previous)
    assert modes == ["640"]


def test_set_attributes_and_remove(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a"
    path.write_text("")
    wanted = Attributes(0o600, OWN.uid, OWN.gid)
    set_attributes(str(path), wanted)
    assert read_attributes(str(path)) == wanted
    assert wanted.shown()["mode"] == "0600"
    remove_file(str(path))
    assert read_attributes(str(path)) is None
    with pytest.raises(SynapseError, match="could not be removed: No such file"):
        remove_file(str(path))
    with pytest.raises(SynapseError, match="could not be set: No such file"):
        set_attributes(str(path), wanted)


def test_only_root_gives_files_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    monkeypatch.setattr(os, "getegid", lambda: 4242)
    monkeypatch.setattr(os, "getgroups", lambda: [4343])
    require_allowed(Attributes(0o600, 4242, 4343), "/etc/a")
    with pytest.raises(InvalidInput, match="/etc/a cannot be given to root: only root can do that"):
        require_allowed(Attributes(0o600, 0, 4242), "/etc/a")
    with pytest.raises(InvalidInput, match="cannot be given to the group root"):
        require_allowed(Attributes(0o600, 4242, 0), "/etc/a")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    require_allowed(Attributes(0o600, 1, 2), "/etc/a")

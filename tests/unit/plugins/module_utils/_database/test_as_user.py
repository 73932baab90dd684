# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import subprocess

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.as_user import (
    acting_as,
    groups_of,
    started_as,
)

_NOBODY = 65534
_only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


@_only_root
def test_root_acts_as_another_user(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/root")
    tmp_path.chmod(0o755)
    groups = os.getgroups()
    place = tmp_path / "place"
    place.mkdir()
    os.chown(place, _NOBODY, _NOBODY)
    secret = place / "secret"
    with acting_as(_NOBODY):
        assert os.geteuid() == _NOBODY
        assert 0 not in os.getgroups()
        assert "HOME" not in os.environ
    assert (os.geteuid(), os.getegid(), os.getgroups()) == (0, 0, groups)
    assert os.environ["HOME"] == "/root"
    # The descriptor is relative, because another user cannot pass the directories of the tests.
    descriptor = os.open(place, os.O_RDONLY)
    try:
        with acting_as(_NOBODY):
            os.close(os.open("secret", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=descriptor))
    finally:
        os.close(descriptor)
    assert secret.stat().st_uid == _NOBODY


@_only_root
def test_root_is_root_again_after_an_error() -> None:
    with pytest.raises(RuntimeError), acting_as(_NOBODY):
        raise RuntimeError
    assert os.geteuid() == 0


@_only_root
def test_root_starts_a_program_as_another_user() -> None:
    done = subprocess.run(["id", "-u"], capture_output=True, text=True, check=True, cwd="/", **started_as(_NOBODY))
    assert done.stdout.strip() == str(_NOBODY)


@pytest.mark.parametrize("uid", [None, 0])
def test_nothing_changes_without_another_user(uid: int | None) -> None:
    before = os.geteuid()
    with acting_as(uid):
        assert os.geteuid() == before
    assert started_as(uid) == {}


def test_other_users_stay_who_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with acting_as(1001):
        pass
    assert started_as(1001) == {}


def test_groups() -> None:
    assert groups_of(0)[0] == 0
    assert groups_of(4_000_000_000) == (4_000_000_000, [4_000_000_000])

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.destination import (
    LOCK,
    Destination,
    make_partial,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError

NAME = "synapse-example.org-20260131T120000Z.tar"
_OTHER = "synapse-example.org-20260130T120000Z.tar.age"


@pytest.fixture(name="destination")
def make_destination(tmp_path: pathlib.Path) -> Destination:
    (tmp_path / "backups").mkdir(mode=0o700)
    return Destination(str(tmp_path / "backups"), "example.org")


def _add(destination: Destination, name: str = NAME, created: int = 1, **changed: t.Any) -> None:
    path = pathlib.Path(destination.path, name)
    path.write_bytes(b"12345")
    sidecar = {"format": 1, "archive": name, "server_name": "example.org", "created_ts": created, "size": 5, **changed}
    pathlib.Path(f"{path}.json").write_text(json.dumps(sidecar))


def test_archives_are_listed_the_newest_first(destination: Destination) -> None:
    _add(destination, NAME, 2)
    _add(destination, _OTHER, 1)
    with destination.open() as directory:
        assert [archive.name for archive in destination.archives(directory)] == [NAME, _OTHER]


@pytest.mark.parametrize(
    "changed",
    [{"format": 2}, {"archive": "x"}, {"server_name": "a:b"}, {"size": 6}, {"created_ts": "1"}, {"created_ts": None}],
)
def test_other_files_are_not_archives(destination: Destination, changed: dict[str, t.Any]) -> None:
    _add(destination, **changed)
    with destination.locked() as directory:
        assert destination.archives(directory) == []
    assert pathlib.Path(destination.path, NAME).exists()


def test_an_archive_without_its_description_is_not_ours(destination: Destination) -> None:
    pathlib.Path(destination.path, NAME).write_bytes(b"12345")
    pathlib.Path(destination.path, f"{_OTHER}.json").write_text("[1")
    with destination.locked() as directory:
        assert destination.archives(directory) == []
    assert sorted(os.listdir(destination.path)) == sorted([LOCK, NAME, f"{_OTHER}.json"])


def test_what_a_killed_run_has_left_is_removed(destination: Destination) -> None:
    _add(destination)
    _add(destination, _OTHER)
    pathlib.Path(destination.path, _OTHER).rename(f"{destination.path}/{_OTHER}.partial")
    for name in ("notes.partial", "synapse-other.org-20260131T120000Z.tar.partial"):
        pathlib.Path(destination.path, name).write_text("of somebody else")
    with destination.locked():
        pass
    left = ["notes.partial", "synapse-other.org-20260131T120000Z.tar.partial", NAME, f"{NAME}.json", LOCK]
    assert sorted(os.listdir(destination.path)) == sorted(left)


def test_a_link_is_neither_an_archive_nor_removed(destination: Destination, tmp_path: pathlib.Path) -> None:
    (tmp_path / "target").write_text("x")
    pathlib.Path(destination.path, f"{NAME}.partial").symlink_to(tmp_path / "target")
    with destination.locked():
        pass
    assert (tmp_path / "target").exists()
    assert pathlib.Path(destination.path, f"{NAME}.partial").is_symlink()


def test_two_runs_at_the_same_time(destination: Destination) -> None:
    with (
        destination.locked(),
        pytest.raises(SynapseError, match="Another run is making a backup"),
        destination.locked(),
    ):
        pass
    with destination.locked(), pytest.raises(SynapseError, match="Another run is making a backup"):
        destination.check()
    destination.check()


def test_an_archive_is_removed_with_its_description(destination: Destination) -> None:
    _add(destination)
    with destination.locked() as directory:
        destination.remove(directory, NAME)
    assert os.listdir(destination.path) == [LOCK]


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o704])
def test_a_directory_that_others_can_use_is_refused(destination: Destination, mode: int) -> None:
    os.chmod(destination.path, mode)
    with pytest.raises(InvalidInput, match="chmod 700|may write to"):
        destination.check()


def test_a_directory_is_made_private(tmp_path: pathlib.Path) -> None:
    destination = Destination(str(tmp_path / "a" / "b"), "example.org")
    assert not destination.exists
    destination.check()
    assert not destination.exists
    destination.make()
    assert os.stat(destination.path).st_mode & 0o7777 == 0o700
    destination.check()


@pytest.mark.parametrize("path", ["", "backups", "./x"])
def test_a_relative_path_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput, match="is not an absolute path"):
        Destination(path, "example.org")


@pytest.mark.parametrize("path", ["/etc", "/usr/no-such-directory", "/lib/no-such-directory"])
def test_a_directory_of_the_system_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput, match="a directory of the system"):
        Destination(path, "example.org").check()


def test_a_partial_file_is_private_and_new(destination: Destination) -> None:
    with destination.locked() as directory:
        os.close(make_partial(directory, NAME))
        assert os.stat(f"{destination.path}/{NAME}.partial").st_mode & 0o7777 == 0o600
        with pytest.raises(SynapseError, match="could not be created"):
            make_partial(directory, NAME)

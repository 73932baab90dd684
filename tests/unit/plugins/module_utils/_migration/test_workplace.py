# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import stat

import pytest
import yaml

from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import Directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.workplace import (
    left_in,
    locked,
    open_workplace,
    require_workplace,
    workplace_path,
)


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    parent = tmp_path / "data"
    parent.mkdir(mode=0o755)
    return parent / "work"


def refused(path: pathlib.Path, error: type[SynapseError], message: str) -> None:
    own = os.geteuid()
    with pytest.raises(error, match=message), open_workplace(str(path), own, [own]):
        pass


def test_the_directory_is_private_and_stays(path: pathlib.Path) -> None:
    with open_workplace(str(path), os.geteuid(), [os.geteuid()]) as workplace:
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        configuration = pathlib.Path(workplace.write_configuration({"database": {"args": {"password": "a secret"}}}))
        assert stat.S_IMODE(configuration.stat().st_mode) == 0o600
        assert yaml.safe_load(configuration.read_text())["database"]["args"]["password"] == "a secret"
        for copy in (workplace.first_copy, workplace.last_copy, f"{workplace.last_copy}.partial"):
            pathlib.Path(copy).touch()
        workplace.clear()
    assert list(path.iterdir()) == []
    with open_workplace(str(path), os.geteuid(), [os.geteuid()]):
        pass


def test_only_one_task_works_in_it(path: pathlib.Path) -> None:
    with open_workplace(str(path), os.geteuid(), [os.geteuid()]):
        refused(path, SynapseError, "Another task moves this database")


def test_only_one_task_moves_a_database(path: pathlib.Path) -> None:
    source = path.parent / "homeserver.db"
    with pytest.raises(SynapseError, match=r"cannot be read: No such file"), locked(str(source)):
        pass
    source.touch()
    for _time in range(2):
        with locked(str(source)), pytest.raises(SynapseError, match="Another task moves"), locked(str(source)):
            pass


@pytest.mark.parametrize("kind", ["file", "link", "open"])
def test_what_is_not_ours_is_refused(path: pathlib.Path, kind: str) -> None:
    if kind == "file":
        path.touch()
    elif kind == "link":
        path.symlink_to(path.parent)
    else:
        path.mkdir()
        path.chmod(0o755)
    refused(path, InvalidInput, "is not a directory that only")
    with pytest.raises(InvalidInput, match="is not a directory that only"):
        require_workplace(str(path), os.geteuid(), [os.geteuid()])


def test_check_mode_looks_at_it(path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = os.geteuid()
    require_workplace(str(path), own, [own])
    assert not path.exists()
    with pytest.raises(InvalidInput, match="the directory .*missing does not exist"):
        require_workplace(str(path.parent / "missing" / "work"), own, [own])
    match = "Another task moves this database"
    with open_workplace(str(path), own, [own]), pytest.raises(SynapseError, match=match):
        require_workplace(str(path), own, [own])
    require_workplace(str(path), own, [own])
    path.rmdir()

    def refuse(_directory: Directory, option: str) -> None:
        raise InvalidInput(f"{option} cannot be written: it is read-only.")

    monkeypatch.setattr(Directory, "require_writable", refuse)
    with pytest.raises(InvalidInput, match="work cannot be written: it is read-only"):
        require_workplace(str(path), own, [own])


def test_what_is_left_is_replaced(path: pathlib.Path) -> None:
    assert left_in(str(path), but_first=False) == 0
    path.mkdir()
    for name, size in (
        ("first.db", 1),
        ("first.db.partial", 10),
        ("last.db", 100),
        ("last.db-wal", 1000),
        ("other", 5),
    ):
        (path / name).write_bytes(bytes(size))
    assert left_in(str(path), but_first=False) == 1111
    assert left_in(str(path), but_first=True) == 1100


def test_where_it_is() -> None:
    assert workplace_path("/data/homeserver.db", None) == "/data/.matrix_ops-migration"
    assert workplace_path("/data/homeserver.db", "/other/work") == "/other/work"

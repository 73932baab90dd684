# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files are written as declared, and only files of this collection are replaced or removed."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    InvalidInput,
    StateNotReached,
    SynapseError,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.marker import MARKER
from ansible_collections.matrix_ops.synapse.plugins.module_utils._obstacle import find_obstacle
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service_files.service_files import (
    ServiceFilesResource,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._installation.scratch import snapshot
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._service_files.declarations import (
    OWN,
    absent,
    plan_of,
    present,
    run,
    steps_of,
)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")


def test_files_and_their_directories_whatever_the_umask(tmp_path: pathlib.Path) -> None:
    path, other = tmp_path / "a" / "b.d" / "x.conf", tmp_path / "x.conf"
    previous = os.umask(0o077)
    try:
        assert run(present(path, f"{OWN}é"), present(other, mode="0600")) == [str(path), str(other)]
    finally:
        os.umask(previous)
    assert path.read_text(encoding="utf-8") == f"{OWN}é\n"
    assert [each.stat().st_mode & 0o7777 for each in (path.parent, path, other)] == [0o755, 0o644, 0o600]
    assert (path.parents[0] / MARKER).exists()
    assert (path.parents[1] / MARKER).exists()
    assert not (tmp_path / MARKER).exists()
    assert run(present(path, f"{OWN}é"), present(other)) == [str(other)]
    assert run(present(path, f"{OWN}e"), absent(other)) == [str(path), str(other)]
    assert not other.exists()


def test_steps(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "b.d" / "x.conf"
    directory, write = steps_of(present(path))
    assert directory.startswith(f"create the directory {path.parent} (")
    assert write == f"write {path}"
    run(present(path))
    [change] = steps_of(present(path, mode="0600"))
    assert change.startswith("set mode 0600, owner ")
    assert change.endswith(f" on {path}")
    assert steps_of(absent(path)) == [f"remove {path}", f"remove {path.parent}"]


def test_nothing_declared(tmp_path: pathlib.Path) -> None:
    assert run() == []
    assert run(absent(tmp_path / "x.conf"), absent(tmp_path / "a" / "x.conf")) == []
    assert os.listdir(tmp_path) == []


def test_a_mode_with_other_bits_is_corrected(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "x.conf"
    path.write_text(OWN)
    path.chmod(0o4755)
    run(present(path))
    assert path.stat().st_mode & 0o7777 == 0o644


@needs_root
def test_owners(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "x.conf"
    run(present(path, owner="12", group="34"))
    assert (path.stat().st_uid, path.stat().st_gid) == (12, 34)
    run(present(path, f"{OWN}x"))
    assert (path.stat().st_uid, path.stat().st_gid) == (12, 34)
    run(present(path, f"{OWN}x", owner="0"))
    assert (path.stat().st_uid, path.stat().st_gid) == (0, 34)


def test_an_owner_that_does_not_exist_yet(tmp_path: pathlib.Path) -> None:
    first, path = tmp_path / "a.d" / "a.conf", tmp_path / "x.conf"
    plan = plan_of(present(first), present(path, owner="not_yet_there"))
    assert plan.after is not None
    assert plan.after["files"][str(path)]["owner"] == "not_yet_there"
    with pytest.raises(InvalidInput, match=f"owner not_yet_there does not exist on this host.* for {path}"):
        plan.execute()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("content", [b"foreign\n", b"\n# matrix_ops.synapse\n", b"\xff\0\n", b" "])
def test_a_file_of_somebody_else(tmp_path: pathlib.Path, content: bytes) -> None:
    path, new = tmp_path / "x.conf", tmp_path / "a.d" / "new.conf"
    path.write_bytes(content)
    before = snapshot(tmp_path)
    for declared, change in ((present(path), "replaced"), (absent(path), "removed")):
        with pytest.raises(InvalidInput, match=f"{path} exists, .* so that it is not {change}: move it away, or set"):
            plan_of(present(new), declared)
    assert snapshot(tmp_path) == before
    assert run(present(path, force=True)) == [str(path)]
    assert path.read_text() == OWN
    path.write_bytes(content)
    assert run(absent(path, force=True)) == [str(path)]


def test_an_empty_file_is_nobodys(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "x.conf"
    path.touch()
    run(present(path))
    path.write_text("")
    run(absent(path))


@pytest.mark.parametrize("force", [False, True])
def test_what_is_no_file(tmp_path: pathlib.Path, force: bool) -> None:
    target = tmp_path / "target"
    target.write_text(OWN)
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "mask").symlink_to("/dev/null")
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    before = snapshot(tmp_path)
    for name, message in {
        "link": "is a symbolic link, which is not followed",
        "mask": "is a symbolic link, which is not followed",
        "directory": "is a directory: name a file in it",
        "pipe": "is not a file: choose another path",
    }.items():
        for declared in (present(tmp_path / name, force=force), absent(tmp_path / name, force=force)):
            with pytest.raises(SynapseError, match=message):
                plan_of(declared)
    assert snapshot(tmp_path) == before


def test_another_name_of_a_file_keeps_its_content(tmp_path: pathlib.Path) -> None:
    path, other = tmp_path / "x.conf", tmp_path / "other"
    other.write_text(OWN)
    other.chmod(0o600)
    os.link(other, path)
    run(present(path, f"{OWN}new"))
    assert other.read_text() == OWN
    assert other.stat().st_mode & 0o777 == 0o600


def test_a_file_through_a_link_to_its_directory(tmp_path: pathlib.Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    path = tmp_path / "link" / "a.d" / "x.conf"
    assert run(present(path)) == [str(path)]
    assert run(absent(tmp_path / "real" / "a.d" / "x.conf"))
    assert os.listdir(tmp_path / "real") == []


@needs_root
def test_root_writes_nothing_where_others_may_write(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "theirs" / "x.conf"
    path.parent.mkdir()
    path.write_text(OWN)
    os.chown(path.parent, 12345, 12345)
    for declared in (present(path), absent(path), present(path.parent / "a.d" / "x.conf")):
        with pytest.raises(InvalidInput, match="belongs to 12345, who could exchange what root writes there"):
            plan_of(declared)


def test_obstacles_are_found_before_anything_is_changed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.conf"
    path.write_text(OWN)

    def immutable(descriptor: int, place: str, name: str = ".") -> str | None:
        return f"{place} is immutable." if name == "x.conf" else find_obstacle(descriptor, place, name)

    monkeypatch.setattr(
        "ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.permission.find_obstacle", immutable
    )
    assert steps_of(present(path)) == []
    for declared in (present(path, mode="0600"), absent(path)):
        with pytest.raises(InvalidInput, match=f"{path} is immutable"):
            plan_of(declared)


def test_another_process_changes_the_file_afterwards(tmp_path: pathlib.Path) -> None:
    def change(path: pathlib.Path) -> None:
        path.write_text("foreign\n")

    def open_up(path: pathlib.Path) -> None:
        path.chmod(0o666)

    changes: dict[str, t.Callable[[pathlib.Path], object]] = {
        "has another content": change,
        "has another owner, group or mode": open_up,
        "does not exist": os.unlink,
    }
    for problem, disturb in changes.items():
        path = tmp_path / f"{disturb.__name__}.conf"
        resource = ServiceFilesResource([present(path)])
        plan = resource.plan()
        plan.execute()
        disturb(path)
        with pytest.raises(StateNotReached, match=f"{path} {problem}"):
            resource.verify(plan)


def test_another_process_removes_the_file_at_the_same_moment(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.d" / "x.conf"
    run(present(path))
    resource = ServiceFilesResource([absent(path)])
    plan = resource.plan()
    path.unlink()
    plan.execute()
    resource.verify(plan)
    assert os.listdir(tmp_path) == []

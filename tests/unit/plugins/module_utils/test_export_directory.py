# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import errno
import json
import os
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export_content import Content
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export_directory import ExportPlace, Manifest

CONTENT = Content(size=2, files=1, rooms=0, events=0, media=0, devices=0)
MANIFEST = Manifest("@alice:s.test", "s.test", "1.163.2", "2026-01-31T12:00:00Z", ["!forgotten"], CONTENT)


@pytest.fixture
def place(tmp_path: pathlib.Path) -> ExportPlace:
    return ExportPlace(str(tmp_path / "alice"))


def publish(place: ExportPlace, manifest: Manifest = MANIFEST, text: str = "{}") -> None:
    with place.workplace() as work:
        work.prepare()
        pathlib.Path(work.export, "profile").write_text(text)
        work.publish(manifest)


def test_manifest_is_read_as_it_was_written() -> None:
    assert Manifest.from_json(MANIFEST.to_json()) == MANIFEST


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", "null", "12"),
        json.dumps({**json.loads(MANIFEST.to_json()), "format": 2}),
        json.dumps({**json.loads(MANIFEST.to_json()), "content": {}}),
        json.dumps({**json.loads(MANIFEST.to_json()), "content": None}),
        json.dumps({**json.loads(MANIFEST.to_json()), "something": "else"}),
    ],
)
def test_something_else_is_no_manifest(text: str) -> None:
    with pytest.raises(ValueError):
        Manifest.from_json(text)


def test_published_export_is_private_and_alone(place: ExportPlace, tmp_path: pathlib.Path) -> None:
    assert place.read() is None
    publish(place)
    assert place.read() == MANIFEST
    assert place.is_whole(MANIFEST)
    assert os.listdir(tmp_path) == ["alice"]
    assert {path.name: path.stat().st_mode & 0o777 for path in (tmp_path, *tmp_path.rglob("*"))} == {
        tmp_path.name: tmp_path.stat().st_mode & 0o777,
        "alice": 0o700,
        "profile": 0o600,
        "manifest.json": 0o600,
    }


def test_export_takes_the_place_of_an_empty_directory_and_of_an_old_one(place: ExportPlace) -> None:
    os.mkdir(place.path)
    assert place.read() is None
    publish(place)
    publish(place, text='{"new": 1}')
    assert pathlib.Path(place.path, "profile").read_text() == '{"new": 1}'
    assert os.listdir(os.path.dirname(place.path)) == ["alice"]


def test_changed_export_is_not_whole(place: ExportPlace) -> None:
    publish(place)
    for name, text in (("profile", "{}{}"), ("note", "")):
        path = pathlib.Path(place.path, name)
        before = path.read_text() if path.exists() else None
        path.write_text(text)
        assert not place.is_whole(MANIFEST)
        if before is None:
            path.unlink()
        else:
            path.write_text(before)
    assert place.is_whole(MANIFEST)
    pathlib.Path(place.path, "profile").unlink()
    assert not place.is_whole(MANIFEST)


@pytest.mark.parametrize("name", ["note", "manifest.json"])
def test_foreign_directory_is_refused(place: ExportPlace, name: str) -> None:
    os.mkdir(place.path)
    pathlib.Path(place.path, name).write_text("mine")
    with pytest.raises(InvalidInput, match="not an export of this collection"):
        place.read()


@pytest.mark.parametrize("target", ["missing", "directory"])
def test_link_is_refused(place: ExportPlace, tmp_path: pathlib.Path, target: str) -> None:
    (tmp_path / "directory").mkdir()
    os.symlink(target, place.path)
    with pytest.raises(InvalidInput, match="alice is not a directory"):
        place.read()


def test_require_writable(place: ExportPlace, tmp_path: pathlib.Path) -> None:
    place.require_writable()
    assert os.listdir(tmp_path) == []
    with pytest.raises(InvalidInput, match=r"no directory .*/missing .*create it first"):
        ExportPlace(str(tmp_path / "missing" / "alice")).require_writable()
    with pytest.raises(InvalidInput, match="/proc is a mount point"):
        ExportPlace("/proc").require_writable()


def test_require_writable_in_a_read_only_directory(place: ExportPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InvalidInput, match="is read-only for this user"):
        place.require_writable()


def test_failure_leaves_nothing(place: ExportPlace, tmp_path: pathlib.Path) -> None:
    with pytest.raises(SynapseError, match="broken"), place.workplace() as work:
        work.prepare()
        raise SynapseError("broken")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("number", "mend"), [(errno.ENOSPC, "Make room"), (errno.EIO, "Mend that")])
def test_failing_disk_is_told(place: ExportPlace, number: int, mend: str) -> None:
    message = f"alice failed at .*: {os.strerror(number)}. {mend}"
    with pytest.raises(SynapseError, match=message), place.workplace():
        raise OSError(number, os.strerror(number))


def test_what_a_killed_task_left_is_removed(place: ExportPlace, tmp_path: pathlib.Path) -> None:
    with left_behind(place):
        pass
    assert len(os.listdir(tmp_path)) == 1
    place.require_writable()
    publish(place)
    assert os.listdir(tmp_path) == ["alice"]


def test_old_export_comes_back_when_the_new_one_does_not(
    place: ExportPlace, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(place)
    rename = os.rename

    def fail(source: str, target: str) -> None:
        if os.path.basename(source) == "export":
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(SynapseError, match="Input/output error"):
        publish(place, text='{"new": 1}')
    assert place.read() == MANIFEST
    assert place.is_whole(MANIFEST)
    assert os.listdir(tmp_path) == ["alice"]


def test_old_export_comes_back_after_a_kill_between_the_two_renames(place: ExportPlace) -> None:
    publish(place)
    with left_behind(place) as hidden:
        os.rename(place.path, os.path.join(hidden, "previous"))
    with pytest.raises(SynapseError, match="broken"), place.workplace():
        raise SynapseError("broken")
    assert place.read() == MANIFEST


def test_only_one_task_at_a_time(place: ExportPlace, tmp_path: pathlib.Path) -> None:
    with place.workplace() as work:
        work.prepare()
        with pytest.raises(SynapseError, match="Another task is exporting to .*/alice"):
            place.require_writable()
        with pytest.raises(SynapseError, match="Another task"):
            publish(place)
        publish(ExportPlace(str(tmp_path / "bob")))
        assert os.path.isdir(work.export)
    publish(place)


def test_hidden_directory_of_somebody_else(place: ExportPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    with left_behind(place) as hidden:
        monkeypatch.setattr(os, "geteuid", lambda: os.stat(hidden).st_uid + 1)
        with pytest.raises(SynapseError, match="belongs to another user"):
            place.require_writable()


def test_hidden_directory_that_is_a_link(place: ExportPlace, tmp_path: pathlib.Path) -> None:
    with left_behind(place) as hidden:
        (tmp_path / "target").mkdir()
        (tmp_path / "target" / "file").write_text("mine")
        os.rmdir(os.path.join(hidden, "export"))
        os.rmdir(os.path.join(hidden, "scratch"))
        os.rmdir(hidden)
        os.symlink("target", hidden)
        with pytest.raises(SynapseError, match="cannot be used"):
            publish(place)
        assert (tmp_path / "target" / "file").exists()


@contextlib.contextmanager
def left_behind(place: ExportPlace) -> t.Iterator[str]:
    """Leave the hidden directory as a task does that is killed, and return its path."""
    pid = os.fork()
    if pid == 0:
        with place.workplace() as work:
            work.prepare()
            os._exit(0)
    os.waitpid(pid, 0)
    parent = os.path.dirname(place.path)
    (hidden,) = (os.path.join(parent, name) for name in os.listdir(parent) if name.startswith("."))
    yield hidden

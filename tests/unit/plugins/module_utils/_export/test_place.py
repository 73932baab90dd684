# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import errno
import gzip
import os
import pathlib
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import tarfile
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _directory as directories
from ansible_collections.matrix_ops.synapse.plugins.module_utils import _obstacle as obstacles
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export import workplace as workplaces
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.archive import write_archive
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.manifest import Manifest
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.place import ExportPlace
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._export.made_export import (
    MANIFEST,
    left_behind,
    publish,
)


@pytest.fixture
def place(tmp_path: pathlib.Path) -> ExportPlace:
    return ExportPlace(str(tmp_path / "alice"))


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


@pytest.mark.parametrize(("kind", "name"), [("tar.gz", "alice.tar.gz"), ("zip", "alice.zip")])
def test_archive(tmp_path: pathlib.Path, kind: str, name: str) -> None:
    place = ExportPlace(str(tmp_path / "alice"), kind)
    assert place.path == str(tmp_path / name) == ExportPlace(place.path, kind).path
    assert place.read() is None
    publish(place)
    assert os.listdir(tmp_path) == [name]
    assert os.stat(place.path).st_mode & 0o777 == 0o600
    assert place.read() == MANIFEST and place.is_whole(MANIFEST)
    renewed = publish(place, b'{"new": 1}')
    assert place.read() == renewed and place.is_whole(renewed) and not place.is_whole(MANIFEST)
    # Python 3.11.2 of Debian has no filters.
    filtered: dict[str, t.Any] = {"filter": "data"} if kind == "tar.gz" and hasattr(tarfile, "data_filter") else {}
    shutil.unpack_archive(place.path, tmp_path / "unpacked", **filtered)
    assert (tmp_path / "unpacked/alice/profile").read_text() == '{"new": 1}'
    assert sorted(os.listdir(tmp_path / "unpacked/alice")) == ["manifest.json", "profile"]


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_damaged_archive_is_not_whole(tmp_path: pathlib.Path, kind: str) -> None:
    place = ExportPlace(str(tmp_path / "alice"), kind)
    publish(place)
    whole = pathlib.Path(place.path).read_bytes()
    if kind == "tar.gz":
        # Far enough for the manifest to be read.
        pathlib.Path(place.path).write_bytes(whole[:-5])
        assert place.read() == MANIFEST
    else:
        # The first byte of the file's content, which follows its name.
        position = whole.index(b"alice/profile") + len("alice/profile")
        pathlib.Path(place.path).write_bytes(whole[:position] + bytes([whole[position] ^ 255]) + whole[position + 1 :])
    assert not place.is_whole(MANIFEST)


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"mine", id="text"),
        pytest.param(gzip.compress(b"mine"), id="gzip"),
        pytest.param(b"PK\x05\x06" + bytes(18), id="end-of-zip"),
    ],
)
def test_foreign_file_is_refused(tmp_path: pathlib.Path, kind: str, content: bytes) -> None:
    place = ExportPlace(str(tmp_path / "alice"), kind)
    pathlib.Path(place.path).write_bytes(content)
    with pytest.raises(InvalidInput, match="not an export of this collection"):
        place.read()
    os.unlink(place.path)
    os.mkdir(place.path)
    with pytest.raises(InvalidInput, match="is not a file"):
        place.read()


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_archive_of_a_file_that_ends_like_an_archive(tmp_path: pathlib.Path, kind: str) -> None:
    # The start of the end of a zip and of a gzip, which appear unchanged in the archive between random bytes.
    end, beginning = b"PK\x05\x06" + os.urandom(18), b"\x1f\x8b\x08" + os.urandom(15)
    place = ExportPlace(str(tmp_path / "alice"), kind)
    made = publish(place, beginning + os.urandom(40_000) + end + os.urandom(20_000))
    assert end in pathlib.Path(place.path).read_bytes()
    assert place.read() == made and place.is_whole(made)
    renewed = publish(place, b"{}")
    assert place.read() == renewed and place.is_whole(renewed)


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_archive_that_cannot_be_read_back_replaces_nothing(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    place = ExportPlace(str(tmp_path / "alice"), kind)
    made = publish(place)
    for lost, added in ((30, b""), (None, b"no archive"), (None, b"")):

        def write_damaged(
            kind: str,
            directory: int,
            manifest: Manifest,
            file: t.Any,
            name: str,
            lost: t.Any = lost,
            added: t.Any = added,
        ) -> None:
            write_archive(kind, directory, manifest, file, name)
            file.truncate(file.seek(file.tell() - lost if lost else 0))
            file.write(added)

        monkeypatch.setattr(workplaces, "write_archive", write_damaged)
        with pytest.raises(SynapseError, match="alice.* cannot be read back as it was written, so it was not moved"):
            publish(place, b'{"new": 1}')
        assert place.read() == made and place.is_whole(made)
        assert os.listdir(tmp_path) == [os.path.basename(place.path)]


def test_export_that_cannot_be_read_back_replaces_nothing(place: ExportPlace) -> None:
    made = publish(place)
    # One file less than in the manifest.
    with pytest.raises(SynapseError, match="cannot be read back"), place.workplace() as work:
        work.prepare()
        work.publish(MANIFEST)
    assert place.read() == made and place.is_whole(made)


def test_archive_with_any_byte_changed_is_damaged_or_as_it_was(tmp_path: pathlib.Path) -> None:
    chosen = random.Random(1)
    for kind in ("tar.gz", "zip"):
        place = ExportPlace(str(tmp_path / "alice"), kind)
        made = publish(place)
        whole = pathlib.Path(place.path).read_bytes()
        for position in range(len(whole)):
            changed = bytearray(whole)
            changed[position] ^= chosen.randrange(1, 256)
            pathlib.Path(place.path).write_bytes(changed)
            # Both must return or raise a SynapseError.
            place.is_whole(made)
            with contextlib.suppress(InvalidInput):
                place.read()
        pathlib.Path(place.path).write_bytes(whole)


def test_zip_with_a_name_that_is_no_text_is_damaged(tmp_path: pathlib.Path) -> None:
    place = ExportPlace(str(tmp_path / "alice"), "zip")
    made = publish(place, name="é")
    whole = pathlib.Path(place.path).read_bytes()
    # The header before the content, not the one in the list at the end.
    pathlib.Path(place.path).write_bytes(whole.replace("é".encode(), b"\xff\xff", 1))
    assert place.read() == made
    assert not place.is_whole(made)


def test_directory_that_is_nested_too_deeply_is_not_whole(place: ExportPlace) -> None:
    made = publish(place)
    descriptor = os.open(place.path, os.O_RDONLY)
    for _number in range(sys.getrecursionlimit()):
        os.mkdir("deep", dir_fd=descriptor)
        below = os.open("deep", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    # In a directory that no walk skips.
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=descriptor))
    os.close(descriptor)
    assert not place.is_whole(made)
    subprocess.run(["rm", "-r", place.path], check=True)


def fetch_and_fail(place: ExportPlace, error: Exception, resume: bool = True) -> None:
    with contextlib.suppress(SynapseError), place.workplace(resume=resume) as work:
        work.prepare()
        os.makedirs(work.media, exist_ok=True)
        pathlib.Path(work.media, "medium").write_text("fetched")
        raise error


def test_media_of_a_failed_task_are_kept_for_the_next(place: ExportPlace, tmp_path: pathlib.Path) -> None:
    fetch_and_fail(place, SynapseError("no answer"))
    [hidden] = tmp_path.iterdir()
    assert [str(path.relative_to(hidden)) for path in hidden.rglob("*")] == ["media", "media/medium"]
    assert hidden.stat().st_mode & 0o777 == 0o700
    place.require_writable()
    with place.workplace(resume=True) as work:
        assert os.listdir(work.media) == ["medium"]
    assert os.listdir(tmp_path) == []


def test_media_of_a_failed_task_whose_mode_was_changed_become_private_again(
    place: ExportPlace, tmp_path: pathlib.Path
) -> None:
    fetch_and_fail(place, SynapseError("no answer"))
    [hidden] = tmp_path.iterdir()
    hidden.chmod(0o755)
    with place.workplace(resume=True):
        assert hidden.stat().st_mode & 0o777 == 0o700


def test_media_are_not_kept_for_a_task_without(place: ExportPlace, tmp_path: pathlib.Path) -> None:
    fetch_and_fail(place, SynapseError("no answer"))
    publish(place)
    assert os.listdir(tmp_path) == ["alice"]
    fetch_and_fail(place, SynapseError("no answer"), resume=False)
    assert os.listdir(tmp_path) == ["alice"]


def test_media_are_not_kept_on_a_full_disk(place: ExportPlace, tmp_path: pathlib.Path) -> None:
    fetch_and_fail(place, OSError(errno.ENOSPC, "No space left on device"))
    assert os.listdir(tmp_path) == []
    full = SynapseError("The disk is full")
    full.__cause__ = OSError(errno.EDQUOT, "Disk quota exceeded")
    fetch_and_fail(place, full)
    assert os.listdir(tmp_path) == []


def test_export_takes_the_place_of_an_empty_directory_and_of_an_old_one(place: ExportPlace) -> None:
    os.mkdir(place.path)
    assert place.read() is None
    publish(place)
    publish(place, b'{"new": 1}')
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
    with pytest.raises(InvalidInput, match=r"the directory .*/missing does not exist, create it"):
        ExportPlace(str(tmp_path / "missing" / "alice")).require_writable()
    with pytest.raises(InvalidInput, match="/proc is a mount point"):
        ExportPlace("/proc").require_writable()


@pytest.mark.parametrize("kind", [None, "zip"])
def test_what_is_mounted_in_the_place_is_refused(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, kind: str | None
) -> None:
    place = ExportPlace(str(tmp_path / "alice"), kind)
    publish(place)
    place.require_writable()
    mounted = os.path.realpath(place.path if kind else os.path.join(place.path, "rooms"))
    monkeypatch.setattr(directories, "mount_points", lambda: frozenset({mounted}))
    with pytest.raises(InvalidInput, match=f"alice.* cannot be replaced: {mounted} is a mount point. Unmount it"):
        place.require_writable()


@pytest.mark.parametrize("path", ["/", "//", "/.", "/tmp/.."])
@pytest.mark.parametrize("kind", [None, "zip"])
def test_root_of_the_file_system_is_refused(path: str, kind: str | None) -> None:
    with pytest.raises(InvalidInput, match="^dest /+ is the root directory. Choose a destination in another"):
        ExportPlace(path, kind)


def test_require_writable_in_a_read_only_directory(place: ExportPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    with pytest.raises(InvalidInput, match="is read-only for this user"):
        place.require_writable()


def test_failure_leaves_nothing(place: ExportPlace, tmp_path: pathlib.Path) -> None:
    with pytest.raises(SynapseError, match="broken"), place.workplace() as work:
        work.prepare()
        raise SynapseError("broken")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("number", "fix"), [(errno.ENOSPC, "Free space"), (errno.EIO, "Fix this error")])
def test_failing_disk_is_reported(place: ExportPlace, number: int, fix: str) -> None:
    message = f"alice failed at .*: {os.strerror(number)}. {fix}"
    with pytest.raises(SynapseError, match=message), place.workplace():
        raise OSError(number, os.strerror(number))


def test_what_a_killed_task_left_is_removed(place: ExportPlace, tmp_path: pathlib.Path) -> None:
    with left_behind(place):
        pass
    assert len(os.listdir(tmp_path)) == 1
    place.require_writable()
    publish(place)
    assert os.listdir(tmp_path) == ["alice"]


def test_old_export_is_restored_if_the_new_one_fails(
    place: ExportPlace, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(place)
    rename = os.rename

    def fail(source: str, target: str, **descriptors: int) -> None:
        if source == "export":
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target, **descriptors)

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(SynapseError, match="Input/output error"):
        publish(place, b'{"new": 1}')
    assert place.read() == MANIFEST
    assert place.is_whole(MANIFEST)
    assert os.listdir(tmp_path) == ["alice"]


def test_old_export_is_restored_after_a_kill_between_the_two_renames(place: ExportPlace) -> None:
    publish(place)
    with left_behind(place) as hidden:
        os.rename(place.path, os.path.join(hidden, "previous"))
    assert place.is_aside() and place.read() == MANIFEST and place.is_whole(MANIFEST)
    with pytest.raises(SynapseError, match="broken"), place.workplace():
        raise SynapseError("broken")
    assert not place.is_aside() and place.read() == MANIFEST


def test_old_export_is_restored_although_an_empty_directory_is_at_its_path(
    place: ExportPlace, tmp_path: pathlib.Path
) -> None:
    publish(place)
    with left_behind(place) as hidden:
        os.rename(place.path, os.path.join(hidden, "previous"))
    os.mkdir(place.path)
    assert place.is_aside() and place.read() == MANIFEST and place.is_whole(MANIFEST)
    place.require_writable()
    with pytest.raises(SynapseError, match="broken"), place.workplace():
        raise SynapseError("broken")
    assert not place.is_aside() and place.read() == MANIFEST and place.is_whole(MANIFEST)
    assert os.listdir(tmp_path) == ["alice"]


def test_old_export_is_kept_next_to_what_is_at_its_path_until_there_is_a_new_one(
    place: ExportPlace, tmp_path: pathlib.Path
) -> None:
    publish(place, b"{  }")
    with left_behind(place) as hidden:
        os.rename(place.path, os.path.join(hidden, "previous"))
    copy = ExportPlace(str(tmp_path / "copy"))
    publish(copy)
    os.rename(copy.path, place.path)
    for _time in range(2):
        with pytest.raises(SynapseError, match="broken"), place.workplace() as work:
            work.prepare()
            raise SynapseError("broken")
        assert place.read() == MANIFEST and not place.is_aside()
        assert os.listdir(hidden) == ["previous"]
        assert pathlib.Path(hidden, "previous", "profile").read_text() == "{  }"
    made = publish(place, b"{ }")
    assert place.read() == made and os.listdir(tmp_path) == ["alice"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a directory of somebody else")
def test_empty_directory_of_another_user_is_not_replaced(place: ExportPlace) -> None:
    publish(place)
    with left_behind(place) as hidden:
        os.rename(place.path, os.path.join(hidden, "previous"))
    os.mkdir(place.path)
    os.chown(place.path, 65534, -1)
    with pytest.raises(InvalidInput, match="alice belongs to"):
        place.read()
    with place.workplace():
        pass
    assert os.listdir(place.path) == [] and os.listdir(hidden) == ["previous"]


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


def test_hidden_directory_of_another_user(place: ExportPlace, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_interrupted_at_random_it_is_whole_or_not_there(place: ExportPlace, tmp_path: pathlib.Path) -> None:
    places = [place, *(ExportPlace(place.path, kind) for kind in ("tar.gz", "zip"))]
    for number in range(60):
        place = places[number % 3]
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                while True:
                    publish(place, os.urandom(20_000))
            os._exit(1)
        # Long enough for some to be made, and different each time.
        select.select([], [], [], random.uniform(0.001, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        found = place.read()
        assert found is None or place.is_whole(found)
        place.require_writable()
    for place in places:
        made = publish(place)
        assert place.read() == made and place.is_whole(made)
    assert sorted(os.listdir(tmp_path)) == ["alice", "alice.tar.gz", "alice.zip"]


@pytest.mark.parametrize("parent", ["/", "/usr", "/etc", "/var/log", "/usr/new", "/bin"])
@pytest.mark.parametrize("kind", [None, "zip"])
def test_directories_of_the_system_are_refused(parent: str, kind: str | None) -> None:
    place = ExportPlace(f"{parent}/matrix_ops_synapse_test", kind, make_parent=True)
    assert place.read() is None
    with pytest.raises(InvalidInput, match=r"cannot be used: .* a directory of the system\. Choose another"):
        place.require_writable()


def test_a_link_to_a_directory_of_the_system_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(InvalidInput, match=r": /etc is a directory of the system\."):
        ExportPlace(str(tmp_path / "link" / "alice")).require_writable()


@pytest.mark.parametrize("attribute", ["i", "a"])
@pytest.mark.parametrize("kind", [None, "tar.gz", "zip"])
def test_what_chattr_protects_is_refused_before(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, attribute: str, kind: str | None
) -> None:
    place = ExportPlace(str(tmp_path / "alice"), kind)
    publish(place)
    with left_behind(place) as hidden:
        pathlib.Path(hidden, "scratch", "rest").touch()
    place.require_writable()
    bits = {"i": 0x10, "a": 0x20}[attribute]

    def protect(path: str) -> None:
        own = os.stat(path)

        def attributes(descriptor: int, name: str) -> int:
            return bits * os.path.samestat(os.stat(name, dir_fd=descriptor, follow_symlinks=False), own)

        monkeypatch.setattr(obstacles, "_attributes", attributes)

    inside = [] if kind else [f"{place.path}/manifest.json", f"{place.path}/profile"]
    for path in (place.path, *inside, hidden, f"{hidden}/scratch", f"{hidden}/scratch/rest"):
        protect(path)
        message = rf"alice\S* cannot be replaced: {re.escape(path)} is \S+ Run chattr -{attribute} on it first\.$"
        with pytest.raises(InvalidInput, match=message):
            place.require_writable()
    protect(str(tmp_path))
    with pytest.raises(InvalidInput, match=rf"alice\S* cannot be written: \S+ is \S+ Run chattr -{attribute} on it"):
        place.require_writable()


@pytest.mark.parametrize("attribute", ["i", "a"])
@pytest.mark.parametrize("protected", ["", "alice", "alice/profile"])
def test_what_chattr_itself_protects_is_refused_before(
    place: ExportPlace, tmp_path: pathlib.Path, attribute: str, protected: str
) -> None:
    publish(place)
    path = tmp_path / protected
    try:
        subprocess.run(["chattr", f"+{attribute}", path], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("nothing can be protected here")
    try:
        end = r"\." if protected else r", or choose another path\."
        with pytest.raises(InvalidInput, match=rf": {path} is \S+ Run chattr -{attribute} on it first{end}$"):
            place.require_writable()
    finally:
        subprocess.run(["chattr", f"-{attribute}", path], check=True)
    place.require_writable()


@pytest.mark.parametrize(
    ("directory", "real"),
    [
        *(("/etc/nologin_test", "/etc"), ("/home/newperson_test", "/home")),
        *(("/var/log/new_test", "/var/log"), ("/var/new_test/x", "/var")),
    ],
)
def test_no_directory_is_made_among_those_of_the_system(directory: str, real: str) -> None:
    place = ExportPlace(f"{directory}/alice", make_parent=True)
    assert place.read() is None
    with pytest.raises(InvalidInput, match=rf": {real} is a directory of the system\. .* create /\S+ first\."):
        place.require_writable()


def test_no_directory_is_made_behind_a_link_to_one_of_the_system(tmp_path: pathlib.Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(InvalidInput, match=r": /etc is a directory of the system\."):
        ExportPlace(str(tmp_path / "link" / "new_test" / "alice"), make_parent=True).require_writable()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may write there")
@pytest.mark.parametrize(
    "directory",
    [*("/var/lib/matrix_ops.synapse_test/exports", "/srv/new_test", "/root/new_test", "/data_test/exports")],
)
def test_a_directory_of_its_own_is_made_where_services_and_root_have_theirs(directory: str) -> None:
    ExportPlace(f"{directory}/alice", make_parent=True).require_writable()
    assert not os.path.exists(directory)

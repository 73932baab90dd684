# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.media import (
    Left,
    MediaDirectory,
    Size,
    find_media_directories,
    is_inside,
    measure,
    open_media,
    walk,
    walk_all,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError


def _configuration(**settings: t.Any) -> Configuration:
    return Configuration((ConfigurationFile("/etc/homeserver.yaml", settings),))


@pytest.fixture(name="store")
def make_store(tmp_path: pathlib.Path) -> pathlib.Path:
    store = tmp_path / "media_store"
    (store / "local_content" / "aa").mkdir(parents=True)
    (store / "local_content" / "aa" / "one").write_bytes(b"12345")
    (store / "two").write_bytes(b"123")
    (store / "empty").mkdir()
    return store


def _walk(store: pathlib.Path) -> tuple[dict[str, bytes], Left]:
    left, found = Left([], []), {}
    for each in walk(str(store), left, 3):
        descriptor = open_media(each, left, 3)
        if descriptor is not None:
            with open(descriptor, "rb") as file:
                found[each.path] = file.read()
    return found, left


def test_all_files_are_found(store: pathlib.Path) -> None:
    assert _walk(store) == ({"local_content/aa/one": b"12345", "two": b"123"}, Left([], []))
    assert measure([MediaDirectory(str(store), "")]) == Size(2, 8 + 2 * 3 * 512)


def test_no_link_is_followed(store: pathlib.Path, tmp_path: pathlib.Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    (store / "file").symlink_to(secret / "key")
    (store / "directory").symlink_to(secret)
    os.mkfifo(store / "pipe")
    found, left = _walk(store)
    assert set(found) == {"local_content/aa/one", "two"}
    assert left.skipped == [
        {"path": "3/directory", "reason": "it is a link"},
        {"path": "3/file", "reason": "it is a link"},
        {"path": "3/pipe", "reason": "it is not an ordinary file"},
    ]
    assert measure([MediaDirectory(str(store), "")]) == Size(2, 8 + 2 * 3 * 512)


def test_hidden_directories_are_left_out(store: pathlib.Path) -> None:
    (store / ".snapshot" / "old").mkdir(parents=True)
    (store / ".snapshot" / "old" / "one").write_bytes(b"12345")
    (store / ".keep").touch()
    found, left = _walk(store)
    assert set(found) == {".keep", "local_content/aa/one", "two"}
    assert left.skipped == [{"path": "3/.snapshot", "reason": "it is a hidden directory"}]


def test_what_a_check_of_the_disk_has_found_is_left_out(store: pathlib.Path) -> None:
    for directory in (store, store / "empty"):
        (directory / "lost+found").mkdir(mode=0o700)
        (directory / "lost+found" / "#12").write_bytes(b"12345")
    found, left = _walk(store)
    assert set(found) == {"empty/lost+found/#12", "local_content/aa/one", "two"}
    assert left == Left([], [])


def test_a_file_that_becomes_a_link_is_not_followed(store: pathlib.Path, tmp_path: pathlib.Path) -> None:
    left = Left([], [])
    walking = walk(str(store), left)
    found = next(walking)
    (store / "local_content" / "aa" / "one").unlink()
    (store / "local_content" / "aa" / "one").symlink_to("/etc/passwd")
    assert open_media(found, left, 0) is None
    assert left.skipped == [{"path": "0/local_content/aa/one", "reason": "it is a link"}]


def test_a_file_that_vanishes_is_named(store: pathlib.Path) -> None:
    left = Left([], [])
    walking = walk(str(store), left)
    found = next(walking)
    (store / "local_content" / "aa" / "one").unlink()
    assert open_media(found, left, 0) is None
    assert left.vanished == ["0/local_content/aa/one"]


def test_the_directory_itself_may_be_a_link(store: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "link").symlink_to(store)
    assert set(_walk(tmp_path / "link")[0]) == {"local_content/aa/one", "two"}


def test_a_directory_that_does_not_exist_yet(tmp_path: pathlib.Path) -> None:
    assert _walk(tmp_path / "missing") == ({}, Left([], []))


def test_the_directories_of_a_configuration(tmp_path: pathlib.Path) -> None:
    provider = {"module": "file_system", "config": {"directory": str(tmp_path / "second")}}
    inside = {"module": "file_system", "config": {"directory": str(tmp_path / "media" / "x")}}
    other = {"module": "s3_storage_provider.S3StorageProviderBackend", "config": {"directory": "/nowhere"}}
    found = find_media_directories(
        _configuration(media_store_path="media", media_storage_providers=[provider, inside, other]), str(tmp_path)
    )
    paths = [str(tmp_path / name) for name in ("media", "second", "media/x")]
    assert [directory.path for directory in found] == paths


def test_two_settings_for_one_directory(store: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "link").symlink_to(store)
    for names in (("link", "media_store"), ("media_store", "link"), ("media_store", "media_store/./local_content/..")):
        first, second = (str(tmp_path / name) for name in names)
        provider = {"module": "file_system", "config": {"directory": second}}
        found = find_media_directories(
            _configuration(media_store_path=first, media_storage_providers=[provider]), str(tmp_path)
        )
        assert [directory.path for directory in found] == [first]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("is_link", [False, True])
def test_a_directory_in_another_one(store: pathlib.Path, tmp_path: pathlib.Path, order: int, is_link: bool) -> None:
    if is_link:
        # One inside of the other leads to it, and the setting is the link.
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "one").write_bytes(b"1")
        (store / "link").symlink_to(tmp_path / "elsewhere")
    inner = store / "link" if is_link else store / "local_content"
    names = [str(store), str(inner)][::order]
    left = Left([], [])
    found = {
        f"{names[number]}/{each.path}" for number, each in walk_all([MediaDirectory(name, "") for name in names], left)
    }
    files = {f"{store}/two", f"{store}/local_content/aa/one", *([f"{inner}/one"] if is_link else [])}
    assert found == files
    assert left == Left([], [])
    assert measure([MediaDirectory(name, "") for name in names]).files == len(files)


def test_what_a_restore_has_not_finished_is_no_medium(store: pathlib.Path) -> None:
    (store / ".matrix_ops.synapse.restoring").write_bytes(b"half of it")
    assert set(_walk(store)[0]) == {"local_content/aa/one", "two"}


def test_the_store_of_a_worker_is_found_too(store: pathlib.Path) -> None:
    found = find_media_directories(_configuration(enable_media_repo=False), str(store.parent))
    assert [directory.path for directory in found] == [str(store)]


def test_a_relative_path_needs_a_directory() -> None:
    with pytest.raises(ConfigurationError, match="Set working_directory"):
        find_media_directories(_configuration(media_store_path="media"), None)


def test_inside(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert is_inside(str(tmp_path / "link" / "b"), str(tmp_path / "a"))
    assert is_inside(str(tmp_path / "a"), str(tmp_path / "a"))
    assert not is_inside(str(tmp_path / "ab"), str(tmp_path / "a"))


def test_what_is_no_media(store: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "link").symlink_to(store)
    apart = [str(tmp_path / "link" / "two"), str(tmp_path / "other"), str(store / "copies")]
    (store / "copies").mkdir()
    (store / "copies" / "homeserver.db").touch()
    assert [found.path for found in walk(str(store), Left([], []), apart=apart)] == ["local_content/aa/one"]
    assert measure([MediaDirectory(str(store), "")], apart) == Size(1, 5 + 3 * 512)

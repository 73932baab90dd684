# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.media_clearing import Cleared, MediaClearing

# Each form of a path in a media store, by a file of it.
STORED = (
    "local_content/Ab/Cd/EfGhIjKl",
    "local_thumbnails/Ab/Cd/EfGhIjKl/32-32-image-png-crop",
    "remote_content/matrix.example:8448/Ab/Cd/EfGh",
    "remote_content/[2001:db8::1]/Ab/Cd/EfGh",
    "remote_thumbnail/other.example/Ab/Cd/EfGh/32-32-image-png",
    "url_cache/2026-01-31/AbCdEf",
    "url_cache/Ab/Cd/EfGh",
    "url_cache_thumbnails/2026-01-31/AbCdEf/32-32-image-png-scale",
    "url_cache_thumbnails/Ab/Cd/EfGh/32-32-image-png-scale",
)
# What is none of Synapse's.
FOREIGN = (
    "README",
    "other/Ab/Cd/EfGh",
    "local_content/Ab/README",
    "local_content/notes.txt",
    "local_content/Ab/Cd/deeper/file",
    "remote_content/name with spaces/Ab/Cd/EfGh",
    "url_cache/2026-01-31/deeper/file",
)
NOW, BEFORE, AFTER = 2_000_000_000, 1_999_999_999, 2_000_000_001


def put(store: pathlib.Path, *paths: str, time: int = BEFORE) -> None:
    for path in paths:
        file = store / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(path)
        os.utime(file, (time, time))


def files(directory: pathlib.Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir())


def test_everything_of_synapse_and_nothing_else(tmp_path: pathlib.Path) -> None:
    put(tmp_path, *STORED, *FOREIGN)
    clearing = MediaClearing(str(tmp_path))
    assert clearing.has_files(NOW)
    cleared = clearing.clear(NOW)
    assert cleared.files == len(STORED)
    assert files(tmp_path) == sorted(FOREIGN)
    # What is not in a directory of Synapse is not looked at.
    assert cleared.kept_count == len(FOREIGN) - 2
    assert str(tmp_path / "local_content/Ab/README") in cleared.kept
    assert not clearing.has_files(NOW)
    assert not (tmp_path / "remote_thumbnail/other.example").exists()
    assert clearing.clear(NOW).files == 0


def test_what_was_written_later_stays(tmp_path: pathlib.Path) -> None:
    put(tmp_path, STORED[0], time=AFTER)
    clearing = MediaClearing(str(tmp_path))
    assert not clearing.has_files(NOW)
    assert clearing.clear(NOW) == Cleared(0, [], 0)
    assert files(tmp_path) == [STORED[0]]


@pytest.mark.parametrize(
    "place", ["local_content", "local_content/Ab", "local_content/Ab/Cd", "local_content/Ab/Cd/EfGh"]
)
def test_no_link_is_followed(tmp_path: pathlib.Path, place: str) -> None:
    store, outside = tmp_path / "store", tmp_path / "outside"
    put(outside, "Ab/Cd/EfGh", "Cd/EfGh", "EfGh")
    link = store / place
    link.parent.mkdir(parents=True)
    link.symlink_to(outside / "EfGh" if place.endswith("EfGh") else outside)
    clearing = MediaClearing(str(store))
    assert not clearing.has_files(NOW)
    assert clearing.clear(NOW) == Cleared(0, [str(link)], 1)
    assert files(outside) == ["Ab/Cd/EfGh", "Cd/EfGh", "EfGh"]
    assert link.is_symlink()


def test_no_store(tmp_path: pathlib.Path) -> None:
    clearing = MediaClearing(str(tmp_path / "missing"))
    assert not clearing.has_files(NOW)
    assert clearing.clear(NOW) == Cleared(0, [], 0)


def test_a_dangling_link_to_a_store(tmp_path: pathlib.Path) -> None:
    (tmp_path / "store").symlink_to(tmp_path / "missing")
    with pytest.raises(SynapseError, match=r"store cannot be read: No such file"):
        MediaClearing(str(tmp_path / "store")).has_files(NOW)


def test_only_some_of_the_kept_are_named(tmp_path: pathlib.Path) -> None:
    put(tmp_path, *(f"local_content/note {number}" for number in range(25)))
    cleared = MediaClearing(str(tmp_path)).clear(NOW)
    assert (len(cleared.kept), cleared.kept_count) == (10, 25)


def test_clearable(tmp_path: pathlib.Path) -> None:
    clearing = MediaClearing(str(tmp_path))
    put(tmp_path, STORED[0])
    (tmp_path / "remote_content").symlink_to(tmp_path / "missing")
    clearing.require_clearable()


def test_a_mount_point_is_found_first(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, STORED[0])
    inside = os.path.realpath(tmp_path / "local_content" / "Ab")
    monkeypatch.setattr(_directory, "mount_points", lambda: [inside])
    with pytest.raises(
        InvalidInput, match="local_content/Ab in the media store is a mount point.* purge_media to false"
    ):
        MediaClearing(str(tmp_path)).require_clearable()


def test_a_store_that_cannot_be_written(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, STORED[0])
    monkeypatch.setattr(_directory, "find_obstacle_to_entries", lambda *_arguments: "It is read-only.")
    with pytest.raises(InvalidInput, match="The media store .* cannot be written: It is read-only"):
        MediaClearing(str(tmp_path)).require_clearable()

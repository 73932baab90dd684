# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib

from ansible_collections.matrix_ops.synapse.plugins.module_utils._mounts import mount_points, mounted_in, real_path


def test_mount_points_of_this_host() -> None:
    assert "/" in mount_points()
    assert "/proc" in mount_points()


def test_names_with_spaces_and_a_kernel_without_the_list(tmp_path: pathlib.Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text("36 35 98:0 / /srv/a\\040b\\134 rw - ext4 /dev/x rw\n")
    assert mount_points(str(table)) == {"/srv/a b\\"}
    assert mount_points(str(tmp_path / "missing")) == frozenset()


def test_names_that_are_no_text_or_end_a_line_in_one(tmp_path: pathlib.Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_bytes(b"36 35 98:0 / /srv/a\rb\\012\xff rw - ext4 /dev/x rw\n")
    assert mount_points(str(table)) == {os.fsdecode(b"/srv/a\rb\n\xff")}


def test_real_path_of_an_open_directory(tmp_path: pathlib.Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    descriptor = os.open(tmp_path / "link", os.O_RDONLY)
    assert real_path(descriptor) == os.path.realpath(tmp_path / "real")
    os.close(descriptor)
    assert real_path(descriptor) is None


def test_what_holds_a_mount_point() -> None:
    points = frozenset({"/", "/srv/data/media", "/srv/data2"})
    assert mounted_in("/srv/data/media", points) == "/srv/data/media"
    assert mounted_in("/srv/data", points) == "/srv/data/media"
    assert mounted_in("/srv/dat", points) is None
    assert mounted_in("/srv/data/media/local", points) is None

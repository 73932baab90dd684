# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a file is, and which paths lead to nowhere that this collection may write."""

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service_files.declaration import DeclaredFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service_files.location import (
    Location,
    locate,
    require_different,
)


def location_of(path: object) -> Location:
    return locate(DeclaredFile(str(path), "# matrix_ops.synapse\n"))


def test_missing_directories(tmp_path: pathlib.Path) -> None:
    location = location_of(tmp_path / "a" / "b" / "x.conf")
    assert location.place == location.path == str(tmp_path / "a" / "b" / "x.conf")
    assert location.around == str(tmp_path)
    assert location.missing == (str(tmp_path / "a"), str(tmp_path / "a" / "b"))
    assert location.existing[:2] == (str(tmp_path), str(tmp_path.parent))
    assert "/" not in location.existing
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert location_of(tmp_path / "a" / "b" / "x.conf").missing == ()


def test_links_of_this_user_are_followed(tmp_path: pathlib.Path) -> None:
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real").mkdir()
    location = location_of(tmp_path / "link" / "a" / "x.conf")
    assert location.path == str(tmp_path / "link" / "a" / "x.conf")
    assert location.place == str(tmp_path / "real" / "a" / "x.conf")
    assert location.missing == (str(tmp_path / "real" / "a"),)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must not follow the links of others")
def test_root_does_not_follow_links_of_others(tmp_path: pathlib.Path) -> None:
    (tmp_path / "target").mkdir()
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "link").symlink_to(tmp_path / "target")
    os.chown(theirs, 12345, 12345)
    for path in (theirs / "link" / "x.conf", theirs / "link" / "a" / "x.conf", theirs / "x.conf"):
        with pytest.raises(InvalidInput, match="theirs belongs to 12345, who could exchange what root writes there"):
            location_of(path)
    os.chown(theirs, 0, 0)
    theirs.chmod(0o777)
    with pytest.raises(InvalidInput, match="every user may write to"):
        location_of(theirs / "x.conf")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/etc/systemd/system", "which is a directory of the system: set the path of a file"),
        ("/usr/lib/systemd/system/x.service", "which is /usr, a directory of the system"),
        ("/home/x", "the home directory of a person"),
        ("/home/somebody_new/x.conf", "/home/somebody_new does not exist and is the home directory of a person"),
    ],
)
def test_paths_of_the_system(path: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        location_of(path)


def test_a_link_to_a_path_of_the_system(tmp_path: pathlib.Path) -> None:
    (tmp_path / "link").symlink_to("/usr/share")
    with pytest.raises(InvalidInput, match="which leads to /usr/share/x.conf, that is /usr, a directory of the system"):
        location_of(tmp_path / "link" / "x.conf")


def test_what_is_no_directory_on_the_way(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match="file is not a directory: set another path"):
        location_of(tmp_path / "file" / "a" / "x.conf")
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(InvalidInput, match="nowhere does not exist, create it first"):
        location_of(tmp_path / "dangling" / "x.conf")


def test_a_path_can_only_be_declared_once(tmp_path: pathlib.Path) -> None:
    (tmp_path / "link").symlink_to(".")
    path = tmp_path / "a" / "x.conf"
    require_different([location_of(path), location_of(tmp_path / "a" / "y.conf"), location_of(tmp_path / "x.conf")])
    with pytest.raises(InvalidInput, match=f"files has the path {path} twice"):
        require_different([location_of(path), location_of(path)])
    for other in (f"{tmp_path}//a/./x.conf", tmp_path / "link" / "a" / "x.conf"):
        with pytest.raises(InvalidInput, match=f"files has {path} and {other}, which are the same file"):
            require_different([location_of(path), location_of(other)])
    for below in (path / "y.conf", path / "b" / "y.conf", tmp_path / "link" / "a" / "x.conf" / "y.conf"):
        with pytest.raises(InvalidInput, match=f"files has {path} and {below}, but a file cannot be in a file"):
            require_different([location_of(below), location_of(path)])

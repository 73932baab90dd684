# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import grp
import os
import pathlib
import pwd
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._trusted_path import MissingDirectory, open_child, walk

ROOT = os.geteuid() == 0
# An untrusted and a trusted user: invented where this user cannot change the owner of a directory.
OTHER, FRIEND = 65534, 4711


def reached(path: object, trusted: t.Collection[int] = ()) -> str:
    """Follow the path and return the directory that was opened."""
    descriptor = walk(str(path), trusted)
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def refused(path: object, trusted: t.Collection[int] = (), kind: type[SynapseError] = InvalidInput) -> str:
    """Return the message of the error. No descriptor stays open."""
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(kind) as caught:
        walk(str(path), trusted, "path /x")
    assert len(os.listdir("/proc/self/fd")) == before
    message = str(caught.value)
    assert message.startswith("path /x cannot be used: ")
    return message.partition(": ")[2]


@pytest.fixture
def owners(monkeypatch: pytest.MonkeyPatch) -> t.Callable[[pathlib.Path, int, int, int], None]:
    """Pretend that this process is root, and that a directory has this owner, group and mode."""
    looks: dict[tuple[int, int], tuple[int, int, int]] = {}
    fstat, own = os.fstat, os.geteuid()

    def look(descriptor: int) -> os.stat_result:
        status = fstat(descriptor)
        mode, uid, gid = status.st_mode, status.st_uid, status.st_gid
        if (status.st_dev, status.st_ino) in looks:
            uid, gid, bits = looks[status.st_dev, status.st_ino]
            mode = status.st_mode & ~0o7777 | bits
        # The user who runs the tests counts as root.
        values = [mode, *status[1:4], 0 if uid == own else uid, gid, *status[6:]]
        return os.stat_result(values)

    def owned(path: pathlib.Path, uid: int, gid: int, mode: int) -> None:
        status = path.stat()
        looks[status.st_dev, status.st_ino] = (uid, gid, mode)

    monkeypatch.setattr(os, "fstat", look)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return owned


Owners = t.Callable[[pathlib.Path, int, int, int], None]


class TestTheWay:
    def test_by_names_and_back(self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "a" / "b").mkdir(parents=True)
        monkeypatch.chdir(tmp_path)
        place = str(tmp_path)
        assert reached("/") == "/"
        assert reached(tmp_path / "a" / "b") == f"{place}/a/b"
        assert reached(f"//{place}///a/./b/../b/") == f"{place}/a/b"
        assert reached("a") == f"{place}/a"
        assert reached(".") == place

    def test_by_links_of_ones_own(self, tmp_path: pathlib.Path) -> None:
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "absolute").symlink_to(tmp_path / "a")
        (tmp_path / "relative").symlink_to("absolute/b")
        (tmp_path / "a" / "up").symlink_to("..")
        assert reached(tmp_path / "relative") == f"{tmp_path}/a/b"
        assert reached(tmp_path / "absolute" / "up" / "a") == f"{tmp_path}/a"
        # After a link, .. is the parent of its target.
        assert reached(f"{tmp_path}/relative/..") == f"{tmp_path}/a"

    def test_links_in_circles(self, tmp_path: pathlib.Path) -> None:
        (tmp_path / "a").symlink_to("b")
        (tmp_path / "b").symlink_to("a")
        assert refused(tmp_path / "a").endswith(
            "is a symbolic link, and the path has too many of them: use the path of the directory itself."
        )

    def test_what_is_not_there(self, tmp_path: pathlib.Path) -> None:
        (tmp_path / "file").touch()
        (tmp_path / "broken").symlink_to("nowhere")
        assert refused(tmp_path / "a" / "b", kind=MissingDirectory) == (
            f"the directory {tmp_path}/a does not exist, create it first."
        )
        assert refused(tmp_path / "broken").startswith(f"the directory {tmp_path}/nowhere does not exist")
        assert refused(tmp_path / "file") == f"{tmp_path}/file is not a directory: set another path."
        assert refused(tmp_path / "file" / "b") == f"{tmp_path}/file is not a directory: set another path."

    def test_a_name_that_no_kernel_takes(self, tmp_path: pathlib.Path) -> None:
        assert "File name too long" in refused(tmp_path / ("a" * 300), kind=SynapseError)


class TestForRoot:
    def test_through_what_is_root_s_alone(self, tmp_path: pathlib.Path, owners: Owners) -> None:
        inside = tmp_path / "sticky" / "inside"
        inside.mkdir(parents=True)
        owners(tmp_path, 0, 0, 0o775)
        owners(tmp_path / "sticky", 0, 0, 0o1777)
        assert reached(inside) == str(inside)

    @pytest.mark.parametrize("last", [True, False])
    def test_not_through_what_is_somebody_else_s(self, tmp_path: pathlib.Path, owners: Owners, last: bool) -> None:
        (tmp_path / "theirs" / "inside").mkdir(parents=True)
        owners(tmp_path / "theirs", OTHER, OTHER, 0o755)
        end = tmp_path / "theirs" if last else tmp_path / "theirs" / "inside"
        name = pwd.getpwuid(OTHER).pw_name
        assert refused(end, {FRIEND}) == (
            f"{tmp_path}/theirs belongs to {name}, who could exchange what root writes there. Run the task as {name},"
            " or use a directory to which only root can write."
        )
        assert reached(end, {OTHER}) == str(end)

    @pytest.mark.parametrize(
        ("mode", "gid", "who"),
        [
            (0o777, 0, "every user"),
            (0o757, OTHER, "every user"),
            (0o775, OTHER, f"the group {grp.getgrgid(OTHER).gr_name}"),
            (0o775, 4711, "the group 4711"),
        ],
    )
    def test_not_through_what_others_may_write(
        self, tmp_path: pathlib.Path, owners: Owners, mode: int, gid: int, who: str
    ) -> None:
        inside = tmp_path / "open" / "inside"
        inside.mkdir(parents=True)
        owners(tmp_path / "open", 0, gid, mode)
        assert refused(inside).startswith(f"{who} may write to {tmp_path}/open, and could exchange what root writes")
        owners(tmp_path / "open", 0, gid, mode | 0o1000)
        assert reached(inside) == str(inside)
        assert refused(tmp_path / "open").startswith(f"{who} may write to")
        owners(inside, OTHER, OTHER, 0o755)
        assert refused(inside).startswith(f"{inside} belongs to")

    def test_through_what_a_trusted_user_s_own_group_may_write(
        self, tmp_path: pathlib.Path, owners: Owners, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        user = pwd.struct_passwd(("friend", "x", FRIEND, 5000, "", "/", "/bin/sh"))
        monkeypatch.setattr(pwd, "getpwuid", lambda uid: user if uid == FRIEND else pwd.getpwnam("nobody"))
        members: list[str] = []
        monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group(("friend", "x", gid, members)))
        owners(tmp_path, FRIEND, 5000, 0o775)
        assert reached(tmp_path, {FRIEND}) == str(tmp_path)
        members.append("friend")
        assert reached(tmp_path, {FRIEND}) == str(tmp_path)
        members.append("stranger")
        assert refused(tmp_path, {FRIEND}).startswith("the group friend may write")
        members.clear()
        owners(tmp_path, FRIEND, 5001, 0o775)
        assert refused(tmp_path, {FRIEND}).startswith("the group friend may write")

    @pytest.mark.parametrize(
        ("path", "group", "well"),
        [
            ("/var/log", "syslog", True),
            ("/usr/local", "staff", True),
            ("/usr/local/lib/synapse", "staff", True),
            ("/usr/local", "syslog", False),
            ("/var/log", "staff", False),
            ("/var/logs", "syslog", False),
            ("/var", "syslog", False),
        ],
    )
    def test_through_what_the_system_lets_its_own_groups_write(
        self, owners: Owners, monkeypatch: pytest.MonkeyPatch, path: str, group: str, well: bool
    ) -> None:
        monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group((group, "x", gid, [])))
        # Any directory can be used under this name.
        owners(pathlib.Path("/usr"), 0, 50, 0o2775)
        monkeypatch.setattr(os.path, "normpath", lambda _place: path)
        if well:
            assert reached("/usr") == "/usr"
        else:
            assert refused("/usr").startswith(f"the group {group} may write to {path}")

    def test_not_through_what_an_access_list_lets_others_write(
        self, tmp_path: pathlib.Path, owners: Owners, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        owners(tmp_path, 0, 0, 0o775)
        asked: list[tuple[str, str]] = []

        def listed(path: str, name: str) -> bytes:
            asked.append((os.readlink(path), name))
            return b"\2\0\0\0"

        monkeypatch.setattr(os, "getxattr", listed)
        assert refused(tmp_path).startswith("a user or group in an access control list (see getfacl) may write to")
        assert asked == [(str(tmp_path), "system.posix_acl_access")]

    @pytest.mark.parametrize(("uid", "mode"), [(FRIEND, 0o755), (0, 0o1777)])
    def test_links_are_followed_where_root_alone_makes_them(
        self, tmp_path: pathlib.Path, owners: Owners, uid: int, mode: int
    ) -> None:
        (tmp_path / "theirs").mkdir()
        (tmp_path / "theirs" / "link").symlink_to(tmp_path)
        assert reached(tmp_path / "theirs" / "link") == str(tmp_path)
        owners(tmp_path / "theirs", uid, 0, mode)
        assert refused(tmp_path / "theirs" / "link", {FRIEND}) == (
            f"{tmp_path}/theirs/link is a symbolic link that another user could change at any moment: use the"
            " path of its target instead."
        )

    def test_where_a_link_leads_to_is_no_better(self, tmp_path: pathlib.Path, owners: Owners) -> None:
        (tmp_path / "theirs").mkdir()
        (tmp_path / "link").symlink_to("theirs")
        owners(tmp_path / "theirs", OTHER, OTHER, 0o755)
        assert refused(tmp_path / "link").startswith(f"{tmp_path}/theirs belongs to")


class TestForOthers:
    @pytest.fixture(autouse=True)
    def no_root(self, owners: Owners, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: FRIEND)

    def test_through_whatever_there_is(self, tmp_path: pathlib.Path, owners: Owners) -> None:
        owners(tmp_path, OTHER, OTHER, 0o777)
        assert reached(tmp_path) == str(tmp_path)

    def test_links_are_followed_where_nobody_else_makes_them(self, tmp_path: pathlib.Path, owners: Owners) -> None:
        (tmp_path / "link").symlink_to(tmp_path)
        for uid, gid, mode, followed in [
            (FRIEND, FRIEND, 0o755, True),
            (0, 0, 0o775, True),
            (OTHER, OTHER, 0o755, False),
            (FRIEND, OTHER, 0o775, False),
            (0, 0, 0o1777, False),
        ]:
            owners(tmp_path, uid, gid, mode)
            if followed:
                assert reached(tmp_path / "link") == str(tmp_path)
            else:
                assert "is a symbolic link that another user could change" in refused(tmp_path / "link")


def test_entered_without_being_listed(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    opening = os.open

    def listed(path: str, flags: int, **where: int) -> int:
        if path == "a" and not flags & os.O_PATH:
            raise PermissionError(13, "Permission denied")
        return opening(path, flags, **where)

    monkeypatch.setattr(os, "open", listed)
    assert reached(tmp_path / "a" / "b") == f"{tmp_path}/a/b"


def test_open_child_never_follows(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a")
    descriptor = walk(str(tmp_path))
    try:
        os.close(open_child("a", descriptor))
        with pytest.raises(NotADirectoryError):
            open_child("link", descriptor)
    finally:
        os.close(descriptor)


def test_a_directory_that_is_closed_to_this_user(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    opening = os.open

    def closed(path: str, flags: int, **where: int) -> int:
        if path == "a":
            raise PermissionError(13, "Permission denied")
        return opening(path, flags, **where)

    monkeypatch.setattr(os, "open", closed)
    message = refused(tmp_path / "a", kind=SynapseError)
    assert message == f"{tmp_path}/a cannot be entered: Permission denied. Run the task with become."

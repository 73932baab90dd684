# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pathlib
import signal
import stat
import sys
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _directory as directories
from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import (
    HIDDEN_PREFIX,
    Directory,
    open_directory,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils import attacker

OWN = Attributes(0o640, os.geteuid(), os.getegid())
DIRECTORY = Attributes(0o750, os.geteuid(), os.getegid())
PRIVATE = Attributes(0o600, os.geteuid(), os.getegid())
LEFT_BEHIND = HIDDEN_PREFIX + "0123456789abcdef" * 2


@pytest.fixture
def directory(tmp_path: pathlib.Path) -> t.Iterator[Directory]:
    with open_directory(str(tmp_path)) as opened:
        yield opened


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)


class TestReplace:
    def test_gives_content_and_attributes_at_once(self, directory: Directory, tmp_path: pathlib.Path) -> None:
        path = tmp_path / "file"
        path.write_text("old")
        path.chmod(0o666)
        previous = os.umask(0o277)
        try:
            directory.replace("file", b"new", OWN)
        finally:
            os.umask(previous)
        assert path.read_text() == "new"
        assert Attributes.of(path.stat()) == OWN
        assert directory.names() == ["file"]

    def test_is_private_while_it_is_written(
        self, directory: Directory, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[list[str]] = []

        def look(_attributes: Attributes, _descriptor: int) -> None:
            seen.append([stat.filemode(path.stat().st_mode) for path in tmp_path.iterdir()])

        monkeypatch.setattr(Attributes, "give", look)
        previous = os.umask(0)
        try:
            directory.replace("file", b"secret", OWN)
        finally:
            os.umask(previous)
        assert seen == [["-rw-------"]]

    @pytest.mark.usefixtures("full_disk")
    def test_leaves_the_old_file_when_it_fails(self, directory: Directory, tmp_path: pathlib.Path) -> None:
        (tmp_path / "file").write_text("old")
        with pytest.raises(SynapseError, match=r"/file could not be written: No space left on device\.$") as failure:
            directory.replace("file", b"new", OWN)
        assert isinstance(failure.value.__cause__, OSError)
        assert ((tmp_path / "file").read_text(), directory.names()) == ("old", ["file"])

    @pytest.mark.parametrize("kind", ["symbolic", "hard"])
    def test_replaces_a_link_and_leaves_what_it_leads_to(
        self, directory: Directory, tmp_path: pathlib.Path, kind: str
    ) -> None:
        (tmp_path / "foreign").write_text("foreign")
        (tmp_path / "foreign").chmod(0o600)
        (os.symlink if kind == "symbolic" else os.link)(tmp_path / "foreign", tmp_path / "file")
        directory.replace("file", b"new", OWN)
        assert (tmp_path / "foreign").read_text() == "foreign"
        assert (tmp_path / "foreign").stat().st_mode & 0o777 == 0o600
        assert not (tmp_path / "file").is_symlink()
        assert (tmp_path / "file").read_text() == "new"

    def test_does_not_replace_a_directory(self, directory: Directory) -> None:
        directory.make("file", Attributes(0o700, OWN.uid, OWN.gid))
        with pytest.raises(SynapseError, match="could not be written: Is a directory"):
            directory.replace("file", b"new", OWN)
        assert directory.names() == ["file"]

    def test_removes_the_leftovers_of_a_killed_process_and_nothing_else(
        self, directory: Directory, tmp_path: pathlib.Path
    ) -> None:
        (tmp_path / LEFT_BEHIND).write_text("half a sec")
        others = [LEFT_BEHIND[:-1], f"{LEFT_BEHIND[:-2]}ff", f"{LEFT_BEHIND[:-2]}fe", f"{LEFT_BEHIND[:-2]}fd"]
        (tmp_path / others[0]).touch()
        (tmp_path / others[1]).symlink_to("elsewhere")
        (tmp_path / others[2]).mkdir()
        with (tmp_path / others[3]).open("w") as being_written:
            fcntl.flock(being_written, fcntl.LOCK_EX)
            directory.replace("file", b"new", OWN)
        assert directory.names() == sorted([*others, "file"])

    def test_reports_another_process(self, directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
        rename = os.rename

        def exchange(source: str, target: str, **where: int) -> None:
            os.unlink(source, dir_fd=where["src_dir_fd"])
            os.close(os.open(source, os.O_CREAT | os.O_WRONLY, dir_fd=where["src_dir_fd"]))
            rename(source, target, **where)

        monkeypatch.setattr(os, "rename", exchange)
        with pytest.raises(SynapseError, match="Another process replaced .*/file at the same moment"):
            directory.replace("file", b"new", OWN)


class TestRead:
    def test_what_is_there(self, directory: Directory, tmp_path: pathlib.Path) -> None:
        assert directory.read("file") is None
        assert directory.status("file") is None
        (tmp_path / "file").write_bytes(b"content")
        assert directory.read("file", limit=7) == b"content"
        with pytest.raises(SynapseError, match="is larger than 6 bytes"):
            directory.read("file", limit=6)

    def test_nothing_but_ordinary_files(self, directory: Directory, tmp_path: pathlib.Path) -> None:
        (tmp_path / "link").symlink_to("/etc/passwd")
        (tmp_path / "inside").mkdir()
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(SynapseError, match="/link is a symbolic link, which is not followed. Use the path of its"):
            directory.read("link")
        with pytest.raises(SynapseError, match="/inside is a directory: name a file in it"):
            directory.read("inside")
        with pytest.raises(SynapseError, match="/pipe is not a file: choose another path"):
            directory.read("pipe")

    def test_leaves_no_descriptor_open(self, directory: Directory, tmp_path: pathlib.Path) -> None:
        (tmp_path / "inside").mkdir()
        before = len(os.listdir("/dev/fd"))
        for name in ("inside", "nothing", ".."):
            with contextlib.suppress(SynapseError):
                directory.read(name)
            with contextlib.suppress(SynapseError), directory.child(name):
                raise SynapseError("in the block")
        assert len(os.listdir("/dev/fd")) == before


class TestMake:
    def test_has_content_and_attributes_from_the_first_moment(
        self, directory: Directory, tmp_path: pathlib.Path
    ) -> None:

        def fill(made: Directory) -> None:
            assert not (tmp_path / "made").exists()
            assert made.attributes().mode == 0o700
            made.replace("mark", b"ours", OWN)

        directory.make("made", DIRECTORY, fill)
        assert (tmp_path / "made" / "mark").read_text() == "ours"
        assert Attributes.of((tmp_path / "made").stat()) == DIRECTORY
        assert directory.names() == ["made"]

    def test_leaves_nothing_when_it_fails(self, directory: Directory, tmp_path: pathlib.Path) -> None:
        def fill(made: Directory) -> None:
            made.replace("mark", b"ours", OWN)
            raise SynapseError("in the middle")

        with pytest.raises(SynapseError, match="in the middle"):
            directory.make("made", DIRECTORY, fill)
        assert directory.names() == []
        (tmp_path / "made").mkdir()
        with pytest.raises(SynapseError, match="/made could not be created: File exists"):
            directory.make("made", DIRECTORY)
        assert directory.names() == ["made"]

    @pytest.mark.parametrize("exchanged", [False, True])
    def test_starts_again_if_its_unfinished_directory_is_removed(
        self, directory: Directory, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, exchanged: bool
    ) -> None:
        begun: list[pathlib.Path] = []

        def lock(_descriptor: int) -> bool:
            # Before it is locked, another process may treat it as the leftover of a killed process.
            if not begun:
                begun.extend(tmp_path.iterdir())
                begun[0].rename(tmp_path.with_name("away"))
                if exchanged:
                    begun[0].mkdir()
            return True

        monkeypatch.setattr(directories, "_lock", lock)
        directory.make("made", DIRECTORY, lambda made: made.replace("mark", b"ours", OWN))
        assert (tmp_path / "made" / "mark").read_text() == "ours"
        assert sorted(directory.names()) == sorted(["made", *([begun[0].name] if exchanged else [])])
        assert os.listdir(tmp_path.with_name("away")) == []


class TestRemove:
    def test_a_file_or_link_but_nothing_behind_it(self, directory: Directory, tmp_path: pathlib.Path) -> None:
        (tmp_path / "file").touch()
        (tmp_path / "link").symlink_to("file")
        directory.remove("link")
        assert directory.names() == ["file"]
        with pytest.raises(SynapseError, match="/link could not be removed: No such file"):
            directory.remove("link")

    def test_a_tree_without_following_links(self, directory: Directory, tmp_path: pathlib.Path) -> None:
        (tmp_path / "kept" / "inside").mkdir(parents=True)
        (tmp_path / "tree" / "a" / "b").mkdir(parents=True)
        (tmp_path / "tree" / "a" / "file").touch()
        (tmp_path / "tree" / "a" / "link").symlink_to(tmp_path / "kept")
        with pytest.raises(SynapseError, match="could not be removed: Directory not empty"):
            directory.remove_empty("tree")
        directory.remove_tree("tree")
        directory.remove_tree("tree")
        assert (directory.names(), os.listdir(tmp_path / "kept")) == (["kept"], ["inside"])

    def test_a_link_to_a_tree_is_a_link(self, directory: Directory, tmp_path: pathlib.Path) -> None:
        (tmp_path / "kept" / "inside").mkdir(parents=True)
        (tmp_path / "link").symlink_to("kept")
        directory.remove_tree("link")
        assert (directory.names(), os.listdir(tmp_path / "kept")) == (["kept"], ["inside"])

    def test_no_mounted_file_system(
        self, directory: Directory, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "tree" / "mounted").mkdir(parents=True)
        (tmp_path / "tree" / "mounted" / "file").touch()
        number = (tmp_path / "tree" / "mounted").stat().st_ino
        fstat = os.fstat

        def elsewhere(descriptor: int) -> os.stat_result:
            status = fstat(descriptor)
            return os.stat_result([*status[:2], status.st_dev + 1, *status[3:]]) if status.st_ino == number else status

        monkeypatch.setattr(os, "fstat", elsewhere)
        with pytest.raises(SynapseError, match="/tree/mounted is a mount point and is not removed. Unmount it first"):
            directory.remove_tree("tree")
        assert (tmp_path / "tree" / "mounted" / "file").exists()

    @pytest.mark.parametrize("where", ["tree", "tree/mounted"])
    def test_no_bind_mount_of_the_same_file_system(
        self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, where: str
    ) -> None:
        (tmp_path / "real" / "tree" / "mounted").mkdir(parents=True)
        (tmp_path / "real" / "tree" / "before").touch()
        (tmp_path / "real" / "sibling").touch()
        (tmp_path / "link").symlink_to("real")
        mounted = os.path.realpath(tmp_path / "real" / where)
        monkeypatch.setattr(directories, "mount_points", lambda: frozenset({"/", mounted}))
        with open_directory(str(tmp_path / "link"), trusted=(OWN.uid,)) as opened:
            attempts: tuple[t.Callable[[], None], ...] = (lambda: opened.remove_tree("tree"), opened.clear)
            for attempt in attempts:
                with pytest.raises(SynapseError, match=f"^{mounted} is a mount point and is not removed. Unmount it"):
                    attempt()
            assert opened.names() == ["sibling", "tree"]
            assert sorted(os.listdir(tmp_path / "real" / "tree")) == ["before", "mounted"]
            opened.remove_tree("sibling")
            assert opened.mounted("sibling") is None

    def test_inaccessible_content_stays_inaccessible_if_the_removal_fails(
        self, directory: Directory, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        deep = tmp_path.joinpath("top", "private", *["d"] * 120)
        deep.mkdir(parents=True)
        (deep / "secret").touch()
        (tmp_path / "top").chmod(0o755)

        def fail(_directory: Directory, name: str) -> None:
            raise SynapseError(f"{name} stays.")

        monkeypatch.setattr(Directory, "remove", fail)
        with pytest.raises(SynapseError, match="secret stays"):
            directory.remove_tree("top")
        assert stat.S_IMODE((tmp_path / "top").stat().st_mode) == 0o700

    @pytest.mark.parametrize("clears", [False, True])
    def test_what_is_nested_deeper_than_calls_and_descriptors_go(
        self, directory: Directory, tmp_path: pathlib.Path, clears: bool
    ) -> None:
        descriptor = os.open(tmp_path, os.O_RDONLY)
        for _number in range(3 * sys.getrecursionlimit()):
            os.mkdir("deep", dir_fd=descriptor)
            os.symlink(tmp_path, "link", dir_fd=descriptor)
            below = os.open("deep", os.O_RDONLY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        os.close(descriptor)
        if clears:
            directory.clear()
        else:
            directory.remove_tree("deep")
        assert directory.names() == ([] if clears else ["link"])


def test_rename_within_and_into_another(directory: Directory, tmp_path: pathlib.Path) -> None:
    (tmp_path / "inside").mkdir()
    directory.replace("a", b"a", OWN)
    directory.replace("b", b"b", OWN)
    directory.rename("a", "b")
    with directory.child("inside") as inside:
        directory.rename("b", "c", inside)
        assert (directory.names(), inside.names(), inside.read("c")) == (["inside"], ["c"], b"a")
    with pytest.raises(SynapseError, match="/b could not be created: No such file"):
        directory.rename("a", "b")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a"])
def test_only_names_of_its_own_entries(directory: Directory, name: str) -> None:
    for attempt in (
        directory.status,
        directory.read,
        directory.remove,
        directory.remove_tree,
        lambda wrong: directory.replace(wrong, b"", OWN),
        lambda wrong: directory.make(wrong, OWN),
        lambda wrong: directory.rename("a", wrong),
    ):
        with pytest.raises(SynapseError, match="is not a name in"):
            attempt(name)


def test_reports_that_it_cannot_be_written(directory: Directory, tmp_path: pathlib.Path) -> None:
    directory.require_writable("path /x")
    if os.geteuid() != 0:
        tmp_path.chmod(0o500)
        with pytest.raises(InvalidInput, match="path /x cannot be written: the directory .* is read-only"):
            directory.require_writable("path /x")


def test_killed_at_any_moment_leaves_a_whole_file_and_no_rest(tmp_path: pathlib.Path) -> None:
    old, new = b"old" * 100_000, b"new" * 100_000
    for moment in range(1, 41):
        (tmp_path / "file").write_bytes(old)
        child = os.fork()
        if child == 0:
            # This signal ends a process as abruptly as SIGKILL does.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, moment / 2000)
            with open_directory(str(tmp_path)) as opened:
                while True:
                    opened.replace("file", new, PRIVATE)
        os.waitpid(child, 0)
        with open_directory(str(tmp_path)) as opened:
            assert opened.read("file") in (old, new)
            opened.replace("file", b"again", PRIVATE)
            assert opened.names() == ["file"]


def test_several_may_write_at_the_same_time(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    children = []
    for name in ("a", "b", "c"):
        child = os.fork()
        if child == 0:
            status = 1
            with contextlib.suppress(BaseException), open_directory(str(tmp_path)) as opened:
                for _round in range(500):
                    opened.replace(name, b"content", PRIVATE)
                status = 0
            os._exit(status)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c"]


ROUNDS = 1_000


@pytest.fixture
def arena() -> t.Iterator[attacker.Arena]:
    with attacker.open_place() as place:
        yield attacker.arena(place)


class TestAttacked:
    """By a second process that owns the directory, and does everything it can between any two calls of this one."""

    def test_nothing_foreign_is_touched_and_nothing_secret_shown(
        self, arena: attacker.Arena, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
        before = arena.foreign_state()
        done, refused = 0, 0
        with attacker.attacking(arena, ("name", "other")):
            for number in range(ROUNDS):
                where = arena.owned if number % 2 else arena.owned / "parent"
                name = ("name", "other")[number % 3 % 2]
                try:
                    with open_directory(str(where), trusted=[attacker.UID]) as opened:
                        _work(opened, name, number)
                    done += 1
                except SynapseError:
                    refused += 1
                arena.require_target()
        attacker.require_unharmed(arena, before)
        assert done > ROUNDS / 20, f"{refused} of {ROUNDS} were refused"


def _work(opened: Directory, name: str, number: int) -> None:
    """Do one of the operations on files, none of which may change a file of another user."""
    kind = number % 10
    if kind < 3:
        opened.replace(name, attacker.SECRET, PRIVATE)
    elif kind < 6:
        # Content for the attacker, or for the compromised service. It is long, so that writing it takes a while.
        opened.replace(name, b"for all\n" * 10_000, Attributes(0o640, attacker.UID, OWN.gid))
    elif kind == 6:
        opened.replace(name, opened.read(name) or attacker.SECRET, PRIVATE)
    elif kind == 7:
        opened.remove(name)
    elif kind == 8:
        opened.make(f"{name}-made", Attributes(0o700, OWN.uid, OWN.gid), _fill)
    else:
        opened.remove_tree(f"{name}-made")


def _fill(made: Directory) -> None:
    made.replace("inside", attacker.SECRET, PRIVATE)

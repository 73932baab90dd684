# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The paths of an installation. Dangerous paths are refused before anything is changed."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import open_directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation import layout as layouts
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.layout import (
    DeclaredDirectory,
    lay_out,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.marker import put_marker
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.ownership import Ownership
from ansible_collections.matrix_ops.synapse.plugins.module_utils._system_directory import (
    Account,
    names_of,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._installation.scratch import layout_of

OWN = Ownership(0o750)


def refusal(*paths: str, virtualenv: str | None = None) -> str:
    with pytest.raises(InvalidInput) as error:
        lay_out([DeclaredDirectory(path, OWN) for path in paths], virtualenv, [])
    assert "\n" not in error.value.message
    return error.value.message


@pytest.mark.parametrize("role", ["directory", "environment"])
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", r'(virtualenv is|directories has the path) "": set an absolute path'),
        ("synapse", "set an absolute path"),
        ("./synapse", "set an absolute path"),
        ("/srv/../etc/x", r"without \.\."),
        ("/srv/x/..", r"without \.\."),
        ("/srv/a\nb", "control characters"),
        ("/srv/a\0b", "control characters"),
        ("/", "a directory of the system"),
        ("//", "a directory of the system"),
        ("/.", "a directory of the system"),
        ("/usr", "a directory of the system"),
        ("//usr/", "a directory of the system"),
        ("/usr/.", "a directory of the system"),
        ("/usr/bin", "/usr, a directory of the system"),
        ("/etc", "a directory of the system"),
        ("/var/log/", "a directory of the system"),
        ("/var/run", "a directory of the system"),
        ("/home/somebody", "the home directory of a person"),
        ("/home/nobody here/x", "but /home/nobody here does not exist and is the home directory of a person"),
        ("/srv/.matrix_ops.synapse", "uses the name .matrix_ops.synapse for its own files"),
        ("/srv/.matrix_ops.synapse.0123456789abcdef0123456789abcdef", "for its own files and removes them"),
        ("/srv/.matrix_ops.synapse.x/data", "for its own files"),
        ("/etc/passwd", "which is not a directory: set another path"),
        ("/etc/passwd/x", "a part of the path is a file"),
        ("/dev/null", "/dev, a directory of the system"),
    ],
)
def test_what_can_never_be(role: str, path: str, said: str) -> None:
    import re

    message = refusal(path) if role == "directory" else refusal(virtualenv=path)
    begun = "directories has the path" if role == "directory" else "virtualenv is"
    assert message.startswith(begun) or "cannot be" in message
    assert re.search(said, message)


def test_a_link_does_not_hide_what_it_leads_to(tmp_path: pathlib.Path) -> None:
    (tmp_path / "programs").symlink_to("/usr")
    (tmp_path / "logs").symlink_to("/var/log")
    (tmp_path / "etc").symlink_to("/etc")
    (tmp_path / "own").symlink_to("/etc/matrix-synapse")
    assert "which is /usr, a directory of the system" in refusal(str(tmp_path / "programs"))
    assert "which is /var/log, a directory of the system" in refusal(f"{tmp_path}/logs/")
    assert "a symbolic link: set its target /etc/matrix-synapse instead" in refusal(str(tmp_path / "own"))
    assert "which is /usr, a directory of the system" in refusal(str(tmp_path / "programs/share"))
    assert "which is /etc/systemd, a directory of the system" in refusal(virtualenv=str(tmp_path / "etc/systemd"))


def test_links_on_the_way_are_followed(tmp_path: pathlib.Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").symlink_to("disk")
    layout = lay_out([DeclaredDirectory(f"{tmp_path}//data/./synapse/", OWN)], f"{tmp_path}/data/venv", [])
    assert layout.paths == (f"{tmp_path}/disk/synapse",)
    assert layout.environment == f"{tmp_path}/disk/venv"


def test_a_link_to_nothing_and_a_pipe(tmp_path: pathlib.Path) -> None:
    (tmp_path / "link").symlink_to("nothing")
    os.mkfifo(tmp_path / "pipe")
    assert "a symbolic link" in refusal(str(tmp_path / "link"))
    assert "is not a directory" in refusal(str(tmp_path / "pipe"))


def test_the_same_directory_twice(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "etc")
    one, two = DeclaredDirectory(path, OWN, ("a",), ("b",)), DeclaredDirectory(f"{path}/", OWN, ("c",), (), ("four*",))
    (found,) = lay_out([one, two], None, []).directories
    assert (found.contents, found.marked_contents, found.content_patterns) == (("a", "c"), ("b",), ("four*",))
    with pytest.raises(InvalidInput, match="twice, with different owners"):
        lay_out([one, DeclaredDirectory(path, Ownership(0o700))], None, [])


def test_two_names_of_the_same_directory(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = os.stat
    (tmp_path / "one" / "there").mkdir(parents=True)

    def same(path: str, **where: t.Any) -> os.stat_result:
        return stat(str(path).replace(f"{tmp_path}/other", f"{tmp_path}/one"), **where)

    one, other = tmp_path / "one", tmp_path / "other"
    lay_out([DeclaredDirectory(str(one / "x"), OWN), DeclaredDirectory(str(one / "there" / "x"), OWN)], None, [])
    monkeypatch.setattr(os, "stat", same)
    for first, second in (("x", "x"), ("x/y", "x/y"), ("there", "there"), ("there/x", "there/x"), ("x", "x/y")):
        said = refusal(str(one / first), str(other / second))
        assert "are the same directory, which is mounted in two places: use only one of them." in said
    assert "are the same directory" in refusal(str(one / "x"), virtualenv=str(other / "x"))


def test_the_way_to_a_home_is_the_concern_of_who_makes_accounts(tmp_path: pathlib.Path) -> None:
    accounts = [Account("synapse", 998, names_of(str(tmp_path / "home")))]
    directory = str(tmp_path / "home" / "media")
    lay_out([DeclaredDirectory(directory, Ownership(0o750, "synapse"))], None, accounts)
    with pytest.raises(InvalidInput, match="does not exist and is the home directory of synapse: create it"):
        lay_out([DeclaredDirectory(directory, Ownership(0o750, "other"))], None, accounts)
    (tmp_path / "home").mkdir()
    lay_out([DeclaredDirectory(directory, Ownership(0o750, "other"))], None, accounts)


def test_directories_and_the_environment(tmp_path: pathlib.Path) -> None:
    assert lay_out([DeclaredDirectory(str(tmp_path / "a"), OWN)], str(tmp_path / "a/venv"), []).environment
    assert "is the environment" in refusal(str(tmp_path / "a"), virtualenv=str(tmp_path / "a"))
    assert "is in the environment" in refusal(str(tmp_path / "a/data"), virtualenv=str(tmp_path / "a"))
    assert lay_out([DeclaredDirectory(str(tmp_path / "ab"), OWN)], str(tmp_path / "a"), []).environment


@pytest.mark.parametrize("ownership", [Ownership(0o750, "nobody"), Ownership(0o770), Ownership(0o755, "not_yet_there")])
def test_root_runs_nothing_that_others_could_exchange(
    tmp_path: pathlib.Path, ownership: Ownership, monkeypatch: pytest.MonkeyPatch
) -> None:
    directories = [DeclaredDirectory(str(tmp_path / "all"), ownership)]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(InvalidInput, match="to which .* may write, but root runs programs from it"):
        lay_out(directories, str(tmp_path / "all/venv"), [])
    lay_out(directories, str(tmp_path / "venv"), [])
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    lay_out(directories, str(tmp_path / "all/venv"), [])


@pytest.mark.parametrize("option", ["contents", "marked_contents", "content_patterns"])
@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc"])
def test_contents_are_in_the_directory_itself(tmp_path: pathlib.Path, option: str, name: str) -> None:
    contents = {option: (name,)}
    with pytest.raises(InvalidInput, match=f"{option} of .* contains"):
        lay_out([DeclaredDirectory(str(tmp_path / "a"), OWN, **contents)], None, [])


@pytest.mark.parametrize("pattern", ["*", "*.yaml", "?", "[!a]*", "[a-z]log.1", "log*", "a[?]b*", "log[.]*"])
def test_patterns_that_fit_what_is_not_ours(tmp_path: pathlib.Path, pattern: str) -> None:
    with pytest.raises(InvalidInput, match="content_patterns of .* contains .* four ordinary characters"):
        lay_out([DeclaredDirectory(str(tmp_path / "a"), OWN, content_patterns=(pattern,))], None, [])


@pytest.mark.parametrize("pattern", ["log.*", "[[]::1[]].log.[0-9]", "a[*][?]b?"])
def test_patterns_that_begin_ordinarily(tmp_path: pathlib.Path, pattern: str) -> None:
    directories = [DeclaredDirectory(str(tmp_path / "a"), OWN, ("[a-z]*", "*"), content_patterns=(pattern,))]
    assert lay_out(directories, None, []).directories[0].content_patterns == (pattern,)


@pytest.mark.parametrize("path", ["/" + "x" * 300, "/" + "x" * 300 + "/y", ("/" + "x" * 99) * 45])
def test_names_that_are_too_long(tmp_path: pathlib.Path, path: str) -> None:
    path = f"{tmp_path}{path}"
    said = f"{path} or a name in it is too long: set a path of less than 4096 bytes"
    assert refusal(path).startswith(said)
    assert refusal(virtualenv=path).startswith(said)


def test_the_way_to_a_directory_is_not_decided_by_others(tmp_path: pathlib.Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    layout = layout_of(foreign, foreign / "data")
    if os.geteuid() == 0:
        os.chown(foreign, 65534, 65534)
        judged = layout.parent_of(str(foreign / "data"))
        with pytest.raises(InvalidInput, match="could exchange what root writes there"), judged:
            raise AssertionError
    with open_directory(str(foreign), trusted=[65534]) as directory:
        put_marker(directory, directory.path)
    with layout.parent_of(str(foreign / "data")) as parent:
        assert parent
        assert parent.path == str(foreign)
    with layout.parent_of(str(tmp_path / "missing" / "data")) as parent:
        assert parent is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root minds who may write on the way")
def test_a_group_that_the_system_lets_write(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    log.mkdir()
    log.chmod(0o775)
    os.chown(log, 0, 12345)
    layout = layout_of(log / "matrix" / "synapse", environment=log / "venv")
    names = {"directory": log / "matrix", "environment": log / "venv"}
    entered = {name: layout.parent_of(str(path)) for name, path in names.items()}
    with pytest.raises(InvalidInput, match="the group 12345 may write to"), entered["directory"]:
        raise AssertionError
    monkeypatch.setattr(layouts, "belongs_to", lambda path: path if path == str(log) else None)
    with layout.parent_of(str(names["directory"])) as parent:
        assert parent and parent.path == str(log)
        parent.make("matrix", Attributes(0o755, 0, 0), lambda made: put_marker(made, str(log / "matrix")))
    with layout.parent_of(str(log / "matrix" / "synapse")) as parent:
        assert parent and parent.path == str(log / "matrix")
    # Root runs programs from the environment.
    with pytest.raises(InvalidInput, match="the group 12345 may write to"), entered["environment"]:
        raise AssertionError
    log.chmod(0o777)
    with pytest.raises(InvalidInput, match="every user may write to"), layout.parent_of(str(names["directory"])):
        raise AssertionError


def test_the_home_of_somebody_else_behind_a_link(tmp_path: pathlib.Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").symlink_to("disk")
    accounts = [Account("postgres", 101, names_of(str(tmp_path / "disk" / "postgresql")))]
    with pytest.raises(InvalidInput, match=r"leads to .*/disk/postgresql, that is the home directory of postgres"):
        lay_out([DeclaredDirectory(str(tmp_path / "data" / "postgresql"), OWN)], None, accounts)
    lay_out([DeclaredDirectory(str(tmp_path / "data" / "synapse"), OWN)], None, accounts)


@pytest.mark.parametrize("depth", [200, 2000])
def test_paths_that_are_too_deep(tmp_path: pathlib.Path, depth: int) -> None:
    assert refusal(f"{tmp_path}{'/x' * depth}").endswith("more than 100 directories deep: set another path.")

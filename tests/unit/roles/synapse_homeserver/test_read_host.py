# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is on a host is read as it is, and what cannot be read is no reason to believe that there is nothing."""

from __future__ import annotations

import grp
import importlib.util
import json
import os
import pathlib
import pwd
import socket
import subprocess
import sys
import tempfile
import typing as t

import pytest

_SCRIPT = pathlib.Path(__file__).parents[4] / "roles" / "synapse_homeserver" / "files" / "read_host.py"
_MISSING = "nobody-of-this-name"


def _executable(path: pathlib.Path, lines: str) -> str:
    path.write_text(f"#!/bin/sh\n{lines}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


class Host:
    """A host whose files are in `path`; `answer` is what the script prints of them.

    They belong to root and its group, whoever runs this test, but for those in `owners`, with user and group.
    """

    def __init__(self, path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        specification = importlib.util.spec_from_file_location("read_host", _SCRIPT)
        assert specification and specification.loader
        self.script = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(self.script)
        self.path = path
        self.owners: dict[pathlib.Path, tuple[int, int]] = {}
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        monkeypatch.setattr(self.script, "status_of", self._status_of)

    def _status_of(self, path: str) -> os.stat_result:
        status = list(os.lstat(path)[:10])
        status[4:6] = self.owners.get(pathlib.Path(path), (0, 0))
        return os.stat_result(status)

    def dpkg(self, lines: str) -> None:
        """Let dpkg-query do this, and let there be no other command."""
        (self.path / "bin").mkdir()
        _executable(self.path / "bin" / "dpkg-query", lines)
        self.no_commands()

    def no_commands(self) -> None:
        self._monkeypatch.setenv("PATH", str(self.path / "bin"))

    def limit(self, seconds: float) -> None:
        self._monkeypatch.setattr(self.script, "TIME_LIMIT", seconds)

    def answer(self, **changes: str | list[str]) -> dict[str, t.Any]:
        question = {
            "user": _MISSING,
            "group": _MISSING,
            "config_path": str(self.path / "homeserver.yaml"),
            "config_directories": [str(self.path), str(self.path / "conf.d")],
            "database_file": str(self.path / "homeserver.db"),
            "unix_socket": "",
            "virtualenv_python": str(self.path / "python"),
            "packages": [],
        }
        self._monkeypatch.setattr(sys, "argv", ["-", json.dumps({**question, **changes})])
        self.script.main()
        return t.cast("dict[str, t.Any]", json.loads(self._capsys.readouterr().out))


@pytest.fixture
def host(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Host:
    return Host(tmp_path, monkeypatch, capsys)


def test_an_empty_host(host: Host) -> None:
    host.no_commands()
    assert host.answer() == {
        "server_name": "",
        "has_config": False,
        "has_database_file": False,
        "python_version": "",
        "missing_packages": None,
        "has_user": False,
        "has_group": False,
        "account_comment": "",
        "has_other_at_socket": False,
        "unsafe": [],
    }


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (b"server_name: example.org\n", "example.org"),
        (b'a: 1\r\nserver_name: "example.org:8448"\r\n', "example.org:8448"),
        (b"server_name: '[2001:db8::1]:8448' # ours", "[2001:db8::1]:8448"),
        (b"# \xff\xfe\nserver_name:\texample.org\nserver_name: other.org\n", "example.org"),
        (b"#server_name: example.org\n  server_name: other.org\nold_server_name: third.org\n", ""),
        (b"server_name:\nother: example.org\n", ""),
        (b"", ""),
    ],
)
def test_the_name_in_the_configuration(host: Host, text: bytes, name: str) -> None:
    (host.path / "homeserver.yaml").write_bytes(text)
    answer = host.answer()
    assert (answer["server_name"], answer["has_config"]) == (name, True)


def test_a_database_on_a_disk_that_is_not_mounted_exists(host: Host) -> None:
    (host.path / "homeserver.db").symlink_to("/nowhere/homeserver.db")
    assert host.answer()["has_database_file"] is True


@pytest.mark.parametrize(
    ("kind", "expected"), [("nothing", False), ("socket", False), ("file", True), ("directory", True), ("link", True)]
)
def test_what_is_where_synapse_will_listen(host: Host, kind: str, expected: bool) -> None:
    # Linux limits the path of a socket to 107 bytes.
    with tempfile.TemporaryDirectory(dir="/tmp") as directory, socket.socket(socket.AF_UNIX) as listening:
        path = pathlib.Path(directory) / "main.sock"
        if kind == "socket":
            listening.bind(str(path))
        elif kind == "file":
            path.touch()
        elif kind == "directory":
            path.mkdir()
        elif kind == "link":
            path.symlink_to("/nowhere")
        assert host.answer(unix_socket=str(path))["has_other_at_socket"] is expected


@pytest.mark.parametrize("kind", ["directory", "pipe", "broken link", "link to itself"])
def test_what_cannot_be_read_is_a_failure(host: Host, kind: str) -> None:
    path = host.path / "homeserver.yaml"
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("nothing" if kind == "broken link" else path.name)
    with pytest.raises(OSError, match=path.name):
        host.answer()


def test_a_file_where_a_directory_should_be(host: Host) -> None:
    """Nothing can be below it; it is no directory that root alone can write to, either."""
    (host.path / "conf.d").touch()
    answer = host.answer(config_directories=[str(host.path / "conf.d" / "more")])
    assert answer["unsafe"] == [str(host.path / "conf.d")]


def test_the_version_of_a_python(host: Host) -> None:
    version = "{}.{}".format(*sys.version_info[:2])
    assert host.answer(virtualenv_python=sys.executable)["python_version"] == version


def test_a_name_is_looked_up_in_the_path(host: Host) -> None:
    host.dpkg("exit 1")
    _executable(host.path / "bin" / "python3.42", "echo 3.42")
    assert host.answer(virtualenv_python="python3.42")["python_version"] == "3.42"


@pytest.mark.parametrize(
    "lines",
    [
        "exit 1",
        "echo 3.11; exit 1",
        "echo 3.11; kill -KILL $$",
        "echo Hello",
        "echo; echo 3.11",
        "echo 3.11; echo more",
        "exec sleep 60",
    ],
)
def test_a_python_that_does_not_work(host: Host, lines: str) -> None:
    host.limit(0.5)
    _executable(host.path / "python", lines)
    assert host.answer()["python_version"] == ""


@pytest.mark.parametrize("kind", ["directory", "not executable", "odd bytes"])
def test_a_python_that_cannot_be_run(host: Host, kind: str) -> None:
    path = host.path / "python"
    if kind == "directory":
        path.mkdir()
    else:
        path.write_bytes(b"\0\xff\n")
        path.chmod(0o644 if kind == "not executable" else 0o755)
    assert host.answer()["python_version"] == ""


def test_missing_packages(host: Host) -> None:
    shown = "one installed\\ntwo:amd64 installed\\nthree config-files\\nfour:i386 not-installed\\nfivefold installed\\n"
    host.dpkg(f'[ "$1" = --show ] && printf "{shown}"\nexit 1')
    names = ["one", "two", "three", "four", "five", "six"]
    assert host.answer(packages=names)["missing_packages"] == ["three", "four", "five", "six"]


@pytest.mark.parametrize("packages", [[], ["one"]])
def test_no_package_is_missing(host: Host, packages: list[str]) -> None:
    # Without names, it would show all that there are.
    host.dpkg('[ "$4" ] && printf "one installed\\ntwo installed\\n" || exit 2')
    assert host.answer(packages=packages)["missing_packages"] == []


def test_without_dpkg_nobody_knows_what_is_missing(host: Host) -> None:
    host.no_commands()
    assert host.answer(packages=["one"])["missing_packages"] is None


def test_a_dpkg_that_fails_is_a_failure(host: Host) -> None:
    """As one whose database is broken: it does not mean that all packages are missing."""
    host.dpkg("echo The database is broken. >&2; exit 2")
    with pytest.raises(OSError, match="dpkg-query ended with status 2: The database is broken"):
        host.answer(packages=["one"])


def test_the_account_and_the_group(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    user, group = pwd.getpwuid(os.getuid()), grp.getgrgid(os.getgid())
    answer = host.answer(user=user.pw_name, group=group.gr_name)
    assert (answer["has_user"], answer["has_group"], answer["account_comment"]) == (True, True, user.pw_gecos)
    odd = pwd.struct_passwd(("synapse", "x", 1, 1, "b\udcff \u00fc", "/", "/bin/sh"))
    monkeypatch.setattr(host.script.pwd, "getpwnam", lambda name: odd)
    answer = host.answer()
    assert (answer["has_user"], answer["has_group"]) == (True, False)
    assert answer["account_comment"] == "b\N{REPLACEMENT CHARACTER} \u00fc"


@pytest.mark.parametrize(
    ("mode", "owner", "safe"),
    [
        (0o755, (0, 0), True),
        (0o755, (0, 1000), True),
        (0o700, (1000, 0), False),
        (0o755, (1000, 1000), False),
        # The group root has no other members.
        (0o775, (0, 0), True),
        (0o775, (0, 1000), False),
        (0o777, (0, 0), False),
        (0o757, (0, 1000), False),
        (0o2775, (0, 1000), False),
        # Where only its owner can replace a file.
        (0o1777, (0, 0), True),
        (0o1777, (0, 1000), True),
        (0o1775, (0, 1000), True),
        (0o1777, (1000, 0), False),
    ],
)
@pytest.mark.parametrize("is_end", [True, False])
def test_directories_that_others_can_write_to(
    host: Host, mode: int, owner: tuple[int, int], safe: bool, is_end: bool
) -> None:
    directory = host.path / "etc"
    directory.mkdir()
    directory.chmod(mode)
    host.owners[directory] = owner
    end = directory if is_end else directory / "synapse" / "conf.d"
    assert host.answer(config_directories=[str(end), str(end)])["unsafe"] == ([] if safe else [str(directory)])


def test_links_are_followed(host: Host) -> None:
    """A link itself must belong to root, and so must the way to its target."""
    target, link, absolute = host.path / "a" / "b" / "c", host.path / "link", host.path / "absolute"
    target.mkdir(parents=True)
    link.symlink_to("./a//b/../b/")
    absolute.symlink_to(link)
    directories = [str(absolute / "c"), f"{absolute}/../../link/c/none/../.."]
    assert host.answer(config_directories=directories)["unsafe"] == []
    host.owners[link] = (1000, 0)
    host.owners[target] = (1000, 0)
    assert host.answer(config_directories=directories)["unsafe"] == [str(link), str(target)]
    # The group of a link does not count, and neither does its mode.
    host.owners = {link: (0, 1000), host.path / "a": (1, 1)}
    assert host.answer(config_directories=directories)["unsafe"] == [str(host.path / "a")]


def test_the_whole_way_counts(host: Host) -> None:
    host.owners[pathlib.Path("/")] = (1000, 1000)
    host.owners[host.path] = (1000, 1000)
    assert host.answer()["unsafe"] == ["/", str(host.path)]


def test_links_without_end(host: Host) -> None:
    link = host.path / "link"
    link.symlink_to("link")
    assert host.answer(config_directories=[str(link / "conf.d")])["unsafe"] == [str(link)]


def test_a_broken_link_is_a_path_that_does_not_exist_yet(host: Host) -> None:
    link = host.path / "link"
    link.symlink_to("nothing")
    assert host.answer(config_directories=[str(link / "conf.d")])["unsafe"] == []


def test_what_cannot_be_looked_at_is_unsafe(host: Host) -> None:
    name = "x" * 300
    assert host.answer(config_directories=[str(host.path / name / "conf.d")])["unsafe"] == [str(host.path / name)]


def test_odd_bytes_in_a_path(host: Host) -> None:
    directory = os.fsencode(host.path) + b"/\xff"
    os.mkdir(directory, 0o755)
    os.chmod(directory, 0o777)
    (host.path / "link").symlink_to(os.fsdecode(directory))
    unsafe = host.answer(config_directories=[str(host.path / "link")])["unsafe"]
    assert unsafe == [f"{host.path}/\N{REPLACEMENT CHARACTER}"]


@pytest.mark.parametrize(
    "question", ["", "{", "[]", "{}", '{"user": "\\u0000", "group": "", "config_directories": []}']
)
def test_a_failure_is_one_sentence(question: str) -> None:
    """The role gives the script on standard input, so that a failure does not show all of it."""
    ended = subprocess.run(
        [sys.executable, "-", question], input=_SCRIPT.read_text(), capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith("What is on this host cannot be read: ")


def test_the_script_comes_on_standard_input(tmp_path: pathlib.Path) -> None:
    (tmp_path / "homeserver.yaml").write_text("server_name: example.org\n", encoding="utf-8")
    question = {
        "user": _MISSING,
        "group": _MISSING,
        "config_path": str(tmp_path / "homeserver.yaml"),
        "config_directories": ["/", "/"],
        "database_file": str(tmp_path / "homeserver.db"),
        "unix_socket": str(tmp_path / "main.sock"),
        "virtualenv_python": sys.executable,
        "packages": [_MISSING],
    }
    ended = subprocess.run(
        [sys.executable, "-", json.dumps(question)],
        input=_SCRIPT.read_text(),
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(ended.stdout)
    assert (answer["server_name"], answer["missing_packages"] in (None, [_MISSING])) == ("example.org", True)
    assert answer["python_version"]

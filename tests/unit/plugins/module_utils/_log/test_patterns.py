# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Paths and patterns: which files they are, and one sentence for everything that is not a file."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log import patterns
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.patterns import find_files


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    for name in ("homeserver.log", "homeserver.log.1", "worker[1].log", ".hidden.log", "a/x.log", "b/x.log", "b/y.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    return tmp_path


def names(root: Path, *paths: str) -> list[str]:
    found = find_files([str(root / path) for path in paths], "path")
    return [os.path.relpath(path, root) for path, status in found.values()]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["homeserver.log"], ["homeserver.log"]),
        (["*.log*"], ["homeserver.log", "homeserver.log.1", "worker[1].log"]),
        (["*/*.log"], ["a/x.log", "b/x.log"]),
        (["*/x.*"], ["a/x.log", "b/x.log"]),
        (["[ab]/x.log", "a/*"], ["a/x.log", "b/x.log"]),
        (["b/*", "homeserver.log"], ["b/x.log", "b/y.txt", "homeserver.log"]),
        (["?/x.log"], ["a/x.log", "b/x.log"]),
        (["worker[1].log"], ["worker[1].log"]),
        ([".*.log"], [".hidden.log"]),
        (["./a//../*.1"], ["homeserver.log.1"]),
        # Directories among what a pattern matches do not count.
        (["*"], ["homeserver.log", "homeserver.log.1", "worker[1].log"]),
    ],
)
def test_which_files_are_found(logs: Path, paths: list[str], expected: list[str]) -> None:
    assert names(logs, *paths) == expected


def test_that_a_relative_pattern_works(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(logs)
    assert [path for path, status in find_files(["a/*.log", "*.1"], "path").values()] == ["a/x.log", "homeserver.log.1"]


def test_that_a_file_with_several_names_counts_once(logs: Path) -> None:
    (logs / "link.log").symlink_to("homeserver.log")
    os.link(logs / "homeserver.log", logs / "hard.log")
    assert names(logs, "link.log", "*.log", "homeserver.log") == ["link.log", "worker[1].log"]


def test_that_links_to_nothing_among_matches_do_not_count(logs: Path) -> None:
    (logs / "a/gone.log").symlink_to("nothing")
    assert names(logs, "a/*") == ["a/x.log"]


@pytest.mark.parametrize("target", ["loop", "x.log/y"])
def test_that_links_which_lead_nowhere_do_not_count(logs: Path, target: str) -> None:
    (logs / "a/loop").symlink_to(target)
    assert names(logs, "a/*") == ["a/x.log"]
    (logs / "c").mkdir()
    (logs / "c/loop").symlink_to(target)
    for pattern in ("c/*", "c/*/*", "c/loop/*"):
        with pytest.raises(InvalidInput, match="matches no file"):
            names(logs, pattern)


def test_that_a_file_which_is_removed_meanwhile_does_not_count(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matches = patterns._matches
    monkeypatch.setattr(patterns, "_matches", lambda pattern: [*matches(pattern), str(logs / "a/removed.log")])
    assert names(logs, "a/*") == ["a/x.log"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none.log", "path {0}/none.log does not exist: see in Synapse's log configuration (log_config)"),
        ("none/x.log", "path {0}/none/x.log does not exist"),
        ("homeserver.log/x", "path {0}/homeserver.log/x does not exist"),
        ("a", "path {0}/a is a directory: write {0}/a/*.log* for the files in it."),
        ("a/", "path {0}/a/ is a directory: write {0}/a/*.log* for the files in it."),
        ("*.none", "path {0}/*.none matches no file: check the pattern, or name the file itself."),
        ("none/*.log", "path {0}/none/*.log matches no file"),
        ("homeserver.log/*", "path {0}/homeserver.log/* matches no file"),
        ("[ab]", "path {0}/[ab] matches no file"),
        ("broken", "path {0}/broken is a link to nowhere, which does not exist."),
        ("pipe", "path {0}/pipe is a pipe, which cannot be read twice: name a file."),
        ("p*", "path {0}/pipe is a pipe"),
        ("loop", "path '{0}/loop' is not the path of a file"),
        ("x" * 300, "is not the path of a file"),
        ("a\0b", "is not the path of a file"),
    ],
)
def test_what_cannot_be_found(logs: Path, path: str, message: str) -> None:
    (logs / "broken").symlink_to("nowhere")
    (logs / "loop").symlink_to("loop")
    os.mkfifo(logs / "pipe")
    with pytest.raises(InvalidInput) as caught:
        find_files([f"{logs}/{path}"], "path")
    assert message.format(logs) in str(caught.value)


def test_devices_and_sockets() -> None:
    with pytest.raises(InvalidInput, match="log path /dev/zero is a device: name a file."):
        find_files(["/dev/zero"], "log path")
    # The path of a socket must be short.
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as opened:
        opened.bind(f"{directory}/s")
        with pytest.raises(InvalidInput, match="is a socket: name a file."):
            find_files([f"{directory}/s"], "path")


@pytest.mark.parametrize(("path", "kind"), [("/dev/null", "a device"), ("{0}/a", "a directory")])
def test_that_the_log_configuration_names_no_file(logs: Path, path: str, kind: str) -> None:
    path = path.format(logs)
    with pytest.raises(InvalidInput) as caught:
        find_files([path], "log_config")
    assert str(caught.value) == (
        f"The log configuration (log_config) writes to {path}, which is {kind}, not a log file: let it write to a file,"
        " or set path or unit to where the log is."
    )


def test_missing_permission_behind_a_name(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = os.stat

    def refuse(path: str, **options: t.Any) -> os.stat_result:
        if str(path).endswith("containers"):
            raise PermissionError(13, "Permission denied", path)
        return original(path, **options)

    with monkeypatch.context() as patched:
        # Root may look at every directory.
        patched.setattr(os, "stat", refuse)
        with pytest.raises(SynapseError, match="containers cannot be examined: .* Run the task with become"):
            find_files([f"{logs}/containers/*/*-json.log"], "path")


def test_missing_permission(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: t.Any, **options: t.Any) -> t.NoReturn:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        # Root may list every directory.
        patched.setattr(os, "scandir", refuse)
        with pytest.raises(SynapseError) as caught:
            find_files([f"{logs}/*.log"], "path")
    assert str(caught.value).startswith(f"No permission to list the directory {logs}: run the task with become")
    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", refuse)
        with pytest.raises(SynapseError) as caught:
            find_files([f"{logs}/homeserver.log"], "path")
        assert str(caught.value) == f"No permission to look at {logs}/homeserver.log: run the task with become."
        patched.setattr(patterns, "_matches", lambda pattern: [f"{logs}/a/x.log"])
        with pytest.raises(SynapseError, match=r"a/x.log cannot be examined: Permission denied. Run the task with"):
            find_files([f"{logs}/a/*.log"], "path")


def test_that_the_result_tells_device_inode_and_status(logs: Path) -> None:
    found = find_files([str(logs / "homeserver.log")], "path")
    [identity] = list(found)
    status = found[identity][1]
    assert identity == (status.st_dev, status.st_ino) and status.st_size == 1 and stat.S_ISREG(status.st_mode)

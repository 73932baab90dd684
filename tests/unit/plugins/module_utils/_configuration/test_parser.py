# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import os
import pathlib
import sys
import tempfile

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration import parser
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.parser import Candidate, Parser
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.reader import Reader
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.verdict import (
    CONFIGURATION,
    INSTALLATION,
    Verdict,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a program as another user")
# Removes what comes before the arguments of Synapse's parser: the options of Python, the program, and its options.
_SHIFT = 'while [ "$1" != -c ]; do shift; done; shift 3'


def program(directory: pathlib.Path, script: str) -> str:
    """Write a shell script that stands for the Python of Synapse, and return its path."""
    path = directory / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def made(directory: pathlib.Path, script: str, reader: Reader | None = None) -> Parser:
    return Parser(("/a/homeserver.yaml", "/a/conf.d"), program(directory, script), str(directory), reader)


class TestParser:
    def test_gets_every_path_in_its_directory(self, tmp_path: pathlib.Path) -> None:
        found = made(tmp_path, f'{_SHIFT}; echo "$(pwd) $*" >&2; exit 87').judge()
        expected = f"{tmp_path} --config-path=/a/homeserver.yaml --config-path=/a/conf.d."
        assert found == Verdict(CONFIGURATION, expected)

    def test_accepts(self, tmp_path: pathlib.Path) -> None:
        checked = made(tmp_path, "echo nothing of interest; exit 86")
        assert checked.judge() == Verdict()

    def test_reads_odd_bytes_and_no_terminal(self, tmp_path: pathlib.Path) -> None:
        assert made(tmp_path, "cat; printf '\\377.' >&2; exit 87").judge().complaint == "\ufffd."

    def test_that_is_ended_by_a_signal(self, tmp_path: pathlib.Path) -> None:
        found = made(tmp_path, "echo half >&2; kill -SEGV $$").judge()
        assert found == Verdict(INSTALLATION, "It was ended by the signal SIGSEGV. half.")

    def test_keeps_the_end_of_long_words(self, tmp_path: pathlib.Path) -> None:
        line = "0123456789" * 6 + "abc"
        script = f"yes {line} | head -n 100000 >&2; printf '\\nthe reason\\n' >&2; exit 87"
        words = made(tmp_path, script).judge().complaint
        assert len(words) < 64 * 1024
        # No line without its beginning.
        assert words.startswith(f"{line} {line} ")
        assert words.endswith(f" {line}. the reason.")

    def test_does_not_show_a_line_without_its_beginning(self, tmp_path: pathlib.Path) -> None:
        script = "head -c 100000 /dev/zero | tr '\\0' x >&2; echo >&2; exit 87"
        words = made(tmp_path, script).judge().complaint
        assert words == "Its message is a line that is too long to be shown."

    def test_that_writes_without_end_is_killed(self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(parser, "_PATIENCE", 0.5)
        assert made(tmp_path, "exec yes >&2").judge().complaint.endswith(" did not end within 0.5 seconds.")

    def test_that_closes_its_output_is_killed_too(
        self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(parser, "_PATIENCE", 0.5)
        assert made(tmp_path, "exec sleep 60 2>&-").judge().complaint.endswith(" did not end within 0.5 seconds.")

    def test_that_does_not_exist(self, tmp_path: pathlib.Path) -> None:
        found = Parser(("/a",), f"{tmp_path}/missing", "/").judge()
        assert found == Verdict(INSTALLATION, f"{tmp_path}/missing cannot be run: No such file or directory.")

    def test_that_is_no_path(self) -> None:
        assert Parser(("/a",), "/bin/a\0b", "/").judge().cause == INSTALLATION

    def test_that_does_not_end_is_killed_with_its_children(
        self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(parser, "_PATIENCE", 0.5)
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        descriptor = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor) as alive:
            # A child holds the standard error and the pipe, as a process of a hanging module of Synapse does.
            assert made(tmp_path, f"exec 3>{pipe}; sleep 60 & sleep 60").judge() == Verdict(
                CONFIGURATION, "Synapse's own parser did not end within 0.5 seconds."
            )
            os.set_blocking(descriptor, True)
            # It ends only when no process holds the other end.
            assert alive.read() == ""

    @pytest.mark.parametrize("directory", ["missing", "python", "a\0b"])
    def test_needs_a_working_directory(self, tmp_path: pathlib.Path, directory: str) -> None:
        checked = Parser(("/a",), program(tmp_path, "exit 0"), f"{tmp_path}/{directory}")
        with pytest.raises(InvalidInput, match="^working_directory .* is not "):
            checked.judge()

    def test_needs_a_working_directory_that_it_may_enter(
        self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        checked = Parser(("/a",), program(tmp_path, "exit 0"), f"{tmp_path}/closed")
        # Root may enter every directory. The error is the same if it was removed after the check.
        monkeypatch.setattr(Parser, "require_directory", lambda _parser: None)
        with pytest.raises(InvalidInput, match="/closed cannot be entered by this user"):
            checked.judge()

    def test_needs_an_absolute_working_directory(self) -> None:
        with pytest.raises(InvalidInput, match="is not an absolute path"):
            Parser(("/a",), "/bin/true", "tmp").judge()

    @NEEDS_ROOT
    @pytest.mark.parametrize(
        ("user", "expected"),
        [
            (Reader("synapse", 990, 980, frozenset({980, 985})), "990 980 980 985."),
            (Reader("991", 991, None, frozenset()), "991 65534 65534."),
        ],
    )
    def test_runs_as_the_user_of_synapse(self, user: Reader, expected: str) -> None:
        # The directories of pytest belong to root, and another user cannot enter them.
        with tempfile.TemporaryDirectory() as name:
            directory = pathlib.Path(name)
            directory.chmod(0o755)
            found = made(directory, 'echo "$1 $(id -u) $(id -g) $(id -G)" >&2; exit 87', reader=user).judge()
        # Not isolated, as Synapse itself.
        assert found.complaint == f"-B {expected}"

    @NEEDS_ROOT
    @pytest.mark.parametrize("user", [None, Reader("root", 0, 0, frozenset({0}))])
    def test_as_root_does_not_run_files_in_the_working_directory(
        self, tmp_path: pathlib.Path, user: Reader | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for directory in ("cwd", "path"):
            (tmp_path / directory / "synapse").mkdir(parents=True)
            (tmp_path / directory / "synapse/config.py").write_text(
                "print('evil')\nopen('ran', 'w')\nraise SystemExit(1)"
            )
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
        # Without the packages of this Python, one of which may be Synapse.
        python = program(tmp_path, f'exec {sys.executable} -S "$@"')
        found = Parser(("/a",), python, str(tmp_path / "cwd"), user).judge()
        assert found.cause == INSTALLATION
        assert os.listdir(tmp_path / "cwd") == ["synapse"]


class TestCandidate:
    """A file is tried before it exists."""

    def test_is_read_in_its_place(self, tmp_path: pathlib.Path) -> None:
        checked = made(tmp_path, f'{_SHIFT}; echo "$*" >&2; cat /dev/fd/0 /dev/fd/0 >&2; exit 87')
        files = ("/a/homeserver.yaml", f"{tmp_path}/b.yaml", "/c/d.yaml")
        found = checked.judge(Candidate(files, f"{tmp_path}/b.yaml", b"hush: 1;"))
        assert found.complaint == (
            f"--keys-directory=/c --config-path=/a/homeserver.yaml --config-path={tmp_path}/b.yaml"
            " --config-path=/c/d.yaml hush: 1;hush: 1;."
        )
        assert os.listdir(tmp_path) == ["python"]

    def test_may_be_given_under_another_name(self, tmp_path: pathlib.Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to("real")
        checked = made(tmp_path, "cat >&2; exit 87")
        found = checked.judge(Candidate((f"{tmp_path}/link/b.yaml",), f"{tmp_path}/real/b.yaml", b"new."))
        assert found.complaint == "new."

    def test_that_is_removed_is_not_read(self, tmp_path: pathlib.Path) -> None:
        checked = made(tmp_path, f'{_SHIFT}; echo "$*" >&2; cat >&2; exit 87')
        found = checked.judge(Candidate(("/a/x.yaml", "/b/y.yaml"), "/b/y.yaml", None))
        assert found.complaint == "--keys-directory=/a --config-path=/a/x.yaml."

    def test_without_memory_for_it(self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        # As on macOS and the BSDs.
        monkeypatch.delattr(os, "memfd_create", raising=False)
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        checked = made(tmp_path, f"cat /dev/fd/0 >&2; ls {tmp_path} >&2; exit 87")
        assert checked.judge(Candidate(("/a",), "/a", b"new ")).complaint == "new python."

    @NEEDS_ROOT
    @pytest.mark.parametrize("has_memory", [True, False])
    def test_is_readable_for_the_user_of_synapse(self, monkeypatch: pytest.MonkeyPatch, has_memory: bool) -> None:
        if not has_memory:
            monkeypatch.delattr(os, "memfd_create", raising=False)
        with tempfile.TemporaryDirectory() as name:
            directory = pathlib.Path(name)
            directory.chmod(0o755)
            user = Reader("991", 991, None, frozenset())
            checked = made(directory, "cat /dev/fd/0 >&2; id -u >&2; exit 87", reader=user)
            found = checked.judge(Candidate(("/a",), "/a", b"new "))
        assert found.complaint == "new 991."

    def test_may_be_huge(self, tmp_path: pathlib.Path) -> None:
        checked = made(tmp_path, "wc -c >&2; exit 87")
        assert checked.judge(Candidate(("/a",), "/a", b"x" * 5_000_000)).complaint == "5000000."


@pytest.mark.parametrize(
    ("python", "directory", "message"),
    [
        ("{0}/missing", "{0}", "synapse_python .*/missing does not exist on this host"),
        ("{0}/python", "{0}/missing", "working_directory .*/missing is not a directory"),
        ("{0}/python", "{0}", None),
    ],
)
def test_what_an_earlier_task_would_have_made(
    tmp_path: pathlib.Path, python: str, directory: str, message: str | None
) -> None:
    program(tmp_path, "exit 0")
    checked = Parser(("/a",), python.format(tmp_path), directory.format(tmp_path))
    assert checked.is_installed() is (message is None)
    if message:
        with pytest.raises(InvalidInput, match=message):
            checked.require_installed()
    else:
        checked.require_installed()


class TestMessage:
    @NEEDS_ROOT
    def test_of_a_python_that_the_user_of_synapse_cannot_run(self, tmp_path: pathlib.Path) -> None:
        # Nobody else may enter a directory of pytest.
        checked = made(tmp_path, "exit 86", Reader("jane", 990, 980, frozenset({980})))
        checked = dataclasses.replace(checked, working_directory="/")
        verdict = checked.judge()
        expected = f"{checked.python} cannot be run by jane, the user of Synapse: Permission denied."
        assert verdict == Verdict(INSTALLATION, expected)
        assert "jane must be able to run it" in checked.advice(verdict)

    def test_of_a_wrong_configuration(self, tmp_path: pathlib.Path) -> None:
        checked = made(tmp_path, "echo 'smtp_pass hush is wrong' >&2; exit 87")
        verdict = checked.judge().hiding({"hush"})
        assert (checked.sentence(verdict), checked.advice(verdict)) == (
            "Synapse cannot start with its configuration (/a/homeserver.yaml, /a/conf.d). smtp_pass (hidden) is wrong.",
            "Fix the configuration and run this again.",
        )
        assert verdict.shown() == {
            "accepted": False,
            "cause": CONFIGURATION,
            "complaint": "smtp_pass (hidden) is wrong.",
        }

    def test_of_a_wrong_python(self, tmp_path: pathlib.Path) -> None:
        checked = Parser(("/a",), f"{tmp_path}/missing", "/")
        verdict = checked.judge()
        assert checked.sentence(verdict).startswith("Synapse's own program failed before it read the configuration. ")
        assert f"synapse_python ({tmp_path}/missing) is not the Python of Synapse" in checked.advice(verdict)

    def test_with_a_working_directory_that_is_not_known(self) -> None:
        advice = Parser(("/a",), "/bin/true", "/", is_guess=True).advice(Verdict(CONFIGURATION, "no."))
        assert advice.endswith(
            " If it has relative paths, set working_directory to the directory that Synapse runs in."
        )


def test_odd_paths(tmp_path: pathlib.Path) -> None:
    # Paths with spaces and quotes reach the parser as they are: no shell reads them.
    odd = "/a b/'$(x).yaml"
    checked = Parser(
        (odd,), program(tmp_path, 'for last; do :; done; printf "%s." "$last" >&2; exit 87'), str(tmp_path)
    )
    assert checked.judge().complaint == f"--config-path={odd}."

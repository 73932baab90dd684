# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import sys
import tempfile

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration import parser
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.parser import (
    CONFIGURATION,
    INSTALLATION,
    Parser,
    Verdict,
    verdict_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.reader import Reader
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a program as another user")
# Root does not run files in the working directory.
_ISOLATED = "-I " if os.geteuid() == 0 else ""
_FROM_SYNAPSE = (
    "Traceback (most recent call last):\n"
    '  File "/venv/synapse/config/__main__.py", line 36, in main\n'
    '    config = HomeServerConfig.load_config("", load_config_args)\n'
    '  File "/venv/synapse/config/_base.py", line 595, in load_config\n'
    "    obj, _ = cls.load_config_with_parser(config_parser, argv_options)\n"
)


def program(directory: pathlib.Path, script: str) -> str:
    """Write a shell script that stands for the Python of Synapse, and return its path."""
    path = directory / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def made(directory: pathlib.Path, script: str, **options: Reader) -> Parser:
    return Parser(("/a/homeserver.yaml", "/a/conf.d"), program(directory, script), str(directory), **options)


class TestVerdict:
    @pytest.mark.parametrize(
        ("errors", "expected"),
        [
            ("\ncaches.global_factor must be a number.\n", "caches.global_factor must be a number."),
            (f"{_FROM_SYNAPSE}TypeError: not int\n", "TypeError: not int."),
            (
                f'{_FROM_SYNAPSE}yaml.parser.ParserError: while parsing\nfound the end\n  in "/a/b.yaml", line 2\n',
                'yaml.parser.ParserError: while parsing found the end in "/a/b.yaml", line 2.',
            ),
            (
                f"{_FROM_SYNAPSE}KeyError: 1\n\nDuring handling of it:\n\n{_FROM_SYNAPSE}ValueError: 1T\n",
                "ValueError: 1T.",
            ),
            ("key servers are trusted\n" + "-" * 80 + "\n\nserver_name is missing\n", "server_name is missing."),
            ("a key is missing\n\nNo database\nis set.\n", "a key is missing. No database is set."),
            (" \n", "It ended with status 1 and without a message."),
            ("odd \ufffd bytes!", "odd \ufffd bytes!"),
        ],
    )
    def test_has_the_last_words_of_synapse(self, errors: str, expected: str) -> None:
        assert verdict_of(Completed(1, "", errors)) == Verdict(CONFIGURATION, expected)

    @pytest.mark.parametrize(
        "errors",
        [
            "/venv/bin/python: No module named synapse\n",
            "/venv/bin/python: Error while finding module specification for 'synapse.config'\n",
            'Traceback (most recent call last):\n  File "/venv/synapse/__init__.py", line 1, in <module>\n'
            "ImportError: broken\n",
        ],
    )
    def test_blames_the_installation(self, errors: str) -> None:
        assert verdict_of(Completed(1, "", errors)).cause == INSTALLATION

    def test_blames_the_configuration_for_its_modules(self) -> None:
        found = verdict_of(Completed(1, "", f"{_FROM_SYNAPSE}ModuleNotFoundError: No module named 'a'\n"))
        assert found == Verdict(CONFIGURATION, "ModuleNotFoundError: No module named 'a'.")

    def test_does_not_mind_warnings(self) -> None:
        assert verdict_of(Completed(0, "", "Traceback (most recent call last):\n")) == Verdict()
        assert Verdict().shown() == {"accepted": True, "cause": "", "complaint": ""}

    @pytest.mark.parametrize(
        ("status", "errors", "expected"),
        [
            (-11, "", "It was ended by the signal SIGSEGV."),
            (-9, "", "It was ended by the signal SIGKILL, for example because of too little memory."),
            (-6, f"{_FROM_SYNAPSE}double free\n", "It was ended by the signal SIGABRT. double free."),
            (-35, "", "It was ended by signal 35."),
        ],
    )
    def test_blames_the_installation_for_a_signal(self, status: int, errors: str, expected: str) -> None:
        assert verdict_of(Completed(status, "", errors)) == Verdict(INSTALLATION, expected)

    @pytest.mark.parametrize(
        "secret",
        [
            "two  spaces",
            "tab\tand\nline",
            "back\\slash",
            'it\'s "quoted"',
            "caf\u00e9\u2028x",
            " abcd ",
            "a1\n\nb2  c\\",
        ],
    )
    def test_hides_every_form_of_a_secret(self, secret: str) -> None:
        errors = f"{_FROM_SYNAPSE}ValueError: <{secret}> and <{repr(secret)[1:-1]}> are wrong\n"
        found = verdict_of(Completed(1, "", errors)).hiding({secret})
        assert found.complaint.replace(" ", "") == "ValueError:<(hidden)>and<(hidden)>arewrong."

    def test_does_not_hide_what_any_text_contains(self) -> None:
        assert Verdict(CONFIGURATION, "a b is wrong.").hiding({"  a  "}).complaint == "a b is wrong."

    def test_hides_values_that_may_have_a_part_of_a_secret(self) -> None:
        words = "no [type=x, input_value={'a': 'first half...second half'}, input_type=dict]."
        words += " no [input_value='b', input_type=str]."
        assert Verdict(CONFIGURATION, words).hiding({"first half of the second half"}).complaint == (
            "no [type=x, input_value=(hidden), input_type=dict]. no [input_value='b', input_type=str]."
        )

    def test_is_not_too_long_and_has_no_half_secret(self) -> None:
        found = Verdict(CONFIGURATION, "x" * 1995 + " hush-hush " + "x" * 3000).hiding({"hush-hush"})
        assert found.complaint == "x" * 1995 + " (hi…"
        assert Verdict(CONFIGURATION, "x" * 2000).hiding(()).complaint == "x" * 2000

    def test_hides_secrets(self) -> None:
        found = Verdict(CONFIGURATION, "hush and hush-hush are wrong.").hiding({"hush", "hush-hush"})
        assert found.complaint == "(hidden) and (hidden) are wrong."


class TestParser:
    def test_gets_every_path_in_its_directory(self, tmp_path: pathlib.Path) -> None:
        found = made(tmp_path, 'echo "$(pwd) $*" >&2; exit 1').judge()
        expected = f"{tmp_path} {_ISOLATED}-m synapse.config --config-path=/a/homeserver.yaml --config-path=/a/conf.d."
        assert found == Verdict(CONFIGURATION, expected)

    def test_accepts(self, tmp_path: pathlib.Path) -> None:
        checked = made(tmp_path, "echo nothing of interest")
        assert checked.judge() == Verdict()

    def test_reads_odd_bytes_and_no_terminal(self, tmp_path: pathlib.Path) -> None:
        assert made(tmp_path, "cat; printf '\\377.' >&2; exit 1").judge().complaint == "\ufffd."

    def test_that_is_ended_by_a_signal(self, tmp_path: pathlib.Path) -> None:
        found = made(tmp_path, "echo half >&2; kill -SEGV $$").judge()
        assert found == Verdict(INSTALLATION, "It was ended by the signal SIGSEGV. half.")

    def test_keeps_the_end_of_long_words(self, tmp_path: pathlib.Path) -> None:
        line = "0123456789" * 6 + "abc"
        script = f"yes {line} | head -n 100000 >&2; printf '\\nthe reason\\n' >&2; exit 1"
        words = made(tmp_path, script).judge().complaint
        assert len(words) < 64 * 1024
        # No line without its beginning.
        assert words.startswith(f"{line} {line} ")
        assert words.endswith(f" {line}. the reason.")

    def test_does_not_show_a_line_without_its_beginning(self, tmp_path: pathlib.Path) -> None:
        script = "head -c 100000 /dev/zero | tr '\\0' x >&2; echo >&2; exit 1"
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
            found = made(directory, 'echo "$1 $(id -u) $(id -g) $(id -G)" >&2; exit 1', reader=user).judge()
        # Not isolated, as Synapse itself.
        assert found.complaint == f"-m {expected}"

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


class TestMessage:
    def test_of_a_wrong_configuration(self, tmp_path: pathlib.Path) -> None:
        checked = made(tmp_path, "echo 'smtp_pass hush is wrong' >&2; exit 1")
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


def test_odd_paths(tmp_path: pathlib.Path) -> None:
    # Paths with spaces and quotes reach the parser as they are: no shell reads them.
    odd = "/a b/'$(x).yaml"
    checked = Parser((odd,), program(tmp_path, 'for last; do :; done; printf "%s." "$last" >&2; exit 1'), str(tmp_path))
    assert checked.judge().complaint == f"--config-path={odd}."

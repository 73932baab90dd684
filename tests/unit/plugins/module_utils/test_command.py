# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A command has no shell and no terminal, ends in time, and gets secrets where no other process sees them."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import sys
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Command, Completed, run_command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError

# Long enough for a machine that is busy with something else.
PATIENCE = 60


def run(code: str, *arguments: str, given: str | None = None, timeout: float = PATIENCE) -> Completed:
    """Run a piece of Python as a command."""
    return run_command([sys.executable, "-c", code, *arguments], timeout, given)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Command]:
    """The commands that have been started, in their order."""
    commands: list[Command] = []

    class Recorded(Command):
        def __init__(self, arguments: t.Sequence[str], **options: t.Any) -> None:
            super().__init__(arguments, **options)
            commands.append(self)

    monkeypatch.setattr(_command, "Command", Recorded)
    return commands


def test_returns_status_and_output() -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    assert run(code) == Completed(3, "out\n", "err\n")


def test_uses_no_shell() -> None:
    words = ("$HOME", "`id`", "two words", "; exit 9", "*", "")
    answer = run("import json, sys; print(json.dumps(sys.argv[1:]))", *words)
    assert json.loads(answer.output) == list(words)


def test_runs_in_the_root(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # It would fail in a directory that the user of Synapse is not allowed to enter.
    monkeypatch.chdir(tmp_path)
    assert run("import os; print(os.getcwd())").output == "/\n"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_reads_bytes_that_are_not_text(stream: str) -> None:
    answer = run(f"import sys; sys.{stream}.buffer.write('ä'.encode() + bytes([255]))")
    assert (answer.output, answer.errors) == (("ä\ufffd", "") if stream == "stdout" else ("", "ä\ufffd"))


def test_reads_more_than_a_pipe_holds() -> None:
    code = "import sys; sys.stderr.write('e' * 300000); sys.stdout.write('o' * 300000)"
    assert run(code) == Completed(0, "o" * 300000, "e" * 300000)


class TestGiven:
    @pytest.mark.parametrize(
        "given",
        ["", "one line", "two\nlines\n", "päss ☃", "x" * 300000],
        ids=["empty", "one-line", "two-lines", "other-letters", "more-than-a-pipe-holds"],
    )
    def test_is_read_from_standard_input(self, given: str) -> None:
        code = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"
        assert run(code, given=given) == Completed(0, given, "")

    def test_is_seen_nowhere_else(self) -> None:
        code = "import json, os, sys; sys.stdin.read(); print(json.dumps([sys.orig_argv, dict(os.environ)]))"
        # Pythons before 3.10 do not keep the whole command line.
        code = code.replace("sys.orig_argv", "open('/proc/self/cmdline').read()")
        assert "hunter2" not in run(code, given="hunter2").output

    def test_is_empty_if_nothing_is_given(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # The command must not read the standard input of the module.
        read_end, write_end = os.pipe()
        with os.fdopen(read_end) as own, os.fdopen(write_end, "w") as other:
            other.write("not for you")
            other.flush()
            kept = os.dup(0)
            try:
                os.dup2(own.fileno(), 0)
                assert run("import sys; print(repr(sys.stdin.read()))").output == "''\n"
            finally:
                os.dup2(kept, 0)
                os.close(kept)

    def test_is_optional_to_read(self) -> None:
        assert run("import os; os.close(0); print('done')", given="x" * 300000) == Completed(0, "done\n", "")


class TestLimit:
    # It waits for a signal, so that nothing but the limit ends it.
    HANGING = "import signal; signal.pause()"

    @pytest.mark.parametrize(
        "given", [None, "hunter2", "hunter2" * 100000], ids=["nothing", "little", "more-than-a-pipe-holds"]
    )
    def test_ends_it(self, started: list[Command], given: str | None) -> None:
        with pytest.raises(SynapseError) as caught:
            run(self.HANGING, given=given, timeout=0.5)
        assert caught.value.message == f"{sys.executable} did not end within 0.5 seconds."
        assert [command.returncode for command in started] == [-signal.SIGKILL]

    def test_is_written_without_needless_digits(self) -> None:
        # A float, as every timeout of a task is.
        with pytest.raises(SynapseError, match="within 1 seconds"):
            run(self.HANGING, timeout=1.0)

    def test_closes_what_it_was_connected_with(self, started: list[Command]) -> None:
        with pytest.raises(SynapseError):
            run(self.HANGING, given="x", timeout=0.5)
        (command,) = started
        assert all(stream and stream.closed for stream in (command.stdin, command.stdout, command.stderr))


class TestCannotBeRun:
    def test_if_it_does_not_exist(self, tmp_path: pathlib.Path) -> None:
        with pytest.raises(SynapseError) as caught:
            run_command([str(tmp_path / "missing"), "hunter2"], PATIENCE, "hunter2")
        assert caught.value.message == f"{tmp_path}/missing cannot be run: No such file or directory."

    @pytest.mark.parametrize(
        ("content", "mode", "said"),
        [("#!/bin/sh\n", 0o600, "Permission denied"), ("No program.\n", 0o700, "Exec format error")],
    )
    def test_if_it_is_not_a_program(self, tmp_path: pathlib.Path, content: str, mode: int, said: str) -> None:
        path = tmp_path / "program"
        path.write_text(content)
        path.chmod(mode)
        with pytest.raises(SynapseError, match=f"program cannot be run: {said}"):
            run_command([str(path)], PATIENCE)

    def test_if_it_is_a_directory(self, tmp_path: pathlib.Path) -> None:
        with pytest.raises(SynapseError, match="cannot be run: Permission denied"):
            run_command([str(tmp_path)], PATIENCE)

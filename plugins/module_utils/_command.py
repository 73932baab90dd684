# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Commands with a timeout, without a shell. AnsibleModule.run_command has no timeout and does not stop commands."""

from __future__ import annotations

import subprocess
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError


class Command(subprocess.Popen[str]):
    """A running command. Its output is decoded as UTF-8, with invalid bytes replaced, and it cannot read a terminal."""

    def __init__(self, arguments: t.Sequence[str], **options: t.Any) -> None:
        """`options`: options of subprocess.Popen. Raises OSError if the command cannot be started."""
        options.setdefault("stdin", subprocess.DEVNULL)
        super().__init__(list(arguments), encoding="utf-8", errors="replace", **options)


class BinaryCommand(subprocess.Popen[bytes]):
    """A running command whose input and output are bytes."""


class Completed(t.NamedTuple):
    """The result of a command that has ended."""

    status: int
    output: str
    errors: str


def run_command(arguments: t.Sequence[str], timeout: float, given: str | None = None, **options: t.Any) -> Completed:
    """Run a command in / and return its exit status and its output. `timeout` in seconds.

    `given`: the text for its standard input, which no other process can see. `options`: more options of
    subprocess.Popen.

    Raises SynapseError if it cannot be run, or if it does not end in time; then it is killed.
    """
    try:
        with Command(
            arguments,
            stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            **options,
        ) as process:
            try:
                output, errors = process.communicate(given, timeout=timeout)
            except subprocess.TimeoutExpired as error:
                process.kill()
                raise SynapseError(f"{arguments[0]} did not end within {timeout:g} seconds.") from error
    except OSError as error:
        raise SynapseError(f"{arguments[0]} cannot be run: {error.strerror}.") from error
    return Completed(process.returncode, output, errors)

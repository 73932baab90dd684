# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What `systemctl` prints about units, and the words and lines in it (systemctl(1), systemd.syntax(7)).

`systemctl show` puts a word in double quotes if it needs them. It joins the words of a command with spaces, so that a
path with a space cannot be told from two words.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import parse_command_line
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.unit import unquoted_words

Run = t.Callable[[t.Sequence[str], float], Completed]

_PROPERTIES = (
    "Id",
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "CanReload",
    "NeedDaemonReload",
    "FragmentPath",
    "DropInPaths",
    "User",
    "WorkingDirectory",
    "ExecStart",
    "Environment",
    "EnvironmentFiles",
)
# The states of units that have a process, and of those that have one or get one.
RUNNING = "running"
ACTIVE = "active,reloading,activating,deactivating"
# Other names are not valid, or are patterns for several units.
_UNIT_NAME = re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}")
_COMMAND = re.compile(r"argv\[\]=(.*?) ; (?:ignore_errors|flags)=", re.DOTALL)
_CONFIG_PATH = re.compile(r"--config-path[= ](\S+)")
_ENVIRONMENT_FILE = re.compile(r"(.*) \(ignore_errors=(?:yes|no)\)")


class Shown:
    """The properties of one unit. A property that systemd does not know is empty."""

    def __init__(self, text: str = "") -> None:
        """`text`: the block that `systemctl show` prints for the unit."""
        self._lines: dict[str, list[str]] = {}
        for line in text.split("\n"):
            key, _equals, value = line.partition("=")
            self._lines.setdefault(key, []).append(value)

    def text(self, name: str) -> str:
        """Return a property with one value."""
        return self._lines.get(name, [""])[0]

    def words(self, name: str) -> list[str]:
        """Return a property that is a list of words, without their quotes."""
        return unquoted_words(self.text(name))

    def command(self) -> str:
        """Return the command line that starts the unit, or an empty text."""
        match = _COMMAND.search(self.text("ExecStart"))
        return match[1] if match else ""

    def started(self) -> list[str]:
        """Return the paths of the configuration in that command line."""
        return started_configuration(self.command())

    def environment_files(self) -> list[str]:
        """Return the paths and patterns of the environment files."""
        matches = [_ENVIRONMENT_FILE.fullmatch(line) for line in self._lines.get("EnvironmentFiles", [])]
        return [match[1] for match in matches if match]


def show_units(names: t.Sequence[str], run: Run, timeout: float) -> list[Shown]:
    """Return the properties of units, in the order of their names. Raises SynapseError if systemd does not answer.

    Raises SynapseError for a name that is not valid. `timeout` in seconds.
    """
    for name in names:
        if not _UNIT_NAME.fullmatch(name):
            raise SynapseError(f"{name!r} is not the name of a unit.")
    output = _asked(["show", f"--property={','.join(_PROPERTIES)}", "--", *names], run, timeout)
    blocks = [block for block in re.split(r"\n(?:[ \t]*\n)+", output.strip("\n")) if block]
    if len(blocks) != len(names):
        raise SynapseError(f"systemctl show printed {len(blocks)} instead of {len(names)} units.")
    return [Shown(block) for block in blocks]


def running_instances(template: str, run: Run, timeout: float, states: str = RUNNING) -> list[str]:
    """Return the sorted names of the instances of a template such as worker@.service, by default of those that run.

    `states`: the states that count, with commas between. Raises SynapseError if the name is not that of a template, or
    if systemd does not answer. `timeout` in seconds.
    """
    prefix, _sign, suffix = template.partition("@")
    if not _UNIT_NAME.fullmatch(template) or not prefix or not suffix.startswith("."):
        raise SynapseError(f"{template!r} is not the name of a template such as matrix-synapse-worker@.service.")
    # systemctl reads a backslash in a pattern as an escape.
    pattern = f"{prefix}@*{suffix}".replace("\\", "\\\\")
    arguments = ["list-units", f"--state={states}", "--plain", "--no-legend", "--full", "--no-pager", "--", pattern]
    lines = _asked(arguments, run, timeout).splitlines()
    names = {line.split()[0] for line in lines if line.split()}
    return sorted(name for name in names if name.startswith(f"{prefix}@") and name.endswith(suffix))


def started_configuration(command: str) -> list[str]:
    """Return the values of the --config-path options in a command line that starts Synapse, also through a wrapper."""
    words = command.split()
    for position in range(len(words)):
        # A script of Synapse is a command of its own too.
        for arguments in (words[position:], ["python", *words[position:]]):
            parsed = parse_command_line(arguments)
            if parsed:
                return list(parsed.config_path)
    # A script of the user may start it.
    return _CONFIG_PATH.findall(command)


def start_line(texts: t.Iterable[str]) -> str:
    """Return the command in the last ExecStart= line of unit files, as it is there, or an empty text.

    `texts`: the contents of the unit and then of its drop-ins, in the order in which systemd reads them. Continuation
    lines are joined, and an empty line resets the command.
    """
    found = ""
    for text in texts:
        section = ""
        for line in _logical_lines(text):
            if line.startswith("["):
                section = line
                continue
            key, equals, value = line.partition("=")
            if section == "[Service]" and equals and key.strip() == "ExecStart":
                found = value.strip()
    return found


def _logical_lines(text: str) -> t.Iterator[str]:
    pending = ""
    for line in text.split("\n"):
        rest = line.lstrip()
        # Comments may stand between the lines of one value.
        if rest.startswith(("#", ";")):
            continue
        if (len(rest) - len(rest.rstrip("\\"))) % 2:
            pending += f"{rest[:-1]} "
            continue
        yield f"{pending}{rest}".strip()
        pending = ""
    yield pending.strip()


def _asked(arguments: t.Sequence[str], run: Run, timeout: float) -> str:
    done = run(["env", "LC_ALL=C", "systemctl", *arguments], timeout)
    if done.status != 0:
        reason = (done.errors.strip().splitlines() or ["it printed nothing"])[0].rstrip(".")
        raise SynapseError(f"systemctl {arguments[0]} failed: {reason}.")
    return done.output

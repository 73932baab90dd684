# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Synapse's own parser (python -m synapse.config, 1.163): whether Synapse accepts its configuration, and if not, why.

The parser creates directories that the configuration names, as Synapse does when it starts.
"""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Command, Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.reader import Reader
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import HIDDEN
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConfigurationError,
    InvalidInput,
)

CONFIGURATION, INSTALLATION = "configuration", "installation"
# In seconds. Synapse itself takes about one second on a fast machine.
_PATIENCE = 60
# A warning about key servers, which ends with a line of dashes, may precede the reason.
_WARNING = re.compile(r"^.*\n-{9,}\n", re.DOTALL)
# Only the exception at the end of a traceback is useful to a user. The lines before it are indented, and its message
# can have several lines.
_TRACEBACK = re.compile(r"^.*Traceback [(]most recent call last[)]:\n(?:[ \t][^\n]*\n)+", re.DOTALL)
_EMPTY_LINE = re.compile(r"\n[ \t]*\n")
# Python names a missing module without a traceback.
_NO_MODULE = re.compile(r"^\S+: (?:No module named|Error while finding module specification)", re.MULTILINE)
# The group of all users without a group of their own.
_NOBODY = 65534


class Verdict(t.NamedTuple):
    """The result of Synapse's parser. `cause`: CONFIGURATION or INSTALLATION, which is to blame; "" if it accepts it.

    `complaint`: the words of Synapse as one line that ends like a sentence, or "".
    """

    cause: str = ""
    complaint: str = ""

    @property
    def accepted(self) -> bool:
        """Whether Synapse can start with the configuration."""
        return not self.cause

    def hiding(self, secrets: t.Iterable[str]) -> Verdict:
        """Return the verdict without these secrets, which the words of Synapse may quote."""
        complaint = self.complaint
        for secret in sorted(secrets, key=len, reverse=True):
            complaint = complaint.replace(secret, HIDDEN)
        return self._replace(complaint=complaint)

    def shown(self) -> dict[str, t.Any]:
        """Return the verdict as the modules return it."""
        return {"accepted": self.accepted, "cause": self.cause, "complaint": self.complaint}


@dataclasses.dataclass(frozen=True)
class Parser:
    """Synapse's parser for a configuration. `config_path`: the files and directories that Synapse is started with.

    `python`: the Python of Synapse. `working_directory`: where relative paths in the configuration start. `reader`: the
    user that Synapse runs as. If this task runs as root, the parser runs as that user; None for the user of the task.
    """

    config_path: tuple[str, ...]
    python: str
    working_directory: str
    reader: Reader | None = None

    def require_directory(self) -> None:
        """Raise InvalidInput if the working directory is not an absolute path of a directory."""
        if "\0" in self.working_directory or not os.path.isabs(self.working_directory):
            raise InvalidInput(f"working_directory {self.working_directory!r} is not an absolute path: set one.")
        if not os.path.isdir(self.working_directory):
            raise InvalidInput(
                f"working_directory {self.working_directory} is not a directory on this host: set it to the directory"
                " that Synapse runs in, or create it first."
            )

    def judge(self) -> Verdict:
        """Let Synapse parse the configuration. Raises InvalidInput if the working directory cannot be used."""
        self.require_directory()
        arguments = [self.python, "-m", "synapse.config", *(f"--config-path={path}" for path in self.config_path)]
        try:
            return verdict_of(self._run(arguments))
        except subprocess.TimeoutExpired:
            return Verdict(CONFIGURATION, f"Synapse's own parser did not end within {_PATIENCE} seconds.")
        except (OSError, ValueError) as error:
            if getattr(error, "filename", None) == self.working_directory:
                raise InvalidInput(
                    f"working_directory {self.working_directory} cannot be entered by this user: run the task with"
                    " become, or set another directory."
                ) from error
            reason = getattr(error, "strerror", None) or "it is not a path"
            return Verdict(INSTALLATION, f"{self.python} cannot be run: {reason}.")

    def require_accepted(self, secrets: t.Iterable[str] = ()) -> None:
        """Raise ConfigurationError, without these secrets, if Synapse does not accept the configuration."""
        verdict = self.judge().hiding(secrets)
        if not verdict.accepted:
            raise ConfigurationError(f"{self.sentence(verdict)} {self.advice(verdict)}", validation=verdict.shown())

    def sentence(self, verdict: Verdict) -> str:
        """Return what is wrong, and the words of Synapse."""
        if verdict.cause == INSTALLATION:
            return f"Synapse's own program failed before it read the configuration. {verdict.complaint}"
        return f"Synapse cannot start with its configuration ({', '.join(self.config_path)}). {verdict.complaint}"

    def advice(self, verdict: Verdict) -> str:
        """Return what to do about it."""
        if verdict.cause == INSTALLATION:
            return (
                "The installed Synapse or one of its Python packages may be broken, or synapse_python"
                f" ({self.python}) is not the Python of Synapse. Install Synapse again or correct synapse_python, and"
                " run this again."
            )
        return "Fix the configuration and run this again."

    def _run(self, arguments: t.Sequence[str]) -> Completed:
        with Command(
            arguments,
            cwd=self.working_directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            **self._identity(),
        ) as process:
            try:
                _output, errors = process.communicate(timeout=_PATIENCE)
            finally:
                # Also after an interruption. A module of Synapse may have started other processes, which hold the pipe.
                if process.returncode is None:
                    os.killpg(process.pid, signal.SIGKILL)
        return Completed(process.returncode, "", errors)

    def _identity(self) -> dict[str, t.Any]:
        """Return the options of subprocess.Popen for the user of the parser."""
        if os.geteuid() != 0:
            return {}
        reader = self.reader
        if reader is None or reader.uid == 0:
            # Python 3.11 and later: root does not run files that Synapse's user puts into the working directory.
            return {"env": {**os.environ, "PYTHONSAFEPATH": "1"}}
        group = _NOBODY if reader.gid is None else reader.gid
        return {"user": reader.uid, "group": group, "extra_groups": sorted(reader.groups)}


def verdict_of(completed: Completed) -> Verdict:
    """Return the verdict in the result of the command."""
    if completed.status == 0:
        return Verdict()
    reason = _WARNING.sub("", completed.errors)
    # A warning can precede the reason, with an empty line between the two.
    paragraphs = [" ".join(words.split()) for words in _EMPTY_LINE.split(_TRACEBACK.sub("", reason))]
    complaint = " ".join(_as_sentence(words) for words in paragraphs if words)
    if "Traceback (most recent call last)" in reason:
        # Synapse reads its configuration in the function load_config, and with it the modules that it names.
        is_early = ", in load_config\n" not in reason
    else:
        is_early = bool(_NO_MODULE.search(reason))
    cause = INSTALLATION if is_early else CONFIGURATION
    return Verdict(cause, complaint or f"It ended with status {completed.status} and without a message.")


def _as_sentence(words: str) -> str:
    return words if words.endswith((".", "!", "?")) else f"{words}."

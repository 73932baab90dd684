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
import selectors
import signal
import subprocess
import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Command, Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.reader import Reader
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import HIDDEN, SHORTEST_SECRET
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConfigurationError,
    InvalidInput,
)

CONFIGURATION, INSTALLATION = "configuration", "installation"
# In seconds. Synapse itself takes about one second on a fast machine.
_PATIENCE = 60
# In bytes: the end of what Synapse writes, which has the reason. A broken module of Synapse may write without end.
_KEPT = 64 * 1024
# In characters. Some messages quote a whole section of the configuration.
_LONGEST_COMPLAINT = 2000
# A warning about key servers, which ends with a line of dashes, may precede the reason.
_WARNING = re.compile(r"^.*\n-{9,}\n", re.DOTALL)
# Only the exception at the end of a traceback is useful to a user. The lines before it are indented, and its message
# can have several lines.
_TRACEBACK = re.compile(r"^.*Traceback [(]most recent call last[)]:\n(?:[ \t][^\n]*\n)+", re.DOTALL)
_EMPTY_LINE = re.compile(r"\n[ \t]*\n")
# Python names a missing module without a traceback.
_NO_MODULE = re.compile(r"^\S+: (?:No module named|Error while finding module specification)", re.MULTILINE)
# What pydantic writes before and after a value that it refuses.
_BEFORE_VALUE, _AFTER_VALUE = "input_value=", ", input_type="
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
        """Return the verdict without these secrets, which the words of Synapse may quote, and not too long.

        If there are secrets, values that Synapse itself has cut are hidden too.
        """
        complaint = self.complaint
        forms = {form for secret in secrets for form in _forms(secret)}
        for form in sorted(forms, key=len, reverse=True):
            complaint = complaint.replace(form, HIDDEN)
        if forms:
            complaint = _without_cut_values(complaint)
        # Only now, because a part of a secret would not be found.
        if len(complaint) > _LONGEST_COMPLAINT:
            complaint = complaint[: _LONGEST_COMPLAINT - 1] + "…"
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

    def require_absolute_directory(self) -> None:
        """Raise InvalidInput if the working directory is not an absolute path. It does not have to exist."""
        if "\0" in self.working_directory or not os.path.isabs(self.working_directory):
            raise InvalidInput(f"working_directory {self.working_directory!r} is not an absolute path: set one.")

    def require_directory(self) -> None:
        """Raise InvalidInput if the working directory is not an absolute path of a directory."""
        self.require_absolute_directory()
        if not os.path.isdir(self.working_directory):
            raise InvalidInput(
                f"working_directory {self.working_directory} is not a directory on this host: set it to the directory"
                " that Synapse runs in, or create it first."
            )

    def judge(self) -> Verdict:
        """Let Synapse parse the configuration. Raises InvalidInput if the working directory cannot be used."""
        self.require_directory()
        # Isolated: root must not run files that another user puts into the working directory.
        isolated = ["-I"] if self._is_root() else []
        paths = (f"--config-path={path}" for path in self.config_path)
        try:
            return verdict_of(self._run([self.python, *isolated, "-m", "synapse.config", *paths]))
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
                errors = _last_words(process, _PATIENCE)
            finally:
                # Also after an interruption. A module of Synapse may have started other processes, which hold the pipe.
                if process.returncode is None:
                    os.killpg(process.pid, signal.SIGKILL)
        return Completed(process.returncode, "", errors)

    def _is_root(self) -> bool:
        return os.geteuid() == 0 and (self.reader is None or self.reader.uid == 0)

    def _identity(self) -> dict[str, t.Any]:
        """Return the options of subprocess.Popen for the user of the parser."""
        reader = self.reader
        if os.geteuid() != 0 or reader is None or reader.uid == 0:
            return {}
        group = _NOBODY if reader.gid is None else reader.gid
        return {"user": reader.uid, "group": group, "extra_groups": sorted(reader.groups)}


def verdict_of(completed: Completed) -> Verdict:
    """Return the verdict in the result of the command."""
    if completed.status == 0:
        return Verdict()
    reason = _WARNING.sub("", completed.errors)
    # A warning can precede the reason, with an empty line between the two.
    words = _one_line(_TRACEBACK.sub("", reason))
    complaint = _as_sentence(words) if words else ""
    if completed.status < 0:
        return Verdict(INSTALLATION, f"It was ended by {_named(-completed.status)}. {complaint}".rstrip())
    if "Traceback (most recent call last)" in reason:
        # Synapse reads its configuration in the function load_config, and with it the modules that it names.
        is_early = ", in load_config\n" not in reason
    else:
        is_early = bool(_NO_MODULE.search(reason))
    cause = INSTALLATION if is_early else CONFIGURATION
    return Verdict(cause, complaint or f"It ended with status {completed.status} and without a message.")


def _as_sentence(words: str) -> str:
    return words if words.endswith((".", "!", "?")) else f"{words}."


def _named(number: int) -> str:
    """Return the name of a signal. The kernel uses SIGKILL if the memory is not enough."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    return f"the signal {name}" + (", for example because of too little memory" if number == signal.SIGKILL else "")


def _forms(secret: str) -> set[str]:
    """Return the forms in which a secret may be quoted: as it is, as Python shows it, and both as one line."""
    texts = (secret, repr(secret)[1:-1])
    forms = {form for text in texts for form in (text, " ".join(text.split()), _one_line(text))}
    return {form for form in forms if len(form) >= SHORTEST_SECRET}


def _one_line(text: str) -> str:
    """Return `text` as one line, with each of its paragraphs except the last one as a sentence."""
    *first, last = [words for words in (" ".join(each.split()) for each in _EMPTY_LINE.split(text)) if words] or [""]
    return " ".join([*map(_as_sentence, first), last])


def _without_cut_values(complaint: str) -> str:
    """Return the complaint without values that pydantic cuts in the middle (...): they may have a part of a secret."""
    first, *others = complaint.split(_BEFORE_VALUE)
    shown = [first]
    for other in others:
        value, after, rest = other.partition(_AFTER_VALUE)
        shown.append(HIDDEN + after + rest if after and "..." in value else other)
    return _BEFORE_VALUE.join(shown)


def _last_words(process: Command, patience: float) -> str:
    """Return the end of the standard error of a process, which has then ended. `patience` in seconds.

    Raises subprocess.TimeoutExpired if the process or one of its children does not end in time.
    """
    until = time.monotonic() + patience
    kept, is_cut = b"", False
    stream = t.cast(t.IO[str], process.stderr)
    with selectors.DefaultSelector() as waiting:
        waiting.register(stream, selectors.EVENT_READ)
        while True:
            left = until - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired(process.args, patience)
            if not waiting.select(left):
                continue
            read = os.read(stream.fileno(), _KEPT)
            if not read:
                break
            is_cut = is_cut or len(kept) + len(read) > _KEPT
            kept = (kept + read)[-_KEPT:]
    process.wait(max(0, until - time.monotonic()))
    if is_cut:
        # The first line may begin in the middle of a secret.
        kept = kept.partition(b"\n")[2] or b"Its message is a line that is too long to be shown."
    return kept.decode(errors="replace")

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Synapse's own parser (load_config, 1.163): whether Synapse accepts its configuration, and if not, why.

A file can be tried before it exists: the parser reads its content from the standard input. That is memory or a file
without a name, so that nothing is left of it and other users cannot read it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import selectors
import signal
import subprocess
import tempfile
import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Command, Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.parser_program import (
    ANY_DIRECTORY,
    ISOLATED,
    NEW_KEY,
    PROGRAM,
    WORKER,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.reader import Reader
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.verdict import (
    CONFIGURATION,
    INSTALLATION,
    Verdict,
    verdict_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput

# In seconds. Synapse itself takes about one second on a fast machine.
_PATIENCE = 60
# In bytes: the end of what Synapse writes, which has the reason. A broken module of Synapse may write without end.
_KEPT = 64 * 1024
# The group of all users without a group of their own.
_NOBODY = 65534
# The directories that have the standard input under a name. macOS and the BSDs have only the first one.
_DESCRIPTORS = ("/dev/fd", "/proc/self/fd")


@dataclasses.dataclass(frozen=True)
class Candidate:
    """The configuration with one file as it would be after a change.

    `files`: all files of the configuration in the order in which Synapse reads them, also `path`, unless the change
    removes it. `content`: the content of `path` then; None if it is removed.
    """

    files: tuple[str, ...]
    path: str
    content: bytes | None


@dataclasses.dataclass(frozen=True)
class Parser:
    """Synapse's parser for a configuration. `config_path`: the files and directories that Synapse is started with.

    `python`: the Python of Synapse. `working_directory`: where relative paths in the configuration start; with
    `is_guess`, it is not known whether Synapse runs there. `reader`: the user that Synapse runs as. If this task runs
    as root, the parser runs as that user; None for the user of the task.
    """

    config_path: tuple[str, ...]
    python: str
    working_directory: str
    reader: Reader | None = None
    is_guess: bool = False

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

    def require_installed(self) -> None:
        """Raise InvalidInput if the Python of Synapse or the working directory does not exist."""
        if not _exists(self.python):
            raise InvalidInput(
                f"synapse_python {self.python} does not exist on this host: set it to the Python interpreter that"
                " Synapse runs with, install Synapse first, or set validate=never."
            )
        self.require_directory()

    def is_installed(self) -> bool:
        """Return whether the Python of Synapse and the working directory exist. An earlier task may create them."""
        self.require_absolute_directory()
        return _exists(self.python) and _exists(self.working_directory)

    def judge(
        self, candidate: Candidate | None = None, *, new_key: bool = False, is_of_worker: bool = False
    ) -> Verdict:
        """Let Synapse parse the configuration, or the `candidate`. Nothing is written.

        `new_key`: a missing signing key is no fault, because Synapse makes it when it starts. `is_of_worker`: it is the
        configuration of a worker, if it has worker_app (see Configuration), and not of the main process. Raises
        InvalidInput if the working directory cannot be used.
        """
        self.require_directory()
        # Root must not run files that another user puts into the working directory.
        isolated = self._is_root()
        words = {
            ISOLATED: isolated,
            NEW_KEY: new_key,
            ANY_DIRECTORY: self.is_guess,
            WORKER: is_of_worker,
        }
        options = ",".join(word for word, is_given in words.items() if is_given)
        command = [self.python, "-B", *["-s"] * isolated, "-c", PROGRAM, options]
        try:
            if candidate is None:
                return verdict_of(self._run([*command, *(f"--config-path={path}" for path in self.config_path)]))
            return self._judge_candidate(command, candidate)
        except subprocess.TimeoutExpired:
            return Verdict(CONFIGURATION, f"Synapse's own parser did not end within {_PATIENCE} seconds.")
        except (OSError, ValueError) as error:
            if getattr(error, "filename", None) == self.working_directory:
                raise InvalidInput(
                    f"working_directory {self.working_directory} cannot be entered by this user: run the task with"
                    " become, or set another directory."
                ) from error
            reason = getattr(error, "strerror", None) or "it is not a path"
            user = f" by {self.reader.name}, the user of Synapse" if self.reader and self._identity() else ""
            return Verdict(INSTALLATION, f"{self.python} cannot be run{user}: {reason}.")

    def sentence(self, verdict: Verdict) -> str:
        """Return what is wrong, and the words of Synapse."""
        if verdict.cause == INSTALLATION:
            return f"Synapse's own program failed before it read the configuration. {verdict.complaint}"
        return f"Synapse cannot start with its configuration ({', '.join(self.config_path)}). {verdict.complaint}"

    def advice(self, verdict: Verdict) -> str:
        """Return what to do about it."""
        if verdict.cause == INSTALLATION:
            user = (
                f" {self.reader.name} must be able to run it, and to read Synapse's Python packages."
                if self.reader and self._identity()
                else ""
            )
            return (
                "The installed Synapse or one of its Python packages may be broken, or synapse_python"
                f" ({self.python}) is not the Python of Synapse.{user} Install Synapse again or correct synapse_python,"
                " and run this again."
            )
        unknown = (
            " If it has relative paths, set working_directory to the directory that Synapse runs in."
            if self.is_guess
            else ""
        )
        return f"Fix the configuration and run this again.{unknown}"

    def _judge_candidate(self, command: t.Sequence[str], candidate: Candidate) -> Verdict:
        """Return the verdict about the candidate, whose content the parser reads from its standard input."""
        given = os.path.join(next(filter(os.path.isdir, _DESCRIPTORS), _DESCRIPTORS[0]), "0")
        own = os.path.realpath(candidate.path)
        files = [path for path in candidate.files if candidate.content is not None or os.path.realpath(path) != own]
        paths = (given if os.path.realpath(path) == own else os.path.abspath(path) for path in files)
        # Synapse looks for its signing key and other files beside the last file.
        beside = [f"--keys-directory={os.path.dirname(os.path.abspath(files[-1]))}"] if files else []
        with _nameless(candidate.content or b"") as content:
            completed = self._run([*command, *beside, *(f"--config-path={path}" for path in paths)], stdin=content)
        return verdict_of(completed._replace(errors=completed.errors.replace(given, candidate.path)))

    def _run(self, arguments: t.Sequence[str], **options: t.Any) -> Completed:
        with Command(
            arguments,
            **options,
            cwd=self.working_directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=self._environment(),
            **self._identity(),
        ) as process:
            try:
                errors = _last_words(process, _PATIENCE)
            finally:
                # Also after an interruption. A module of Synapse may have started other processes, which hold the pipe.
                if process.returncode is None:
                    os.killpg(process.pid, signal.SIGKILL)
        return Completed(process.returncode, "", errors)

    def _environment(self) -> dict[str, str]:
        """Return the environment of the parser. It shows sets in the same order each time, so that its words repeat."""
        kept = {
            name: value for name, value in os.environ.items() if not (self._is_root() and name.startswith("PYTHON"))
        }
        return {**kept, "PYTHONHASHSEED": "0"}

    def _is_root(self) -> bool:
        return os.geteuid() == 0 and (self.reader is None or self.reader.uid == 0)

    def _identity(self) -> dict[str, t.Any]:
        """Return the options of subprocess.Popen for the user of the parser."""
        reader = self.reader
        if os.geteuid() != 0 or reader is None or reader.uid == 0:
            return {}
        group = _NOBODY if reader.gid is None else reader.gid
        return {"user": reader.uid, "group": group, "extra_groups": sorted(reader.groups)}


def _exists(path: str) -> bool:
    return "\0" in path or os.path.exists(path)


@contextlib.contextmanager
def _nameless(content: bytes) -> t.Iterator[int]:
    """Open a file with this content for the block that has no name. Whoever gets its descriptor can open it again."""
    with _memory() or tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        file.seek(0)
        os.fchmod(file.fileno(), 0o444)
        yield file.fileno()


def _memory() -> t.BinaryIO | None:
    # Not all systems have it, nor all builds of Python.
    try:
        return os.fdopen(os.memfd_create("synapse_config"), "r+b")
    except (AttributeError, OSError):
        return None


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

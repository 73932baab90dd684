# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Creates virtual environments: completely, next to their path, and then moved to it."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import Directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.environment import (
    BEFORE,
    CONFIGURATION,
    DISCARDED,
    NEXT,
    PIP_CONFIGURATION,
    is_environment,
    require_unexchanged,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.interpreter import (
    PATIENTLY,
    Interpreter,
    last_words,
    run_python,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.lock import lock_environment
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.marker import (
    MARKER,
    hidden_name,
    put_marker,
)

_DEFAULT_ACCESS = "system.posix_acl_default"


class Workshop:
    """Works on the environment `path` in its open parent directory."""

    def __init__(self, parent: Directory, path: str) -> None:
        self._parent = parent
        self._path = path
        self._name = os.path.basename(path)
        self._next, self._before, self._discarded = (hidden_name(path, it) for it in (NEXT, BEFORE, DISCARDED))

    def discard(self, name: str) -> None:
        """Delete an environment, complete or not. What is left after an interruption never counts as an environment."""
        if name != self._discarded:
            with self._locked(name):
                # It still exists if an earlier run was killed while it deleted another environment.
                self._delete()
                self._parent.rename(name, self._discarded)
        self._delete()

    def put_back(self, name: str) -> None:
        """Move the hidden environment `name`, which is complete, to its path."""
        self._parent.rename(name, self._name)

    def make(self, interpreter: Interpreter, requirements: t.Sequence[str], model: str | None) -> None:
        """Create an environment with these packages next to its path, and move it there when it is complete.

        `model`: the name of the existing environment, whose pip configuration is copied. Raises SynapseError if the new
        one cannot be created. The existing environment then stays, and the new one is removed.
        """
        mark = functools.partial(put_marker, path=self._path)
        self._parent.make(self._next, Attributes(0o700, os.geteuid(), os.getegid()), mark)
        try:
            with self._locked(self._next) as (directory, lock):
                # All entries would inherit this, and other users could get write permission. Only Linux has this call.
                with contextlib.suppress(OSError, AttributeError):
                    os.removexattr(directory.descriptor, _DEFAULT_ACCESS)
                place = self._parent.place(self._next)
                self._create(interpreter, place, lock)
                if model:
                    _take_over(self._parent.place(model), place)
                install(place, requirements, lock, self._path)
                _rename_in_files(place, self._path)
                Attributes(0o755, os.geteuid(), os.getegid()).give(directory.descriptor)
                if self._parent.status(self._name) is not None:
                    self._parent.rename(self._name, self._before)
                self._parent.rename(self._next, self._name)
        except BaseException:
            with contextlib.suppress(SynapseError):
                self._recover()
            raise
        if self._parent.status(self._before) is not None:
            self.discard(self._before)

    def install(self, requirements: t.Sequence[str]) -> None:
        """Install packages into the environment at its path. Raises SynapseError if that fails."""
        with self._locked(self._name) as (_directory, lock):
            if not is_environment(self._parent, self._name):
                raise self._moved(self._name)
            require_unexchanged(self._parent, self._name)
            install(self._path, requirements, lock, self._path)

    def _create(self, interpreter: Interpreter, place: str, lock: int) -> None:
        arguments = [interpreter.command, "-I", "-m", "venv", "--prompt", self._name, place]
        answer = run_python(arguments, PATIENTLY, [lock])
        if answer.status:
            raise SynapseError(
                f"{interpreter.name} could not create the virtual environment {self._path}: {last_words(answer)}."
            )

    def _recover(self) -> None:
        if self._parent.status(self._name) is None and self._parent.status(self._before) is not None:
            self._parent.rename(self._before, self._name)
        if self._parent.status(self._next) is not None:
            self.discard(self._next)

    def _delete(self) -> None:
        if self._parent.status(self._discarded) is None:
            return
        self._parent.require_unmounted(self._discarded)
        with self._parent.child(self._discarded) as discarded:
            for name in discarded.names():
                if name != MARKER:
                    discarded.remove_tree(name)
            if discarded.status(MARKER) is not None:
                discarded.remove(MARKER)
        self._parent.remove_empty(self._discarded)

    @contextlib.contextmanager
    def _locked(self, name: str) -> t.Iterator[tuple[Directory, int]]:
        """Open the entry `name` for the block and lock it. Raises SynapseError if another task keeps the lock."""
        with self._parent.child(name) as directory:
            lock = lock_environment(directory, self._path)
            try:
                status = self._parent.status(name)
                if status is None or not os.path.samestat(status, os.fstat(directory.descriptor)):
                    raise self._moved(name)
                yield directory, lock
            finally:
                os.close(lock)

    def _moved(self, name: str) -> SynapseError:
        return SynapseError(f"Another task changed {self._parent.place(name)} at the same moment: run the task again.")


def install(place: str, requirements: t.Sequence[str], lock: int, path: str) -> None:
    """Install packages with the pip of the environment at `place`, which keeps `lock` open.

    Raises SynapseError with `path` in the message if that fails.
    """
    if not requirements:
        return
    python = os.path.join(place, "bin", "python")
    quietly = ["--no-input", "--disable-pip-version-check", "--quiet"]
    answer = run_python([python, "-I", "-m", "pip", "install", *quietly, *requirements], PATIENTLY, [lock])
    if answer.status:
        cause = " (the package index could not be reached)" if "connection broken by" in answer.errors else ""
        raise SynapseError(f"pip could not install {', '.join(requirements)} into {path}{cause}: {last_words(answer)}.")


def _take_over(model: str, place: str) -> None:
    source = os.path.join(model, PIP_CONFIGURATION)
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISREG(os.lstat(source).st_mode):
            shutil.copy2(source, os.path.join(place, PIP_CONFIGURATION))


def _rename_in_files(place: str, path: str) -> None:
    """Replace `place` by `path` in the scripts of an environment that was created at `place`, but not in programs."""
    scripts = os.path.join(place, "bin")
    files = [os.path.join(place, CONFIGURATION), *(os.path.join(scripts, name) for name in os.listdir(scripts))]
    for name in files:
        if os.path.islink(name) or not os.path.isfile(name):
            continue
        with open(name, "r+b") as file:
            text = file.read()
            if os.fsencode(place) in text and b"\0" not in text:
                file.seek(0)
                file.write(text.replace(os.fsencode(place), os.fsencode(path)))
                file.truncate()

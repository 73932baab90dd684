# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Making virtual environments: whole, beside their place, and then put into it."""

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
    """The place `path` of an environment, in its open parent directory, while something is done there."""

    def __init__(self, parent: Directory, path: str) -> None:
        self._parent = parent
        self._path = path
        self._name = os.path.basename(path)
        self._next, self._before, self._discarded = (hidden_name(path, it) for it in (NEXT, BEFORE, DISCARDED))

    def discard(self, name: str) -> None:
        """Delete an environment, whole or not, in a way that no part of it is ever taken for one."""
        if name != self._discarded:
            with self._locked(name):
                # Not gone yet, if an earlier run was killed while it deleted another one.
                self._delete()
                self._parent.rename(name, self._discarded)
        self._delete()

    def put_back(self, name: str) -> None:
        """Let the hidden environment `name`, which is whole, take its place."""
        self._parent.rename(name, self._name)

    def make(self, interpreter: Interpreter, requirements: t.Sequence[str], model: str | None) -> None:
        """Make an environment with these packages beside its place, and put it there when it is whole.

        `model`: the name of the one that is there now, whose configuration of pip is taken over. Raises SynapseError
        if it cannot be made; then the one that is there stays, and nothing is left of the other.
        """
        mark = functools.partial(put_marker, path=self._path)
        self._parent.make(self._next, Attributes(0o700, os.geteuid(), os.getegid()), mark)
        try:
            with self._locked(self._next) as (directory, lock):
                # What everything in it would inherit, and let others write. Linux has this call alone.
                with contextlib.suppress(OSError, AttributeError):
                    os.removexattr(directory.descriptor, _DEFAULT_ACCESS)
                place = self._parent.place(self._next)
                self._found(interpreter, place, lock)
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
        """Install packages into the environment that is in its place. Raises SynapseError if that fails."""
        with self._locked(self._name) as (_directory, lock):
            if not is_environment(self._parent, self._name):
                raise self._moved(self._name)
            require_unexchanged(self._parent, self._name)
            install(self._path, requirements, lock, self._path)

    def _found(self, interpreter: Interpreter, place: str, lock: int) -> None:
        arguments = [interpreter.command, "-I", "-m", "venv", "--prompt", self._name, place]
        answer = run_python(arguments, PATIENTLY, [lock])
        if answer.status:
            raise SynapseError(
                f"{interpreter.name} could not make the virtual environment {self._path}: {last_words(answer)}."
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
        """Open the entry `name` for the block, and let nobody else work on it. Raises SynapseError if somebody does."""
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
        return SynapseError(
            f"Another task has changed {self._parent.place(name)} at the same moment: run the task again."
        )


def install(place: str, requirements: t.Sequence[str], lock: int, path: str) -> None:
    """Let the pip of the environment at `place` install packages, while `lock` stays open.

    Raises SynapseError if that fails; it names `path`.
    """
    if not requirements:
        return
    python = os.path.join(place, "bin", "python")
    quietly = ["--no-input", "--disable-pip-version-check", "--quiet"]
    answer = run_python([python, "-I", "-m", "pip", "install", *quietly, *requirements], PATIENTLY, [lock])
    if answer.status:
        cause = " (the index of packages could not be reached)" if "connection broken by" in answer.errors else ""
        raise SynapseError(f"pip could not install {', '.join(requirements)} into {path}{cause}: {last_words(answer)}.")


def _take_over(model: str, place: str) -> None:
    source = os.path.join(model, PIP_CONFIGURATION)
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISREG(os.lstat(source).st_mode):
            shutil.copy2(source, os.path.join(place, PIP_CONFIGURATION))


def _rename_in_files(place: str, path: str) -> None:
    """Let the scripts of an environment made at `place` say that it is at `path`. Programs stay as they are."""
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

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The directories that this collection has created for files, and that it removes when the files are gone."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import (
    HIDDEN_PREFIX,
    Directory,
    open_directory,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.leavings import (
    remove_directory,
    require_directory_removable,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.marker import (
    MARKER,
    is_ours,
    put_marker,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.permission import (
    passing_over_what_is_gone,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Step
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service_files.location import Location

_UNFINISHED = re.compile(re.escape(HIDDEN_PREFIX) + "[0-9a-f]{32}")


def own_directories(locations: t.Iterable[Location]) -> list[str]:
    """Return the existing directories on the way to files that this collection has created, sorted."""
    paths = {path for location in locations for path in location.existing}
    return sorted(path for path in paths if _is_own(path))


class DirectoryRemoval:
    """The directories that are empty when files are removed. The constructor reads them.

    `removed`: their paths, from the bottom up; `steps`: the steps that remove them, in the same order. A step returns
    false if another process has removed the directory, or has put something into it, so that it stays.
    Raises InvalidInput if this user cannot remove one of them.
    """

    def __init__(
        self, absent: t.Collection[Location], present: t.Collection[Location], leavings: t.Iterable[str]
    ) -> None:
        """`leavings`: paths in the directories that the run removes before."""
        self._gone = {location.place for location in absent} | set(leavings)
        self.removed: list[str] = []
        self._left: set[str] = set()
        needed = {path for location in present for path in location.existing}
        paths = {path for location in absent for path in location.existing} - needed
        for path in sorted(paths, key=lambda each: each.count("/"), reverse=True):
            if self._will_be_empty(path):
                self.removed.append(path)
                self._gone.add(path)
        self.steps = [Step(f"remove {path}", functools.partial(self._remove, path)) for path in self.removed]

    def problems(self) -> list[str]:
        """Return in words what still exists, although it was empty."""
        return [f"{path} still exists" for path in self.removed if path not in self._left and os.path.lexists(path)]

    def _will_be_empty(self, path: str) -> bool:
        # Most directories on the way are those of the system.
        if not _is_own(path):
            return False
        name = os.path.basename(path)
        with contextlib.ExitStack() as opened:
            try:
                parent = opened.enter_context(open_directory(os.path.dirname(path)))
                directory = opened.enter_context(parent.child(name))
                if parent.mounted(name) or any(self._stays(directory, entry) for entry in directory.names()):
                    return False
            except SynapseError:
                # No task has asked for its removal.
                return False
            require_directory_removable(parent, name)
        return True

    def _stays(self, directory: Directory, entry: str) -> bool:
        return entry != MARKER and directory.place(entry) not in self._gone and not _is_unfinished(directory, entry)

    def _remove(self, path: str) -> bool:
        with passing_over_what_is_gone():
            if _remove_if_empty(path):
                return True
            self._left.add(path)
        return False


def _is_own(path: str) -> bool:
    try:
        with open_directory(path) as directory:
            return is_ours(directory)
    except SynapseError:
        return False


def _is_unfinished(directory: Directory, entry: str) -> bool:
    """Return whether it is a file that a killed process did not finish to write."""
    status = directory.status(entry)
    return bool(_UNFINISHED.fullmatch(entry)) and status is not None and stat.S_ISREG(status.st_mode)


def _remove_if_empty(path: str) -> bool:
    """Remove a directory, unless there is something in it by now. Return whether it was removed."""
    name = os.path.basename(path)
    with open_directory(os.path.dirname(path)) as parent:
        with parent.child(name) as directory:
            if not is_ours(directory):
                raise SynapseError(f"Another process replaced {path} at the same moment: run the task again.")
            others = [entry for entry in directory.names() if entry != MARKER]
            if not all(_is_unfinished(directory, entry) for entry in others):
                return False
            if others:
                # Each writing in a directory removes the unfinished files in it first.
                put_marker(directory, path)
        try:
            remove_directory(parent, name)
        except SynapseError:
            if not _has_something(parent, name):
                raise
            return False
    return True


def _has_something(parent: Directory, name: str) -> bool:
    if parent.status(name) is None:
        return False
    with parent.child(name) as directory:
        return any(entry != MARKER for entry in directory.names())

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Creates the directories of a server, and keeps those that this collection has created as they are declared."""

from __future__ import annotations

import functools
import os
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes, require_allowed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import Directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.layout import DeclaredDirectory, Layout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.marker import is_ours, put_marker
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.ownership import Ownership
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.permission import (
    require_entries_changeable,
    require_settable,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Step

# For a parent directory of a declared directory.
_PARENT = Ownership(0o755)


class Found(t.NamedTuple):
    """An existing directory, and whether this collection has created it."""

    attributes: Attributes
    ours: bool

    def shown(self) -> dict[str, t.Any]:
        """Return it for a diff."""
        return {**self.attributes.shown(), "ours": self.ours}


class DirectoryPlan:
    """The steps for the directories of a layout. The constructor reads the directories. Raises InvalidInput."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        parents = (path for path in layout.ancestors(*layout.everything) if not os.path.lexists(path))
        wanted = [*(DeclaredDirectory(path, _PARENT) for path in parents), *layout.directories]
        self._wanted = sorted(wanted, key=lambda directory: directory.path.count("/"))
        self._found = {directory.path: self._read(directory.path) for directory in self._wanted}
        self.created: list[str] = []
        self.steps: list[Step] = []
        for directory in self._wanted:
            self._decide(directory)
        for path in layout.everything:
            self._require_place(path)

    def before(self) -> dict[str, t.Any]:
        """Return the declared directories as they are, for a diff."""
        found = ((each.path, self._found[each.path]) for each in self._layout.directories)
        return {path: directory.shown() if directory else None for path, directory in found}

    def after(self) -> dict[str, t.Any]:
        """Return them as they will be."""
        return {
            each.path: {**each.ownership.shown(), "ours": True} if found is None or found.ours else found.shown()
            for each, found in ((each, self._found[each.path]) for each in self._layout.directories)
        }

    def problems(self) -> list[str]:
        """Read the directories again, and return in words how they differ from the declaration."""
        found = []
        for directory in self._wanted:
            now = self._read(directory.path)
            if now is None:
                found.append(f"{directory.path} does not exist")
            elif now.ours and now.attributes != directory.ownership.attributes():
                found.append(f"{directory.path} has another owner, group or mode")
        return found

    def require_known(self) -> None:
        """Raise InvalidInput if an owner or a group that is needed does not exist on this host."""
        for directory in self._wanted:
            found = self._found[directory.path]
            if found is None or found.ours:
                directory.ownership.attributes()

    def _decide(self, directory: DeclaredDirectory) -> None:
        path, ownership, found = directory.path, directory.ownership, self._found[directory.path]
        wanted = ownership.known()
        if found and not found.ours:
            ownership.require_of(path, found.attributes)
            return
        if found and found.attributes == wanted:
            return
        if wanted:
            require_allowed(wanted, path)
        below = (place for place in self._layout.everything if place.startswith(f"{path}/"))
        ownership.require_usable(path, any(not os.path.lexists(place) for place in below))
        shown = ownership.shown()
        if found:
            self._with_own(path, require_settable)
            said = ", ".join(f"{name} {value}" for name, value in sorted(shown.items()))
            self.steps.append(Step(f"set {said} on {path}", lambda: self._give(path, ownership)))
        else:
            self.created.append(path)
            said = f"{shown['owner']}:{shown['group']}, {shown['mode']}"
            self.steps.append(Step(f"create the directory {path} ({said})", lambda: self._make(path, ownership)))

    def _read(self, path: str) -> Found | None:
        with self._layout.parent_of(path) as parent:
            status = parent.status(os.path.basename(path)) if parent else None
            if parent is None or status is None:
                return None
            if not stat.S_ISDIR(status.st_mode):
                raise InvalidInput(f"{path} exists and is not a directory: set another path.")
            with parent.child(os.path.basename(path)) as directory:
                return Found(directory.attributes(), is_ours(directory))

    def _require_place(self, path: str) -> None:
        """Raise InvalidInput if `path` is missing and this user cannot create it with its missing parents."""
        if os.path.lexists(path):
            return
        first = path
        while not os.path.lexists(os.path.dirname(first)):
            first = os.path.dirname(first)
        with self._layout.parent_of(first) as parent:
            if parent is not None:
                require_entries_changeable(parent, f"{path} cannot be created")

    def _make(self, path: str, ownership: Ownership) -> None:
        with self._layout.parent_of(path) as parent:
            if parent is None:
                raise SynapseError(
                    f"{path} could not be created, because its parent directory was removed: run the task again."
                )
            mark = functools.partial(put_marker, path=path)
            parent.make(os.path.basename(path), ownership.attributes(), mark)

    def _give(self, path: str, ownership: Ownership) -> None:
        def give(directory: Directory) -> None:
            try:
                ownership.attributes().give(directory.descriptor)
            except OSError as error:
                raise SynapseError(f"The owner, group or mode of {path} could not be set: {error.strerror}.") from error

        self._with_own(path, give)

    def _with_own(self, path: str, act: t.Callable[[Directory], None]) -> None:
        """Open the directory `path`, which this collection has created, and call `act` with it."""
        with self._layout.parent_of(path) as parent:
            if parent is None:
                raise SynapseError(f"Another process removed {path} at the same moment: run the task again.")
            with parent.child(os.path.basename(path)) as directory:
                if not is_ours(directory):
                    raise SynapseError(f"Another process replaced {path} at the same moment: run the task again.")
                act(directory)

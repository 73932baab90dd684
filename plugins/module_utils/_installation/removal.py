# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What is removed of an installation, and what is kept because this collection has not created it."""

from __future__ import annotations

import functools
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import Directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.build import Workshop
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.contents import (
    is_declared,
    is_part,
    listed,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.environment import look
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.layout import (
    DeclaredDirectory,
    Layout,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.leavings import (
    find_leavings,
    removal_of_leavings,
    remove_directory,
    require_directory_removable,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.marker import MARKER, is_ours
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.permission import (
    require_removable,
    require_tree_removable,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._mounts import mount_points, mounted_in
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Step

# Removes an entry of an open directory.
_Remove = t.Callable[[Directory, str], None]
# Raises InvalidInput if the entry cannot be removed.
_Require = t.Callable[[Directory, str], None]


class Removal:
    """What is removed and what is kept; with `purge`, also of the directories. The constructor reads everything.

    `removed`: the removed paths, for a directory with content only its own; `kept`: the other paths and the reasons;
    `steps`: the steps that remove the first ones, in the same order.
    """

    def __init__(self, layout: Layout, purge: bool) -> None:
        self._layout = layout
        self._mounts = mount_points()
        self.removed: list[str] = []
        self.kept: dict[str, str] = {}
        self.steps: list[Step] = []
        for path in find_leavings(layout):
            self.removed.append(path)
            self.steps.append(removal_of_leavings(layout, path))
        if layout.environment:
            self._environment(layout.environment)
        emptied = [layout.environment] if layout.environment else []
        if purge:
            for directory in reversed(layout.directories):
                self._directory(directory)
            emptied += layout.paths
        for path in reversed(layout.ancestors(*emptied)):
            self._on_the_way(path)

    def problems(self) -> list[str]:
        """Return in words what still exists."""
        return [f"{path} still exists" for path in self.removed if os.path.lexists(path)]

    def _environment(self, path: str) -> None:
        with self._layout.parent_of(path) as parent:
            if parent is None:
                return
            standing = look(parent, path)
            names = list(standing.leavings)
            if standing.foreign:
                self.kept[path] = "it is not a virtual environment that this collection has created"
            elif standing.current and standing.current not in names:
                names.append(standing.current)
            for name in names:
                self._add(parent, name, functools.partial(_discard, path), require_tree_removable)

    def _directory(self, declared: DeclaredDirectory) -> None:
        path = declared.path
        name = os.path.basename(path)
        with self._layout.parent_of(path) as parent:
            if parent is None or parent.status(name) is None:
                return
            with parent.child(name) as directory:
                ours = is_ours(directory)
                for entry in directory.names():
                    place = directory.place(entry)
                    if entry == MARKER or place in self.removed or self._layout.holds_declared(place):
                        continue
                    if is_part(directory, entry, declared, ours):
                        self._add(directory, entry, Directory.remove_tree)
                others = self._others(directory)
                if ours and not others:
                    self._add(parent, name, remove_directory, require_directory_removable)
                elif ours:
                    unknown = [other for other in others if not self._is_known(directory.place(other))]
                    said = "which is not part of this server" if unknown else "which is kept too"
                    self.kept[path] = f"it still contains {listed(unknown or others)}, {said}"
                else:
                    kept = [other for other in others if is_declared(other, declared)]
                    content = f", with {listed(kept)} in it" if kept else ""
                    self.kept[path] = f"it existed before this collection was used{content}"

    def _on_the_way(self, path: str) -> None:
        name = os.path.basename(path)
        # Only directories that this collection has created are opened in the safe way.
        if not os.path.lexists(os.path.join(path, MARKER)):
            return
        try:
            with self._layout.parent_of(path) as parent:
                if parent is None:
                    return
                with parent.child(name) as directory:
                    if is_ours(directory) and not self._others(directory):
                        self._add(parent, name, remove_directory, require_directory_removable)
        except SynapseError as error:
            # It is not declared: the declared directories below it can still be removed.
            self.kept[path] = error.message

    def _is_known(self, path: str) -> bool:
        return path in self.kept or self._layout.holds_declared(path)

    def _others(self, directory: Directory) -> list[str]:
        """Return the entries that will stay in the directory, except its marker file."""
        removed = set(self.removed)
        return [name for name in directory.names() if name != MARKER and directory.place(name) not in removed]

    def _add(self, parent: Directory, name: str, remove: _Remove, require: _Require = require_removable) -> None:
        """Plan to remove an entry, unless something is mounted there. Raises InvalidInput if that is impossible."""
        path = parent.place(name)
        mounted = mounted_in(path, self._mounts)
        if mounted:
            self.kept[path] = f"{'it' if mounted == path else mounted} is a mount point"
            return
        require(parent, name)
        self.removed.append(path)
        self.steps.append(Step(f"remove {path}", lambda: self._run(path, remove)))

    def _run(self, path: str, remove: _Remove) -> None:
        mounted = mounted_in(path, mount_points())
        if mounted:
            raise SynapseError(
                f"{path} could not be removed, because {mounted} was mounted at the same moment: unmount it first."
            )
        name = os.path.basename(path)
        with self._layout.parent_of(path) as parent:
            if parent is not None and parent.status(name) is not None:
                remove(parent, name)


def _discard(path: str, parent: Directory, name: str) -> None:
    Workshop(parent, path).discard(name)

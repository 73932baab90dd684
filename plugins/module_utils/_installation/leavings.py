# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Directories that interrupted runs left: new ones without their name yet, and empty ones that are not deleted yet."""

from __future__ import annotations

import contextlib
import os
import stat

from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import Directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.layout import Layout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.marker import (
    MARKER,
    discard_begun,
    hidden_name,
    is_begun,
    is_ours,
    put_marker,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.permission import (
    passing_over_what_is_gone,
    require_removable,
    require_tree_removable,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._obstacle import find_obstacle
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Step

_EMPTIED = "emptied"


def find_leavings(layout: Layout) -> list[str]:
    """Return the paths of what interrupted runs left next to the directories of the layout, sorted.

    Raises InvalidInput if this user cannot remove them. Finds nothing in a directory that this user cannot list.
    """
    # The creation of an existing directory was not interrupted, so that its parent directories are not examined.
    missing = (path for path in layout.ancestors(*layout.everything) if not os.path.lexists(path))
    places = (*layout.everything, *missing)
    found = set()
    for parent_path in {os.path.dirname(place) for place in places}:
        emptied = {hidden_name(place, _EMPTIED) for place in places if os.path.dirname(place) == parent_path}
        with layout.parent_of(os.path.join(parent_path, MARKER)) as parent:
            if parent is not None and os.access(".", os.R_OK, dir_fd=parent.descriptor):
                names = (name for name in parent.names() if name in emptied or is_begun(parent, name))
                for name in [name for name in names if name not in emptied or _is_emptied(parent, name)]:
                    require_tree_removable(parent, name)
                    found.add(parent.place(name))
    return sorted(found)


def removal_of_leavings(layout: Layout, path: str) -> Step:
    """Return the step that removes one of these directories."""

    def run() -> None:
        with layout.parent_of(path) as parent:
            name = os.path.basename(path)
            if parent is None:
                return
            if not name.endswith(f".{_EMPTIED}"):
                discard_begun(parent, name)
            elif _is_emptied(parent, name):
                with passing_over_what_is_gone():
                    _discard_emptied(parent, name)

    return Step(f"remove {path}, which an interrupted run has left", run)


def require_directory_removable(parent: Directory, name: str) -> None:
    """Raise InvalidInput if `remove_directory` could not remove a directory that contains only its marker file.

    Changes nothing.
    """
    require_removable(parent, name)
    path = parent.place(name)
    with parent.child(name) as directory:
        obstacle = find_obstacle(directory.descriptor, directory.place(MARKER), MARKER)
    if obstacle:
        raise InvalidInput(f"{path} cannot be removed: {obstacle}")
    hidden = hidden_name(name, _EMPTIED)
    if parent.status(hidden) is not None and not _is_emptied(parent, hidden):
        raise InvalidInput(
            f"{path} cannot be removed, because {parent.place(hidden)} is in the way and contains files that this"
            " collection has not created: check what they are, and remove them."
        )


def remove_directory(parent: Directory, name: str) -> None:
    """Remove a directory that this collection has created and that contains only its marker file.

    It disappears in one step: an interruption leaves an empty directory with a hidden name. Raises SynapseError if the
    directory contains something else or cannot be removed. It then stays as it is.
    """
    hidden = hidden_name(name, _EMPTIED)
    if _is_emptied(parent, hidden):
        _discard_emptied(parent, hidden)
    parent.rename(name, hidden)
    if not _is_emptied(parent, hidden):
        parent.rename(hidden, name)
        raise SynapseError(
            f"{parent.place(name)} could not be removed, because another process created a file in it at the same"
            " moment: stop that process, and run the task again."
        )
    try:
        _discard_emptied(parent, hidden)
    except SynapseError:
        with contextlib.suppress(SynapseError):
            _put_back(parent, hidden, name)
        raise


def _put_back(parent: Directory, hidden: str, name: str) -> None:
    with parent.child(hidden) as directory:
        if directory.status(MARKER) is None:
            put_marker(directory, parent.place(name))
    parent.rename(hidden, name)


def _is_emptied(parent: Directory, hidden: str) -> bool:
    status = parent.status(hidden)
    if status is None or not stat.S_ISDIR(status.st_mode):
        return False
    with passing_over_what_is_gone(), parent.child(hidden) as directory:
        names = directory.names()
        if not names:
            # Its owner may be the user that the server runs as.
            return os.geteuid() in {0, status.st_uid}
        return names == [MARKER] and is_ours(directory)
    return False


def _discard_emptied(parent: Directory, hidden: str) -> None:
    with parent.child(hidden) as directory:
        if directory.status(MARKER) is not None:
            directory.remove(MARKER)
    parent.remove_empty(hidden)

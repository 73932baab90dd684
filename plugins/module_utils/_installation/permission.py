# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Finds out what the kernel would refuse to change before anything is changed, so that check mode reports it too."""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import user_name
from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import Directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._obstacle import (
    find_obstacle,
    find_obstacle_to_entries,
    find_obstacle_to_removal,
)


@contextlib.contextmanager
def passing_over_what_is_gone() -> t.Iterator[None]:
    """End the block without an error if another task has just removed an entry."""
    try:
        yield
    except SynapseError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise


def require_entries_changeable(directory: Directory, begun: str) -> None:
    """Raise InvalidInput if this user cannot create and remove entries of the open directory. Changes nothing.

    `begun`: the beginning of the message, such as "/srv/x cannot be created".
    """
    obstacle = find_obstacle_to_entries(directory.descriptor, directory.path)
    if obstacle is not None:
        raise InvalidInput(f"{begun}: {obstacle}")


def require_removable(parent: Directory, name: str) -> None:
    """Raise InvalidInput if this user cannot remove the existing entry `name`. Changes nothing.

    For a directory, only the entry itself is checked, and not the content of its subdirectories.
    """
    path = parent.place(name)
    begun = f"{path} cannot be removed"
    require_entries_changeable(parent, begun)
    status = parent.status(name)
    if status is None:
        return
    around = os.fstat(parent.descriptor)
    if around.st_mode & stat.S_ISVTX and os.geteuid() not in {0, around.st_uid, status.st_uid}:
        raise InvalidInput(
            f"{begun}: it belongs to {user_name(status.st_uid)}, and in {parent.path} each user may only remove their"
            " own files. Run the task with become."
        )
    obstacle = find_obstacle(parent.descriptor, path, name)
    if obstacle:
        raise InvalidInput(f"{begun}: {obstacle}")
    if stat.S_ISDIR(status.st_mode):
        with passing_over_what_is_gone(), parent.child(name) as directory:
            # Without read permission, nothing can be removed from it either.
            if os.access(".", os.R_OK, dir_fd=directory.descriptor) and not directory.names():
                return
            require_entries_changeable(directory, begun)


def require_tree_removable(parent: Directory, name: str) -> None:
    """Raise InvalidInput if this user cannot remove the entry `name` with everything in it. Changes nothing.

    Checks each file, so that this is only for directories that do not have too many of them.
    """
    path = parent.place(name)
    require_removable(parent, name)
    obstacle = find_obstacle_to_removal(parent.descriptor, path, name)
    if obstacle is not None:
        raise InvalidInput(f"{path} cannot be removed: {obstacle}")


def require_settable(directory: Directory) -> None:
    """Raise InvalidInput if this user cannot set the owner, group and mode of the open directory. Changes nothing."""
    begun = f"The owner, group or mode of {directory.path} cannot be set"
    owner = directory.attributes().uid
    if os.geteuid() not in {0, owner}:
        raise InvalidInput(
            f"{begun}: it belongs to {user_name(owner)}, and not to this user. Run the task with become."
        )
    obstacle = find_obstacle(directory.descriptor, directory.path)
    if obstacle:
        raise InvalidInput(f"{begun}: {obstacle}")

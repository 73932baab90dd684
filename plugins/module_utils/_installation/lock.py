# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Locks on an environment, so that only one task works on it, even one that continues after its playbook was killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time

from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import Directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError

# A file in the environment. Only its owner can open it, so that no other user can block a task.
LOCK = ".synapse_installation.lock"
_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK
# In seconds. A pip may continue after a run was killed.
_LOCKED_AT_MOST = 300.0
_BETWEEN_ATTEMPTS = 0.1


def lock_environment(environment: Directory, path: str) -> int:
    """Lock an environment while the returned descriptor, or a copy of it in another process, is open.

    Waits for another process that has the lock. Raises SynapseError with `path` in the message if that takes too long.
    """
    try:
        descriptor = os.open(LOCK, _FLAGS | os.O_CREAT, 0o600, dir_fd=environment.descriptor)
    except OSError as error:
        raise SynapseError(f"{environment.place(LOCK)} could not be opened: {error.strerror}.") from error
    try:
        _wait(descriptor, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def wait_for_others(parent: Directory, names: tuple[str, ...], path: str) -> None:
    """Wait until no process works on the entries `names` of `parent`, so that their state is stable.

    They belong to the environment `path`. Raises SynapseError if that takes too long. Changes nothing.
    """
    for name in names:
        # An entry that cannot be opened raises its own error later.
        with contextlib.suppress(OSError):
            descriptor = os.open(os.path.join(name, LOCK), _FLAGS, dir_fd=parent.descriptor)
            try:
                status = os.fstat(descriptor)
                # A lock file of another user, or one that others can open, is not ours.
                if status.st_uid == os.geteuid() and not status.st_mode & 0o077:
                    _wait(descriptor, path)
            finally:
                os.close(descriptor)


def _wait(descriptor: int, path: str) -> None:
    until = time.monotonic() + _LOCKED_AT_MOST
    while True:
        # On a file system without locks, it does not wait for other tasks.
        with contextlib.suppress(OSError):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() < until:
                    time.sleep(_BETWEEN_ATTEMPTS)
                    continue
                raise SynapseError(
                    f"Another task, or a pip of an interrupted task, is working on {path}: wait until it ends, and run"
                    " the task again."
                ) from error
        return

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Locks on an environment, which keep tasks apart: also from one that works on after its playbook was killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time

from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import Directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError

# In an environment. Nobody but its owner can open it, and so keep others waiting.
LOCK = ".synapse_installation.lock"
_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK
# In seconds. A killed run may have left a pip that works on.
_LOCKED_AT_MOST = 300.0
_BETWEEN_ATTEMPTS = 0.1


def lock_environment(environment: Directory, path: str) -> int:
    """Lock an environment, as long as the descriptor is open that is returned, or a copy of it in another process.

    Waits for whoever has locked it; raises SynapseError, naming its place `path`, if that takes too long.
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
    """Wait until nobody works on the entries `names` of `parent`, so that what is seen then is how it stays.

    They are those of the environment `path`; raises SynapseError if it takes too long. Changes nothing.
    """
    for name in names:
        # What cannot be opened, or not any more, says itself what is wrong when it is looked at.
        with contextlib.suppress(OSError):
            descriptor = os.open(os.path.join(name, LOCK), _FLAGS, dir_fd=parent.descriptor)
            try:
                status = os.fstat(descriptor)
                # One that others can open, or have put there, is not ours.
                if status.st_uid == os.geteuid() and not status.st_mode & 0o077:
                    _wait(descriptor, path)
            finally:
                os.close(descriptor)


def _wait(descriptor: int, path: str) -> None:
    until = time.monotonic() + _LOCKED_AT_MOST
    while True:
        # Where a file system has no locks, there is no waiting for another task either.
        with contextlib.suppress(OSError):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() < until:
                    time.sleep(_BETWEEN_ATTEMPTS)
                    continue
                raise SynapseError(
                    f"Another task, or a pip that an interrupted one has left, is working on {path}: wait until it"
                    " ends, and run the task again."
                ) from error
        return

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Locks on an environment, which keep tasks apart: also from one that works on after its playbook was killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time

from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import Directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError

# In seconds. A killed run may have left a pip that works on.
_LOCKED_AT_MOST = 300.0
_BETWEEN_ATTEMPTS = 0.1


def lock_entry(descriptor: int, path: str) -> None:
    """Lock the open entry `descriptor` of an environment for as long as it is open.

    Waits for whoever has locked it; raises SynapseError, naming the environment `path`, if that takes too long.
    """
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


def wait_for_others(parent: Directory, names: tuple[str, ...], path: str) -> None:
    """Wait until nobody works on the entries `names` of `parent`, so that what is seen then is how it stays.

    They are those of the environment `path`; raises SynapseError if it takes too long.
    """
    for name in names:
        status = parent.status(name)
        # What cannot be opened, or not any more, says itself what is wrong when it is looked at.
        with contextlib.suppress(OSError):
            if status is not None and stat.S_ISDIR(status.st_mode):
                descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent.descriptor)
                try:
                    lock_entry(descriptor, path)
                finally:
                    os.close(descriptor)

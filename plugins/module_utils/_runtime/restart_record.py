# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The file in which the roles note, before each restart, what Synapse is about to be started with."""

from __future__ import annotations

import json
import os
import stat

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import Unseen
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.snapshot import Snapshot

_MOST_BYTES = 4 * 1024**2
_MEND = "Remove it: the roles write a new one before the next restart."


def read_restart_record(path: str) -> Snapshot | Unseen | None:
    """Return what the file holds, None if there is none, or why it was not believed.

    Whoever can write it can hide a change. So it must be a plain file, that only root or this user can write.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        is_link = os.path.islink(path)
        return _unbelieved(path, "is a link" if is_link else f"cannot be read ({error.strerror})")
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return _unbelieved(path, "is no plain file")
        if status.st_uid not in (0, os.geteuid()) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return _unbelieved(path, "can be written by others than root and this user")
        with open(descriptor, "rb", closefd=False) as file:
            text = file.read(_MOST_BYTES)
    finally:
        os.close(descriptor)
    try:
        return Snapshot.from_record(json.loads(text))
    except (TypeError, ValueError, KeyError, OverflowError, RecursionError):
        return _unbelieved(path, "does not hold what the roles write")


def _unbelieved(path: str, reason: str) -> Unseen:
    return Unseen("restart_record", f"{path} {reason}, so it was not believed.", _MEND)

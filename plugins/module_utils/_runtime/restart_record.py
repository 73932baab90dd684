# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The file in which the roles record, before each restart, the files that Synapse will be started with."""

from __future__ import annotations

import json
import os
import stat

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import Unknown
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.snapshot import Snapshot

_MOST_BYTES = 4 * 1024**2
_FIX = "Remove it. The roles write a new one before the next restart."


def read_restart_record(path: str) -> Snapshot | Unknown | None:
    """Return the content of the file, None if it does not exist, or the reason why it is ignored.

    A user who can write to the file can hide a change. So it must be a regular file that only root or this user can
    write to.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        is_link = os.path.islink(path)
        return _ignored(path, "is a link" if is_link else f"cannot be read ({error.strerror})")
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return _ignored(path, "is not a regular file")
        if status.st_uid not in (0, os.geteuid()) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return _ignored(path, "can be written by users other than root and this user")
        with open(descriptor, "rb", closefd=False) as file:
            text = file.read(_MOST_BYTES)
    finally:
        os.close(descriptor)
    try:
        return Snapshot.from_record(json.loads(text))
    except (TypeError, ValueError, KeyError, OverflowError, RecursionError):
        return _ignored(path, "does not contain a restart record")


def _ignored(path: str, reason: str) -> Unknown:
    return Unknown("restart_record", f"{path} {reason}, so it was ignored.", _FIX)

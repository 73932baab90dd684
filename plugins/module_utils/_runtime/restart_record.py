# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The file in which the roles record, before each restart, the files that Synapse will be started with."""

from __future__ import annotations

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import Unknown
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.snapshot import Snapshot
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.trusted_json import TrustedFile

_RECORD = TrustedFile(
    "restart_record", "a restart record", "Remove it. The roles write a new one before the next restart."
)


def read_restart_record(path: str) -> Snapshot | Unknown | None:
    """Return the content of the file, None if it does not exist, or the reason why it is ignored.

    A user who can write to the file can hide a change, so only a file that no other user can write to is believed.
    """
    return _RECORD.read(path, Snapshot.from_record)

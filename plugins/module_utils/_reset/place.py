# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The user and the working directory of the Synapse on this host."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.surroundings import (
    Surroundings,
    describe_service,
    working_directory_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.as_user import acting_as


class Place(t.NamedTuple):
    """`uid`: the user of Synapse, if this process is root. `working_directory`: that of Synapse, if it is known."""

    uid: int | None
    working_directory: str | None

    def as_synapse(self) -> t.ContextManager[None]:
        """Return a block in which root is the user of Synapse: PostgreSQL may accept only that one."""
        return acting_as(self.uid)


def find_place(surroundings: Surroundings) -> Place:
    """Return where Synapse is. Raises SynapseError if systemd does not answer."""
    first = surroundings.config_path[0]
    owner = os.stat(first).st_uid if os.path.exists(first) else os.geteuid()
    service = describe_service(surroundings, owner)
    uid = int(service.described["uid"]) if os.geteuid() == 0 else None
    return Place(uid, surroundings.working_directory or working_directory_of(service))

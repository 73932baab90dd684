# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether the running Synapse works with the database that its configuration names now.

The configuration may have been changed since Synapse was started. Its next start would then leave the data that it has
now, and what is read in the other database is not about the server that runs.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import MAIN_APP, Process

# How long a server that was started a moment ago may need to open its database, and between two looks, in seconds.
_PATIENCE = 10.0
_PAUSE = 0.5


class Running(t.Protocol):
    """What is needed of `control.Service`."""

    def processes(self) -> list[Process]:
        """Return the processes of the configuration."""


def require_use(service: Running, shown: str, is_open: t.Callable[[t.Collection[int]], bool]) -> None:
    """Raise InvalidInput if the main process runs, but has not opened its configured database.

    `shown`: the database in a message. `is_open`: whether one of the processes has it open. A process that ends
    meanwhile does not count: systemd starts a Synapse again and again that refuses its database.
    """
    present = _main_processes(service)
    end = time.monotonic() + _PATIENCE
    while present and not is_open(present):
        if time.monotonic() >= end:
            raise InvalidInput(
                f"Synapse runs (process {min(present)}), but does not use {shown}, which its configuration names. The"
                " configuration or the database was changed since Synapse was started. Correct the configuration, or"
                " restart Synapse if it should use that database, and run the task again."
            )
        time.sleep(_PAUSE)
        present &= _main_processes(service)


def _main_processes(service: Running) -> set[int]:
    return {process.pid for process in service.processes() if process.app == MAIN_APP}

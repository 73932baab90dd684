# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What is wanted of the running processes, so that nothing else is read."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What to read of each process in addition to what every user is allowed to see at once.

    `caches`: their sizes. `freshness`: whether its files were changed since its start. `activity`: what it does, from
    its metrics. `presence`: its settings of presence. `memory`: with the memory of the host. `open_files`: by kind.
    `rate_interval`: how many seconds are between two readings of its metrics, None for a single one.
    """

    caches: bool = False
    freshness: bool = False
    activity: bool = False
    presence: bool = False
    memory: bool = False
    open_files: bool = False
    rate_interval: float | None = None

    @property
    def needing_metrics(self) -> list[str]:
        """The return values that are unknown without the metrics of a process."""
        wanted = {"caches": self.caches, "activity": self.activity, "rates": self.rate_interval is not None}
        return [name for name, is_wanted in wanted.items() if is_wanted]

    @property
    def needing_configuration(self) -> list[str]:
        """The return values that are unknown without the configuration of a process."""
        wanted = {"presence_settings": self.presence, "open_files_by_kind": self.open_files}
        return [*self.needing_metrics, *(name for name, is_wanted in wanted.items() if is_wanted)]

    @property
    def configuration(self) -> bool:
        """Whether the configuration is needed."""
        return bool(self.needing_configuration)

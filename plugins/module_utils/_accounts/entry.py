# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The entries of a list of accounts, and the limits of a task."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.declared import Change, DeclaredAccount
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import Identifier
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import State

_PARALLEL_AT_MOST = 64


@dataclasses.dataclass
class Entry:
    """One account of the list: its declared state, its states before and after, and the result.

    `broken`: the change that failed with `error`. `broken_at`: when it failed. `outcome`: its result, because it may
    have been made although it failed.
    """

    given: str
    declared: DeclaredAccount
    user_id: Identifier | None = None
    before: State = None
    after: State = None
    changes: list[Change] = dataclasses.field(default_factory=list)
    written: list[str] = dataclasses.field(default_factory=list)
    error: SynapseError | None = None
    broken: Change | None = None
    broken_at: float = 0
    outcome: str | None = None

    @property
    def name(self) -> str:
        """The full user ID, or the value of the task if that is not a user ID."""
        return str(self.user_id or self.given)


@dataclasses.dataclass(frozen=True)
class Scope:
    """The limits of a task.

    `exclusive` deactivates every account that is not declared, except those that a pattern in `protect` matches.
    `max_changes`: the maximum number of accounts to change, None for any number. `parallel`: the number of requests at
    the same time.
    """

    exclusive: bool = False
    protect: t.Sequence[str] = ()
    max_changes: int | None = None
    parallel: int = 4

    def check(self) -> None:
        """Raise InvalidInput for a number that is not valid."""
        if not 1 <= self.parallel <= _PARALLEL_AT_MOST:
            raise InvalidInput(f"parallel is {self.parallel}. Set it to a number from 1 to {_PARALLEL_AT_MOST}.")
        if self.max_changes is not None and self.max_changes < 0:
            raise InvalidInput(f"max_changes is {self.max_changes}. Set it to 0 or more.")

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What a list of accounts is made of: its entries, and how far a task may go."""

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
    """One account of the list: what is declared, what is, what will be, and what became of it.

    `broken`: the change that `error` has ended, `broken_at` when that was, and `outcome` what became of it: it may have
    been made nevertheless.
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
        """The full user id, or what the task gave if that is none."""
        return str(self.user_id or self.given)


@dataclasses.dataclass(frozen=True)
class Scope:
    """How far a task may go.

    `exclusive` deactivates every account that is not declared, but for those that a pattern in `protect` matches.
    `max_changes`: the most accounts that may be changed, None for any number. `parallel`: requests at the same time.
    """

    exclusive: bool = False
    protect: t.Sequence[str] = ()
    max_changes: int | None = None
    parallel: int = 4

    def check(self) -> None:
        """Raise InvalidInput for a number that can never work."""
        if not 1 <= self.parallel <= _PARALLEL_AT_MOST:
            raise InvalidInput(f"parallel is {self.parallel}: it must be between 1 and {_PARALLEL_AT_MOST}.")
        if self.max_changes is not None and self.max_changes < 0:
            raise InvalidInput(f"max_changes is {self.max_changes}: it cannot be negative.")

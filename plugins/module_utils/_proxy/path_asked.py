# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The requests of path_probes that were sent, and what came back."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_answers import Outcome, Probe


class Asked(t.NamedTuple):
    """A request to a site, its answer, and the answer of Synapse itself, if it was asked.

    `is_hint`: whether it only helps to judge the others. `again`: the answer to the same request later, if it was sent
    twice.
    """

    site: str
    probe: Probe
    answer: Answer | NoAnswer
    control: Answer | NoAnswer | None = None
    is_hint: bool = False
    again: Answer | NoAnswer | None = None

    @property
    def outcome(self) -> Outcome:
        """What the answer shows."""
        return self.probe.read(self.answer)

    @property
    def is_busy(self) -> bool:
        """Whether there is no answer, or one of an overloaded server. It says nothing of the path."""
        return is_busy(self.answer)

    @property
    def is_same(self) -> bool:
        """Whether Synapse itself answers as the site does."""
        answer, control = self.answer, self.control
        if isinstance(answer, NoAnswer) or not isinstance(control, Answer):
            return False
        return (answer.status, answer.errcode, answer.error) == (control.status, control.errcode, control.error) and (
            answer.is_matrix == control.is_matrix and answer.header("Location") == control.header("Location")
        )

    @property
    def is_unstable(self) -> bool:
        """Whether the same request had another answer later."""
        return self.again is not None and self.probe.read(self.again).state != self.outcome.state


def is_busy(answer: Answer | NoAnswer) -> bool:
    """Whether there is no answer, or one of an overloaded server."""
    return isinstance(answer, NoAnswer) or answer.status == 429 or answer.status >= 500

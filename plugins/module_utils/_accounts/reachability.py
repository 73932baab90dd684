# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether a server that several threads speak with still answers: one slow answer is not the end of it."""

from __future__ import annotations

import threading

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConnectionFailed, SynapseError

_FEWEST_IN_A_ROW = 3


class Reachability:
    """True until a request finds nobody to connect to, or several in a row get no answer.

    `parallel`: how many requests there are at the same time, which a single pause of the server may all hit.
    """

    def __init__(self, parallel: int) -> None:
        self._allowed = max(_FEWEST_IN_A_ROW, 2 * parallel)
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._gone = False

    def __bool__(self) -> bool:
        return not self._gone

    def answered(self) -> None:
        """Note that a request was answered."""
        with self._lock:
            self._in_a_row = 0

    def note(self, error: SynapseError) -> None:
        """Note how a request has failed; what the server itself says is an answer."""
        if not isinstance(error, ConnectionFailed):
            self.answered()
            return
        with self._lock:
            self._in_a_row += 1
            # Without a connection, nothing was sent.
            if not error.may_be_done or self._in_a_row >= self._allowed:
                self._gone = True

    def forget(self) -> None:
        """Try anew."""
        with self._lock:
            self._in_a_row, self._gone = 0, False

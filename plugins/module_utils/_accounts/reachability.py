# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether a server still responds to several threads. One missing response does not mean that it is gone."""

from __future__ import annotations

import threading

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConnectionFailed, SynapseError

_FEWEST_IN_A_ROW = 3


class Reachability:
    """True until a connection is refused, or several requests in a row get no response.

    `parallel`: the number of requests at the same time. A single pause of the server may affect all of them.
    """

    def __init__(self, parallel: int) -> None:
        self._allowed = max(_FEWEST_IN_A_ROW, 2 * parallel)
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._gone = False

    def __bool__(self) -> bool:
        return not self._gone

    def answered(self) -> None:
        """Note that a request got a response."""
        with self._lock:
            self._in_a_row = 0

    def note(self, error: SynapseError) -> None:
        """Note the failure of a request. An error that the server itself reports is a response."""
        if not isinstance(error, ConnectionFailed):
            self.answered()
            return
        with self._lock:
            self._in_a_row += 1
            # Nothing was sent, so there was no connection.
            if not error.may_be_done or self._in_a_row >= self._allowed:
                self._gone = True

    def forget(self) -> None:
        """Try again."""
        with self._lock:
            self._in_a_row, self._gone = 0, False

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""How long it is waited for a place, so that one that says nothing does not stop everything else."""

from __future__ import annotations

import threading

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Place

# The kinds of NoAnswer with which time passes.
_SLOW = ("timeout", "silent", "unresolved")
# In seconds. Names that do not exist mostly fail at once.
_AT_ONCE = 1.0
# In seconds. How long it is waited for a place altogether, for each request after that, and for a place that was not
# asked yet if another one did not answer.
_MOST_WASTED, _LEAST, _SHORT = 15.0, 1.0, 3.0


class Patience:
    """Remembers which places have answered, and how much time the other ones have taken. For several threads.

    `timeout`: in seconds, for one request.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._lock = threading.Lock()
        self._answered: set[Place] = set()
        self._wasted: dict[Place, float] = {}
        self._reasons: dict[Place, tuple[str, str]] = {}

    def seconds(self, place: Place) -> float:
        """Return how long the next request to a place may take."""
        with self._lock:
            if place in self._wasted:
                return min(self._timeout, max(_MOST_WASTED - self._wasted[place], _LEAST))
            return min(self._timeout, _SHORT) if self._wasted else self._timeout

    def refusal(self, place: Place) -> tuple[str, str] | None:
        """Return the kind and the reason of a NoAnswer for a place that has never answered, None to ask it."""
        with self._lock:
            return None if place in self._answered else self._reasons.get(place)

    def answered(self, place: Place) -> None:
        """Remember that a place has answered."""
        with self._lock:
            self._answered.add(place)

    def failed(self, place: Place, kind: str, reason: str, seconds: float) -> None:
        """Remember that a place has not answered. `kind`, `reason`: of the NoAnswer."""
        if kind not in _SLOW or (kind == "unresolved" and seconds < _AT_ONCE):
            return
        with self._lock:
            self._wasted[place] = self._wasted.get(place, 0.0) + seconds
            self._reasons.setdefault(place, (kind, reason))

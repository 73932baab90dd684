# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Numbers that stand for an endpoint and a status, found quickly for the requests of a log.

Most paths contain identifiers that occur only once. So what is remembered is paths without them, where that is certain.
"""

from __future__ import annotations

import operator
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.endpoint import is_long_poll, takes_any

# A key is the number of an endpoint and, in so many bits, the number of a status.
_STATUS_BITS = 16
_REMEMBERED = 10_000
_LONGEST_REMEMBERED = 200
_SLASH = ord("/")
# Segments with these beginnings are rooms wherever they are.
_ROOMS = (b"/!", b"/%21")


class Endpoint(t.NamedTuple):
    """The method and the endpoint of a request; "(other)" for any that is not usual."""

    method: str
    path: str

    @property
    def is_long_poll(self) -> bool:
        """Whether its requests wait on purpose until something happens."""
        return is_long_poll(self.path)


class CellKeys:
    """The keys of endpoints and statuses. `endpoint_of_request`: of a method, a space and a path."""

    def __init__(self, endpoint_of_request: t.Callable[[bytes], Endpoint]) -> None:
        self._endpoint_of_request = endpoint_of_request
        self._endpoints: dict[Endpoint, int] = {}
        self._statuses: dict[bytes, int] = {}
        self._remembered: dict[bytes, int] = {}
        self._alike: dict[bytes, int] = {}

    def of(self, requests: t.Sequence[bytes], statuses: t.Sequence[bytes]) -> list[int]:
        """Return the keys of requests: the method, a space and the path of each, and the status of each."""
        for status in set(statuses).difference(self._statuses):
            self._statuses[status] = len(self._statuses)
        alike = self._alike.get
        numbers = [
            alike(request[: request.rfind(b"/") + 1]) if number is None and request[-1] != _SLASH else number
            for number, request in zip(map(self._remembered.get, requests), requests)
        ]
        found = [self._number(request) if number is None else number for number, request in zip(numbers, requests)]
        return list(map(operator.add, found, map(self._statuses.__getitem__, statuses)))

    def cells(self, keys: t.Iterable[int]) -> list[tuple[Endpoint, bytes]]:
        """Return the endpoint and the status of each key."""
        endpoints, statuses = list(self._endpoints), list(self._statuses)
        return [(endpoints[key >> _STATUS_BITS], statuses[key % (1 << _STATUS_BITS)]) for key in keys]

    def _number(self, request: bytes) -> int:
        short = _without_room(request)
        end = short.rfind(b"/") + 1
        number = self._remembered.get(short)
        if number is not None:
            _remember(self._remembered, request, number)
            return number
        # What is behind the last slash is one identifier.
        is_long = len(short) > end
        number = self._alike.get(short[:end]) if is_long else None
        if number is not None:
            _remember(self._alike, request[: request.rfind(b"/") + 1], number)
            return number
        number = self._endpoints.setdefault(self._endpoint_of_request(request), len(self._endpoints)) << _STATUS_BITS
        if is_long and takes_any(short[short.find(b" ") + 1 : end - 1]):
            _remember(self._alike, short[:end], number)
        else:
            _remember(self._remembered, short, number)
        return number


def _remember(known: dict[bytes, int], text: bytes, number: int) -> None:
    """Remember the number of a text, if it is not too long, and forget the others if they are too many."""
    if len(text) <= _LONGEST_REMEMBERED:
        if len(known) >= _REMEMBERED:
            known.clear()
        known[text] = number


def _without_room(request: bytes) -> bytes:
    for beginning in _ROOMS:
        place = request.find(beginning)
        if place >= 0:
            end = request.find(b"/", place + 1)
            return request[: place + len(beginning)] + (request[end:] if end >= 0 else b"")
    return request

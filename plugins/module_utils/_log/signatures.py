# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Counts failed signatures and failed authentications between servers, each once, by server, cause and direction."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import Record, readable
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.signature_messages import (
    ANSWER,
    ARRIVAL,
    OUTBOUND,
    Failure,
    parse_failure,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import returned_seconds

# How many groups are returned, and how many may be in memory before the smallest are added up.
MOST_GROUPS = 1000
_GROUPS_IN_MEMORY = 2 * MOST_GROUPS
# How many events and requests are remembered, to know them again in a later message.
_REMEMBERED = 1000
_EXAMPLES = 5
_LONGEST_LINE = 4000
_LONGEST_TEXT = 300
# Tags and events come again after a restart. Messages that are further apart are about different failures.
_SAME_REQUEST_SECONDS = 600.0
# Synapse adds the room and the event to the tag of the request that contains the event.
_NESTED_TAG = re.compile(r"([A-Z]{1,20}-[0-9]{1,20})-(?:[!$].*)?")
# What Synapse encodes after the endpoint in each path that it sends (`_create_path`, federation/transport/client.py).
_DECODED = re.compile(r"/_matrix/federation/[^/]+/[^/]+/.*[!$#@:]")

# The origin, the cause and the direction. A key: the stream, the tag, and what failed.
_Group = tuple[str, str, str]
_Key = tuple[str, str, str]
V = t.TypeVar("V")


@dataclasses.dataclass
class _Counted:
    count: int = 0
    first: float | None = None
    last: float | None = None
    line: str = ""
    key_ids: list[str] = dataclasses.field(default_factory=list)
    requests: list[str] = dataclasses.field(default_factory=list)
    uris: list[str] = dataclasses.field(default_factory=list)
    decoded_uris: int = 0

    def add(self, other: _Counted) -> None:
        if not self.line:
            self.line = other.line
        self.count += other.count
        times = [moment for moment in (self.first, self.last, other.first, other.last) if moment is not None]
        self.first, self.last = min(times, default=None), max(times, default=None)
        self.key_ids = list(dict.fromkeys([*self.key_ids, *other.key_ids]))[:_EXAMPLES]
        self.requests = list(dict.fromkeys([*self.requests, *other.requests]))[:_EXAMPLES]
        self.uris = list(dict.fromkeys([*self.uris, *other.uris]))[:_EXAMPLES]
        self.decoded_uris += other.decoded_uris


class _Seen(t.NamedTuple):
    """One failure: the group that it belongs to, and what to add to the group."""

    group: _Group
    time: float | None
    request: str
    line: str
    key_ids: tuple[str, ...]
    code: int = 0
    path: str = ""

    def counted(self) -> _Counted:
        requests = [self.request] if self.request else []
        return _Counted(1, self.time, self.time, self.line, list(self.key_ids), requests, *_seen_uris(self.path))


class SignatureFailures:
    """The failures in a part of a log. It can be pickled, and its size does not depend on the size of the log."""

    def __init__(self) -> None:
        self._groups: dict[_Group, _Counted] = {}
        self._others = 0
        # Events that failed: those at the beginning of the part, and the newest ones.
        self._first_events: dict[_Key, _Seen] = {}
        self._events: dict[_Key, _Seen] = {}
        # Requests that another server refused: the answer to the client may still tell the reason.
        self._refused: dict[_Key, _Seen] = {}
        # Answers to clients without a refused request before them: it may be in the part before.
        self._answers: dict[_Key, _Seen] = {}
        # Requests that failed here: a later message may still tell their URI.
        self._failed: dict[_Key, _Seen] = {}
        # Such messages without a failed request before them: it may be in the part before.
        self._arrivals: dict[_Key, _Seen] = {}

    def add(self, record: Record, stream: str, line: bytes) -> None:
        """Count the failure in `record`, if there is one. `stream`: the log of one process. `line`: the whole line.

        The records of a stream come in the order of the log.
        """
        failure = parse_failure(record.logger, record.message)
        if failure is None:
            return
        nested = _NESTED_TAG.fullmatch(record.request)
        request = (nested[1] if nested else record.request)[:_LONGEST_TEXT]
        group = (failure.origin, failure.cause, failure.direction)
        text = readable(line[:_LONGEST_LINE])
        seen = _Seen(group, record.time, request, text, failure.key_ids, failure.code, failure.path[:_LONGEST_LINE])
        reason = f"{failure.cause} {failure.origin}"
        if failure.direction == ANSWER:
            self._answer((stream, request, ""), seen)
        elif failure.direction == ARRIVAL:
            self._arrival((stream, request, reason), seen)
        elif failure.code:
            self._refuse((stream, request, ""), seen)
        elif failure.event:
            self._event(_event_key(stream, record, request, failure), seen)
        else:
            self._count(seen)
            _remember(self._failed, (stream, request, reason), seen._replace(line="", key_ids=()))

    def merge(self, later: SignatureFailures) -> None:
        """Add the failures in a later part of the log, or in the log of another process.

        A failure whose messages are in both parts is counted once.
        """
        groups = {group: dataclasses.replace(counted) for group, counted in later._groups.items()}
        for key, seen in later._first_events.items():
            if _is_near(self._events.get(key), seen):
                if seen.group in groups:
                    groups[seen.group].count -= 1
                else:
                    self._others -= 1
        for key, seen in later._answers.items():
            self._answer(key, seen)
        for key, seen in later._arrivals.items():
            self._arrival(key, seen)
        for group, counted in groups.items():
            if counted.count > 0:
                self._groups.setdefault(group, _Counted()).add(counted)
        for key, seen in later._refused.items():
            self._refuse(key, seen)
        for key, seen in later._first_events.items():
            _remember_first(self._first_events, key, seen)
        for key, seen in later._events.items():
            _remember(self._events, key, seen)
        for key, seen in later._failed.items():
            _remember(self._failed, key, seen)
        self._others += later._others
        self._cut(_GROUPS_IN_MEMORY)

    def returned(self) -> list[dict[str, t.Any]]:
        """Return the groups of failures, the most frequent first: at most MOST_GROUPS, see `others`.

        Each has `origin`, `cause`, `direction`, `key_ids` (up to five), `count`, `first`, `first_ts`, `last`, `last_ts`
        (without the times if the log has none), `line` (one of the lines, at most 4,000 bytes of it), `requests` (the
        tags of up to five), `uris` (the paths of up to five requests as Synapse received or sent them, without the
        query, at most 300 characters of each; empty if the log does not have them) and `decoded_uris` (how many
        requests arrived with a path that has a raw character which Synapse always encodes).
        """
        found = self._complete()
        return [
            {
                "origin": origin,
                "cause": cause,
                "direction": direction,
                "key_ids": counted.key_ids,
                "count": counted.count,
                **returned_seconds("first", counted.first),
                **returned_seconds("last", counted.last),
                "line": counted.line,
                "requests": counted.requests,
                "uris": counted.uris,
                "decoded_uris": counted.decoded_uris,
            }
            for (origin, cause, direction), counted in _in_order(found._groups)
        ]

    @property
    def others(self) -> int:
        """The number of failures that are in none of the returned groups.

        Anybody can send requests with any number of names. If there are too many groups, those with the fewest failures
        are added up here, of equal ones the newest. Then the counts of groups that come again are too low, but the sum
        of all counts and this number remains exact.
        """
        return self._complete()._others

    def _complete(self) -> SignatureFailures:
        found = SignatureFailures()
        found._groups = {group: dataclasses.replace(counted) for group, counted in self._groups.items()}
        found._others = self._others
        for seen in self._refused.values():
            found._count_refused(seen)
        found._cut(MOST_GROUPS)
        return found

    def _count(self, seen: _Seen) -> None:
        self._groups.setdefault(seen.group, _Counted()).add(seen.counted())
        if len(self._groups) > _GROUPS_IN_MEMORY:
            self._cut(MOST_GROUPS)

    def _cut(self, most: int) -> None:
        if len(self._groups) <= most:
            return
        kept = sorted(self._groups.items(), key=_importance)[:MOST_GROUPS]
        total = sum(counted.count for counted in self._groups.values())
        self._groups = dict(kept)
        self._others += total - sum(counted.count for counted in self._groups.values())

    def _event(self, key: _Key, seen: _Seen) -> None:
        known = seen._replace(line="", key_ids=())
        if not _is_near(self._events.get(key), seen):
            self._count(seen)
            _remember_first(self._first_events, key, known)
        _remember(self._events, key, known)

    def _refuse(self, key: _Key, seen: _Seen) -> None:
        before = self._refused.pop(key, None)
        if before:
            self._count_refused(before)
        oldest = _remember(self._refused, key, seen)
        if oldest:
            self._count_refused(oldest)

    def _count_refused(self, seen: _Seen) -> None:
        # 403 has many reasons. Only together with an answer that names a signature it is a failure.
        if seen.code == 401:
            self._count(seen)

    def _answer(self, key: _Key, seen: _Seen) -> None:
        refused = self._refused.get(key)
        if refused is None:
            _remember_first(self._answers, key, seen)
        elif refused.code == seen.code and _is_near(refused, seen):
            del self._refused[key]
            group = (refused.group[0], seen.group[1], OUTBOUND)
            self._count(refused._replace(group=group, line=seen.line, key_ids=seen.key_ids))

    def _arrival(self, key: _Key, seen: _Seen) -> None:
        failed = self._failed.get(key)
        if failed is None:
            # Many other requests are answered with an error too. Only those that name a cause can belong to a failure.
            if seen.group[1] != "other":
                _remember_first(self._arrivals, key, seen._replace(line="", key_ids=()))
        elif _is_near(failed, seen):
            del self._failed[key]
            # The group is missing if there were too many.
            if failed.group in self._groups:
                self._groups[failed.group].add(_Counted(0, None, None, "", [], [], *_seen_uris(seen.path)))


def _seen_uris(path: str) -> tuple[list[str], int]:
    """Return what the path of one request adds to `uris` and `decoded_uris`."""
    return [path[:_LONGEST_TEXT]] if path else [], 1 if _DECODED.match(path) else 0


def _event_key(stream: str, record: Record, request: str, failure: Failure) -> _Key:
    if failure.event == "policy":
        # This message does not name the event, but the tag may contain it.
        return stream, record.request[:_LONGEST_TEXT], failure.cause
    return stream, request, f"{failure.direction} {failure.event}"


def _remember(memory: dict[_Key, V], key: _Key, value: V) -> V | None:
    """Add a value as the newest one. Returns the oldest one if it had to be removed."""
    memory.pop(key, None)
    memory[key] = value
    return memory.pop(next(iter(memory))) if len(memory) > _REMEMBERED else None


def _remember_first(memory: dict[_Key, V], key: _Key, value: V) -> None:
    if len(memory) < _REMEMBERED:
        memory.setdefault(key, value)


def _is_near(earlier: _Seen | None, later: _Seen) -> bool:
    if earlier is None:
        return False
    if earlier.time is None or later.time is None:
        return True
    return abs(later.time - earlier.time) <= _SAME_REQUEST_SECONDS


def _importance(item: tuple[_Group, _Counted]) -> tuple[int, float]:
    counted = item[1]
    return -counted.count, float("inf") if counted.first is None else counted.first


def _in_order(groups: t.Mapping[_Group, _Counted]) -> list[tuple[_Group, _Counted]]:
    return sorted(groups.items(), key=lambda item: (-item[1].count, item[0]))

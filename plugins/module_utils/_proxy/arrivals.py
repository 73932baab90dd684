# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What Synapse's log says about the requests that were sent: how each of them arrived.

Relies on synapse/http/site.py and synapse/rest/client/login.py of Synapse 1.163.
"""

from __future__ import annotations

import collections
import logging
import re
import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import read_configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_advice import absence, why_nothing
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_configuration import read_log_sinks
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.processed_line import processed_line
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.running import started_processes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.sink import FILE
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.appended import AppendedLog, files_at
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import Unknown

_OPTION = "log_path"
# In bytes, for all files together.
_MOST_TEXT = 16 << 20
_PAUSE = 0.05
# How many requests can be finished between the arrival of a short one and its end.
_MOST_BETWEEN = 10

_PROCESSED = b"Processed request: "
_RECEIVED = b"Received request: "
_LACKS_PROTO = b"forwarded request lacks an x-forwarded-proto header"
_NOT_CANONICAL = re.compile(rb"Requested URI ([^\s\"\\]+) is not canonical: redirecting to ")
_TAG = re.compile(rb"(?<![0-9a-f])[0-9a-f]{12}(?![0-9a-f])")
_IN_JOURNAL = "Synapse writes its requests to the journal, which is not read."
_FIX = "Set log_path to the log files of Synapse, and run the task on the host of Synapse."


class Arrival(t.NamedTuple):
    """A request as it arrived at Synapse.

    `uri`: the path and the query without any change, except for secrets. `client_address`: the address to which Synapse
    assigns the request, "" if there is none. `http_version`: such as HTTP/1.1. `lacks_proto`: whether it probably had
    X-Forwarded-For and no X-Forwarded-Proto; the message about that has no tag, so it is the one before this request.
    """

    uri: str
    client_address: str
    http_version: str
    method: str
    lacks_proto: bool = False


class Arrivals(t.NamedTuple):
    """What the log says about all requests.

    `requested_uris`: what Synapse took for the requested URL where it redirected to the public one. `reason`: why there
    is nothing, or why something may be missing, a sentence; "" otherwise. `fix`: what to do about it.
    """

    found: t.Mapping[str, Arrival] = {}
    requested_uris: tuple[str, ...] = ()
    reason: str = ""
    fix: str = _FIX

    def get(self, tag: str) -> Arrival | None:
        """Return how the request with this tag arrived, None if the log does not say it."""
        return self.found.get(tag)

    def requested_uri(self, target: str) -> str:
        """Return the URL that Synapse took for the requested one, "" if it did not log it.

        Synapse logs it at INFO when it redirects a login by single sign-on to public_baseurl. `target`: the path and
        the query, which must not occur in requests of others.
        """
        return next((uri for uri in self.requested_uris if uri.endswith(target)), "")


class LogFiles(t.NamedTuple):
    """The log files that Synapse writes its requests to, and for each process without one, why it has none."""

    paths: list[str]
    unknown: tuple[Unknown, ...]


class LogWatch:
    """The log files from now on: it notes where they end, so that only what is appended later is read.

    `paths`: files, or patterns of files. Raises InvalidInput, which names the option log_path, for what does not exist,
    is not a regular file, or cannot be read. It is a context manager, which closes the files.
    """

    def __init__(self, paths: t.Sequence[str]) -> None:
        self._logs: list[AppendedLog] = []
        try:
            for path in files_at(paths, _OPTION):
                self._logs.append(AppendedLog(path, _OPTION))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> LogWatch:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        for log in self._logs:
            log.close()

    def read(self, tags: t.Iterable[str], deadline_seconds: float) -> Arrivals:
        """Return what was appended about the requests with these tags, as soon as all of them are there.

        `deadline_seconds`: how long to wait for those that are missing. Synapse's default log configuration writes up
        to five seconds later, or at the next warning. What an earlier call has read is not looked at again.
        """
        wanted = set(tags)
        reading = _Reading(wanted)
        warnings: dict[tuple[int, int], _Warnings] = collections.defaultdict(_Warnings)
        end = time.monotonic() + deadline_seconds
        room = _MOST_TEXT
        failure = ""
        while True:
            for log in self._logs:
                try:
                    for identity, line in log.lines(room):
                        reading.line(line, warnings[identity])
                except OSError as error:
                    # As on a file system of the network.
                    failure = f"{log.path} cannot be read: {error.strerror or error}."
                room -= log.last_count
            if failure or wanted <= reading.found.keys() or room <= 0 or time.monotonic() >= end:
                break
            time.sleep(_PAUSE)
        return Arrivals(
            reading.found,
            tuple(reading.requested_uris),
            failure or self._reason(wanted - reading.found.keys(), room, deadline_seconds),
            _FIX if not reading.found else "Run the task again.",
        )

    def _reason(self, missing: set[str], room: int, seconds: float) -> str:
        if not missing:
            return ""
        names = " and ".join(log.path for log in self._logs[:3])
        if room <= 0:
            return f"More than {_MOST_TEXT >> 20} MiB were appended to {names} during the requests, which is too much."
        return f"{len(missing)} of the requests did not appear in {names} within {seconds:g} seconds."


def log_files_of(config_path: t.Sequence[str]) -> LogFiles:
    """Return the log files of the processes that run with this configuration, or of the configuration if none runs.

    The journal is not read. Raises SynapseError if the configuration cannot be read.
    """
    paths: list[str] = []
    unknown: list[Unknown] = []
    configuration = read_configuration(config_path)
    try:
        processes, _hidden = started_processes(config_path)
        for process in processes:
            other = tuple(process.config_path) != tuple(config_path)
            of_process = read_configuration(process.config_path) if other else configuration
            sinks = read_log_sinks(of_process, process.directory, daemonized=process.daemonized)
            kept = sinks.keeping(logging.INFO)
            # Several files have the same requests.
            files = [sink.path for sink in kept if sink.kind == FILE and not absence(sink.path)]
            reason = _refusal(files[0]) if files else why_nothing(sinks) or _IN_JOURNAL
            if not reason:
                paths.append(files[0])
                continue
            unknown.append(Unknown("log_path", reason, _FIX))
    except SynapseError as error:
        unknown.append(Unknown("log_path", error.message, _FIX))
    return LogFiles(list(dict.fromkeys(paths)), tuple(dict.fromkeys(unknown)))


def _refusal(path: str) -> str:
    """Return why a file cannot be read, "" if it can."""
    try:
        LogWatch([path]).close()
    except InvalidInput as error:
        return error.message
    return ""


class _Reading:
    """What was found until now."""

    def __init__(self, wanted: set[str]) -> None:
        self._wanted = wanted
        self.found: dict[str, Arrival] = {}
        self.requested_uris: list[str] = []

    def line(self, line: bytes, warnings: _Warnings) -> None:
        """Look at one line. `warnings`: those of the same file about a missing header, before this line."""
        # Clients can write the other messages into their user agents.
        if _PROCESSED in line:
            arrival = self._arrival(line, lacks_proto=warnings.take())
            if arrival is not None:
                self.found.setdefault(*arrival)
        elif _RECEIVED in line:
            return
        elif _LACKS_PROTO in line:
            warnings.add()
        else:
            requested = _NOT_CANONICAL.search(line)
            if requested is not None:
                self.requested_uris.append(requested[1].decode("utf-8", "backslashreplace"))

    def _arrival(self, line: bytes, *, lacks_proto: bool) -> tuple[str, Arrival] | None:
        if not any(tag.decode() in self._wanted for tag in _TAG.findall(line)):
            return None
        try:
            request = processed_line(line.decode("utf-8", "surrogateescape"))
        except InvalidInput:
            # Not a record of the access logger.
            return None
        for tag in _TAG.findall(request["user_agent"].encode("utf-8", "surrogateescape")):
            if tag.decode() in self._wanted:
                return tag.decode(), Arrival(
                    request["uri"], request["client_address"], request["protocol"], request["method"], lacks_proto
                )
        return None


class _Warnings:
    """The warnings about a missing header that were not assigned to a request yet.

    Synapse logs one when the request has arrived, and the request itself when it is finished. Those of requests that
    are not logged (OPTIONS, /health) remain, so an old one does not count.
    """

    def __init__(self) -> None:
        self._requests = 0
        self._at: collections.deque[int] = collections.deque()

    def add(self) -> None:
        self._at.append(self._requests)

    def take(self) -> bool:
        """Assign a warning to the request that was finished now. Returns whether there was one."""
        self._requests += 1
        while self._at and self._requests - self._at[0] > _MOST_BETWEEN:
            self._at.popleft()
        if not self._at:
            return False
        self._at.popleft()
        return True

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Where a handler of Python's logging writes: a file, the journal, a stream, syslog, another host, or nowhere.

Only the name of its class and its settings are known, because the class is never imported.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import Settings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_format import Format
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.logging_settings import LoggingSettings

FILE, JOURNAL, STREAM, SYSLOG, REMOTE, NONE, OTHER = "file", "journal", "stream", "syslog", "remote", "none", "other"

_FILE_HANDLERS = frozenset(
    {"FileHandler", "RotatingFileHandler", "TimedRotatingFileHandler", "WatchedFileHandler", "BaseRotatingHandler"}
)
_REMOTE_HANDLERS = frozenset({"RemoteHandler", "SocketHandler", "DatagramHandler", "HTTPHandler"})
_STREAMS = {
    "ext://sys.stdout": "stdout",
    "ext://sys.__stdout__": "stdout",
    "ext://sys.stderr": "stderr",
    "ext://sys.__stderr__": "stderr",
}
_EXTERNAL = "ext://"
# journald listens on this socket.
_SYSLOG_OF_HOST = "/dev/log"


class Sink(t.NamedTuple):
    """Where a handler writes. `kind`: one of the constants above. `level`: the lowest one that reaches it.

    `entry`: the handler of the logger, which has that level and hands its messages on to this one, or is the same.
    `path`: the path of a file or of the socket of syslog; stdout or stderr of a stream; the host and the port of
    another host; the class of an unknown handler; otherwise empty.
    """

    kind: str
    path: str
    handler: str
    level: int
    format: Format
    entry: str = ""

    @property
    def is_in_journal(self) -> bool:
        """Whether its messages are in the journal if systemd runs Synapse."""
        return self.kind in (JOURNAL, STREAM) or (self.kind == SYSLOG and self.path == _SYSLOG_OF_HOST)

    @property
    def is_readable(self) -> bool:
        """Whether its messages can be read on this host: from a file, or from the journal."""
        return self.kind == FILE or self.is_in_journal


def read_place(name: str, settings: Settings, read: LoggingSettings, directory: str | None) -> tuple[str, str]:
    """Return the kind and the path (see Sink) of the handler `name` with these settings.

    `directory`: for relative paths, which stay relative without it. Raises ConfigurationError for wrong types.
    """
    where = f"handlers.{name}"
    factory = read.factory(settings)
    if not isinstance(factory, str) or not factory:
        raise read.wrong(where, "has no class")
    kind, path = _place(settings, where, factory, read)
    if kind == FILE and directory:
        path = os.path.normpath(os.path.join(directory, path))
    return kind, path


def _place(settings: Settings, where: str, factory: str, read: LoggingSettings) -> tuple[str, str]:
    module, _dot, name = factory.rpartition(".")
    filename = read.value(settings, "filename")
    if name in _FILE_HANDLERS or filename is not None:
        if not isinstance(filename, str) or not filename or "\0" in filename:
            raise read.wrong(f"{where}.filename", "is not the path of a file")
        return (OTHER, factory) if filename.startswith(_EXTERNAL) else (FILE, filename)
    if "journal" in factory.lower():
        return JOURNAL, ""
    if name == "StreamHandler":
        stream = read.value(settings, "stream", "ext://sys.stderr")
        # Python accepts None, too.
        place = _STREAMS.get("ext://sys.stderr" if stream is None else str(stream))
        return (STREAM, place) if place else (OTHER, factory)
    if name == "SysLogHandler":
        return SYSLOG, _address(read.value(settings, "address", ["localhost", 514]))
    if name in _REMOTE_HANDLERS or {"host", "port"} <= set(settings):
        return REMOTE, _address([read.value(settings, "host"), read.value(settings, "port")])
    # A buffer without a target keeps its messages until it throws them away.
    return (NONE, "") if name == "NullHandler" or name.endswith("MemoryHandler") else (OTHER, factory)


def _address(value: t.Any) -> str:
    parts = value if isinstance(value, list) else [value]
    return ":".join(str(part) for part in parts if part is not None)

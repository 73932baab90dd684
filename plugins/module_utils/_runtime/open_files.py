# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What the open files of a Synapse process are for, and the hosts to which it has most connections.

Relies on the links in /proc/<pid>/fd (proc(5)), and on the settings of Synapse 1.163 for its media (repository.py), its
database (database.py) and its log (logger.py, in synapse/config). Files are never opened: only their paths count.
"""

from __future__ import annotations

import collections
import contextlib
import errno
import heapq
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import Settings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.used_paths import named_log_files
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.configured_databases import (
    SQLITE,
    configured_databases,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.connections import (
    DATABASE,
    KINDS,
    LOG,
    MEDIA,
    OTHER,
    Connections,
    mappings,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.sockets import (
    Address,
    TcpSocket,
    read_tcp_sockets,
    read_unix_sockets,
    written,
)

_MOST_HOSTS = 10
_SOCKET = "socket:["
# The kernel adds this to the path of a file that was removed.
_DELETED = " (deleted)"
# Standard output and standard error, which systemd connects to the journal.
_OUTPUTS = ("1", "2")
# The files that SQLite has for a database.
_SQLITE_FILES = ("", "-wal", "-shm", "-journal")
# The default paths of Synapse.
_MEDIA_STORE, _DATABASE = "media_store", "homeserver.db"


class OpenFiles(t.NamedTuple):
    """The open files of a process.

    `by_kind`: how many there are of each of KINDS; each counts once. `remote_hosts`: at most 10 mappings with
    `address`, `connections` (TCP, in any state) and `kind` (of most of them), the host with the most connections first.
    """

    by_kind: dict[str, int]
    remote_hosts: list[dict[str, t.Any]]


def read_open_files(
    pid: int, settings: Settings, worker: bool, working_directory: str | None, proc: str = "/proc"
) -> OpenFiles:
    """Return what the open files of the process `pid`, which runs with `settings`, are for.

    Kinds: `listening` sockets; `client`: accepted at a listener with the resource client; `federation`: accepted at a
    listener with the resource federation but not client, or opened to another server; `database`: PostgreSQL, or the
    files of SQLite; `replication`: Redis and other processes of this Synapse; `log`: log files and sockets of the
    journal; `media`; `other`: all the rest, such as pipes, UDP sockets and broken connections. Behind a reverse proxy,
    requests of clients and of other servers usually arrive at one listener: then both are `client`, and the remote host
    is the proxy.

    Relative paths in the settings start in `working_directory`; if that is None, their files are not found. A file that
    is closed in the meantime is left out. Raises PermissionError if this user is not allowed to see the files, and
    FileNotFoundError or ProcessLookupError if the process has ended.
    """
    files, connections = _Files(settings, worker, working_directory), Connections(settings, worker, working_directory)
    by_kind = dict.fromkeys(KINDS, 0)
    sockets: dict[int, int] = collections.Counter()
    outputs: set[int] = set()
    for name, link in _links(os.path.join(proc, str(pid), "fd")):
        if link.startswith(_SOCKET):
            inode = int(link[len(_SOCKET) : -1])
            sockets[inode] += 1
            if name in _OUTPUTS:
                outputs.add(inode)
        else:
            by_kind[files.kind_of(link)] += 1
    tcp = read_tcp_sockets(pid, sockets, proc)
    ports = {found.local_port for found in tcp.values() if found.listens}
    kinds = {inode: connections.of_tcp(found, ports) for inode, found in tcp.items()}
    others = sockets.keys() - tcp.keys()
    for inode, unix in (read_unix_sockets(pid, others, proc) if others else {}).items():
        kinds[inode] = LOG if inode in outputs else connections.of_unix(unix)
    for inode, number in sockets.items():
        by_kind[kinds.get(inode, OTHER)] += number
    return OpenFiles(by_kind, _remote_hosts(tcp, kinds))


def _links(directory: str) -> t.Iterator[tuple[str, str]]:
    for name in os.listdir(directory):
        try:
            yield name, os.readlink(f"{directory}/{name}")
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                # It is open, but its path is longer than Linux returns.
                yield name, ""
            elif error.errno != errno.ENOENT:
                raise


def _remote_hosts(tcp: t.Mapping[int, TcpSocket], kinds: t.Mapping[int, str]) -> list[dict[str, t.Any]]:
    totals = collections.Counter(found.remote for found in tcp.values() if not found.listens)
    most = heapq.nsmallest(_MOST_HOSTS, totals.items(), key=lambda item: (-item[1], item[0]))
    by_kind: dict[Address, dict[str, int]] = {address: dict.fromkeys(KINDS, 0) for address, _number in most}
    for inode, found in tcp.items():
        if not found.listens and found.remote in by_kind:
            by_kind[found.remote][kinds[inode]] += 1
    return [
        {
            "address": written(address),
            "connections": number,
            "kind": max(KINDS, key=by_kind[address].__getitem__),
        }
        for address, number in most
    ]


class _Files:
    """The paths that Synapse uses with its settings, and what the files at them are for."""

    def __init__(self, settings: Settings, worker: bool, working_directory: str | None) -> None:
        self._working_directory = working_directory
        self._databases = frozenset(
            path + suffix for path in self._absolute(_sqlite_paths(settings)) for suffix in _SQLITE_FILES
        )
        self._media = tuple(f"{path}/" for path in self._absolute(_media_directories(settings)))
        self._logs = self._absolute(self._log_files(settings.get("worker_log_config" if worker else "log_config")))
        self._rotated = tuple(f"{path}." for path in self._logs)

    def kind_of(self, link: str) -> str:
        """Return the kind of an open file, by the link to it."""
        if not link.startswith("/"):
            return OTHER
        path = link[: -len(_DELETED)] if link.endswith(_DELETED) else link
        if path in self._databases:
            return DATABASE
        if path.startswith(self._media):
            return MEDIA
        return LOG if path in self._logs or path.startswith(self._rotated) or _is_named_log(path) else OTHER

    def _log_files(self, log_configuration: t.Any) -> t.Iterator[t.Any]:
        for path in self._absolute([log_configuration]):
            # Otherwise log files are found by their ends.
            with contextlib.suppress(SynapseError):
                yield from named_log_files(path)

    def _absolute(self, paths: t.Iterable[t.Any]) -> list[str]:
        """Return the paths as the kernel shows them, without those that start in an unknown directory."""
        found = (os.path.join(self._working_directory or "", path) for path in paths if isinstance(path, str) and path)
        return [os.path.realpath(path) for path in found if os.path.isabs(path) and "\0" not in path]


def _sqlite_paths(settings: Settings) -> t.Iterator[t.Any]:
    for database in configured_databases(settings):
        arguments = database.get("args")
        if database["name"] == SQLITE:
            yield (arguments.get("database") if isinstance(arguments, dict) else None) or _DATABASE


def _media_directories(settings: Settings) -> t.Iterator[t.Any]:
    yield settings.get("media_store_path") or _MEDIA_STORE
    yield settings.get("backup_media_store_path")
    for provider in mappings(settings.get("media_storage_providers")):
        place = provider.get("config")
        yield place.get("directory") if isinstance(place, dict) else None


def _is_named_log(path: str) -> bool:
    name, _dot, number = path.rpartition(".")
    return (name if number.isdigit() else path).endswith(".log")

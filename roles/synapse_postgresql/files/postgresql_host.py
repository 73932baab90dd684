# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host has of PostgreSQL, as Debian lays it out: packages, clusters, services."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files.child_process import require, run

CONFIGURATION = "/etc/postgresql"
OWNER = "postgres"
# It starts the services of all clusters.
SERVICE = "postgresql.service"
# The oldest that Synapse 1.163 works with (synapse/storage/engines/postgres.py).
OLDEST_VERSION = 14


class Cluster(t.NamedTuple):
    """A cluster of PostgreSQL. `start`: whether the system starts it: auto, manual or disabled."""

    version: str
    name: str
    port: int
    online: bool
    owner: str
    start: str

    @property
    def directory(self) -> str:
        """The directory of its configuration."""
        return f"{CONFIGURATION}/{self.version}/{self.name}"

    @property
    def unit(self) -> str:
        """The name of its service."""
        return f"postgresql@{self.version}-{self.name}.service"

    @property
    def shown(self) -> str:
        """The cluster as a message names it."""
        return f"{self.version}/{self.name} at port {self.port}"


def missing_packages(packages: list[str]) -> list[str] | None:
    """Return the Debian packages that are not installed, or None on a system that has no such packages."""
    if not shutil.which("dpkg-query"):
        return None
    if not packages:
        return []
    # Status 1 means that it knows nothing of some package.
    shown = run(["dpkg-query", "--show", "--showformat=${binary:Package} ${db:Status-Status}\\n", "--", *packages])
    installed = re.findall(r"(?m)^([^: ]+)\S* installed$", shown.stdout)
    return [package for package in packages if package not in installed]


def start_of(text: str) -> str:
    """Return what the file start.conf of a cluster says; auto if it says nothing."""
    words = [line.split("#")[0].strip() for line in text.splitlines()]
    return next(filter(None, words), "auto")


def parse_clusters(listed: str, read: t.Callable[[str], str]) -> list[Cluster]:
    """Return the clusters in what pg_lsclusters prints. `read`: returns the text of a file, or nothing."""
    clusters = []
    for line in listed.splitlines():
        words = line.split()
        if len(words) >= 5 and words[2].isdigit():
            version, name, port, status, owner = words[:5]
            start = start_of(read(f"{CONFIGURATION}/{version}/{name}/start.conf"))
            clusters.append(Cluster(version, name, int(port), status.startswith("online"), owner, start))
    return clusters


def settings_of(cluster: Cluster) -> dict[str, str]:
    """Return what the files of a cluster set, also those of ALTER SYSTEM; nothing if they cannot be read."""
    shown = run(["pg_conftool", cluster.version, cluster.name, "show", "all"])
    lines = [line.partition(" = ") for line in shown.stdout.splitlines()]
    return {name: _plain(value) for name, _sign, value in lines}


def _plain(value: str) -> str:
    return value[1:-1].replace("''", "'") if value.startswith("'") else value


def find_clusters() -> list[Cluster]:
    """Return the clusters of this host; raises `OSError` if they cannot be listed."""
    return parse_clusters(require(["pg_lsclusters", "--no-header"]), read) if shutil.which("pg_lsclusters") else []


def read(path: str) -> str:
    """Return the text of a file, or nothing if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def is_taken(port: int, tables: t.Sequence[str] = ("/proc/net/tcp", "/proc/net/tcp6")) -> bool:
    """Return whether some process listens on a port."""
    # The columns: number, local address, remote address, state; 0A is the state of a listening socket.
    return any(
        words[3] == "0A" and int(words[1].rpartition(":")[2], 16) == port
        for table in tables
        for words in map(str.split, read(table).splitlines()[1:])
    )


def owns(user: str, directory: str) -> bool:
    """Return whether a directory exists and belongs to a user, who can write there."""
    try:
        status = os.stat(directory)
        return stat.S_ISDIR(status.st_mode) and pwd.getpwnam(user).pw_uid == status.st_uid
    except (OSError, KeyError):
        return False


def memory() -> int:
    """Return how many bytes of memory this host has, or its container."""
    found = re.search(r"MemTotal: +([0-9]+) kB", read("/proc/meminfo"))
    limits = [read(f"/sys/fs/cgroup/{name}").strip() for name in ("memory.max", "memory/memory.limit_in_bytes")]
    return min([int(found.group(1)) * 1024 if found else 0, *(int(limit) for limit in limits if limit.isdigit())])


def is_enabled() -> bool:
    """Return whether the system starts PostgreSQL."""
    return run(["systemctl", "is-enabled", SERVICE]).returncode == 0


def masked(units: t.Iterable[str]) -> str:
    """Return that units are masked and how that is ended, or nothing. They can be neither enabled nor started."""
    if not shutil.which("systemctl"):
        return ""
    found = " ".join(unit for unit in units if run(["systemctl", "is-enabled", unit]).stdout.startswith("masked"))
    return f"The system must not start PostgreSQL, because it is masked. Run: systemctl unmask {found}" if found else ""


def is_local(host: str) -> bool:
    """Return whether a host in the arguments of a connection is this one, as a default PostgreSQL listens."""
    return not host or host.startswith("/") or bool(re.fullmatch(r"localhost|127(\.[0-9]{1,3}){3}|::1", host))


def create_cluster(port: int) -> None:
    """Create the default cluster with a port, of the newest version that is installed. Raises `OSError`."""
    versions = [name for name in os.listdir("/usr/lib/postgresql") if name.isdigit()]
    if not versions:
        raise OSError("PostgreSQL is installed, but /usr/lib/postgresql contains none of its versions.")
    options = ["--port", str(port), "--encoding", "UTF8", "--locale", "C.UTF-8"]
    require(["pg_createcluster", *options, max(versions, key=int), "main"])

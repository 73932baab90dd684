# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The identity of a process: its user, its groups and its mount namespace, and whether root may take it.

Any user can create a user namespace, and in it a mount namespace with any files. Root enters no such namespace.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.declared import Declared
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import user_name
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.runtime import Host
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.unit import unit_name

# Returns a descriptor of the user namespace that owns a namespace (ioctl_ns(2)).
_NS_GET_USERNS = 0xB701
_IDS = re.compile(r"^(Uid|Gid):\s+\d+\s+(\d+)", re.MULTILINE)
_GROUPS = re.compile(r"^Groups:([ \t\d]*)$", re.MULTILINE)


class Identity(t.NamedTuple):
    """What to become. `namespace`: the descriptor of a mount namespace to enter, None to stay in the present one."""

    user: int
    group: int
    groups: tuple[int, ...]
    namespace: int | None = None


@contextlib.contextmanager
def identity_of(pid: int, declared: Declared, host: Host) -> t.Iterator[Identity | None]:
    """Give the identity of a process, or None if this process already has it. The descriptor is closed at the end.

    Raises SynapseError if this user is not allowed to take it, or if root must not, and FileNotFoundError or
    ProcessLookupError if the process has ended.
    """
    with contextlib.ExitStack() as stack:
        # A new process with the same number cannot take its place in this directory.
        directory = os.open(os.path.join(host.proc, str(pid)), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, directory)
        found = _read_identity(directory)
        if os.geteuid() != 0:
            if os.geteuid() != found.user:
                raise SynapseError(
                    "Only root and the user of the process can try it. Run the task with become, as root."
                )
            yield None
            return
        try:
            namespace = os.open("ns/mnt", os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
        except PermissionError as error:
            raise SynapseError(f"Its mount namespace cannot be read: {error.strerror}.") from error
        stack.callback(os.close, namespace)
        if _same(os.fstat(namespace), os.stat(os.path.join(host.proc, "self", "ns", "mnt"))):
            yield found if found.user != 0 else None
            return
        _require_trusted(directory, namespace, found.user, declared, host)
        yield found._replace(namespace=namespace)


def _require_trusted(directory: int, namespace: int, user: int, declared: Declared, host: Host) -> None:
    """Raise SynapseError if root must not enter the mount namespace of the process in this directory."""
    if not _is_of_this_host(namespace, host.proc):
        raise SynapseError(
            "It runs in a mount namespace of another user namespace, whose files can be those of any user, so root"
            " does not enter it. Start Synapse without one."
        )
    refusal = "so root does not enter its mount namespace"
    if declared.user and user_name(user) != declared.user:
        raise SynapseError(f"It runs as {user_name(user)}, not as {declared.user}, {refusal}. Restart it.")
    if declared.unit and os.path.isdir(host.systemd.running):
        unit = unit_name(_text(directory, "cgroup"))
        if unit != declared.unit:
            where = f"in {unit}" if unit else "in no unit"
            raise SynapseError(
                f"It runs {where}, not in {declared.unit}, {refusal}. Set unit to the unit of Synapse, or to an empty"
                " string if it has none."
            )


def _is_of_this_host(namespace: int, proc: str) -> bool:
    try:
        owner = fcntl.ioctl(namespace, _NS_GET_USERNS)
    except OSError:
        # It is owned by a namespace that this process cannot see.
        return False
    try:
        return _same(os.fstat(owner), os.stat(os.path.join(proc, "self", "ns", "user")))
    finally:
        os.close(owner)


def _read_identity(directory: int) -> Identity:
    status = _text(directory, "status")
    ids = {name: int(number) for name, number in _IDS.findall(status)}
    groups = _GROUPS.search(status)
    return Identity(ids["Uid"], ids["Gid"], tuple(int(number) for number in groups[1].split()) if groups else ())


def _text(directory: int, name: str) -> str:
    def opener(path: str, flags: int) -> int:
        return os.open(path, flags, dir_fd=directory)

    with open(name, encoding="utf-8", errors="replace", opener=opener) as file:
        return file.read()


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)

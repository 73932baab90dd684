# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether a process sees other files at the paths of this task, and which container it runs in.

Relies on /proc/PID/root, /proc/PID/ns and /proc/PID/cgroup (proc(5), Linux), and on the names that Docker, Podman,
containerd, CRI-O, Kubernetes, LXC and systemd-nspawn give to the control groups of their containers.
"""

from __future__ import annotations

import itertools
import os
import re
import typing as t

_OTHER_NAMESPACE = "another PID namespace"
_OTHER_ROOT = "another root directory"
# The kernel shows a name of at most PATH_MAX bytes in each of a few hierarchies.
_MOST_CHARACTERS = 2**17
_ID = re.compile(r"([0-9a-f]{12})[0-9a-f]{52}")
_NAME = r"[\w.-]{1,64}"
# A control group with one of these names is that of a container.
_BY_ID = re.compile(r"(?P<engine>[a-z-]+)-(?P<id>[0-9a-f]{64})(?:\.scope)?")
_ENGINES = {
    "cri-containerd": "containerd",
    "crio": "cri-o",
    "docker": "docker",
    "libpod": "podman",
    "libpod-payload": "podman",
    "nerdctl": "containerd",
}
_BY_NAME = re.compile(rf"lxc\.payload\.(?P<lxc>{_NAME})|systemd-nspawn@({_NAME})\.service|machine-({_NAME})\.scope")
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")


class InContainer(t.NamedTuple):
    """A process of Synapse that sees other files: in a container, or with another root directory.

    `config_path`: as on its command line, so paths of other files. `container`: a description of its container, such
    as `docker 0123456789ab`.
    """

    pid: int
    app: str
    config_path: tuple[str, ...]
    container: str


def container_of(pid: int, proc: str = "/proc", root: str = "/") -> str | None:
    """Return a description of the container of a process, or None if the process has this root directory.

    A unit of systemd with a PID namespace or mounts of its own has this root directory, unless RootDirectory= or
    RootImage= is set. If this user is not allowed to see the root directory, only another PID namespace counts, and if
    that is hidden too, the result is None. Raises FileNotFoundError or ProcessLookupError if the process has ended.
    """
    directory = os.path.join(proc, str(pid))
    try:
        is_same = os.path.samestat(os.stat(os.path.join(directory, "root")), os.stat(root))
    except (FileNotFoundError, ProcessLookupError):
        raise
    except OSError:
        # This process belongs to another user. It can be in a container, but most hosts have none.
        is_same = not has_other_namespace(pid, "pid", proc)
    if is_same:
        return None
    with open(os.path.join(directory, "cgroup"), encoding="utf-8", errors="replace") as file:
        named = named_container(file.read(_MOST_CHARACTERS))
    return named or (_OTHER_NAMESPACE if has_other_namespace(pid, "pid", proc) else _OTHER_ROOT)


def has_other_namespace(pid: int, kind: str, proc: str = "/proc") -> bool:
    """Return whether a process has another namespace than this one, False also if this user is not allowed to see it.

    `kind`: `pid` or `net` (namespaces(7)). Raises FileNotFoundError or ProcessLookupError if the process has ended.
    """
    try:
        other = os.readlink(os.path.join(proc, str(pid), "ns", kind))
    except PermissionError:
        return False
    return other != os.readlink(os.path.join(proc, "self", "ns", kind))


def named_container(control_groups: str) -> str | None:
    """Return the outermost container that control groups name, as its kind and its name or short id, or None.

    `control_groups`: the text of /proc/PID/cgroup.
    """
    for line in control_groups.splitlines():
        names = line.partition(":")[2].partition(":")[2].split("/")
        for position, name in enumerate(names):
            found = _container_at(name, names[position + 1 : position + 5])
            if found:
                return found
    return None


def _container_at(name: str, below: t.Sequence[str]) -> str | None:
    """Return the container that the name of a control group shows. `below`: the next names on the path."""
    first = below[0] if below else ""
    if name == "kubepods" or name.startswith(("kubepods.", "kubepods-")):
        # Below it are the class of service and the pod, and then the container.
        ids = filter(None, map(_ID.search, (name, *below)))
        return " ".join(("kubernetes", *(found[1] for found in itertools.islice(ids, 1))))
    if name == "docker" and _ID.fullmatch(first):
        return f"docker {first[:12]}"
    if name in ("lxc", "lxc.payload") and re.fullmatch(_NAME, first):
        return f"lxc {first}"
    match = _BY_ID.fullmatch(name)
    if match and match["engine"] in _ENGINES:
        return f"{_ENGINES[match['engine']]} {match['id'][:12]}"
    match = _BY_NAME.fullmatch(_ESCAPED.sub(lambda found: chr(int(found[1], 16)), name))
    return f"{'lxc' if match['lxc'] else 'systemd-nspawn'} {match[match.lastindex or 0]}" if match else None

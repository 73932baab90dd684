# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The paths that a restore may write to: those of the server that the task declares, whatever an archive contains.

An archive records absolute paths. It may come from another server, or from somebody who wants to replace files of the
system. So a path counts only if the task itself names it, or a directory that contains it.
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import HIDDEN_PREFIX
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.marker import NAME
from ansible_collections.matrix_ops.synapse.plugins.module_utils._system_directory import keeps_files_out

UNITS = "/etc/systemd/system"
_DROP_IN = re.compile(r"[A-Za-z0-9:_.@-]+\.conf")
# The environment files that roles of this collection write for a unit.
_OF_ROLES = re.compile(r"/etc/default/[A-Za-z0-9_.-]+-matrix_ops-[a-z0-9_-]+")
_NAMED_AT_MOST = 5


class AllowedPaths:
    """What a task allows: the directories of its configuration, its units, and the paths that it names in addition."""

    def __init__(
        self, config_path: t.Sequence[str], units: t.Sequence[str], more: t.Sequence[str], *, system: bool
    ) -> None:
        """`more`: further files and directories. `system`: whether the server runs in units of systemd."""
        self._roots = _absolute([*map(_directory, config_path), *more])
        self._exact = set(_absolute(more))
        self._units = [unit for unit in units if unit] if system else []

    def contains(self, path: str) -> bool:
        """Whether a restore may write a file or a directory at `path`. Reads only which directories are links."""
        if not is_plain(path):
            return False
        if self._is_of_unit(path) or path in self._exact:
            return True
        return any(self._is_below(path, root) for root in self._roots)

    def _is_of_unit(self, path: str) -> bool:
        directory, name = os.path.split(path)
        if self._units and _OF_ROLES.fullmatch(path):
            return True
        if directory == UNITS:
            return any(is_instance(name, unit) for unit in self._units)
        unit = directory[len(UNITS) + 1 : -len(".d")]
        return (
            directory == f"{UNITS}/{unit}.d"
            and bool(_DROP_IN.fullmatch(name))
            and any(is_instance(unit, each) for each in self._units)
        )

    def _is_below(self, path: str, root: str) -> bool:
        if path != root and not path.startswith(f"{root.rstrip('/')}/"):
            return False
        # A hidden directory, such as .ssh, is nothing of a server.
        hidden = [name for name in os.path.dirname(path)[len(root) :].split("/") if name.startswith(".")]
        last = os.path.basename(path)
        if hidden or last == NAME or last.startswith(HIDDEN_PREFIX):
            return False
        holder = path if path == root else os.path.dirname(path)
        return keeps_files_out(os.path.realpath(holder)) is None

    def require(self, paths: t.Iterable[str]) -> None:
        """Raise InvalidInput that names the paths that are not allowed, if there are any."""
        wrong = sorted({path for path in paths if not self.contains(path)})
        if not wrong:
            return
        shown = ", ".join(path if path.isprintable() else ascii(path) for path in wrong[:_NAMED_AT_MOST])
        more = f" and {len(wrong) - _NAMED_AT_MOST} more" if len(wrong) > _NAMED_AT_MOST else ""
        raise InvalidInput(
            f"The archive has files at {shown}{more}, where this task does not allow it to write anything. Set"
            " config_path, unit and worker_unit as they were on the server of the backup, and add other paths to"
            " allowed_paths, if the archive is yours and they are right."
        )


def is_plain(path: str) -> bool:
    """Whether it is an absolute path without anything that makes it lead elsewhere, and without control characters."""
    return path.startswith("/") and path.isprintable() and os.path.normpath(path) == path and path != "/"


def is_instance(name: str, unit: str) -> bool:
    """Whether `name` is the unit, or an instance of it if it is a template such as worker@.service."""
    prefix, sign, suffix = unit.partition("@")
    if name == unit:
        return True
    return (
        bool(sign)
        and suffix.startswith(".")
        and bool(re.fullmatch(re.escape(prefix) + r"@[A-Za-z0-9:_.\\-]+" + re.escape(suffix), name))
    )


def _directory(path: str) -> str:
    # As the role synapse_service does it: such a path is a file, even if it does not exist yet.
    return os.path.dirname(path) if path.endswith((".yaml", ".yml")) else path


def _absolute(paths: t.Iterable[str]) -> list[str]:
    return [os.path.normpath(path) for path in paths if path.startswith("/")]

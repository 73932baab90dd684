# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Decides which entries of a directory are part of the server."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import Directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.layout import DeclaredDirectory

# This collection writes this text near the top of every file that it creates.
_MARK = b"matrix_ops.synapse"
_LOOKED_AT = 4096
_NAMES_SHOWN = 5


def is_part(directory: Directory, name: str, declared: DeclaredDirectory, ours: bool) -> bool:
    """Return whether `name` in the open directory is part of the server.

    `ours`: whether this collection has created the directory. In a directory that existed before, only files that
    contain the name of this collection count.
    """
    if ours and _is_content(name, declared):
        return True
    return is_declared(name, declared) and has_mark(directory, name)


def is_declared(name: str, declared: DeclaredDirectory) -> bool:
    """Return whether `name` is declared as content of the directory, including `marked_contents`."""
    return _is_content(name, declared) or _fits(name, declared.marked_contents)


def _is_content(name: str, declared: DeclaredDirectory) -> bool:
    return name in declared.contents or _fits(name, declared.content_patterns)


def _fits(name: str, patterns: t.Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def has_mark(directory: Directory, name: str) -> bool:
    """Return whether an entry is a file with the name of this collection near the top. False if it cannot be read."""
    with contextlib.suppress(OSError):
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory.descriptor)
        try:
            return stat.S_ISREG(os.fstat(descriptor).st_mode) and _MARK in os.read(descriptor, _LOOKED_AT)
        finally:
            os.close(descriptor)
    return False


def listed(names: t.Collection[str]) -> str:
    """Return a few of the names, sorted, for a message, and the number of the others."""
    first = sorted(names)[:_NAMES_SHOWN]
    more = len(names) - len(first)
    return ", ".join(repr(name)[1:-1] for name in first) + (f" and {more} more" if more else "")

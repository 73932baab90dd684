# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Everything below an open directory, found by descriptors, so that no link is followed."""

from __future__ import annotations

import os
import stat
import typing as t


def read_sizes(descriptor: int) -> dict[str, int]:
    """Return the size in bytes of everything below the directory that is not a directory, by its relative path.

    `descriptor` is that of the open directory. Raises OSError.
    """
    sizes = {}
    for parent, directories, names, here in os.fwalk(".", dir_fd=descriptor, onerror=_fail):
        for name in (*directories, *names):
            status = os.stat(name, dir_fd=here, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                sizes[os.path.normpath(os.path.join(parent, name))] = status.st_size
    return sizes


def make_private(descriptor: int) -> None:
    """Make the open directory and everything below it private to its owner: 0700 and 0600.

    Raises OSError if that fails, for example for a link, which is neither followed nor changed.
    """
    for _parent, _directories, names, here in os.fwalk(".", dir_fd=descriptor, onerror=_fail):
        os.fchmod(here, 0o700)
        for name in names:
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=here)
            try:
                os.fchmod(file, 0o600)
            finally:
                os.close(file)


def _fail(error: OSError) -> t.NoReturn:
    raise error

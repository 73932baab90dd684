# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""An export on the disk, read by descriptors: its manifest, and whether it is complete."""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import Directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export import archive as archives
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.manifest import MANIFEST, Manifest
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.tree import read_sizes

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
# It follows no link, and does not wait for a writer of a pipe.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


class StoredExport:
    """The export `name` in `parent`: a directory, or a file if it is an `archive`."""

    def __init__(self, parent: Directory, name: str, archive: str | None) -> None:
        self._parent = parent
        self._name = name
        self._archive = archive

    def read_manifest(self) -> Manifest | None:
        """Return its manifest, or None if it is an empty directory.

        Raises ValueError if it is not an export, and OSError.
        """
        if self._archive:
            with _opened_file(self._name, self._parent.descriptor) as file:
                return archives.read_manifest(file)
        with self._opened_directory() as descriptor:
            if not os.listdir(descriptor):
                return None
            with _opened_file(MANIFEST, descriptor) as file:
                return Manifest.read(file, os.fstat(file.fileno()).st_size)

    def is_whole(self, manifest: Manifest) -> bool:
        """Return whether it has exactly the files of the manifest, with their sizes. Raises OSError."""
        if self._archive:
            with _opened_file(self._name, self._parent.descriptor) as file:
                return archives.is_whole(file, manifest.sizes)
        with self._opened_directory() as descriptor:
            try:
                sizes = read_sizes(descriptor)
            except RecursionError:
                # Nested deeper than any export.
                return False
        sizes.pop(MANIFEST, None)
        return sizes == manifest.sizes

    @contextlib.contextmanager
    def _opened_directory(self) -> t.Iterator[int]:
        descriptor = os.open(self._name, _DIRECTORY, dir_fd=self._parent.descriptor)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _opened_file(name: str, directory: int) -> t.Iterator[t.IO[bytes]]:
    with open(os.open(name, _FILE, dir_fd=directory), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError(f"{name} is not a file")
        yield file

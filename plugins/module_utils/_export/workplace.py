# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The hidden directory next to the destination of an export, in which the export is made."""

from __future__ import annotations

import os
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import Directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.archive import write_archive
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.manifest import MANIFEST, Manifest
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.stored import StoredExport
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.tree import make_private

# The name of an old export that is being replaced.
PREVIOUS = "previous"
_EXPORT, _MEDIA, _SCRATCH, _ARCHIVE = "export", "media", "scratch", "archive"


class Destination(t.NamedTuple):
    """The destination: `name` in `parent`, for a directory or an `archive`. `title`: the name without the ending."""

    parent: Directory
    name: str
    archive: str | None
    title: str


def is_free(parent: Directory, name: str) -> bool:
    """Return whether `name` in `parent` does not exist or is an empty directory of this user."""
    status = parent.status(name)
    if status is None:
        return True
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        return False
    with parent.child(name) as there:
        return not there.names()


class Workplace:
    """The private directory `hidden`, in which an export for `destination` is made.

    `export` is the path of the unfinished export, `media` the path that its media are fetched to first, `ids` the path
    that Synapse's command writes the ids to, `scratch` is for everything else. `lock` is the descriptor of the lock.
    """

    def __init__(self, hidden: Directory, destination: Destination) -> None:
        # Synapse's command, which runs as this user, needs paths. For root they are as safe as descriptors: no other
        # user can replace a directory on the path (see _trusted_path), or read the content.
        self.export = hidden.place(_EXPORT)
        self.media = hidden.place(_MEDIA)
        self.scratch = hidden.place(_SCRATCH)
        self.ids = hidden.place("ids")
        self.lock = hidden.descriptor
        self._hidden = hidden
        self._destination = destination
        self._published = False

    def clear(self, *, keep_media: bool = False) -> None:
        """Remove everything in it, but restore an old export whose replacement was never published.

        If something else is at its path now, it stays here until a new export is published.
        """
        parent, name = self._destination.parent, self._destination.name
        if self._hidden.status(PREVIOUS) is not None and not self._published and is_free(parent, name):
            if parent.status(name) is not None:
                parent.remove_empty(name)
            self._hidden.rename(PREVIOUS, name, to=parent)
        for entry in self._hidden.names():
            is_kept = (keep_media and entry == _MEDIA and self._holds_media()) or entry == PREVIOUS
            if self._published or not is_kept:
                self._hidden.remove_tree(entry)

    def is_empty(self) -> bool:
        """Return whether nothing is in it."""
        return not self._hidden.names()

    def prepare(self) -> None:
        """Create the directories for the export and everything else, empty and private. Raises OSError."""
        for name in (_EXPORT, _SCRATCH):
            os.mkdir(name, 0o700, dir_fd=self._hidden.descriptor)

    def publish(self, manifest: Manifest) -> None:
        """Write the manifest, and move the export to its destination. It replaces an old one.

        Raises OSError, and SynapseError if the export cannot be read back. In this case nothing is replaced.
        """
        destination, new = self._destination, os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with self._hidden.child(_EXPORT) as made, self._hidden.child(_SCRATCH) as scratch:
            with open(os.open(MANIFEST, new, 0o600, dir_fd=made.descriptor), "w", encoding="utf-8") as file:
                file.write(manifest.to_json())
            make_private(made.descriptor)
            if destination.archive:
                with open(os.open(_ARCHIVE, new, 0o600, dir_fd=scratch.descriptor), "wb") as packed:
                    write_archive(destination.archive, made.descriptor, manifest, packed, destination.title)
                self._require_readable(StoredExport(scratch, _ARCHIVE, destination.archive), manifest)
                scratch.rename(_ARCHIVE, destination.name, to=destination.parent)
                self._published = True
                return
        self._require_readable(StoredExport(self._hidden, _EXPORT, None), manifest)
        if destination.parent.status(destination.name) is not None:
            # An older one is here only if something else was at its path. The new export is complete now.
            self._hidden.remove_tree(PREVIOUS)
            destination.parent.rename(destination.name, PREVIOUS, to=self._hidden)
        self._hidden.rename(_EXPORT, destination.name, to=destination.parent)
        self._published = True

    def _require_readable(self, stored: StoredExport, manifest: Manifest) -> None:
        try:
            readable = stored.read_manifest() == manifest and stored.is_whole(manifest)
        except ValueError:
            readable = False
        if not readable:
            place = self._destination.parent.place(self._destination.name)
            raise SynapseError(
                f"The export for {place} cannot be read back as it was written, so it was not moved there. Check the"
                " disk for errors, and run the task again."
            )

    def _holds_media(self) -> bool:
        status = self._hidden.status(_MEDIA)
        if status is None or not stat.S_ISDIR(status.st_mode):
            return False
        with self._hidden.child(_MEDIA) as media:
            return bool(media.names())

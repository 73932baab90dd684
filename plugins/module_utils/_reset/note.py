# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What a run notes before it stops Synapse, so that the next one can go on if it is killed.

The note is a file next to the configuration of Synapse, which only its owner can read. It exists while a reset is not
finished. What has been dropped is never read in it, but in the database itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import Directory, open_directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError

_NAME = ".matrix_ops-reset.json"
_MODE = 0o600


class Note(t.NamedTuple):
    """What a run has noted.

    `running`: what ran before Synapse was stopped, see `Service.running`. `dropped_ts`: when the database began to be
    dropped, in seconds since 1970, or 0. `backup`: the path of the backup, or "". `old_server_name`: the one that the
    accounts had, if it is not the configured one. `identity`: that of the database to be dropped, see `Contents`.
    `has_media`: whether the media are in the backup.
    """

    server_name: str
    running: dict[str, t.Any]
    dropped_ts: float = 0
    backup: str = ""
    old_server_name: str = ""
    identity: str = ""
    has_media: bool = False


class NoteFile:
    """The file with the note of a reset."""

    def __init__(self, config_path: t.Sequence[str]) -> None:
        """`config_path`: the files and directories of the configuration. Reads nothing yet."""
        first = os.path.abspath(config_path[0])
        self._directory = first if os.path.isdir(first) else os.path.dirname(first)

    @property
    def path(self) -> str:
        """The path of the file."""
        return os.path.join(self._directory, _NAME)

    def read(self, server_name: str) -> Note | None:
        """Return the note, or None if there is none.

        Raises InvalidInput if the file is not one of this module and this user, or is about another server.
        """
        if not os.path.lexists(self.path):
            return None
        with self._opened() as directory:
            status = directory.status(_NAME)
            content = directory.read(_NAME)
        if content is None or status is None:
            return None
        fix = f"Read it, and remove {self.path} if no reset of this server was interrupted."
        if status.st_uid != os.geteuid():
            raise InvalidInput(f"{self.path}, the note of an interrupted reset, belongs to another user. {fix}")
        try:
            note = Note(**json.loads(content))
        except (ValueError, TypeError) as error:
            raise InvalidInput(f"{self.path} is not a note of an interrupted reset. {fix}") from error
        if note.server_name != server_name:
            raise InvalidInput(
                f"{self.path} is the note of an interrupted reset of {note.server_name}, but the configuration is that"
                f" of {server_name}. Set server_name as it was, and run the task again. {fix}"
            )
        return note

    def require_writable(self) -> None:
        """Raise InvalidInput if the note cannot be written. Changes nothing."""
        with self._opened() as directory:
            directory.require_writable(f"The note {self.path}")

    @contextlib.contextmanager
    def locked(self) -> t.Iterator[None]:
        """Let no other reset of this server run during the block. Raises SynapseError if one runs already."""
        with self._opened() as directory:
            # The directory itself, so that no file stays.
            listing = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=directory.descriptor)
            try:
                self._lock(listing)
                yield
            finally:
                os.close(listing)

    def write(self, note: Note) -> None:
        """Write the note. Raises SynapseError if that fails."""
        with self._opened() as directory:
            content = json.dumps(note._asdict(), sort_keys=True).encode()
            directory.replace(_NAME, content, Attributes(_MODE, os.geteuid(), os.getegid()))

    def remove(self) -> None:
        """Remove the note, if there is one. Raises SynapseError if that fails."""
        with self._opened() as directory:
            if directory.status(_NAME):
                directory.remove(_NAME)
                directory.synchronise()

    def _lock(self, listing: int) -> None:
        # A file system without locks does not prevent the reset.
        with contextlib.suppress(OSError):
            try:
                fcntl.flock(listing, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise SynapseError(
                    f"Another task resets or restores the server of {self._directory}. Wait until it ends, and run the"
                    " task again if that is still needed.",
                    changed=False,
                ) from error

    @contextlib.contextmanager
    def _opened(self) -> t.Iterator[Directory]:
        # Whoever owns the configuration decides what Synapse does anyway.
        trusted = {os.stat(self._directory).st_uid} if os.path.isdir(self._directory) else set()
        with open_directory(self._directory, trusted=trusted, option=self.path) as directory:
            yield directory

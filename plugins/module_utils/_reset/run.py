# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Runs a reset: stops Synapse, backs up, drops, starts Synapse on the new database, and proves that it is empty.

At each moment either the old database is whole or the new one is. After a failure it is read which of the two is in
place, not remembered, and the server runs again on the old one if that is possible.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import StateNotReached, SynapseError, told
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.contents import Contents
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.droppable import Droppable
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.media_clearing import Cleared, MediaClearing
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.note import Note, NoteFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.server import Server
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.signing_key import SigningKey
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.interruption import (
    Interrupted,
    interruptible,
    told_of,
)


class Written(t.Protocol):
    """A backup that was made."""

    @property
    def path(self) -> str:
        """The path of the archive."""


class BackupMaker(t.Protocol):
    """Makes one backup."""

    def prepare(self) -> object:
        """Raise SynapseError for a reason why `write` would fail. Changes nothing."""

    def write(self) -> Written:
        """Make the backup. Raises SynapseError."""


@dataclasses.dataclass(frozen=True)
class Parts:
    """What a reset works with. `key`: the signing key to be replaced, or None. `media`: None if the media stay.

    `decide_again`: raises SynapseError if the database may no longer be dropped, because something was written since.
    `forget_restore`: removes the record of the restore that the old database came from.
    """

    database: Droppable
    server: Server
    notes: NoteFile
    backup: BackupMaker
    key: SigningKey | None = None
    media: MediaClearing | None = None
    decide_again: t.Callable[[], None] = lambda: None
    forget_restore: t.Callable[[], None] = lambda: None


class ResetRun:
    """One run. After it, `cleared` is what it removed from the media store."""

    def __init__(self, parts: Parts, note: Note) -> None:
        """`note`: that of an interrupted run, or a new one."""
        self._parts = parts
        self._note = note
        self._was_running = False
        # What was in the old database before it was dropped.
        self._found: Contents | None = None
        self.cleared: Cleared | None = None

    def has_old(self) -> bool:
        """Return whether the old database is still there."""
        return is_of_old(self._parts.database.contents(), self._note)

    @property
    def backup_path(self) -> str:
        """The path of the backup, or "" if none was made."""
        return self._note.backup

    def reset(self) -> None:
        """Do everything. Raises SynapseError, whose message says which database is in place and where the backup is."""
        parts = self._parts
        with interruptible("The reset"):
            try:
                self._was_running = parts.server.is_running()
                running = parts.server.running(self._note.running)
                self._keep(running=running, dropped_ts=0, backup="", identity="", has_media=False)
                parts.server.stop()
                parts.decide_again()
                self._found = parts.database.contents()
                path = parts.backup.write().path
                self._keep(backup=path, has_media=parts.media is not None, identity=self._found.identity)
                self._require_unchanged(self._found)
                self._keep(dropped_ts=time.time())
                parts.database.drop()
                self._start_new()
            except (Exception, Interrupted) as error:
                raise self._settled(told_of(error)) from error
            self._finish()

    def go_on(self) -> None:
        """Finish a reset that was interrupted after the database was dropped. Raises SynapseError as `reset` does."""
        parts = self._parts
        with interruptible("The reset"):
            try:
                self._was_running = parts.server.is_running()
                self._keep(running=parts.server.running(self._note.running))
                self._start_new()
            except (Exception, Interrupted) as error:
                raise self._settled(told_of(error)) from error
            self._finish()

    def clear_media(self) -> None:
        """Make a backup, and remove the media of a server whose database is empty already. Synapse is not stopped."""
        begun = time.time()
        self._parts.decide_again()
        self._note = self._note._replace(backup=self._parts.backup.write().path)
        if self._parts.media:
            self.cleared = self._parts.media.clear(begun)

    def _require_unchanged(self, found: Contents) -> None:
        """Raise SynapseError if the backup does not contain everything, because somebody has started Synapse again."""
        parts = self._parts
        if parts.server.is_running() or parts.database.contents() != found:
            raise SynapseError(
                f"{parts.database.shown} was used while the backup was made, so the backup does not have everything."
                " Check what has started Synapse, or what else writes to the database, and run the task again."
            )

    def _keep(self, **changes: t.Any) -> None:
        self._note = self._note._replace(**changes)
        self._parts.notes.write(self._note)

    def _start_new(self) -> None:
        parts = self._parts
        if parts.key and not parts.key.is_replaced():
            parts.server.stop()
            parts.key.replace()
        # A server that was stopped has to prove that it starts, too.
        parts.server.start({**self._note.running, "main": True})
        require_new(parts.database.contents(), self._note, parts.database.shown)

    def _finish(self) -> None:
        """Remove what belongs to the old database. The new one is in use from now on."""
        try:
            if self._parts.media:
                self.cleared = self._parts.media.clear(self._note.dropped_ts)
            self._parts.forget_restore()
            self._parts.database.forget()
            self._parts.notes.remove()
        except (Exception, Interrupted) as failed:
            error = told_of(failed)
            error.explain(
                "Synapse already runs on the new database. Correct the cause, and run the task again to finish."
                f" {self._backup_is()}"
            )
            error.details = {"changed": True, "database": "new", **error.details}
            raise error from failed

    def _settled(self, error: SynapseError) -> SynapseError:
        """Return the error with what is in place now, after the server was started on the old database if it can be."""
        database = self._parts.database
        try:
            contents, aside = database.contents(), database.is_aside()
            is_old = contents == self._found or is_of_old(contents, self._note)
            # After an interruption, somebody may have started and used the new one.
            aside = aside and not contents.accounts and not contents.rooms
            if aside:
                self._put_back()
        except Exception as second:
            error.explain(
                f"It could not be found out whether {database.shown} is the old or the new database:"
                f" {told(second).message} {self._backup_is()} Correct the cause, and run the task again."
            )
            error.details = {"changed": True, **error.details}
            return error
        if aside or is_old:
            self._start_old(error)
        else:
            error.explain(
                f"The old database is dropped, and {database.shown} is new. {self._backup_is()} Correct the cause, and"
                " run the task again to finish."
            )
            error.details = {"changed": True, "database": "new", **error.details}
        return error

    def _put_back(self) -> None:
        self._parts.server.stop()
        # First, so that after an interruption the old database is not there with the new key.
        if self._parts.key:
            self._parts.key.put_back()
        self._parts.database.put_back()

    def _start_old(self, error: SynapseError) -> None:
        """Start the server on the old database, if it ran before, and add to the error what came of it."""
        error.explain("Nothing is dropped: the old database is in place.")
        error.details = {"changed": False, "database": "old", **error.details}
        ran = self._was_running or self._note.running.get("main")
        # The next run must not take it for a new one.
        with contextlib.suppress(SynapseError):
            self._keep(dropped_ts=0)
        try:
            if ran:
                self._parts.server.start(self._note.running)
            self._parts.notes.remove()
        except Exception as second:
            error.explain(f"But Synapse does not run: {told(second).message}")
        else:
            error.explain("Synapse runs on it again." if ran else "Synapse is stopped, as it was before.")
        if self._note.backup:
            error.explain(self._backup_is())

    def _backup_is(self) -> str:
        return f"The backup of the old one is {self._note.backup}." if self._note.backup else "There is no backup."


def is_of_old(contents: Contents, note: Note) -> bool:
    """Whether the database is the old one, and not one that Synapse has created since it was dropped by the note."""
    if not contents.accounts and not contents.rooms and not contents.server_names:
        return False
    # The clock of the host may have been wrong when its accounts were created.
    if note.identity and contents.identity == note.identity:
        return True
    # Synapse stores the time of an account in whole seconds.
    return not note.dropped_ts or contents.oldest is None or contents.oldest < int(note.dropped_ts)


def require_new(contents: Contents, note: Note, shown: str) -> None:
    """Raise StateNotReached unless the database has the tables of Synapse and nothing of the old server."""
    if not contents.has_tables:
        raise StateNotReached(
            f"Synapse answers, but has not created its tables in {shown}. Check that config_path is the configuration"
            " that it runs with."
        )
    if is_of_old(contents, note):
        raise StateNotReached(
            f"{shown} still has accounts or rooms that are older than this reset. Check what else writes to it."
        )

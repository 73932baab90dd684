# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The reset of the database of a Synapse, as a resource with a plan."""

from __future__ import annotations

import functools
import os
import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import JsonObject
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    read_configuration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.reader import new_signing_key
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.background_updates import find_databases
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.libpq_variables import (
    forget_libpq_variables,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConfigurationError,
    InvalidInput,
    SynapseError,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.media_store import find_media_store
from ansible_collections.matrix_ops.synapse.plugins.module_utils._federation.evidence import Evidence
from ansible_collections.matrix_ops.synapse.plugins.module_utils._federation.query import DatabaseSource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, Step, require
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.contents import Contents
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.decision import (
    Case,
    Decision,
    decide,
    require_confirmation,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.declared import DeclaredReset
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.droppable import Droppable, open_database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.explanation import next_steps, reason_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.half_done import (
    forget_restore,
    require_nothing_half_done,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.media_clearing import MediaClearing
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.note import Note, NoteFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.place import Place
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.run import (
    BackupMaker,
    Parts,
    ResetRun,
    is_of_old,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.server import ControlledServer
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.signing_key import SigningKey, find_signing_key
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.used_database import require_use

_IN_USE, _EMPTY = "in use", "empty"
_FILES, _NO_FILES = "files", "none"


class ResetResource:
    """The database of a Synapse that has to be new."""

    def __init__(
        self,
        declared: DeclaredReset,
        server: ControlledServer,
        backup: BackupMaker,
        find_place: t.Callable[[], Place],
        require_startable: t.Callable[[Configuration, Place], None],
    ) -> None:
        """`backup`: makes the backup in `declared.dest_directory`.

        `require_startable`: raises SynapseError if Synapse would not start again with its configuration.
        """
        self._declared = declared
        self._server = server
        self._backup = backup
        self._find_place = find_place
        self._require_startable = require_startable
        self._place = Place(None, None)
        self._notes = NoteFile(declared.config_path)
        self._server_name = ""
        self._decision = Decision(Case.UNUSED)
        self._run: ResetRun | None = None
        self._opened: Droppable | None = None
        self._media_path = ""
        self._key: SigningKey | None = None
        self._has_old_key = False
        self._note: Note | None = None
        self._steps: list[str] = []

    def plan(self) -> Plan:
        """See Resource. Raises InvalidInput if the database must not be dropped."""
        declared = self._declared
        forget_libpq_variables()
        self._server.require_same_configuration()
        configuration = self._read_configuration()
        self._server_name = configuration.server_name
        self._note = self._notes.read(self._server_name)
        self._place = self._find_place()
        settings = find_databases(configuration, self._place.working_directory)
        self._opened = open_database(settings, declared.synapse_python, self._place.as_synapse)
        require_use(self._server, self._database.shown, self._database.is_open_in)
        contents = self._database.contents()
        require_confirmation(self._server_name, declared.confirm, contents.server_names)
        require_nothing_half_done(declared.config_path)
        self._decision = self._decide(contents)
        media = self._find_media(configuration)
        # Synapse makes a key that is missing when it starts, so that the server has a new one then.
        self._has_old_key = new_signing_key(configuration) is None
        self._key = None
        if self._decision.old_server_name and declared.new_signing_key and self._has_old_key:
            self._key = find_signing_key(configuration, self._decision.old_server_name, self._place.working_directory)
        plan = self._planned(media)
        if self._decision.case in (Case.NEVER_FEDERATED, Case.SERVER_NAME_CHANGES):
            self._require_startable(configuration, self._place)
        return plan

    @property
    def _database(self) -> Droppable:
        if self._opened is None:
            raise SynapseError("The database was not looked at yet.")
        return self._opened

    def verify(self, plan: Plan) -> None:
        """See Resource."""
        is_old = self._run is not None and self._run.has_old()
        require(
            ["it has the accounts or rooms of the old one"] if is_old else [], f"The database of {self._server_name}"
        )

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        """See Resource."""
        decision, database = self._decision, self._database
        reset: dict[str, t.Any] = {
            "server_name": self._server_name,
            "case": decision.case.value,
            "reason": reason_of(decision, self._server_name),
            "database": database.shown,
            "next_steps": [],
        }
        if plan.changed:
            reset["next_steps"] = next_steps(
                decision,
                keeps_key=self._has_old_key and self._key is None,
                keeps_media=not self._declared.purge_media,
            )
        if decision.old_server_name:
            reset["old_server_name"] = decision.old_server_name
        if self._run:
            if self._run.backup_path:
                reset["backup"] = self._run.backup_path
            if self._run.cleared:
                cleared = self._run.cleared
                reset["media"] = {"removed": cleared.files, "kept": cleared.kept, "kept_count": cleared.kept_count}
        if self._key and plan.changed:
            reset["old_signing_key"] = self._key.old_path
        return {"database_reset": reset, "steps": list(self._steps) if plan.changed else []}

    def _read_configuration(self) -> Configuration:
        configuration = read_configuration(self._declared.config_path)
        if configuration.is_of_worker(self._declared.config_path):
            raise ConfigurationError(
                f"{configuration.source_of('worker_app')} is the configuration of a worker. Remove it from config_path,"
                " which must be the configuration of the main process."
            )
        return configuration

    def _decide(self, contents: Contents) -> Decision:
        note, aside = self._note, self._database.is_aside()
        if note and note.dropped_ts and (aside or not is_of_old(contents, note)):
            if aside and not os.path.exists(note.backup):
                raise InvalidInput(
                    f"{note.backup}, the backup of an interrupted reset, is gone, so {self._database.aside} is all that"
                    " is left of the old server. Bring the backup back to its path, move the old database back to its"
                    " name, or remove it, and run the task again."
                )
            return Decision(Case.UNFINISHED, note.old_server_name)
        if aside:
            raise InvalidInput(
                f"{self._database.aside} is the old database of an interrupted reset, but {self._notes.path} with the"
                " path of its backup is missing. Move the old database back to its name, or remove it, and run the task"
                " again."
            )
        return decide(self._server_name, contents, self._read_evidence)

    def _read_evidence(self) -> list[JsonObject]:
        configuration = self._read_configuration()
        with self._place.as_synapse(), DatabaseSource(configuration, self._place.working_directory) as source:
            found: list[JsonObject] = Evidence(source).ever_federated()["evidence"]
        return found

    def _find_media(self, configuration: Configuration) -> MediaClearing | None:
        if not self._declared.purge_media:
            return None
        self._media_path = find_media_store(configuration, self._place.working_directory)
        return MediaClearing(self._media_path)

    def _planned(self, media: MediaClearing | None) -> Plan:
        """Return the plan for the case that was decided. Raises what a run would raise before it changes anything."""
        case, database, server = self._decision.case, self._database, self._server
        since = self._note.dropped_ts if case is Case.UNFINISHED and self._note else time.time()
        has_files = media is not None and media.has_files(since)
        if media and has_files:
            media.require_clearable()
            self._require_media_in_backup()
        before = {"database": _EMPTY if case is Case.UNUSED else _IN_USE, **self._media_state(has_files)}
        after = {"database": _EMPTY, **self._media_state(False)}
        forget = functools.partial(forget_restore, self._declared.config_path)
        parts = Parts(database, server, self._notes, self._backup, self._key, media, self._decide_again, forget)
        note = self._note or Note(self._server_name, {})
        note = note._replace(old_server_name=self._decision.old_server_name or note.old_server_name)
        self._run = ResetRun(parts, note)
        clearing = [f"remove the media in {self._media_path}"] if has_files else []
        started = [f"start {_small(server.described)}, and check that the new database is empty"]
        backup = f"back up to {self._declared.dest_directory}"
        if case is Case.UNUSED:
            if not has_files:
                return Plan(after, after)
            self._backup.prepare()
            self._steps = [backup, *clearing]
            return Plan(before, after, (self._step(self._run.clear_media),))
        server.require_control()
        keyed = self._steps_of_key()
        if case is Case.UNFINISHED:
            self._steps = [*keyed, *started, *clearing]
            return Plan(before, after, (self._step(self._run.go_on),))
        # After the drop, it would be too late to learn that a start cannot be seen.
        server.require_answer()
        database.require_droppable()
        self._notes.require_writable()
        self._backup.prepare()
        self._steps = [
            *([f"stop {_small(server.described)}"] if server.is_running() else []),
            backup,
            f"drop everything in {database.shown}",
            *keyed,
            *started,
            *clearing,
        ]
        return Plan(before, after, (self._step(self._run.reset),))

    def _step(self, run: t.Callable[[], None]) -> Step:
        def alone() -> None:
            with self._notes.locked():
                if self._notes.read(self._server_name) != self._note:
                    raise InvalidInput(
                        f"Another task has reset {self._server_name} meanwhile. Run the task again.", changed=False
                    )
                require_nothing_half_done(self._declared.config_path)
                run()

        return Step("; ".join(self._steps), alone)

    def _decide_again(self) -> None:
        """Raise SynapseError if what was decided is not so any more, because something was written since then."""
        decision = decide(self._server_name, self._database.contents(), self._read_evidence)
        if decision != self._decision:
            raise InvalidInput(
                f"{self._database.shown} was changed after it was checked. Check what writes to it, and run the task"
                " again."
            )

    def _steps_of_key(self) -> list[str]:
        if self._key is None or self._decision.case is Case.UNFINISHED and self._key.is_replaced():
            return []
        self._key.require_replaceable()
        return [f"replace the signing key {self._key.path}, and keep the old one as {self._key.old_path}"]

    def _require_media_in_backup(self) -> None:
        """Raise InvalidInput if an interrupted reset has made its backup without the media."""
        note = self._note
        if self._decision.case is Case.UNFINISHED and note and not note.has_media:
            raise InvalidInput(
                f"The interrupted reset was begun without purge_media, so its backup {note.backup} has no media. Run"
                " the task with purge_media: false to finish it, and then again with purge_media: true, which backs the"
                " media up before it removes them."
            )

    def _media_state(self, has_files: bool) -> dict[str, str]:
        return {"media": _FILES if has_files else _NO_FILES} if self._declared.purge_media else {}


def _small(described: str) -> str:
    """Return the name of a service within a sentence."""
    return f"the {described[4:]}" if described.startswith("The ") else described

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The export of an account: whether there is a complete one, and if not, how it comes about."""

from __future__ import annotations

import dataclasses
import datetime
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database import Database, find_database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export_account import (
    find_forgotten,
    require_account,
    require_nothing_pending,
    require_safe_room_ids,
    require_schema,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export_command import (
    SynapsePython,
    interruptible,
    read_synapse_python,
    require_main_process,
    run_export,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export_content import read_content
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export_directory import (
    ExportPlace,
    Manifest,
    Workplace,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._homeserver import Configuration, read_configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import parse_user_id
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, Step, require


@dataclasses.dataclass(frozen=True)
class DeclaredExport:
    """What a task declares; the names are those of the module's options. `export_timeout` in seconds, 0: no limit."""

    user_id: str
    destination: str
    config_path: t.Sequence[str]
    synapse_python: str
    chdir: str | None
    export_timeout: int
    force: bool


class ExportResource:
    """The export of one account, as the runner wants it (see _plan.Resource)."""

    def __init__(self, declared: DeclaredExport) -> None:
        self._declared = declared
        python = declared.synapse_python
        # Synapse's command runs in another directory than the task. A bare name is looked for in PATH.
        self._python = os.path.abspath(python) if os.sep in python else python
        self._place = ExportPlace(declared.destination)
        self._found: Manifest | None = None
        self._manifest: Manifest | None = None
        self._synapse: SynapsePython | None = None
        self._forgotten: list[str] = []

    def plan(self) -> Plan:
        """Look at the place, and if there is something to do, whether it can succeed. Raises SynapseError if not."""
        configuration = read_configuration(self._declared.config_path)
        self._server_name = configuration.server_name
        self._user_id = str(parse_user_id(self._declared.user_id, self._server_name))
        self._found = found = self._read_own()
        if found and not self._declared.force:
            self._require_whole(found)
            self._manifest = found
            return Plan(self._state(), self._state())
        self._place.require_writable()
        self._require_exportable(configuration)
        what = f"export the data of {self._user_id} to {self._place.path}"
        if found is None:
            return Plan(None, self._state(), (Step(what, self._export),))
        step = Step(f"{what}, in place of the export made at {found.created_at}", self._export)
        return Plan(self._state(created_at=found.created_at), self._state(created_at="now"), (step,))

    def verify(self, plan: Plan) -> None:
        """Look at the place again. Raises StateNotReached unless the complete export of this task is there."""
        found = self._read_own()
        whole = found is not None and found == self._manifest and self._place.is_whole(found)
        require([] if whole else ["it is not the one that was just made"], f"The export in {self._place.path}")

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        """Return what the export holds: None where only making it can tell."""
        found, synapse = self._manifest, self._synapse
        content = found.content._asdict() if found else None
        return {
            "user_id": self._user_id,
            "destination": self._place.path,
            "created_at": found.created_at if found else None,
            "synapse_version": found.synapse_version if found else synapse and synapse.version,
            "size": content.pop("size") if content else None,
            "counts": content,
            "forgotten_rooms": found.forgotten_rooms if found else self._forgotten,
        }

    def _state(self, **more: str) -> dict[str, t.Any]:
        return {"user_id": self._user_id, "destination": self._place.path, **more}

    def _read_own(self) -> Manifest | None:
        found = self._place.read()
        if found and found.user_id != self._user_id:
            raise InvalidInput(
                f"destination {self._place.path} holds the export of {found.user_id}, not of {self._user_id}: it is"
                " left alone, name another place."
            )
        return found

    def _require_whole(self, found: Manifest) -> None:
        if not self._place.is_whole(found):
            raise SynapseError(
                f"The export in {self._place.path} is not as it was made at {found.created_at}: files were added,"
                " changed or taken away. Move what is yours elsewhere, then make a new export with force."
            )

    def _require_exportable(self, configuration: Configuration) -> None:
        chdir = self._declared.chdir
        if chdir is not None and not os.path.isdir(chdir):
            raise InvalidInput(f"chdir {chdir} is not a directory: name the one that Synapse runs in.")
        require_main_process(configuration)
        self._synapse = read_synapse_python(self._python)
        with Database(find_database(configuration, chdir)) as database:
            require_schema(database, self._synapse)
            require_account(database, self._user_id)
            require_nothing_pending(database, self._user_id)
            require_safe_room_ids(database, self._user_id)
            self._forgotten = find_forgotten(database, self._user_id)

    def _export(self) -> None:
        with interruptible(), self._place.workplace() as work:
            work.prepare()
            self._run(work)
            content = read_content(work.export, self._user_id)
            now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            version = self._synapse.version if self._synapse else ""
            self._manifest = Manifest(self._user_id, self._server_name, version, now, self._forgotten, content)
            if self._read_own() != self._found:
                raise SynapseError(f"Something was put into {self._place.path} meanwhile: it is left alone, try again.")
            work.publish(self._manifest)

    def _run(self, work: Workplace) -> None:
        declared = self._declared
        run_export(
            self._python,
            declared.config_path,
            self._user_id,
            work.export,
            # Synapse makes a relative media store in its working directory: in the scratch one it does no harm.
            working_directory=declared.chdir or work.scratch,
            timeout=declared.export_timeout or None,
            lock=work.lock,
        )

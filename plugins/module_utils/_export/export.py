# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The export of an account: whether there is a complete one, and if not, how it comes about."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    read_configuration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database, find_database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.account import (
    Pending,
    find_declined,
    find_forgotten,
    find_left_out,
    find_pending,
    require_account,
    require_schema,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.answers import (
    Caller,
    Gap,
    find_gaps,
    write_answers,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.command import (
    SynapsePython,
    interruptible,
    read_synapse_python,
    require_main_process,
    run_export,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.content import (
    RoomContent,
    describe_files,
    read_content,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.declared import DeclaredExport, now, shown
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.events.objects import read_objects
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.manifest import File, Manifest
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.media import (
    MediaOutcome,
    MediaSources,
    choose_sources,
    fetch_media,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.page.page import write_page
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.workplace import Workplace
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.written import name_by_ids
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import parse_user_id
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, Step, require
from ansible_collections.matrix_ops.synapse.plugins.module_utils._version import COLLECTION_VERSION

_PAGE = "index.html"
_MEDIA = "media"
_NAMED_AT_MOST = 5


class ExportResource:
    """The export of one account, as the runner wants it (see _plan.Resource)."""

    def __init__(self, declared: DeclaredExport, client: Client | None = None) -> None:
        """`client`: with the token of a server admin. Without it, the database and the media store must do."""
        self._declared = declared
        python = declared.synapse_python
        # Synapse's command runs in another directory than the task. A bare name is looked for in PATH.
        self._python = os.path.abspath(python) if os.sep in python else python
        self._caller = Caller(client)
        self._sources: MediaSources | None = None
        self._found: Manifest | None = None
        self._manifest: Manifest | None = None
        self._synapse: SynapsePython | None = None
        self._pending: list[Pending] = []
        self._forgotten: list[str] = []
        self._left_out: list[Gap] = []

    def plan(self) -> Plan:
        """Look at the place, and if there is something to do, whether it can succeed. Raises SynapseError if not."""
        oldest = self._declared.oldest()
        if self._declared.parallel < 1:
            raise InvalidInput("parallel must be at least 1.")
        configuration = read_configuration(self._declared.config_path)
        self._server_name = configuration.server_name
        identifier = parse_user_id(self._declared.user_id, self._server_name)
        self._user_id = str(identifier)
        self._place = self._declared.place(identifier.localpart)
        self._found = found = self._read_own()
        if found and not self._declared.force:
            self._require_whole(found)
        if found and self._suffices(found, oldest):
            self._manifest = found
            if not self._place.is_aside():
                return Plan(self._state(found), self._state(found))
            self._place.require_writable()
            what = f"put the export back to {self._place.path} that an interrupted task has put aside"
            return Plan(None, self._state(found), (Step(what, self._place.put_back),))
        self._place.require_writable()
        self._require_exportable(configuration)
        what = f"export the data of {self._user_id}{self._extras()} to {self._place.path}"
        if found is None:
            made = f"make the directory {self._place.parent}"
            steps = [Step(made, self._place.make_directories)] if self._place.missing_directories() else []
            return Plan(None, self._state(None), (*steps, Step(what, self._export)))
        before = {**self._state(found), "created_at": found.created_at}
        step = Step(f"{what}, in place of the export made at {found.created_at}", self._export)
        return Plan(before, {**self._state(None), "created_at": "now"}, (step,))

    def verify(self, plan: Plan) -> None:
        """Look at the place again. Raises StateNotReached unless the complete export of this task is there."""
        found = self._read_own()
        whole = found is not None and found == self._manifest and self._place.is_whole(found)
        require([] if whole else ["it is not the one that was just made"], f"The export in {self._place.path}")

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        """Return what the export holds: None where only making it can tell."""
        found, synapse = self._manifest, self._synapse
        return {
            "user_id": self._user_id,
            "destination": self._place.path,
            "created_at": found.created_at if found else None,
            "synapse_version": found.synapse_version if found else synapse and synapse.version,
            "size": found.size if found else None,
            "counts": found.counts if found else None,
            "forgotten_rooms": found.forgotten_rooms if found else self._forgotten,
            "pending": [
                {"room_id": entry["room_id"], "membership": entry["membership"]}
                for entry in (found.pending if found else [pending._asdict() for pending in self._pending])
            ],
            "missing_media": _missing(found) if found else None,
            "not_exported": found.not_exported if found else None,
        }

    def _state(self, made: Manifest | None) -> dict[str, t.Any]:
        """Return what is there, or with None what will be."""
        return {
            "user_id": self._user_id,
            "destination": self._place.path,
            "media": made.media is not None if made else self._declared.media,
            "include_forgotten": made.includes_forgotten_rooms if made else self._declared.include_forgotten,
        }

    def _extras(self) -> str:
        extras = ["its media"] if self._declared.media else []
        extras += ["the rooms it has forgotten"] if self._declared.include_forgotten and self._forgotten else []
        return f" with {' and '.join(extras)}" if extras else ""

    def _suffices(self, found: Manifest, oldest: str | None) -> bool:
        """Whether the export that is there is what the task declares. Points of time as text sort as they follow."""
        declared = self._declared
        return not (
            declared.force
            or (oldest is not None and found.created_at < oldest)
            or (declared.media and found.media is None)
            or (declared.include_forgotten and not found.includes_forgotten_rooms)
            or (declared.strict and found.missing_media)
        )

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
        declared, chdir = self._declared, self._declared.chdir
        if chdir is not None and not os.path.isdir(chdir):
            raise InvalidInput(f"chdir {chdir} is not a directory: name the one that Synapse runs in.")
        require_main_process(configuration)
        self._synapse = read_synapse_python(self._python)
        with Database(find_database(configuration, chdir)) as database:
            require_schema(database, self._synapse)
            require_account(database, self._user_id)
            self._pending = find_pending(database, self._user_id)
            self._forgotten = find_forgotten(database, self._user_id)
            self._left_out = [*_of_declined(find_declined(database, self._user_id))]
            self._left_out += find_left_out(database, self._user_id)
        if declared.media:
            self._sources = choose_sources(
                declared.media_source,
                configuration,
                self._caller.client,
                working_directory=chdir,
                include_quarantined=declared.include_quarantined,
            )
        self._caller.check(self._server_name, required=self._sources is not None and self._sources.store is None)
        if self._sources is not None and self._caller.silence is not None:
            self._sources = dataclasses.replace(self._sources, client=None)

    def _export(self) -> None:
        with interruptible(), self._place.workplace(resume=self._declared.media) as work:
            work.prepare()
            ids = self._run(work)
            content, rooms = read_content(work.export, self._user_id, ids)
            gaps = write_answers(self._caller, self._user_id, work.export)
            outcomes = self._fetch_media(work)
            gaps += find_gaps(self._user_id, self._server_name, work.export, with_media=outcomes is not None)
            manifest = Manifest(
                user_id=self._user_id,
                server_name=self._server_name,
                created_at=shown(now()),
                synapse_version=self._synapse.version if self._synapse else "",
                collection_version=COLLECTION_VERSION,
                counts=content._asdict(),
                ids={**ids, **{os.path.join(_MEDIA, o.file): o.media_id for o in outcomes or () if o.file}},
                rooms=[_of_room(room) for room in rooms],
                # In the order in which check mode finds them: directories have other names than rooms.
                pending=sorted(
                    (_of_pending(room) for room in rooms if room.pending), key=lambda entry: entry["room_id"]
                ),
                forgotten_rooms=self._forgotten,
                includes_forgotten_rooms=self._declared.include_forgotten,
                media=None if outcomes is None else [outcome._asdict() for outcome in outcomes],
                not_exported=gaps + self._left_out,
                files=[],
            )
            left_out = {"forgotten_rooms": [] if self._declared.include_forgotten else self._forgotten}
            write_page(work.export, {**dataclasses.asdict(manifest), **left_out}, os.path.join(work.export, _PAGE))
            files = describe_files(work.export, {file.path: file for file in map(_of_medium, outcomes or ()) if file})
            counts = {**manifest.counts, "files": len(files), "media_files": sum(bool(o.file) for o in outcomes or ())}
            self._manifest = dataclasses.replace(manifest, files=files, counts=counts)
            if self._read_own() != self._found:
                raise SynapseError(f"Something was put into {self._place.path} meanwhile: it is left alone, try again.")
            work.publish(self._manifest)

    def _run(self, work: Workplace) -> dict[str, str]:
        """Let Synapse write what it has, and return the ids by path of what is named by one."""
        run_export(
            self._python,
            self._declared.config_path,
            self._user_id,
            work.export,
            work.ids,
            include_forgotten=self._declared.include_forgotten,
            working_directory=self._declared.chdir or work.scratch,
            timeout=self._declared.export_timeout or None,
            lock=work.lock,
        )
        return name_by_ids(work.export, work.ids)

    def _fetch_media(self, work: Workplace) -> list[MediaOutcome] | None:
        """Fetch the media into the export, if the task wants them: first to where a later task would find them."""
        if self._sources is None:
            return None
        directory = os.path.join(work.export, "media_ids")
        names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
        descriptions = (found for name in names for found in read_objects(os.path.join(directory, name)))
        outcomes = fetch_media(descriptions, work.media, self._sources, self._declared.parallel)
        missing = [f"{outcome.media_id} ({outcome.missing})" for outcome in outcomes if outcome.missing]
        if missing and self._declared.strict:
            more = len(missing) - _NAMED_AT_MOST
            raise SynapseError(
                f"{len(missing)} of the {len(outcomes)} media of {self._user_id} cannot be exported:"
                f" {', '.join(missing[:_NAMED_AT_MOST])}{f' and {more} more' if more > 0 else ''}. Without strict they"
                " are only listed."
            )
        os.rename(work.media, os.path.join(work.export, _MEDIA))
        return outcomes


def _missing(manifest: Manifest) -> list[dict[str, t.Any]]:
    return [{"media_id": found["media_id"], "missing": found["missing"]} for found in manifest.missing_media]


def _of_declined(room_ids: t.Sequence[str]) -> t.Iterator[Gap]:
    if room_ids:
        why = "Synapse's export leaves out rooms that the account was invited to or knocked at, and never was in"
        rooms = f"{len(room_ids)} room{'s' if len(room_ids) > 1 else ''}"
        yield {"what": f"memberships in {rooms}: {', '.join(room_ids)}", "why": why}


def _of_room(room: RoomContent) -> dict[str, t.Any]:
    return {name: value for name, value in room._asdict().items() if name != "pending"}


def _of_pending(room: RoomContent) -> dict[str, t.Any]:
    path = os.path.join(room.path, f"{room.membership}_state")
    return {"room_id": room.room_id, "membership": room.membership, "path": path}


def _of_medium(outcome: MediaOutcome) -> File | None:
    if outcome.file is None or outcome.size is None or outcome.sha256 is None:
        return None
    media_type = outcome.media_type or "application/octet-stream"
    return File(os.path.join(_MEDIA, outcome.file), outcome.size, outcome.sha256, media_type)

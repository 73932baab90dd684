# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The export of an account: checks whether there is a complete one, and makes one if not."""

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
    find_media,
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
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.declared import (
    DeclaredExport,
    milliseconds,
    now,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.events.objects import read_objects
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.manifest import File, Manifest
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.media import (
    MediaOutcome,
    MediaSources,
    choose_sources,
    fetch_media,
    find_missing,
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
_PARALLEL_AT_MOST = 64
# A year, in seconds. Much larger numbers are too large for the timers of the system.
_LONGEST_TIMEOUT = 366 * 86400


class ExportResource:
    """The export of one account, as a resource for the runner (see _plan.Resource)."""

    def __init__(self, declared: DeclaredExport, client: Client | None = None) -> None:
        """`client`: with the token of a server admin. Without it, only the database and the media store are used."""
        self._declared = declared
        python = declared.synapse_python
        # Synapse's command runs in another directory than the task. A name without a slash is searched in PATH.
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
        """Read the destination. If an export is needed, check whether it can succeed. Raises SynapseError if not."""
        oldest = self._declared.oldest()
        parallel = self._declared.parallel
        if not 1 <= parallel <= _PARALLEL_AT_MOST:
            raise InvalidInput(f"parallel is {parallel}. Set it to a number from 1 to {_PARALLEL_AT_MOST}.")
        timeout = self._declared.export_timeout
        if not 0 <= timeout <= _LONGEST_TIMEOUT:
            raise InvalidInput(
                f"export_timeout is {timeout}. Set it to a number of seconds from 1 to {_LONGEST_TIMEOUT}, or to 0 for"
                " no limit."
            )
        configuration = read_configuration(self._declared.config_path)
        self._server_name = configuration.server_name
        identifier = parse_user_id(self._declared.user_id, self._server_name)
        self._user_id = str(identifier)
        self._place = self._declared.place(identifier.localpart)
        self._found = found = self._read_own()
        if found and not self._declared.recreate:
            self._require_whole(found)
        if found and self._suffices(found, oldest):
            self._manifest = found
            if not self._place.is_aside():
                return Plan(self._state(found), self._state(found))
            self._place.require_writable()
            what = f"restore the export at {self._place.path}, which an interrupted task had moved away"
            return Plan(None, self._state(found), (Step(what, self._place.put_back),))
        self._place.require_writable()
        self._require_exportable(configuration)
        what = f"export the data of {self._user_id}{self._extras()} to {self._place.path}"
        if found is None:
            made = f"create the directory {self._place.parent}"
            steps = [Step(made, self._place.make_directories)] if self._place.missing_directories() else []
            return Plan(None, self._state(None), (*steps, Step(what, self._export)))
        before = {**self._state(found), "created": found.created}
        step = Step(f"{what}, replacing the export made at {found.created}", self._export)
        return Plan(before, {**self._state(None), "created": "now"}, (step,))

    def verify(self, plan: Plan) -> None:
        """Read the destination again. Raises StateNotReached unless it is the complete export of this task."""
        found = self._read_own()
        whole = found is not None and found == self._manifest and self._place.is_whole(found)
        require([] if whole else ["it is not the one that was just made"], f"The export at {self._place.path}")

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        """Return what the export contains, without what is not known before it is made."""
        found = self._manifest
        pending = found.pending_rooms if found else [pending._asdict() for pending in self._pending]
        export: dict[str, t.Any] = {
            "user_id": self._user_id,
            "dest": self._place.path,
            "format": self._declared.format,
            "forgotten_rooms": found.forgotten_rooms if found else self._forgotten,
            "pending_rooms": [{"room_id": room["room_id"], "membership": room["membership"]} for room in pending],
        }
        if found:
            export["created"] = found.created
            export["created_ts"] = found.created_ts
            export["synapse_version"] = found.synapse_version
            export["size"] = found.size
            export["summary"] = found.summary
            export["missing_media"] = _missing(found)
            export["not_exported"] = found.not_exported
        elif self._synapse:
            export["synapse_version"] = self._synapse.version
        return {"export": export}

    def _state(self, made: Manifest | None) -> dict[str, t.Any]:
        """Return the state of an existing export, or for None of the export to be made."""
        declared = self._declared
        return {
            "user_id": self._user_id,
            "dest": self._place.path,
            "media": made.media is not None if made else declared.media,
            "include_quarantined": made.includes_quarantined_media if made else declared.wants_quarantined_media,
            "include_forgotten": made.includes_forgotten_rooms if made else declared.include_forgotten,
        }

    def _extras(self) -> str:
        extras = ["its media"] if self._declared.media else []
        extras += ["its forgotten rooms"] if self._declared.include_forgotten and self._forgotten else []
        return f" with {' and '.join(extras)}" if extras else ""

    def _suffices(self, found: Manifest, oldest: int | None) -> bool:
        """Return whether the existing export is what the task declares."""
        declared = self._declared
        return not (
            declared.recreate
            or (oldest is not None and found.created_ts < oldest)
            or (declared.media and found.media is None)
            or (declared.wants_quarantined_media and not found.includes_quarantined_media)
            or (declared.include_forgotten and not found.includes_forgotten_rooms)
            or (declared.require_all_media and found.missing_media)
        )

    def _read_own(self) -> Manifest | None:
        found = self._place.read()
        if found and found.user_id != self._user_id:
            raise InvalidInput(
                f"dest {self._place.path} contains the export of {found.user_id}, not of {self._user_id}. It was not"
                " changed. Choose another destination."
            )
        return found

    def _require_whole(self, found: Manifest) -> None:
        if not self._place.is_whole(found):
            raise SynapseError(
                f"The export at {self._place.path} is not as it was made at {found.created}: files were added, changed"
                " or removed. Move your own files elsewhere, then make a new export with recreate: true."
            )

    def _require_exportable(self, configuration: Configuration) -> None:
        declared, directory = self._declared, self._declared.working_directory
        if directory is not None and not os.path.isdir(directory):
            raise InvalidInput(
                f"working_directory {directory} is not a directory. Set it to the directory that Synapse runs in."
            )
        require_main_process(configuration)
        self._synapse = read_synapse_python(self._python)
        with Database(find_database(configuration, directory)) as database:
            require_schema(database, self._synapse)
            require_account(database, self._user_id)
            self._pending = find_pending(database, self._user_id)
            self._forgotten = find_forgotten(database, self._user_id)
            self._left_out = [*_of_declined(find_declined(database, self._user_id))]
            self._left_out += find_left_out(database, self._user_id)
            media = find_media(database, self._user_id) if declared.require_all_media else []
        if declared.media:
            self._sources = choose_sources(
                declared.media_source,
                configuration,
                self._caller.client,
                working_directory=directory,
                include_quarantined=declared.include_quarantined,
            )
        self._caller.check(self._server_name, required=self._sources is not None and self._sources.store is None)
        if self._sources is not None and self._caller.silence is not None:
            self._sources = dataclasses.replace(self._sources, client=None)
        if self._sources is not None:
            self._require_all(find_missing(media, self._sources), len(media))

    def _require_all(self, missing: t.Mapping[str, str], total: int) -> None:
        """Raise SynapseError if `require_all_media` is declared and media are `missing`, with their reasons."""
        if not missing or not self._declared.require_all_media:
            return
        named = [f"{media_id} ({reason})" for media_id, reason in missing.items()]
        more = len(named) - _NAMED_AT_MOST
        raise SynapseError(
            f"{len(named)} of the {total} media of {self._user_id} cannot be exported:"
            f" {', '.join(named[:_NAMED_AT_MOST])}{f' and {more} more' if more > 0 else ''}. Without"
            " require_all_media they are only listed."
        )

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
                created_ts=milliseconds(now()),
                synapse_version=self._synapse.version if self._synapse else "",
                collection_version=COLLECTION_VERSION,
                summary=content._asdict(),
                ids={**ids, **{os.path.join(_MEDIA, o.file): o.media_id for o in outcomes or () if o.file}},
                rooms=[_of_room(room) for room in rooms],
                # In the same order as in check mode: the names of directories differ from room IDs.
                pending_rooms=sorted(
                    (_of_pending(room) for room in rooms if room.pending), key=lambda entry: entry["room_id"]
                ),
                forgotten_rooms=self._forgotten,
                includes_forgotten_rooms=self._declared.include_forgotten,
                includes_quarantined_media=self._declared.wants_quarantined_media,
                media=None if outcomes is None else [_known(outcome._asdict()) for outcome in outcomes],
                not_exported=gaps + self._left_out,
                files=[],
            )
            left_out = {"forgotten_rooms": [] if self._declared.include_forgotten else self._forgotten}
            stated = {**dataclasses.asdict(manifest), "created": manifest.created, **left_out}
            write_page(work.export, stated, os.path.join(work.export, _PAGE))
            files = describe_files(work.export, {file.path: file for file in map(_of_medium, outcomes or ()) if file})
            summary = {
                **manifest.summary,
                "files": len(files),
                "media_files": len([o for o in outcomes or () if o.file]),
            }
            self._manifest = dataclasses.replace(manifest, files=files, summary=summary)
            if self._read_own() != self._found:
                raise SynapseError(
                    f"Another process changed {self._place.path} during the export. It was not replaced. Check it, and"
                    " run the task again."
                )
            work.publish(self._manifest)

    def _run(self, work: Workplace) -> dict[str, str]:
        """Let Synapse write its data, and return the ids of everything that is named by one, by path."""
        run_export(
            self._python,
            self._declared.config_path,
            self._user_id,
            work.export,
            work.ids,
            include_forgotten=self._declared.include_forgotten,
            working_directory=self._declared.working_directory or work.scratch,
            timeout=self._declared.export_timeout or None,
            lock=work.lock,
        )
        return name_by_ids(work.export, work.ids)

    def _fetch_media(self, work: Workplace) -> list[MediaOutcome] | None:
        """Fetch the media into the export, if requested: first to a directory where a later task finds them."""
        if self._sources is None:
            return None
        directory = os.path.join(work.export, "media_ids")
        names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
        descriptions = (found for name in names for found in read_objects(os.path.join(directory, name)))
        outcomes = fetch_media(descriptions, work.media, self._sources, self._declared.parallel, len(names))
        missing = {outcome.media_id: outcome.reason for outcome in outcomes if outcome.reason}
        self._require_all(missing, len(outcomes))
        os.rename(work.media, os.path.join(work.export, _MEDIA))
        return outcomes


def _missing(manifest: Manifest) -> list[dict[str, t.Any]]:
    return [{"media_id": found["media_id"], "reason": found["reason"]} for found in manifest.missing_media]


def _of_declined(room_ids: t.Sequence[str]) -> t.Iterator[Gap]:
    if room_ids:
        reason = "Synapse's export-data command skips rooms that were never joined and have no pending invite or knock"
        rooms = f"{len(room_ids)} room{'s' if len(room_ids) > 1 else ''}"
        yield {"name": f"memberships in {rooms}: {', '.join(room_ids)}", "reason": reason}


def _of_room(room: RoomContent) -> dict[str, t.Any]:
    return _known({name: value for name, value in room._asdict().items() if name != "pending"})


def _known(found: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the entries that are not None."""
    return {name: value for name, value in found.items() if value is not None}


def _of_pending(room: RoomContent) -> dict[str, t.Any]:
    path = os.path.join(room.path, f"{room.membership}_state")
    return {"room_id": room.room_id, "membership": room.membership, "path": path}


def _of_medium(outcome: MediaOutcome) -> File | None:
    if outcome.file is None or outcome.size is None or outcome.sha256 is None:
        return None
    media_type = outcome.media_type or "application/octet-stream"
    return File(os.path.join(_MEDIA, outcome.file), outcome.size, outcome.sha256, media_type)

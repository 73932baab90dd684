# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The restore of a backup onto this host, as a resource for the runner."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    InvalidInput,
    MissingLibrary,
    SynapseError,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, Step
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.connection import with_connection
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.declared import (
    DeclaredRestore,
    require_same_server,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.extraction import (
    Extraction,
    ReadArchive,
    read_archive,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.files import (
    ArchivedFile,
    compare_files,
    in_order,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.found import (
    Found,
    has_media,
    look,
    require_installation,
    require_paths_allowed,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.marker import (
    Marker,
    Stage,
    read_marker,
    write_marker,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.media import MediaPlaces, lost_media
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.placing import (
    directory_attributes,
    synchronise_all,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.proof import Proof
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.start import (
    is_started,
    start_server,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.control import Service
from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import returned_time

Json = dict[str, t.Any]


class RestoreResource:
    """The server in an archive, on this host (see _plan.Resource).

    `connect`: returns a client with the token of a server admin, or None without a token; it is called when the server
    runs, because the file of the token may be in the archive.
    """

    def __init__(self, declared: DeclaredRestore, service: Service, connect: t.Callable[[], Client | None]) -> None:
        self._declared = declared
        self._service = service
        self._proof = Proof(connect)
        self._archive: ReadArchive | None = None

    def plan(self) -> Plan:
        """Prove the archive, and compare it with the host. Raises SynapseError for whatever would make it fail."""
        declared = self._declared
        if not declared.config_path:
            raise InvalidInput("config_path is empty. Set it to the files and directories that Synapse starts with.")
        directory = declared.working_directory
        if directory and os.path.lexists(directory) and not os.path.isdir(directory):
            raise InvalidInput(f"working_directory {directory} is not a directory. Set it to that of Synapse.")
        self._archive = archive = self._archive or self._read_archive()
        manifest = archive.proven.manifest
        require_same_server(declared, manifest)
        require_paths_allowed(declared, manifest)
        self._found: Found = look(declared, archive, self._proof.unseen)
        stage, shown = self._found.occupied.stage, self._state(restored=True)
        if stage is Stage.DONE:
            return Plan(shown, shown)
        if stage is Stage.PLACED and is_started(self._service, manifest["service"], system=declared.is_system):
            return Plan(shown, shown, proof=self._prove_running)
        require_installation(declared, manifest, self._proof.unseen)
        self._found.require_restorable(declared, self._service)
        return Plan(None if stage is None else self._state(restored=False), shown, tuple(self._steps()))

    def verify(self, _plan: Plan) -> None:
        """Compare the running server with the sample of the backup. Raises StateNotReached for a difference."""
        self._finish()

    def result(self, _plan: Plan, _executed: bool) -> Json:
        """Return what is restored, and after a run what was proven and what could not be."""
        found, manifest = self._found, self._found.manifest
        return {
            "restore": {
                "src": self._declared.src,
                "server_name": str(manifest["server_name"]),
                **returned_time("created", int(manifest["created_ts"])),
                "synapse_version": str(manifest["synapse_version"]),
                "engine": str(manifest["engine"]),
                "database": found.target.shown,
                "files": sorted(file.path for file in found.files),
                "media_directories": [place.path for place in found.media],
                "summary": {
                    "tables": len(manifest["row_counts"]),
                    "rows": sum(manifest["row_counts"].values()),
                    "files": len(found.files),
                    "media_files": _media_files(manifest),
                },
                **({"proven": self._proof.proven} if self._proof.proven else {}),
            },
            "unknown": self._proof.unknown,
            "warnings": _warnings(manifest),
        }

    def _read_archive(self) -> ReadArchive:
        declared = self._declared
        archive = read_archive(declared.src, declared.identity)
        if declared.connection is None:
            return archive
        try:
            manifest, kept = with_connection(declared.connection, archive.proven.manifest, archive.kept)
        except MissingLibrary as error:
            if not declared.allow_missing_installation:
                raise
            self._proof.unseen("database", error.message, "Install Synapse, and run the task again.")
            return archive
        return ReadArchive(archive.proven._replace(manifest=manifest), kept)

    def _steps(self) -> t.Iterator[Step]:
        found, stage = self._found, self._found.occupied.stage
        name, created = str(found.manifest["server_name"]), int(found.manifest["created_ts"])
        if stage is None:
            made = returned_time("created", created)["created"]
            what = f"record in {found.marker_file} that the backup of {name} from {made} is being restored"
            yield Step(what, self._begin)
        if stage is not Stage.PLACED:
            yield Step(self._described(), self._place)
        yield Step(f"start {self._service.described_within}", self._start)

    def _described(self) -> str:
        found = self._found
        parts = [] if found.occupied.has_database else [found.target.shown]
        if found.media:
            parts.append(f"{_media_files(found.manifest)} media files")
        parts.append(f"{len(found.files)} files")
        going = "continue to restore" if found.occupied.stage is Stage.BEGUN else "restore"
        return f"{going} {', '.join(parts[:-1])}{' and ' if len(parts) > 1 else ''}{parts[-1]}"

    def _require_all_seen(self) -> None:
        """Look again if something may have been missing: that was only meant for check mode."""
        if self._declared.allow_missing_installation:
            self._declared = dataclasses.replace(self._declared, allow_missing_installation=False)
            self._archive = None
            self.plan()

    def _begin(self) -> None:
        self._require_all_seen()
        found = self._found
        directory = os.path.dirname(found.marker_file)
        found.directories.create(directory, Attributes(0o750, os.geteuid(), found.owner.gid))
        with found.directories.locked(directory):
            self._require_marker(found.marker)
            self._mark(Stage.BEGUN)

    def _mark(self, stage: Stage) -> None:
        write_marker(self._found.marker_file, self._marker(stage), self._found.directories.trusted)

    def _marker(self, stage: Stage) -> Marker:
        found, manifest = self._found, self._found.manifest
        archive = found.archive.proven.content_sha256
        return Marker(archive, str(manifest["server_name"]), int(manifest["created_ts"]), stage)

    def _require_marker(self, expected: Marker | None) -> None:
        """Raise SynapseError if another run was here after this one has looked."""
        if read_marker(self._found.marker_file, self._found.directories.trusted) != expected:
            raise SynapseError(
                "Another task has restored a backup meanwhile, or is doing so. Run the task again when it has ended."
            )

    def _place(self) -> None:
        self._require_all_seen()
        found = self._found
        with found.directories.locked(os.path.dirname(found.marker_file)):
            self._require_marker(self._marker(Stage.BEGUN))
            self._place_everything(found, found.manifest)

    def _place_everything(self, found: Found, manifest: Json) -> None:
        places = MediaPlaces(found.media, found.directories, _media_files(manifest)) if found.media else None
        counts = manifest["row_counts"]

        def restore_database(pieces: t.Iterable[bytes]) -> None:
            found.target.restore(pieces, counts)

        take = None if found.occupied.has_database else restore_database
        extraction = Extraction(found.archive, found.directories, found.wanted, places, take)
        for path in found.creatable(self._declared.allowed()):
            found.directories.create(path, directory_attributes(found.owner))
        if places is not None:
            places.create()
        extraction.run(self._declared.src, self._declared.identity)
        found.target.complete(counts)
        self._proof.rows(counts)
        if places is not None:
            self._proof.media(places.prove())
        synchronise_all(self._written())
        now = compare_files(found.files, found.directories)
        require_restored(now.different)
        extraction.write_kept(in_order([*now.missing, *now.given], self._declared.config_path))
        left = compare_files(found.files, found.directories)
        require_restored([*left.missing, *left.given, *left.different])
        self._mark(Stage.PLACED)

    def _written(self) -> list[str]:
        """Return the directories with what was written until then."""
        found = self._found
        paths = [place.path for place in found.media] + [os.path.dirname(file.path) for file in found.wanted]
        if found.manifest["engine"] == "sqlite":
            paths.append(os.path.dirname(str(found.manifest["database"]["path"])))
        return [*paths, os.path.dirname(found.marker_file)]

    def _start(self) -> None:
        self._require_all_seen()
        start_server(self._service, self._found.manifest["service"], system=self._declared.is_system)

    def _prove_running(self) -> None:
        # An interrupted run may have started it a moment ago.
        self._service.start()
        self._finish()

    def _finish(self) -> None:
        manifest = self._found.manifest
        sample = manifest.get("sample") or {}
        self._proof.sample(sample, lost_media(sample, self._found.media))
        self._mark(Stage.DONE)

    def _state(self, *, restored: bool) -> Json:
        found = self._found
        return {
            "server_name": str(found.manifest["server_name"]),
            "database": found.target.shown,
            "files": sorted(file.path for file in found.files),
            "media_files": _media_files(found.manifest),
            "restored": restored,
        }


def require_restored(files: t.Sequence[ArchivedFile]) -> None:
    """Raise SynapseError if files are not on the host as they are in the archive."""
    if files:
        raise SynapseError(
            f"{', '.join(file.path for file in files[:3])} changed while the backup was being restored. Find out which"
            " program writes there, and run the task again."
        )


def _media_files(manifest: Json) -> int:
    return int(manifest["media"]["files"]) if has_media(manifest) else 0


def _warnings(manifest: Json) -> list[str]:
    if has_media(manifest):
        return []
    places = ", ".join(str(entry["path"]) for entry in manifest["media"]["directories"])
    return [f"The backup contains no media. Put a copy of them where Synapse looks for them: {places}."]

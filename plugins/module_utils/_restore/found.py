# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""An archive beside the host that it is restored onto, and why it cannot be restored there."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import (
    Attributes,
    require_allowed,
    user_id,
    user_name,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import find_files
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.as_user import acting_as
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.allowed import AllowedPaths
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.declared import DeclaredRestore
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.extraction import ReadArchive
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.files import (
    ArchivedFile,
    Comparison,
    archived_files,
    attributes_of,
    compare_files,
    described_media,
    directory_attributes_of,
    missing_accounts,
    require_no_other,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.marker import (
    Marker,
    Stage,
    marker_path,
    read_marker,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.media import (
    MediaDirectory,
    first_medium,
    media_directories,
    present_sizes,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.occupied import Occupied, judge_host
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.placing import Directories
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.space import (
    Need,
    need_of_postgresql,
    require_space,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.sqlite import unfinished_in
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.target import Target
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.targets import (
    Unseen,
    find_target,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.version import read_installed, require_version
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.control import Service

Json = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Found:
    """What a look at the host has found.

    `owner`: the mode of a private file, and the user and group of Synapse. `media` is empty if the archive has none.
    """

    archive: ReadArchive
    owner: Attributes
    directories: Directories
    files: tuple[ArchivedFile, ...]
    media: tuple[MediaDirectory, ...]
    target: Target
    comparison: Comparison
    marker_file: str
    marker: Marker | None
    occupied: Occupied

    @property
    def manifest(self) -> Json:
        """The manifest of the archive."""
        return self.archive.proven.manifest

    @property
    def wanted(self) -> list[ArchivedFile]:
        """The files that have to be written."""
        return [*self.comparison.missing, *self.comparison.given]

    def creatable(self, allowed: AllowedPaths) -> list[str]:
        """Return the directories in the archive that are missing here, and that the task allows to create."""
        paths = [str(entry["path"]) for entry in self.manifest["directories"]]
        return [path for path in paths if not os.path.lexists(path) and allowed.contains(path)]

    def require_restorable(self, declared: DeclaredRestore, service: Service) -> None:
        """Raise InvalidInput if the restore would fail, before anything is changed. SynapseError for the service."""
        require_no_other(self.comparison.different, str(self.manifest["server_name"]), self.directories)
        # An interrupted run may have started it at this moment.
        if self.occupied.stage is not Stage.PLACED:
            if service.is_running():
                raise InvalidInput(
                    f"{service.described} is running. Stop it, and run the task again: a restore fills the server while"
                    " it is stopped."
                )
            self._require_no_stranger()
        service.require_rights()
        self._require_free()
        if not self.occupied.has_database:
            problems = self.target.problems()
            if problems:
                raise InvalidInput(f"Synapse cannot use {self.target.shown}. {' '.join(problems)}")
        directories = self.creatable(declared.allowed())
        if not declared.is_system:
            self._require_working_directory(declared, directories)
        self._require_writable(directories)
        self._require_writable_by_synapse()
        require_space(self._needs())

    def _require_no_stranger(self) -> None:
        """Raise InvalidInput if the configuration here has more files than in the archive, which may change all."""
        known = {file.path for file in self.files}
        directories = [path for path in map(str, self.manifest["service"]["config_path"]) if os.path.isdir(path)]
        strangers = [path for path in find_files(directories) if path not in known]
        if strangers:
            raise InvalidInput(
                f"{strangers[0]} on this host is not in the archive, and Synapse would read it together with the"
                " configuration in the archive. Nothing was changed. Move it away, and run the task again."
            )

    def _require_free(self) -> None:
        """Raise SynapseError if another task is restoring a backup to this server at the moment."""
        directory = os.path.dirname(self.marker_file)
        if os.path.isdir(directory):
            with self.directories.locked(directory):
                pass

    def _require_working_directory(self, declared: DeclaredRestore, directories: t.Sequence[str]) -> None:
        """Raise InvalidInput if a daemon could not be started, because its directory will not exist."""
        place = declared.working_directory or str(self.manifest["service"].get("working_directory", ""))
        written = [file.path for file in self.wanted] + [each.path for each in self.media] + [*directories]
        if place and not os.path.isdir(place) and not any(f"{path}/".startswith(f"{place}/") for path in written):
            raise InvalidInput(
                f"{place}, the directory that Synapse runs in, does not exist on this host, and would not be created."
                " Create it, or add it to allowed_paths."
            )

    def _require_writable(self, directories: t.Sequence[str]) -> None:
        """Raise InvalidInput if this user cannot write all that is missing. `directories`: that are created, too."""
        written = [(file.path, file.attributes) for file in self.wanted]
        written += [(place.path, place.attributes) for place in self.media]
        written += [(path, self.directories.attributes(path, self.owner)) for path in directories]
        places = [os.path.dirname(file.path) for file in self.wanted] + [place.path for place in self.media]
        if self.manifest["engine"] == "sqlite" and not self.occupied.has_database:
            path = str(self.manifest["database"]["path"])
            written.append((path, self.owner))
            places.append(os.path.dirname(path))
        for path, attributes in written:
            require_allowed(attributes, path)
        self.directories.require_writable([*places, *directories, os.path.dirname(self.marker_file)])

    def _require_writable_by_synapse(self) -> None:
        """Raise InvalidInput if a directory of data is here already, such as a new disk, and Synapse cannot use it."""
        places = [(place.path, place.attributes) for place in self.media]
        if self.manifest["engine"] == "sqlite":
            parent = os.path.dirname(str(self.manifest["database"]["path"]))
            places.append((parent, self.directories.attributes(parent, self.owner)))
        for path, attributes in places:
            if not os.path.isdir(path) or (found := Attributes.of(os.stat(path))) == attributes:
                continue
            with acting_as(self.owner.uid):
                is_usable = os.access(path, os.W_OK | os.X_OK, effective_ids=True)
            if not is_usable:
                shown, wanted = found.shown(), attributes.shown()
                raise InvalidInput(
                    f"{path} on this host belongs to {shown['owner']} and has the mode {shown['mode']}, so that Synapse"
                    f" cannot write there. Nothing was changed. Run chown {wanted['owner']}:{wanted['group']} {path}"
                    f" and chmod {wanted['mode']} {path}, as it was on the old server, and run the task again."
                )

    def _needs(self) -> t.Iterator[Need]:
        database = self.manifest["database"]
        if self.manifest["engine"] == "sqlite":
            size = 0 if self.occupied.has_database else int(database["bytes"])
            parent = os.path.dirname(str(database["path"]))
            # What an interrupted run has written of the database is replaced.
            yield Need(parent, size - min(size, unfinished_in(parent)))
        elif not self.occupied.has_database and (directory := self.target.server_directory):
            yield need_of_postgresql(directory, int(database["size"]))
        for file in self.comparison.missing:
            yield Need(os.path.dirname(file.path), file.size)
        for place, present in zip(self.media, present_sizes(self.media)):
            yield Need(place.path, max(place.size - present, 0))


def has_media(manifest: Json) -> bool:
    """Return whether the media are in the archive."""
    return bool(manifest["media"]["mode"] == "include")


def require_paths_allowed(declared: DeclaredRestore, manifest: Json) -> None:
    """Raise InvalidInput if the archive would write where the task does not allow it."""
    paths = [str(file["path"]) for file in manifest["files"]]
    if has_media(manifest):
        paths += [str(entry["path"]) for entry in manifest["media"]["directories"]]
    if manifest["engine"] == "sqlite":
        paths.append(str(manifest["database"]["path"]))
    declared.allowed().require(paths)


def require_installation(declared: DeclaredRestore, manifest: Json, unseen: Unseen) -> None:
    """Raise InvalidInput without Synapse of the right version and the users and groups of the files.

    If the task allows that they are missing, this is reported to `unseen`.
    """
    lacking = missing_accounts(manifest)
    installed = read_installed(declared.synapse_python)
    if declared.allow_missing_installation and (lacking or installed is None):
        unseen("installation", "Synapse is not installed on this host yet.", "Install it first.")
        return
    if lacking:
        raise InvalidInput(
            f"This host does not have {', '.join(lacking)}, to which files in the archive belong. Install Synapse"
            " first, for example with the playbook matrix_ops.synapse.restore."
        )
    require_version(installed, manifest, declared.synapse_python, other_allowed=declared.allow_other_version)
    user = str(manifest["service"]["user"])
    if not declared.is_system and user_id(user) != os.geteuid():
        own = user_name(os.geteuid())
        raise InvalidInput(
            f"Synapse ran as {user} on the server of the backup, but with manager=daemon this task would start it as"
            f" {own}. Run the task as {user} (become_user)."
        )


def look(declared: DeclaredRestore, archive: ReadArchive, unseen: Unseen) -> Found:
    """Read what is on the host. Raises InvalidInput if it has the data of a server. Changes nothing.

    A user or group that is missing is taken for root: see `require_installation`. `unseen`: see `find_target`.
    """
    manifest = archive.proven.manifest
    service = manifest["service"]
    owner = attributes_of({"mode": "0600", "owner": service["user"], "group": service["group"]}, lenient=True)
    described = [*manifest["directories"], *described_media(manifest)]
    known = {str(entry["path"]): directory_attributes_of(entry, lenient=True) for entry in described}
    directories = Directories(known, {owner.uid})
    files = archived_files(manifest, lenient=True)
    media = media_directories(manifest, lenient=True) if has_media(manifest) else []
    contents = {file.path: archive.kept[file.member] for file in files if file.member in archive.kept}
    allowed = unseen if declared.allow_missing_installation else None
    target = find_target(manifest, contents, directories, owner, allowed)
    comparison = compare_files(files, directories)
    marker_file = marker_path(declared.config_path)
    marker = read_marker(marker_file, directories.trusted)
    occupied = judge_host(
        marker,
        archive.proven.content_sha256,
        marker_file,
        target,
        manifest["row_counts"],
        first_medium(media),
    )
    return Found(
        *(archive, owner, directories, tuple(files), tuple(media), target, comparison),
        *(marker_file, marker, occupied),
    )

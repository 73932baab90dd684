# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Everything that is looked at before a backup begins: what would make it fail is found here, and changes nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.collection import NOT_KEPT, Collector, Kept
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.declared import INCLUDE, DeclaredBackup
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.decryption import decrypted
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.destination import Destination
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.encryption import (
    Recipients,
    encrypted,
    find_recipients,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.found_database import (
    DatabaseFound,
    files_of,
    find_source,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.layout import FILES, overhead
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.media import (
    MediaDirectory,
    Size,
    find_media_directories,
    is_inside,
    measure,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.scratch_database import connected
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.sqlite_copy import require_place
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.surroundings import (
    ServiceDescription,
    describe_service,
    read_installation,
    working_directory_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    read_configuration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.used_paths import find_used_paths
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConfigurationError,
    InvalidInput,
    SynapseError,
)

# In bytes: of a file in the manifest, without its path.
_LARGEST_ENTRY = 1024
_TRIAL = b"matrix_ops.synapse"


class Prepared(t.NamedTuple):
    """What a backup consists of, as it was found."""

    server_name: str
    destination: Destination
    recipients: Recipients
    database: DatabaseFound
    media: list[MediaDirectory]
    media_size: Size
    files: list[Kept]
    service: ServiceDescription
    installation: dict[str, t.Any]
    # The paths of files that are no media, wherever they are.
    apart: tuple[str, ...] = ()
    # The directories that Synapse writes to, also those of its log files and sockets, and the one that it runs in.
    written: tuple[str, ...] = ()
    # How many bytes the files that are no media need at most.
    files_size: int = 0

    @property
    def estimate(self) -> int:
        """The greatest size that the archive can have, in bytes: what is compressed needs less."""
        return self.database.size + self.media_size.size + self.files_size


def prepare(declared: DeclaredBackup) -> Prepared:
    """Look at everything that a backup needs. Changes nothing. Raises SynapseError for what would make it fail."""
    recipients = find_recipients(declared.age_recipients, declared.gpg_recipients)
    _require_readable(declared, recipients)
    configuration = read_configuration(declared.config_path)
    if configuration.worker_app:
        raise ConfigurationError(
            f"config_path is the configuration of a worker ({configuration.worker_app}). Set it to that of the main"
            " process."
        )
    destination = Destination(declared.dest_directory, configuration.server_name)
    service = describe_service(declared.surroundings, _owner(configuration))
    if service.lacks_unit:
        raise InvalidInput(
            f"systemd has no unit {declared.unit} on this host, so that nothing would start the server after a restore."
            " Set unit to the unit of Synapse, or set manager to daemon if a user starts it."
        )
    directory = declared.working_directory or working_directory_of(service)
    # One that does not exist is nowhere needed if all paths in the configuration are absolute.
    if directory and os.path.exists(directory) and not os.path.isdir(directory):
        raise InvalidInput(f"working_directory {directory} is not a directory. Set it to that of Synapse.")
    media = find_media_directories(configuration, directory)
    for each in media:
        if is_inside(destination.path, each.path):
            raise InvalidInput(
                f"dest_directory {destination.path} is inside the media of Synapse ({each.path}). Choose another one."
            )
    destination.check()
    installation = read_installation(declared.synapse_python, service.described["uid"])
    database = find_source(configuration, directory, service.described["uid"], declared)
    if database.engine == "sqlite":
        require_place(database.settings.arguments["database"])
    own = files_of(database)
    included = [each.path for each in media] if declared.media == INCLUDE else []
    files = _collect(declared, configuration, directory, service, Collector(own, included, destination.path))
    apart = (*own, *(kept.path for kept in files), *_notes(declared.config_path))
    media_size = measure(media, apart) if included else Size(0, 0)
    if included and not media_size.files:
        _require_none_named(configuration, database, media)
    prepared = Prepared(
        *(configuration.server_name, destination, recipients, database, media, media_size, files, service),
        installation,
        apart,
        _written(configuration, directory),
        sum(_size_of(kept.path) for kept in files),
    )
    require_space(prepared, declared.margin)
    return prepared


def require_space(prepared: Prepared, margin: int) -> None:
    """Raise SynapseError if a file system has less space than a backup may need. `margin` in bytes."""
    needed: dict[int, list[t.Any]] = {}
    places = [(prepared.destination.path, prepared.estimate)]
    if prepared.database.engine == "sqlite":
        # The copy of the database, and for a verification the scratch database, one after the other.
        places.append((os.path.dirname(prepared.database.settings.arguments["database"]), prepared.database.size))
    for path, size in places:
        while not os.path.exists(path):
            path = os.path.dirname(path)
        needed.setdefault(os.stat(path).st_dev, [path, 0])[1] += size
    for path, size in needed.values():
        free = shutil.disk_usage(path).free
        if free < size + margin:
            raise SynapseError(
                f"A backup may need {_shown(size)} on the file system of {path}, and with a margin of {_shown(margin)}"
                f" there is too little space: {_shown(free)} are free. Free some space, or choose another"
                " dest_directory or a smaller margin."
            )


def _require_readable(declared: DeclaredBackup, recipients: Recipients) -> None:
    """Raise InvalidInput if a verification could not decrypt the archive."""
    identity = declared.identity
    if not declared.verify or not recipients.kind:
        return
    option = "age_identity_path" if recipients.kind == "age" else "gpg_home"
    if not getattr(identity, option):
        raise InvalidInput(
            f"verify needs the private key to read an encrypted backup. Set {option}, or set verify to false and verify"
            " the backup with the module synapse_backup_info on a host that has the key."
        )
    with tempfile.TemporaryFile() as trial:
        with encrypted(recipients, trial.fileno()) as descriptor:
            os.write(descriptor, _TRIAL)
        with decrypted("A trial", trial.fileno(), identity) as content:
            if content.read(len(_TRIAL)) != _TRIAL:
                raise InvalidInput(f"{option} does not decrypt what is encrypted to the recipients.")


def _owner(configuration: Configuration) -> int:
    """Return the owner of the first configuration file: the best guess if there is neither a process nor a unit."""
    try:
        return os.stat(configuration.files[0].path).st_uid
    except (IndexError, OSError):
        return os.geteuid()


def _require_none_named(
    configuration: Configuration, database: DatabaseFound, media: t.Sequence[MediaDirectory]
) -> None:
    """Raise InvalidInput if the database names media, of which there is not one file: their disk may not be mounted."""
    providers = configuration.settings.get("media_storage_providers") or []
    # Another one, such as S3, may have them all.
    if len(providers) > sum(directory.setting == "media_storage_providers" for directory in media):
        return
    with connected(database.settings, database.uid) as connection:
        [(count,)] = connection.rows(
            "SELECT count(*) FROM local_media_repository WHERE url_cache IS NULL AND media_length IS NOT NULL"
        )
    if count:
        where = ", ".join(directory.path for directory in media) or "the configuration names none"
        what = "has no files" if any(os.path.isdir(directory.path) for directory in media) else "does not exist"
        raise InvalidInput(
            f"The media store of Synapse {what} ({where}), but the database names {count} files of media. Mount its"
            " file system, or set working_directory to the directory that Synapse runs in. If they are lost, leave them"
            " out: set media to location, or purge_media to false for a reset."
        )


def _size_of(path: str) -> int:
    """Return how many bytes a file and its entry in the manifest need at most. One that vanishes is reported later."""
    try:
        content = os.path.getsize(path)
    except OSError:
        content = 0
    return content + overhead(f"{FILES}0000") + _LARGEST_ENTRY + len(path)


def _written(configuration: Configuration, directory: str | None) -> tuple[str, ...]:
    """Return the directories without which Synapse does not start."""
    found = [used.path for used in find_used_paths(configuration, directory) if used.written]
    found += [directory] if directory else []
    process_file = configuration.settings.get("pid_file")
    if isinstance(process_file, str):
        found.append(os.path.dirname(os.path.join(directory or "", process_file)))
    return tuple(os.path.normpath(path) for path in found if os.path.isabs(path))


def _notes(config_path: t.Sequence[str]) -> list[str]:
    """Return the paths of what other modules may write next to the configuration, about this host only."""
    return [os.path.join(os.path.dirname(config_path[0]), name) for name in NOT_KEPT]


def _collect(
    declared: DeclaredBackup,
    configuration: Configuration,
    directory: str | None,
    service: ServiceDescription,
    collector: Collector,
) -> list[Kept]:
    collector.add_configuration(declared.config_path, configuration, directory)
    for worker in service.worker_configuration:
        collector.add_worker(worker, directory)
    for kept in service.files:
        collector.add(*kept)
    for extra in declared.extra_paths:
        collector.add_extra(extra)
    for optional in filter(os.path.exists, declared.optional_paths):
        collector.add_extra(optional, "optional_paths")
    return collector.files()


def _shown(size: int) -> str:
    units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size //= 1024
        del units[0]
    return f"{size} {units[0]}"

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The files in an archive with their paths on this host, and which of them are there already."""

from __future__ import annotations

import dataclasses
import os
import re
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import (
    Attributes,
    group_id,
    user_id,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.placing import Directories, digest_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._trusted_path import MissingDirectory

Json = dict[str, t.Any]

# Without these files, Synapse does not start. So they are written last, in this order.
_LAST = ("unit", "drop_in", "configuration")
_SERVER_NAME = re.compile(rb"(?m)^server_name:[^A-Za-z0-9.\[\n]*([A-Za-z0-9.:\[\]-]+)")
_NAMED_AT_MOST = 5
_LARGEST_READ = 1024 * 1024


@dataclasses.dataclass(frozen=True)
class ArchivedFile:
    """A file in the archive. `path`: where it was, and will be. `kind`: what it is for, as the manifest says."""

    member: str
    path: str
    kind: str
    attributes: Attributes
    sha256: str
    size: int
    modified: int


class Comparison(t.NamedTuple):
    """The files by what is at their paths: nothing, the same file, one with other attributes, or something else."""

    missing: tuple[ArchivedFile, ...]
    same: tuple[ArchivedFile, ...]
    given: tuple[ArchivedFile, ...]
    different: tuple[ArchivedFile, ...]


def described_media(manifest: Json) -> list[Json]:
    """Return the media directories. One that did not exist at the backup belongs to the user of Synapse."""
    service = manifest["service"]
    default = {"mode": "0750", "owner": service["user"], "group": service["group"], "bytes": 0}
    return [{**default, **entry} for entry in manifest["media"]["directories"]]


def missing_accounts(manifest: Json) -> list[str]:
    """Return the users and groups that the archive needs and this host does not have, as words."""
    entries = [*manifest["files"], *manifest["directories"], *described_media(manifest)]
    users = {str(entry["owner"]) for entry in entries} | {str(manifest["service"]["user"])}
    groups = {str(entry["group"]) for entry in entries} | {str(manifest["service"]["group"])}
    wanted = [("user", user_id, users), ("group", group_id, groups)]
    return [f"the {what} {name}" for what, find, names in wanted for name in sorted(names) if not _exists(find, name)]


def attributes_of(entry: Json, *, lenient: bool = False) -> Attributes:
    """Return the mode, owner and group of an entry of the manifest. Raises InvalidInput if this host lacks one.

    `lenient`: a user or group that is missing here is root, for check mode on a host without Synapse.
    """
    # Set-user-ID and the like are nothing that a file of a server has.
    mode = int(str(entry["mode"]), 8) & 0o777
    owner, group = str(entry["owner"]), str(entry["group"])
    if lenient:
        return Attributes(
            mode,
            user_id(owner) if _exists(user_id, owner) else 0,
            group_id(group) if _exists(group_id, group) else 0,
        )
    return Attributes(mode, user_id(owner), group_id(group))


def directory_attributes_of(entry: Json, *, lenient: bool = False) -> Attributes:
    """Return those of a directory in the same way. Root writes nothing where another user may write."""
    found = attributes_of(entry, lenient=lenient)
    return Attributes(found.mode & 0o755, found.uid, found.gid)


def archived_files(manifest: Json, *, lenient: bool = False) -> list[ArchivedFile]:
    """Return the files in the order of the archive. Raises InvalidInput as attributes_of does."""
    return [
        ArchivedFile(
            member=str(entry["member"]),
            path=str(entry["path"]),
            kind=str(entry["kind"]),
            attributes=attributes_of(entry, lenient=lenient),
            sha256=str(entry["sha256"]),
            size=int(entry["size"]),
            modified=int(entry.get("modified") or 0),
        )
        for entry in manifest["files"]
    ]


def in_order(files: t.Iterable[ArchivedFile], config_path: t.Sequence[str]) -> list[ArchivedFile]:
    """Return the files in the order in which they are written: the first file of the configuration is the last."""

    def place(file: ArchivedFile) -> tuple[int, bool, str]:
        rank = _LAST.index(file.kind) + 1 if file.kind in _LAST else 0
        return rank, file.path == config_path[0], file.path

    return sorted(files, key=place)


def compare_files(files: t.Iterable[ArchivedFile], directories: Directories) -> Comparison:
    """Compare the files with what is at their paths. Raises SynapseError if that cannot be read."""
    found: dict[str, list[ArchivedFile]] = {name: [] for name in Comparison._fields}
    for file in files:
        found[_compared(file, directories)].append(file)
    return Comparison(**{name: tuple(each) for name, each in found.items()})


def _compared(file: ArchivedFile, directories: Directories) -> str:
    parent, name = os.path.split(file.path)
    try:
        with directories.opened(parent) as directory:
            status = directory.status(name)
            if status is None:
                return "missing"
            if not stat.S_ISREG(status.st_mode) or status.st_size != file.size:
                return "different"
            digest = digest_of(directory, name)
    except MissingDirectory:
        return "missing"
    if digest is None or digest.hex() != file.sha256:
        return "different"
    return "same" if Attributes.of(status) == file.attributes else "given"


def require_no_other(different: t.Sequence[ArchivedFile], server_name: str, directories: Directories) -> None:
    """Raise InvalidInput if files at the paths of the archive differ: they belong to another server, or are changed."""
    if not different:
        return
    keys = [file.path for file in different if file.kind == "signing_key"]
    names = {file.path: _server_name(file, directories) for file in different if file.kind == "configuration"}
    other = {path: name for path, name in names.items() if name not in ("", server_name)}
    if other:
        path, name = next(iter(other.items()))
        raise InvalidInput(
            f"{path} on this host belongs to the server {name}, but the archive is of {server_name}. Nothing was"
            " changed. Restore onto an empty host, or remove the other server with its data first."
        )
    shown = ", ".join(file.path for file in different[:_NAMED_AT_MOST])
    more = f" and {len(different) - _NAMED_AT_MOST} more" if len(different) > _NAMED_AT_MOST else ""
    what = f" {keys[0]} is another signing key, so that a server lives here or lived here." if keys else ""
    raise InvalidInput(
        f"{shown}{more} on this host differ from those in the archive, and a restore replaces no files.{what} Nothing"
        " was changed. Move these files away if the server in the archive is to take their place."
    )


def _server_name(file: ArchivedFile, directories: Directories) -> str:
    parent, name = os.path.split(file.path)
    with directories.opened(parent) as directory:
        status = directory.status(name)
        if status is None or not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST_READ:
            return ""
        found = _SERVER_NAME.search(directory.read(name, _LARGEST_READ) or b"")
    return found.group(1).decode() if found else ""


def _exists(find: t.Callable[[str], int], name: str) -> bool:
    try:
        find(name)
    except InvalidInput:
        return False
    return True

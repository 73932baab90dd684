# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The declared paths of an installation, and their real paths. Wrong ones are refused before anything is changed."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import re
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import (
    HIDDEN_PREFIX,
    Directory,
    open_directory,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.marker import MARKER, is_ours
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.ownership import Ownership
from ansible_collections.matrix_ops.synapse.plugins.module_utils._system_directory import (
    Account,
    belongs_to,
    read_accounts,
    whose,
)

# A special character in brackets, as in [*], counts as an ordinary one.
_BEGINS_ORDINARILY = re.compile(r"(?:[^\[*?]|\[[\[\]*?]\]){4}")

# Each directory in the path is kept open while the next one is opened.
_DEEPEST = 100


@dataclasses.dataclass(frozen=True)
class DeclaredDirectory:
    """A directory of the server.

    `contents`: the exact names in it that are part of the server; `content_patterns`: shell patterns of more of them;
    `marked_contents`: shell patterns of files that are part of the server if they contain the name of this collection.
    """

    path: str
    ownership: Ownership
    contents: tuple[str, ...] = ()
    marked_contents: tuple[str, ...] = ()
    content_patterns: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Layout:
    """The directories, from the top down, and the environment, with all links in their paths resolved."""

    directories: tuple[DeclaredDirectory, ...]
    environment: str | None

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of the directories."""
        return tuple(directory.path for directory in self.directories)

    @property
    def everything(self) -> tuple[str, ...]:
        """The paths of the directories and of the environment."""
        return self.paths + ((self.environment,) if self.environment else ())

    @contextlib.contextmanager
    def parent_of(self, path: str) -> t.Iterator[Directory | None]:
        """Open the parent directory of `path` for the block; None if it does not exist.

        Only root, the owner of a declared directory and this collection, which has created parent directories, may
        write to the directories in its path. In the path of the environment, from which root runs programs, only root
        may. In other paths, a group may write to one of the system's directories, such as /var/log.
        Raises InvalidInput if another user may write there, SynapseError if it cannot be opened.
        """
        around = os.path.dirname(path)
        if not os.path.isdir(around):
            yield None
            return
        safely = open_directory(around, option=path) if self._leads_to_environment(path) else self._enter(around, path)
        with safely as here:
            yield here

    @contextlib.contextmanager
    def _enter(self, around: str, path: str) -> t.Iterator[Directory]:
        above, name = os.path.split(around)
        is_marked = os.path.lexists(os.path.join(around, MARKER))
        with contextlib.ExitStack() as opened:
            here = None
            if name and (is_marked or belongs_to(around) == around):
                higher = self._enter(above, path) if is_marked else open_directory(above, option=path)
                child = opened.enter_context(opened.enter_context(higher).child(name))
                here = child if is_ours(child) or _is_kept_by_system(child) else None
            yield here or opened.enter_context(open_directory(around, trusted=self._owners(), option=path))

    def _leads_to_environment(self, path: str) -> bool:
        return self.environment is not None and f"{self.environment}/".startswith(f"{path}/")

    def _owners(self) -> set[int]:
        known = (directory.ownership.known() for directory in self.directories)
        return {attributes.uid for attributes in known if attributes}

    def ancestors(self, *paths: str) -> tuple[str, ...]:
        """Return the parent directories of `paths` that are not declared themselves, from the top down."""
        found = set()
        for path in paths:
            while path != "/":
                path = os.path.dirname(path)
                found.add(path)
        return tuple(sorted(found - set(self.everything) - {"/"}, key=_depth))

    def holds_declared(self, path: str) -> bool:
        """Return whether `path` is a directory of the installation, or contains one."""
        return any(place == path or place.startswith(f"{path}/") for place in self.everything)


def lay_out(
    directories: t.Sequence[DeclaredDirectory],
    virtualenv: str | None,
    accounts: t.Sequence[Account] | None = None,
) -> Layout:
    """Return the layout with the real paths. `accounts`: the accounts of the host, which are read if None.

    Raises InvalidInput for a path that a server can never use, and for two paths in conflict. Changes nothing.
    """
    known = read_accounts() if accounts is None else accounts
    found: dict[str, DeclaredDirectory] = {}
    for directory in directories:
        _require_contents(directory)
        path = real_path(directory.path, "directories", directory.ownership.owner, known)
        earlier = found.get(path)
        if earlier and earlier.ownership != directory.ownership:
            raise InvalidInput(
                f"directories has the path {path} twice, with different owners, groups or modes: remove one of them, or"
                " change its path."
            )
        found[path] = DeclaredDirectory(
            path,
            directory.ownership,
            (earlier.contents if earlier else ()) + directory.contents,
            (earlier.marked_contents if earlier else ()) + directory.marked_contents,
            (earlier.content_patterns if earlier else ()) + directory.content_patterns,
        )
    place = None if virtualenv is None else real_path(virtualenv, "virtualenv", None, known)
    for path in found:
        if place and (path == place or path.startswith(f"{place}/")):
            raise InvalidInput(
                f"directories has the path {path}, which is {'the' if path == place else 'in the'} environment and"
                " would be removed with it: set a path outside of the environment."
            )
        if place and place.startswith(f"{path}/"):
            _require_safe(found[path], place)
    layout = Layout(tuple(found[path] for path in sorted(found, key=_depth)), place)
    _require_way(layout, known)
    _require_different(layout)
    return layout


def real_path(path: str, option: str, owner: str | None, accounts: t.Sequence[Account]) -> str:
    """Return `path` with all links in its parent directory followed. `option`: its option, for error messages.

    Raises InvalidInput if a server cannot use this path: see `_system_directory.whose`, which gets `owner` and
    `accounts`.
    """
    shown = repr(path)[1:-1] if path else '""'
    named = f"virtualenv is {shown}" if option == "virtualenv" else f"{option} has the path {shown}"
    if not path.startswith("/") or not path.isprintable() or ".." in path.split("/"):
        raise InvalidInput(f"{named}: set an absolute path without .. and control characters.")
    plain = "/" + "/".join(name for name in path.split("/") if name not in ("", "."))
    if plain.count("/") > _DEEPEST:
        raise InvalidInput(f"{named}, more than {_DEEPEST} directories deep: set another path.")
    for part in plain.split("/"):
        if part == MARKER or part.startswith(HIDDEN_PREFIX):
            raise InvalidInput(
                f"{named}, but this collection uses the name {part} for its own files and removes"
                " them: set another path."
            )
    _require_own(plain, f"{named}, which is", owner, accounts)
    parent, name = os.path.split(plain)
    try:
        real = os.path.join(os.path.realpath(parent), name)
        status = _status(real)
    except ValueError as error:
        raise InvalidInput(f"{named}, which is not a valid path: set another path.") from error
    _require_own(real, f"{named}, which leads to {real}, that is", owner, accounts)
    if status and stat.S_ISLNK(status.st_mode):
        target = os.path.realpath(real)
        raise InvalidInput(f"{named}, which is a symbolic link: set its target {target} instead.")
    if status and not stat.S_ISDIR(status.st_mode):
        raise InvalidInput(f"{named}, which is not a directory: set another path.")
    return real


def _require_way(layout: Layout, accounts: t.Sequence[Account]) -> None:
    """Raise InvalidInput if a missing parent directory would be in a place that a server cannot use."""
    owners: dict[str, str | None] = {directory.path: directory.ownership.owner for directory in layout.directories}
    for path, owner in {**owners, **({layout.environment: None} if layout.environment else {})}.items():
        for above in layout.ancestors(path):
            foreign = None if os.path.lexists(above) else whose(above, owner, accounts)
            if foreign:
                named = f"virtualenv is {path}" if path == layout.environment else f"directories has the path {path}"
                raise InvalidInput(
                    f"{named}, but {above} does not exist and is {foreign}: create it first, or set another path."
                )


def _require_different(layout: Layout) -> None:
    """Raise InvalidInput if two of the paths are the same directory, for example because of a bind mount."""
    found: dict[tuple[int, int, str], str] = {}
    missing = (path for path in layout.ancestors(*layout.everything) if not os.path.lexists(path))
    for path in (*layout.everything, *missing):
        earlier = found.setdefault(_identity(path), path)
        if earlier != path:
            raise InvalidInput(
                f"{earlier} and {path} are the same directory, which is mounted in two places: use only one of them."
            )


def _identity(path: str) -> tuple[int, int, str]:
    """Return the identity of a directory: its last existing parent, and the missing names below that."""
    missing = ""
    while True:
        try:
            status = os.stat(path)
        except OSError:
            path, name = os.path.split(path)
            missing = f"{name}/{missing}"
        else:
            return status.st_dev, status.st_ino, missing


def _is_kept_by_system(directory: Directory) -> bool:
    attributes = directory.attributes()
    return belongs_to(directory.path) == directory.path and attributes.uid == 0 and not attributes.mode & 0o002


def _require_safe(directory: DeclaredDirectory, environment: str) -> None:
    """Raise InvalidInput if another user could replace the environment, from which root runs programs."""
    known = directory.ownership.known()
    owner = directory.ownership.owner if known is None or known.uid else None
    if os.geteuid() == 0 and (owner or directory.ownership.mode & 0o022):
        who = owner or "a user other than root"
        raise InvalidInput(
            f"virtualenv {environment} is in {directory.path}, to which {who} may write, but root runs programs from"
            " it: set a path outside of that directory, or set its owner to root and its mode to 0755."
        )


def _require_own(path: str, sentence: str, owner: str | None, accounts: t.Sequence[Account]) -> None:
    foreign = whose(path, owner, accounts)
    if foreign:
        raise InvalidInput(f"{sentence} {foreign}: set a directory that only the server uses.")


def _status(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        raise InvalidInput(
            f"{path} cannot be a directory, because a part of the path is a file: set another path."
        ) from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InvalidInput(
                f"{path} or a name in it is too long: set a path of less than 4096 bytes, in which each name has at"
                " most 255 bytes."
            ) from error
        fix = " Run the task with become." if isinstance(error, PermissionError) and os.geteuid() else ""
        raise SynapseError(f"{path} cannot be examined: {error.strerror}.{fix}") from error


def _require_contents(directory: DeclaredDirectory) -> None:
    for option in ("contents", "content_patterns", "marked_contents"):
        for name in getattr(directory, option):
            if "/" in name or name in ("", ".", ".."):
                raise InvalidInput(
                    f"{option} of {directory.path} contains {name!r}: use the names of entries in the directory"
                    " itself, without a slash."
                )
    for pattern in directory.content_patterns:
        if not _BEGINS_ORDINARILY.match(pattern):
            raise InvalidInput(
                f"content_patterns of {directory.path} contains {pattern!r}, which may match files of others: start it"
                " with at least four ordinary characters, or move it to marked_contents."
            )


def _depth(path: str) -> tuple[int, str]:
    return path.count("/"), path

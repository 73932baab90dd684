# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What a task declares of an installation, and where that really is: refused before anything is done if need be."""

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

# An ordinary character of a pattern may be a special one in brackets, as in [*].
_BEGINS_ORDINARILY = re.compile(r"(?:[^\[*?]|\[[\[\]*?]\]){4}")

# Each directory on the way is held open while the next one is entered.
_DEEPEST = 100


@dataclasses.dataclass(frozen=True)
class DeclaredDirectory:
    """A directory of the server.

    `contents`: names in it that are a part of the server, whatever characters they hold; `content_patterns`: shell
    patterns of more of them; `marked_contents`: patterns of those that are if they are files in which this collection
    is named.
    """

    path: str
    ownership: Ownership
    contents: tuple[str, ...] = ()
    marked_contents: tuple[str, ...] = ()
    content_patterns: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Layout:
    """The directories and the environment, by paths in which no link is left; the directories from the top down."""

    directories: tuple[DeclaredDirectory, ...]
    environment: str | None

    @property
    def paths(self) -> tuple[str, ...]:
        """Where the directories are."""
        return tuple(directory.path for directory in self.directories)

    @property
    def everything(self) -> tuple[str, ...]:
        """Where the directories and the environment are."""
        return self.paths + ((self.environment,) if self.environment else ())

    @contextlib.contextmanager
    def parent_of(self, path: str) -> t.Iterator[Directory | None]:
        """Open the directory in which `path` is, for the block; None if it does not exist.

        Whoever may decide where it leads is root, the owner of a declared directory, or this collection, which has
        made the directories on the way. On the way to the environment, from which root runs programs, it is only root;
        elsewhere it may be a group that the system lets write to one of its own directories, such as /var/log.
        Raises InvalidInput if somebody else may, SynapseError if it cannot be opened.
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
        """Return the directories above `paths` that are not declared themselves, from the top down."""
        found = set()
        for path in paths:
            while path != "/":
                path = os.path.dirname(path)
                found.add(path)
        return tuple(sorted(found - set(self.everything) - {"/"}, key=_depth))

    def holds_declared(self, path: str) -> bool:
        """Return whether `path` is a directory of the installation, or has one in it."""
        return any(place == path or place.startswith(f"{path}/") for place in self.everything)


def lay_out(
    directories: t.Sequence[DeclaredDirectory],
    environment: str | None,
    accounts: t.Sequence[Account] | None = None,
) -> Layout:
    """Return where everything is. `accounts`: those of the host, read if None.

    Raises InvalidInput for a path that can never be a server's, and for two that do not go together. Changes nothing.
    """
    known = read_accounts() if accounts is None else accounts
    found: dict[str, DeclaredDirectory] = {}
    for directory in directories:
        _require_contents(directory)
        path = real_path(directory.path, "directories", directory.ownership.owner, known)
        earlier = found.get(path)
        if earlier and earlier.ownership != directory.ownership:
            raise InvalidInput(
                f"directories names {path} twice, with different owners, groups or modes: say it once, or name two"
                " directories."
            )
        found[path] = DeclaredDirectory(
            path,
            directory.ownership,
            (earlier.contents if earlier else ()) + directory.contents,
            (earlier.marked_contents if earlier else ()) + directory.marked_contents,
            (earlier.content_patterns if earlier else ()) + directory.content_patterns,
        )
    place = None if environment is None else real_path(environment, "environment", None, known)
    for path in found:
        if place and (path == place or path.startswith(f"{place}/")):
            raise InvalidInput(
                f"directories names {path}, which is {'the' if path == place else 'in the'} environment and would be"
                " removed with it: name a place outside."
            )
        if place and place.startswith(f"{path}/"):
            _require_safe(found[path], place)
    layout = Layout(tuple(found[path] for path in sorted(found, key=_depth)), place)
    _require_way(layout, known)
    _require_different(layout)
    return layout


def real_path(path: str, option: str, owner: str | None, accounts: t.Sequence[Account]) -> str:
    """Return `path` with the links on the way to it followed. `option`: what declares it, for an error.

    Raises InvalidInput if it is no place for a directory of a server: see `_system_directory.whose`, which `owner` and
    `accounts` are for.
    """
    shown = repr(path)[1:-1] if path else "an empty path"
    if not path.startswith("/") or not path.isprintable() or ".." in path.split("/"):
        raise InvalidInput(f"{option} names {shown}: it must be an absolute path without .. and control characters.")
    plain = "/" + "/".join(name for name in path.split("/") if name not in ("", "."))
    if plain.count("/") > _DEEPEST:
        raise InvalidInput(f"{option} names {shown}, more than {_DEEPEST} directories deep: name another place.")
    for part in plain.split("/"):
        if part == MARKER or part.startswith(HIDDEN_PREFIX):
            raise InvalidInput(
                f"{option} names {shown}, but this collection gives the name {part} to files of its own, and removes"
                " them: name another place."
            )
    _require_own(plain, f"{option} names {shown}, which is", owner, accounts)
    parent, name = os.path.split(plain)
    try:
        real = os.path.join(os.path.realpath(parent), name)
        status = _status(real)
    except ValueError as error:
        raise InvalidInput(f"{option} names {shown}, which no file system can hold.") from error
    _require_own(real, f"{option} names {shown}, which leads to {real}, that is", owner, accounts)
    if status and stat.S_ISLNK(status.st_mode):
        target = os.path.realpath(real)
        raise InvalidInput(f"{option} names {shown}, a symbolic link: name {target}, the directory that it leads to.")
    if status and not stat.S_ISDIR(status.st_mode):
        raise InvalidInput(f"{option} names {shown}, but that is a file and no directory: name another place.")
    return real


def _require_way(layout: Layout, accounts: t.Sequence[Account]) -> None:
    """Raise InvalidInput if what would have to be made on the way to a directory is no place for one of a server."""
    owners: dict[str, str | None] = {directory.path: directory.ownership.owner for directory in layout.directories}
    for path, owner in {**owners, **({layout.environment: None} if layout.environment else {})}.items():
        for above in layout.ancestors(path):
            foreign = None if os.path.lexists(above) else whose(above, owner, accounts)
            if foreign:
                option = "environment" if path == layout.environment else "directories"
                raise InvalidInput(
                    f"{option} names {path}, but {above} does not exist and is {foreign}: create it first, or name"
                    " another place."
                )


def _require_different(layout: Layout) -> None:
    """Raise InvalidInput if two of the paths lead to the same directory, as a bind mount lets them do."""
    found: dict[tuple[int, int, str], str] = {}
    missing = (path for path in layout.ancestors(*layout.everything) if not os.path.lexists(path))
    for path in (*layout.everything, *missing):
        earlier = found.setdefault(_identity(path), path)
        if earlier != path:
            raise InvalidInput(
                f"{earlier} and {path} are one and the same directory, which is mounted in two places: name it once."
            )


def _identity(path: str) -> tuple[int, int, str]:
    """Return which directory it is, or would be: what is there on the way to it, and what is missing below that."""
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
    """Raise InvalidInput if somebody else could exchange the environment, from which root runs programs."""
    known = directory.ownership.known()
    owner = directory.ownership.owner if known is None or known.uid else None
    if os.geteuid() == 0 and (owner or directory.ownership.mode & 0o022):
        who = owner or "somebody else than root"
        raise InvalidInput(
            f"environment names {environment}, which lies in {directory.path}, where {who} may write, but root runs"
            " programs from it: name a place outside, or let that directory belong to root alone."
        )


def _require_own(path: str, sentence: str, owner: str | None, accounts: t.Sequence[Account]) -> None:
    foreign = whose(path, owner, accounts)
    if foreign:
        raise InvalidInput(f"{sentence} {foreign}: name a directory of the server's own.")


def _status(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        raise InvalidInput(f"{path} cannot be a directory: something on the way to it is a file.") from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InvalidInput(
                f"{path} is too long, or a name in it is: name a path of less than 4096 bytes, in which every name has"
                " at most 255."
            ) from error
        mend = " Run the task with become." if isinstance(error, PermissionError) and os.geteuid() else ""
        raise SynapseError(f"{path} cannot be looked at: {error.strerror}.{mend}") from error


def _require_contents(directory: DeclaredDirectory) -> None:
    for option in ("contents", "content_patterns", "marked_contents"):
        for name in getattr(directory, option):
            if "/" in name or name in ("", ".", ".."):
                raise InvalidInput(
                    f"{option} of {directory.path} holds {name!r}: name what is in the directory itself, without a"
                    " slash."
                )
    for pattern in directory.content_patterns:
        if not _BEGINS_ORDINARILY.match(pattern):
            raise InvalidInput(
                f"content_patterns of {directory.path} holds {pattern!r}, which may also fit what is not this server's:"
                " begin it with at least four ordinary characters, or put it into marked_contents."
            )


def _depth(path: str) -> tuple[int, str]:
    return path.count("/"), path

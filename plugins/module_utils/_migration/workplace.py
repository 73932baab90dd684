# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The directory of a move, beside the SQLite database: copies of it, and the configuration with the password.

It belongs to the user of Synapse, as whom the copies are made and Synapse's program runs, and nobody else can enter it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes, user_name
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.as_user import acting_as, groups_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import Directory, open_directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.source import remove_database, size_of

_NAME = ".matrix_ops-migration"
_CONFIGURATION = "port.yaml"
_COPIES = ("first.db", "last.db")


class Workplace:
    """The directory, locked while it is open. `uid`: the user of Synapse."""

    def __init__(self, path: str, uid: int, lock: int) -> None:
        self.path = path
        self.uid = uid
        self.lock = lock

    @property
    def first_copy(self) -> str:
        """The path of the copy for the first pass."""
        return os.path.join(self.path, _COPIES[0])

    @property
    def last_copy(self) -> str:
        """The path of the copy for the last pass."""
        return os.path.join(self.path, _COPIES[1])

    def write_configuration(self, settings: dict[str, t.Any]) -> str:
        """Write a configuration of Synapse that only its user can read, and return its path."""
        # Without PyYAML, the configuration could not be read before.
        import yaml

        group = groups_of(self.uid)[0] if os.geteuid() == 0 else os.getegid()
        text = yaml.safe_dump(settings)
        opened = Directory(self.path, self.lock)
        opened.replace(_CONFIGURATION, text.encode(), Attributes(0o600, self.uid, group))
        return os.path.join(self.path, _CONFIGURATION)

    def clear(self) -> None:
        """Remove the copies and the configuration, but not the directory."""
        with acting_as(self.uid):
            for name in _COPIES:
                remove_database(os.path.join(self.path, name))
                remove_database(os.path.join(self.path, f"{name}.partial"))
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self.path, _CONFIGURATION))


def workplace_path(source: str, declared: str | None) -> str:
    """Return the path of the directory: `declared`, or beside the SQLite database `source`."""
    return declared or os.path.join(os.path.dirname(source), _NAME)


@contextlib.contextmanager
def locked(source: str) -> t.Iterator[None]:
    """Lock the SQLite database `source` against other moves for the block; nobody else is stopped by it.

    Raises SynapseError if another task has locked it.
    """
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise SynapseError(f"{source} cannot be read: {error.strerror}. Run the task with become, as root.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise SynapseError(
            f"Another task moves this database: it has locked {source}. Wait until it has ended."
        ) from error
    finally:
        os.close(descriptor)


def left_in(path: str, *, but_first: bool) -> int:
    """Return the size of the copies in the directory that are replaced, in bytes. `but_first`: without the first."""
    names = _COPIES[1:] if but_first else _COPIES
    return sum(size_of(os.path.join(path, each)) for name in names for each in (name, f"{name}.partial"))


def require_workplace(path: str, uid: int, trusted: t.Collection[int]) -> None:
    """Raise what `open_workplace` would raise, and InvalidInput if it could not make the directory. Changes nothing."""
    parent, name = os.path.split(path)
    with open_directory(parent, trusted=trusted) as around:
        if around.status(name) is None:
            around.require_writable(path)
            return
        with _entered(around, name, uid):
            pass


@contextlib.contextmanager
def open_workplace(path: str, uid: int, trusted: t.Collection[int]) -> t.Iterator[Workplace]:
    """Open the directory for the block, and make it first if it does not exist.

    Raises InvalidInput if something else has its name, SynapseError if another task works in it.
    """
    parent, name = os.path.split(path)
    with open_directory(parent, trusted=trusted) as around:
        if around.status(name) is None:
            group = groups_of(uid)[0] if os.geteuid() == 0 else os.getegid()
            around.make(name, Attributes(0o700, uid, group))
        with _entered(around, name, uid) as opened:
            yield Workplace(path, uid, opened.descriptor)


@contextlib.contextmanager
def _entered(around: Directory, name: str, uid: int) -> t.Iterator[Directory]:
    """Open and lock the directory for the block. Raises the errors of `open_workplace`."""
    path, status = around.place(name), around.status(name)
    if status is None or not stat.S_ISDIR(status.st_mode) or status.st_uid != uid or status.st_mode & 0o077:
        raise InvalidInput(
            f"{path} is not a directory that only {user_name(uid)} can enter, as this module makes it. Move it away, or"
            " set work_directory to another path."
        )
    with around.child(name) as opened:
        try:
            fcntl.flock(opened.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SynapseError(
                f"Another task moves this database: it has locked {path}. Wait until it has ended."
            ) from error
        yield opened

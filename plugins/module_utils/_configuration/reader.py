# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The user that Synapse runs as: whether it could read a file, and which owner or group makes that possible."""

from __future__ import annotations

import dataclasses
import os
import pwd
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes, group_name, user_id
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput

# The group of all users without a group of their own. Members of it have nothing in common, as with root's group.
_NOBODY = 65534
_UNKNOWN = 255


@dataclasses.dataclass(frozen=True)
class Reader:
    """A user who reads files. `gid`: the primary group; None for a user of which only the ID is known."""

    name: str
    uid: int
    gid: int | None
    groups: frozenset[int]

    def may_read(self, attributes: Attributes) -> bool:
        """Return whether the permissions of a file allow this user to read it. Root may read everything."""
        if self.uid == attributes.uid:
            bit = stat.S_IRUSR
        else:
            bit = stat.S_IRGRP if attributes.gid in self.groups else stat.S_IROTH
        return self.uid == 0 or bool(attributes.mode & bit)

    def keeping_secrets(self, model: Attributes) -> Attributes:
        """Return the model of a new file, with the group root instead of the group of all users without their own."""
        return dataclasses.replace(model, gid=0) if model.gid == _NOBODY else model

    def let_in(self, attributes: Attributes, *, owner_is_free: bool, group_is_free: bool) -> Attributes:
        """Return attributes that allow this user to read a file, if a change of the free owner or group achieves that.

        The group is preferred, because it can read without write permission. If other users share the group, it would
        not keep a secret, so that the owner is changed instead.
        """
        if self.may_read(attributes):
            return attributes
        by_group = dataclasses.replace(attributes, gid=attributes.gid if self.gid is None else self.gid)
        if group_is_free and self.may_read(by_group) and not self._shares_group():
            return by_group
        by_owner = dataclasses.replace(attributes, uid=self.uid)
        return by_owner if owner_is_free and self.may_read(by_owner) else attributes

    def require_readable(self, attributes: Attributes, path: str) -> None:
        """Raise InvalidInput if this user could not read a file with these attributes at `path`."""
        if self.may_read(attributes):
            return
        shown = attributes.shown()
        group = "" if self.gid is None or self._shares_group() else f"group to {group_name(self.gid)}, or "
        raise InvalidInput(
            f"{path} with mode {shown['mode']}, owner {shown['owner']} and group {shown['group']} could not be read by"
            f" {self.name}, the user of Synapse, so that Synapse would not start again: set {group}owner to"
            f" {self.name}, with a mode that allows it to read the file, or set none of the three."
        )

    def require_way(self, directory: str, *, listed: bool) -> None:
        """Raise InvalidInput if this user could not open a file in `directory`. `listed`: Synapse also lists it.

        Only root and this user itself can find that out. For other users, nothing is checked.
        """
        for place in _prefixes(directory):
            wanted = os.R_OK | os.X_OK if listed and place == directory else os.X_OK
            if self.can(place, wanted) is False:
                raise InvalidInput(
                    f"{self.name}, the user of Synapse, may not enter {place}, and therefore could not read a file in"
                    f" {directory}: give it that permission, for example through the group of the directory."
                )

    def can(self, path: str, wanted: int) -> bool | None:
        """Return whether this user has the access `wanted` (see os.access) to `path`; None if that cannot be found out.

        A child process changes to this user and asks the kernel, so that access control lists count too.
        """
        if os.geteuid() == self.uid:
            return os.access(path, wanted)
        if os.geteuid() != 0:
            return None
        child = os.fork()
        if child == 0:
            answer = _UNKNOWN
            try:
                os.setgroups(list(self.groups))
                os.setgid(_NOBODY if self.gid is None else self.gid)
                os.setuid(self.uid)
                answer = 0 if os.access(path, wanted) else 1
            finally:
                # The child must never run the cleanup code of the parent.
                os._exit(answer)
        _child, status = os.waitpid(child, 0)
        return {0: True, 1: False}.get(os.WEXITSTATUS(status)) if os.WIFEXITED(status) else None

    def _shares_group(self) -> bool:
        if self.gid in (0, _NOBODY):
            return True
        return any(user.pw_gid == self.gid and user.pw_uid != self.uid for user in pwd.getpwall())


def reader_named(user: str) -> Reader:
    """Return the user with this name or ID. Raises InvalidInput if the name does not exist."""
    try:
        uid = user_id(user)
    except InvalidInput:
        raise InvalidInput(
            f"synapse_user {user} does not exist on this host: check the spelling, or install Synapse first."
        ) from None
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Reader(user, uid, None, frozenset())
    return Reader(entry.pw_name, uid, entry.pw_gid, frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid)))


def proven_reader(users: t.Iterable[str], configuration: Configuration) -> Reader | None:
    """Return the first of `users` that can read Synapse's signing key; None if there is none, or if everyone can.

    `users` have processes that seem to be Synapse. Any user can start such a process, but only Synapse and root can
    read the signing key.
    """
    key = signing_key_path(configuration)
    if key is None:
        return None
    try:
        if os.stat(key).st_mode & stat.S_IROTH:
            return None
    except OSError:
        return None
    return next((reader for reader in map(reader_named, users) if reader.can(key, os.R_OK)), None)


def new_signing_key(configuration: Configuration) -> str | None:
    """Return the path of a signing key that does not exist, so that the main process of Synapse makes it at its start.

    None if there is one, or if it is unknown. A worker makes none, so that it needs the path in signing_key_path.
    """
    path = signing_key_path(configuration)
    is_made = path is not None and is_missing(path)
    if configuration.worker_app and not configuration.settings.get("signing_key_path"):
        is_made = False
    return path if is_made else None


def signing_key_path(configuration: Configuration) -> str | None:
    """Return the path of the signing key of Synapse 1.163 (synapse/config/key.py).

    None if it is unknown, or if the key itself is in the configuration.
    """
    settings = configuration.settings
    if "signing_key" in settings:
        return None
    path, name = settings.get("signing_key_path"), settings.get("server_name")
    if path is None and isinstance(name, str) and configuration.files:
        path = os.path.join(os.path.dirname(configuration.files[-1].path), f"{name}.signing.key")
    return path if isinstance(path, str) and os.path.isabs(path) else None


def is_missing(path: str) -> bool:
    """Return whether there certainly is no file at `path`."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def _prefixes(directory: str) -> list[str]:
    """Return the directories from the root to this one, in the order in which a process passes them."""
    names = [name for name in directory.split("/") if name]
    return ["/" + "/".join(names[:number]) for number in range(len(names))] + [directory]

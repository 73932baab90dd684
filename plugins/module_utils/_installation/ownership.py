# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The declared owner of a directory, and whether an existing directory has sufficient permissions."""

from __future__ import annotations

import dataclasses
import os
import pwd
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import (
    Attributes,
    group_id,
    group_name,
    parse_mode,
    user_id,
    user_name,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput


@dataclasses.dataclass(frozen=True)
class Ownership:
    """The declared owner, group and mode of a directory.

    `owner` None: the user of this process. `group` None: the primary group of the owner, and no requirements for the
    group of an existing directory. A name does not have to exist before `attributes` is called.
    """

    mode: int
    owner: str | None = None
    group: str | None = None

    @classmethod
    def of(cls, mode: str | int, owner: str | None, group: str | None) -> Ownership:
        """Return it from the options of a task; an empty name means None. Raises InvalidInput for a wrong mode."""
        return cls(parse_mode(mode), owner or None, group or None)

    def attributes(self) -> Attributes:
        """Return it as IDs. Raises InvalidInput if the owner or the group does not exist on this host."""
        uid = user_id(self.owner) if self.owner else os.geteuid()
        return Attributes(self.mode, uid, group_id(self.group) if self.group else _first_group(uid))

    def known(self) -> Attributes | None:
        """Return it as IDs, or None if the owner or the group does not exist on this host."""
        try:
            return self.attributes()
        except InvalidInput:
            return None

    def shown(self) -> dict[str, str]:
        """Return it as text, with the declared name if that does not exist yet."""
        known = self.known()
        if known:
            return known.shown()
        return {
            "mode": f"{self.mode:04o}",
            "owner": self.owner or user_name(os.geteuid()),
            "group": self.group or self.owner or group_name(os.getegid()),
        }

    def require_usable(self, path: str, holding: bool) -> None:
        """Raise InvalidInput with `path` in the message if this user could not use such a directory. Root always can.

        `holding`: whether something must be created in it.
        """
        needed = 0o700 if holding else 0o500
        if os.geteuid() != 0 and needed & ~self.mode:
            could = "create anything in it" if holding and not 0o500 & ~self.mode else "list it and enter it"
            raise InvalidInput(
                f"directories has the path {path} with the mode {self.mode:04o}, with which this user could not"
                f" {could}: set a mode that starts with {'07' if holding else '05 or 07'}, or run the task with become."
            )

    def require_of(self, path: str, found: Attributes) -> None:
        """Raise InvalidInput with `path` in the message if an existing directory has not enough permissions.

        `found`: its attributes. The declared owner and group must have the permissions of the declared mode in it.
        """
        uid, gid = _number(user_id, self.owner or str(os.geteuid())), _number(group_id, self.group)
        owner = self.owner or user_name(os.geteuid())
        groups = _groups(owner, uid, gid)
        self._require(path, found, owner, self.mode >> 6, 7 if uid == 0 else _bits(found, uid, groups))
        if self.group:
            groups = set() if gid is None else {gid}
            self._require(path, found, f"the group {self.group}", self.mode >> 3, _bits(found, None, groups))

    def _require(self, path: str, found: Attributes, who: str, needed: int, given: int) -> None:
        lacking = needed & 7 & ~given
        if lacking:
            verb = "write" if lacking & 2 else "read" if lacking & 4 else "enter it"
            shown = found.shown()
            raise InvalidInput(
                f"{path} exists and belongs to {shown['owner']}:{shown['group']} (mode {shown['mode']}), so that"
                f" {who} could not {verb}{'' if verb == 'enter it' else ' there'}: give {who} that permission, or set"
                " a directory that does not exist yet."
            )


def _number(find: t.Callable[[str], int], name: str | None) -> int | None:
    try:
        return find(name) if name else None
    except InvalidInput:
        return None


def _bits(found: Attributes, uid: int | None, groups: set[int]) -> int:
    """Return the permissions of a user, as the kernel finds them: of the owner, else of the group, else of others."""
    if uid is not None and uid == found.uid:
        return found.mode >> 6 & 7
    return (found.mode >> 3 if found.gid in groups else found.mode) & 7


def _groups(name: str, uid: int | None, gid: int | None) -> set[int]:
    """Return the groups of a user. A user that does not exist yet will be in the group `gid`."""
    if uid is None:
        return set() if gid is None else {gid}
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return set()
    return set(os.getgrouplist(entry.pw_name, entry.pw_gid))


def _first_group(uid: int) -> int:
    if uid == os.geteuid():
        return os.getegid()
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        return os.getegid()

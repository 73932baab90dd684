# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The mode, owner and group of a file: as text, as the numbers of the kernel, and who may set them."""

from __future__ import annotations

import contextlib
import dataclasses
import grp
import os
import pwd
import re
import stat

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput

_NUMBER = re.compile("[0-9]+")
# The digits of common modes. No common mode has one of these values, because its digits are octal: 0640 is 416.
_SLIPS = frozenset({400, 440, 444, 600, 640, 644, 660, 664, 700, 750, 755, 770, 775, 777})
# For the kernel, the next number means "do not change".
_LARGEST = 2**32 - 2


@dataclasses.dataclass(frozen=True)
class Attributes:
    """The owner, group and permissions of a file or directory. `mode` contains only the permission bits."""

    mode: int
    uid: int
    gid: int

    @classmethod
    def of(cls, status: os.stat_result) -> Attributes:
        """Return the attributes of a file from the result of stat(2)."""
        return cls(stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)

    def shown(self) -> dict[str, str]:
        """Return the attributes as text: an octal mode, and the names of owner and group if the host knows them."""
        return {"mode": f"{self.mode:04o}", "owner": user_name(self.uid), "group": group_name(self.gid)}

    def give(self, descriptor: int) -> None:
        """Set them on the open file or directory `descriptor`. Raises OSError if that fails."""
        status = os.fstat(descriptor)
        if (status.st_uid, status.st_gid) != (self.uid, self.gid):
            os.fchown(descriptor, self.uid, self.gid)
        # After the owner, because a change of the owner removes some bits.
        os.fchmod(descriptor, self.mode)


def parse_mode(mode: str | int) -> int:
    """Return the permission bits of `mode`: octal digits, or the number that YAML reads from unquoted digits after a 0.

    Raises InvalidInput for everything else, and for unquoted digits without this 0: YAML reads 440 as a decimal number,
    which is the mode 0670. They are recognized by their value: 400, 440, 444, 600, 640, 644, 660, 664, 700, 750, 755,
    770, 775 and 777 are an error. None of these is the value of a common mode (0640 is 416).
    """
    slip = isinstance(mode, int) and mode in _SLIPS
    bits = -1
    if isinstance(mode, str):
        with contextlib.suppress(ValueError):
            bits = int(mode, 8)
    # A task can pass any type, and in Python a boolean is an integer.
    elif isinstance(mode, int) and not isinstance(mode, bool) and not slip:
        bits = mode
    if not 0 <= bits <= 0o777:
        example = f"0{mode}" if slip else "0640"
        raise InvalidInput(f'mode {mode!r} is not a file mode: write its octal digits in quotes, like "{example}".')
    return bits


def user_id(owner: str) -> int:
    """Return the ID of the user `owner`, which is a name or an ID. Raises InvalidInput if it does not exist."""
    if _NUMBER.fullmatch(owner) and int(owner) <= _LARGEST:
        return int(owner)
    try:
        return pwd.getpwnam(owner).pw_uid
    except (KeyError, ValueError):
        raise InvalidInput(
            f"owner {owner} does not exist on this host: check the spelling, or create it first."
        ) from None


def group_id(group: str) -> int:
    """Return the ID of `group`, which is a name or an ID. Raises InvalidInput if it does not exist."""
    if _NUMBER.fullmatch(group) and int(group) <= _LARGEST:
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except (KeyError, ValueError):
        raise InvalidInput(
            f"group {group} does not exist on this host: check the spelling, or create it first."
        ) from None


def user_name(uid: int) -> str:
    """Return the name of the user with this ID, or the ID as text if it has no name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    """Return the name of the group with this ID, or the ID as text if it has no name."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def require_allowed(attributes: Attributes, path: str) -> None:
    """Raise InvalidInput if this user may not set these attributes on a file. Changes nothing."""
    if os.geteuid() == 0:
        return
    if attributes.uid != os.geteuid():
        raise InvalidInput(
            f"{path} cannot get the owner {user_name(attributes.uid)}: only root can set it. Run the task with become."
        )
    if attributes.gid not in {os.getegid(), *os.getgroups()}:
        raise InvalidInput(
            f"{path} cannot get the group {group_name(attributes.gid)}: this user is not a member of it."
            " Run the task with become."
        )

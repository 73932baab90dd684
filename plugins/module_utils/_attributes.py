# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The mode, owner and group of a file: as people write them, as the kernel has them, and who may set them."""

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
# Digits of usual modes. No usual mode, read as octal, is one of these numbers: 0620 is 400, 0640 is 416.
_SLIPS = frozenset({400, 440, 444, 600, 640, 644, 660, 664, 700, 750, 755, 770, 775, 777})
# The one after it means "as it is" to the kernel.
_LARGEST = 2**32 - 2


@dataclasses.dataclass(frozen=True)
class Attributes:
    """Who may do what with a file or directory. `mode` holds the permission bits alone."""

    mode: int
    uid: int
    gid: int

    @classmethod
    def of(cls, status: os.stat_result) -> Attributes:
        """Return the attributes in what the kernel says of a file."""
        return cls(stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)

    def shown(self) -> dict[str, str]:
        """Return the attributes as people write them: an octal mode, and names where the host knows them."""
        return {"mode": f"{self.mode:04o}", "owner": user_name(self.uid), "group": group_name(self.gid)}

    def give(self, descriptor: int) -> None:
        """Give them to the open file or directory `descriptor`, and to nothing else. Raises OSError if that fails."""
        status = os.fstat(descriptor)
        if (status.st_uid, status.st_gid) != (self.uid, self.gid):
            os.fchown(descriptor, self.uid, self.gid)
        # After the owner, whose change takes bits away.
        os.fchmod(descriptor, self.mode)


def parse_mode(mode: str | int) -> int:
    """Return the permission bits of `mode`: octal digits, or the number that YAML made of unquoted ones after a 0.

    Raises InvalidInput for anything else, also for unquoted digits without that 0: YAML reads 440 as decimal, which is
    the mode 0670. They are told by their number: 400, 440, 444, 600, 640, 644, 660, 664, 700, 750, 755, 770, 775 and
    777 are refused, none of which is the number of a usual mode (0640 is 416).
    """
    slip = isinstance(mode, int) and mode in _SLIPS
    bits = -1
    if isinstance(mode, str):
        with contextlib.suppress(ValueError):
            bits = int(mode, 8)
    # A task may say anything here, and to Python true is a number.
    elif isinstance(mode, int) and not isinstance(mode, bool) and not slip:
        bits = mode
    if not 0 <= bits <= 0o777:
        example = f"0{mode}" if slip else "0640"
        raise InvalidInput(f'mode {mode!r} is not a file mode: write its octal digits in quotes, like "{example}".')
    return bits


def user_id(owner: str) -> int:
    """Return the number of the user `owner`, a name or already a number. Raises InvalidInput if there is none."""
    if _NUMBER.fullmatch(owner) and int(owner) <= _LARGEST:
        return int(owner)
    try:
        return pwd.getpwnam(owner).pw_uid
    except (KeyError, ValueError):
        raise InvalidInput(f"owner {owner} does not exist on this host: see whether it is spelt right.") from None


def group_id(group: str) -> int:
    """Return the number of `group`, a name or already a number. Raises InvalidInput if there is none."""
    if _NUMBER.fullmatch(group) and int(group) <= _LARGEST:
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except (KeyError, ValueError):
        raise InvalidInput(f"group {group} does not exist on this host: see whether it is spelt right.") from None


def user_name(uid: int) -> str:
    """Return the name of the user with this number, or the number itself if it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    """Return the name of the group with this number, or the number itself if it has none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def require_allowed(attributes: Attributes, path: str) -> None:
    """Raise InvalidInput if this user may not give a file these attributes: asked before anything is changed."""
    if os.geteuid() == 0:
        return
    if attributes.uid != os.geteuid():
        raise InvalidInput(
            f"{path} cannot be given to {user_name(attributes.uid)}: only root can do that. Run the task with become."
        )
    if attributes.gid not in {os.getegid(), *os.getgroups()}:
        raise InvalidInput(
            f"{path} cannot be given to the group {group_name(attributes.gid)}: this user is not in it."
            " Run the task with become."
        )

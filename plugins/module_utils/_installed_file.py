# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Files with a declared mode, owner and group: replaced in one go, so that nobody ever reads half of one."""

from __future__ import annotations

import dataclasses
import grp
import os
import pwd
import stat
import tempfile

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError


@dataclasses.dataclass(frozen=True)
class Attributes:
    """Who may do what with a file. `mode` holds the permission bits alone."""

    mode: int
    uid: int
    gid: int

    def shown(self) -> dict[str, str]:
        """Return the attributes as people write them: an octal mode, and names where the host knows them."""
        return {"mode": f"{self.mode:04o}", "owner": _user_name(self.uid), "group": _group_name(self.gid)}


def parse_mode(mode: str | int) -> int:
    """Return the permission bits of `mode`: octal digits, or the number that YAML made of unquoted ones.

    Raises InvalidInput for anything else.
    """
    try:
        bits = mode if isinstance(mode, int) else int(mode, 8)
    except ValueError:
        bits = -1
    if not 0 <= bits <= 0o777:
        raise InvalidInput(f'mode {mode!r} is not a file mode: write its octal digits in quotes, like "0640".')
    return bits


def user_id(owner: str) -> int:
    """Return the number of the user `owner`, a name or already a number. Raises InvalidInput if there is none."""
    if owner.isdigit():
        return int(owner)
    try:
        return pwd.getpwnam(owner).pw_uid
    except KeyError:
        raise InvalidInput(f"owner {owner} does not exist on this host: see whether it is spelt right.") from None


def group_id(group: str) -> int:
    """Return the number of `group`, a name or already a number. Raises InvalidInput if there is none."""
    if group.isdigit():
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise InvalidInput(f"group {group} does not exist on this host: see whether it is spelt right.") from None


def read_attributes(path: str) -> Attributes | None:
    """Return the attributes of the file, or None if there is none. Raises SynapseError if it cannot be looked at."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SynapseError(f"{path} cannot be looked at: {error.strerror}.") from error
    return Attributes(stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


def require_allowed(attributes: Attributes, path: str) -> None:
    """Raise InvalidInput if this user may not give a file these attributes: asked before anything is changed."""
    if os.geteuid() == 0:
        return
    if attributes.uid != os.geteuid():
        raise InvalidInput(
            f"{path} cannot be given to {_user_name(attributes.uid)}: only root can do that. Run the task with become."
        )
    if attributes.gid not in {os.getegid(), *os.getgroups()}:
        raise InvalidInput(
            f"{path} cannot be given to the group {_group_name(attributes.gid)}: this user is not in it."
            " Run the task with become."
        )


def replace_file(path: str, text: str, attributes: Attributes) -> None:
    """Put a file with `text` and `attributes` in the place of `path`. Raises SynapseError if that fails.

    Until then, and if it fails, what was there stays as it was.
    """
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=".", dir=os.path.dirname(path))
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            _give(temporary, attributes)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        raise SynapseError(f"{path} could not be written: {error.strerror}.") from error


def set_attributes(path: str, attributes: Attributes) -> None:
    """Give the file these attributes. Raises SynapseError if that fails."""
    try:
        _give(path, attributes)
    except OSError as error:
        raise SynapseError(f"The mode, owner or group of {path} could not be set: {error.strerror}.") from error


def remove_file(path: str) -> None:
    """Remove the file. Raises SynapseError if that fails."""
    try:
        os.unlink(path)
    except OSError as error:
        raise SynapseError(f"{path} could not be removed: {error.strerror}.") from error


def _give(path: str, attributes: Attributes) -> None:
    status = os.stat(path)
    if (status.st_uid, status.st_gid) != (attributes.uid, attributes.gid):
        os.chown(path, attributes.uid, attributes.gid)
    os.chmod(path, attributes.mode)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)

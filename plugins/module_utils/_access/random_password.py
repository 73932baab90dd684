# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The random password of a new account. A private file next to the token file contains it until the token is kept.

Without the file, a task that is interrupted after the registration would leave an account that no task can use.
"""

from __future__ import annotations

import json
import secrets

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installed_file import remove_file
from ansible_collections.matrix_ops.synapse.plugins.module_utils._private_file import read_private, write_private

_BYTES = 32
_WRITER = "matrix_ops.synapse.synapse_access_token"


class RandomPassword:
    """The random password of the account with the localpart `username`, or of no account.

    `token_path`: the token file. Without it, the password is only known to this object.
    """

    def __init__(self, username: str | None, token_path: str | None) -> None:
        self.path = token_path and f"{token_path}.password"
        self._username = username
        self._value: str | None = None
        self._is_new = False

    def read(self) -> str | None:
        """Return the password that an interrupted task has kept, or that this object has made, or None."""
        kept = self._kept()
        if kept is not None and kept.get("username") == self._username:
            self._value = kept.get("password")
        return self._value

    def is_kept(self) -> bool:
        """Whether the file exists."""
        return self._kept() is not None

    def make(self) -> str:
        """Return the password, and a new one if there is none. Write it into the file.

        Raises InvalidInput if the path is in use by another program, or SynapseError if the file cannot be written.
        """
        self.require_usable()
        kept = self.read()
        self._value = kept or secrets.token_urlsafe(_BYTES)
        self._is_new = kept is None
        if self.path:
            content = {"written_by": _WRITER, "username": self._username, "password": self._value}
            write_private(self.path, json.dumps(content))
        return self._value

    def remove(self) -> None:
        """Remove the file if it exists. Raises SynapseError if that fails."""
        if self.path and self.is_kept():
            remove_file(self.path)

    def forget_new(self) -> None:
        """Forget a password that `make` has made, and not one that an earlier task has kept. Raises SynapseError."""
        if self._is_new:
            self.remove()
            self._value = None

    def require_usable(self) -> None:
        """Raise InvalidInput if something at the path was not written by this class, or SynapseError."""
        if self.path and read_private(self.path) and self._kept() is None:
            raise InvalidInput(
                f"{self.path} was not written by this module, which needs that path for itself. Move the file, or set"
                " access_token_path to another path."
            )

    def _kept(self) -> dict[str, str] | None:
        """Return the content of the file, or None if it does not exist or was not written by this class."""
        if not self.path:
            return None
        try:
            file = read_private(self.path)
            content = json.loads(file.text) if file else None
            return dict(content) if content and content["written_by"] == _WRITER else None
        except (SynapseError, ValueError, KeyError, TypeError):
            return None

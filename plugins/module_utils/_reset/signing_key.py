# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""A new signing key for a server whose name changes. The old one is kept next to it.

The file and the format of a key are those of Synapse 1.163 (synapse/config/key.py, signedjson/key.py): the algorithm,
a version that begins with a_, and the seed in Base64 without padding.
"""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import string
import typing as t
import urllib.parse

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import Directory, open_directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError, InvalidInput

# In bytes.
_SEED = 32
_VERSION_LENGTH = 4
_LONGEST_NAME = 255


class SigningKey:
    """The file of the signing key of a server."""

    def __init__(self, path: str, old_server_name: str) -> None:
        """Reads nothing yet."""
        self._directory, self._name = os.path.split(path)
        # No name of a server has a slash, but what is in a database may be anything.
        self._old = f"{self._name}.of-{urllib.parse.quote(old_server_name, safe='')}"
        self.path = path

    @property
    def old_path(self) -> str:
        """Where the key of the old server name is kept."""
        return os.path.join(self._directory, self._old)

    def is_replaced(self) -> bool:
        """Whether there is a key of the old server name next to the file already, and the file has another one."""
        if not os.path.lexists(self.old_path):
            return False
        with self._opened() as directory:
            # They are the same if a run was killed between the two.
            return directory.read(self._old) != directory.read(self._name)

    def require_replaceable(self) -> None:
        """Raise ConfigurationError or InvalidInput if the key cannot be replaced. Changes nothing."""
        if len(self._old) > _LONGEST_NAME:
            raise InvalidInput(
                f"The old signing key cannot be kept, because {self.old_path} is too long for the name of a file. Set"
                " new_signing_key: false."
            )
        with self._opened() as directory:
            if directory.read(self._name) is None:
                raise ConfigurationError(f"There is no signing key {self.path}. Set new_signing_key: false.")
            directory.require_writable(f"The signing key {self.path}")
        if self.is_replaced():
            raise InvalidInput(
                f"{self.old_path} is the signing key of an earlier change of the server name, and another one than"
                f" {self.path}. Move it away, or set new_signing_key: false."
            )

    def replace(self) -> None:
        """Keep the old key under its own name, and write a new one with the same mode, owner and group."""
        with self._opened() as directory:
            old, status = directory.read(self._name), directory.status(self._name)
            if self.is_replaced() or old is None or status is None:
                return
            attributes = Attributes.of(status)
            directory.replace(self._old, old, attributes)
            directory.replace(self._name, _generate(), attributes)

    def put_back(self) -> None:
        """Replace the new key by the old one, if it was replaced."""
        with self._opened() as directory:
            if directory.status(self._old):
                directory.rename(self._old, self._name)

    @contextlib.contextmanager
    def _opened(self) -> t.Iterator[Directory]:
        trusted = {os.stat(path).st_uid for path in (self.path, self._directory) if os.path.exists(path)}
        with open_directory(self._directory, trusted=trusted, option=f"The signing key {self.path}") as directory:
            yield directory


def find_signing_key(
    configuration: Configuration, old_server_name: str, working_directory: str | None = None
) -> SigningKey:
    """Return the file of the signing key. Raises ConfigurationError if the key is not in a file of its own.

    `working_directory`: that of Synapse, where a relative path starts.
    """
    settings = configuration.settings
    if settings.get("signing_key"):
        raise ConfigurationError(
            f"The signing key is in {configuration.source_of('signing_key')} itself, which this module does not change."
            " Replace signing_key there by a new one, or set new_signing_key: false."
        )
    # By default it is next to the last file of the configuration, and has the server name in its name.
    directory = os.path.dirname(os.path.abspath(configuration.files[-1].path))
    path = settings.get("signing_key_path") or os.path.join(directory, f"{configuration.server_name}.signing.key")
    if not os.path.isabs(path) and working_directory is None:
        raise ConfigurationError(
            f"signing_key_path {path} in {configuration.source_of('signing_key_path')} is relative. Set"
            " working_directory to the directory that Synapse runs in."
        )
    return SigningKey(os.path.join(working_directory or "", str(path)), old_server_name)


def _generate() -> bytes:
    version = "".join(secrets.choice(string.ascii_letters) for _number in range(_VERSION_LENGTH))
    seed = base64.b64encode(secrets.token_bytes(_SEED)).decode("ascii").rstrip("=")
    return f"ed25519 a_{version} {seed}\n".encode("ascii")

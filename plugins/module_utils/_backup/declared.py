# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""A backup as a task declares it."""

from __future__ import annotations

import dataclasses
import re

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.decryption import Identity
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.scratch_database import Login
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.surroundings import Surroundings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._debian_package import (
    DEFAULT_CONFIG_PATH,
    DEFAULT_PYTHON,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput

INCLUDE, LOCATION = "include", "location"
_AGE = re.compile(r"(\d{1,9})([smhdw]?)", re.ASCII)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SIZE = re.compile(r"(\d{1,12})([KMGT]?)", re.ASCII)
_BYTES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


@dataclasses.dataclass(frozen=True)
class DeclaredBackup:
    """The options of an archive. `margin`: how many bytes must stay free in addition to the estimate.

    `media`: INCLUDE or LOCATION. `identity` and `login` are only used for `verify`.
    """

    dest_directory: str
    config_path: tuple[str, ...] = DEFAULT_CONFIG_PATH
    working_directory: str | None = None
    media: str = INCLUDE
    age_recipients: tuple[str, ...] = ()
    gpg_recipients: tuple[str, ...] = ()
    extra_paths: tuple[str, ...] = ()
    optional_paths: tuple[str, ...] = ()
    verify: bool = False
    identity: Identity = Identity()
    login: Login = Login()
    margin: int = 1024**3
    manager: str = "systemd"
    unit: str = "matrix-synapse.service"
    worker_unit: str = ""
    environment_files: tuple[str, ...] = ("/etc/default/matrix-synapse",)
    synapse_python: str = DEFAULT_PYTHON

    @property
    def surroundings(self) -> Surroundings:
        """How the service is found."""
        return Surroundings(
            self.config_path,
            self.manager,
            self.unit,
            self.worker_unit,
            self.environment_files,
            self.synapse_python,
            self.working_directory,
        )


def seconds_of(text: str, option: str) -> int:
    """Return a duration in seconds. Raises InvalidInput, beginning with `option`."""
    found = _AGE.fullmatch(text.strip())
    if found is None:
        raise InvalidInput(
            f"{option} {text!r} is not a duration. Set it to a number of seconds, or to a number followed by s, m, h, d"
            " or w, such as 30d."
        )
    return int(found[1]) * _SECONDS[found[2]]


def bytes_of(text: str, option: str) -> int:
    """Return a size in bytes. Raises InvalidInput, beginning with `option`."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise InvalidInput(
            f"{option} {text!r} is not a size. Set it to a number of bytes, or to a number followed by K, M, G or T,"
            " such as 2G."
        )
    return int(found[1]) * _BYTES[found[2]]

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""A reset as a task declares it."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class DeclaredReset:
    """What a task declares. `confirm`: the server name.

    `purge_media`: whether the media store is cleared too. `new_signing_key`: whether a server whose name changes gets a
    new signing key.
    """

    config_path: tuple[str, ...]
    confirm: str
    dest_directory: str
    purge_media: bool = False
    new_signing_key: bool = False
    synapse_python: str = "/opt/venvs/matrix-synapse/bin/python"

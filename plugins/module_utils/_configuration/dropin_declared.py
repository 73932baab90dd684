# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""A drop-in as a task declares it."""

from __future__ import annotations

import dataclasses
import os

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import (
    Attributes,
    group_id,
    parse_mode,
    user_id,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import (
    KeyPath,
    Settings,
    dotted,
    leaves,
    overlay,
    plain,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput


@dataclasses.dataclass(frozen=True)
class DeclaredDropin:
    """A drop-in as a task declares it.

    `owner` and `group` None: those of the file, or for a new file those of the configuration if Synapse can then read
    it. `synapse_user`: the user that Synapse runs as; None for the user of the running processes.
    """

    path: str
    settings: Settings
    secrets: Settings
    present: bool = True
    merge: bool = False
    force: bool = False
    mode: str | int = "0640"
    owner: str | None = None
    group: str | None = None
    synapse_user: str | None = None

    @property
    def secret(self) -> set[KeyPath]:
        """Where the declared secrets are."""
        return set(leaves(self.secrets)) if self.secrets else set()

    def check(self) -> None:
        """Raise InvalidInput for a declaration that can never work."""
        if "\0" in self.path:
            raise InvalidInput(f"path {self.path!r} is not a path: remove the NUL character from it.")
        if not os.path.isabs(self.path):
            raise InvalidInput(f"path {self.path} is not absolute: set an absolute path.")
        if os.path.isdir(self.path):
            raise InvalidInput(f"path {self.path} is a directory: set the path of a file in it.")
        if os.path.islink(self.path):
            raise InvalidInput(f"path {self.path} is a symbolic link: use the path of its target instead.")
        if not self.present:
            return
        if not self.settings and not self.secrets:
            raise InvalidInput(
                "settings and secrets are both empty: add a setting, or set state=absent to remove the file."
            )
        both = self.secret & set(leaves(self.settings))
        if both:
            raise InvalidInput(f"{', '.join(dotted(both))} is in settings and in secrets: remove it from one of them.")
        if self.secrets and parse_mode(self.mode) & 0o007:
            raise InvalidInput(
                f"mode {self.mode} would let every user of the host read the secrets: set mode to 0640 or 0600."
            )

    @property
    def own(self) -> Settings:
        """The declared settings and secrets, without what merge adds. Nothing if the file is to be absent."""
        return overlay(plain(self.settings), plain(self.secrets)) if self.present else {}

    def content(self, earlier: Settings) -> Settings:
        """Return the declared content. `earlier`: the settings of the files that Synapse reads before this one."""
        own = self.own
        return {key: overlay(earlier.get(key), value) for key, value in own.items()} if self.merge else own

    def attributes(self, model: Attributes | None) -> Attributes:
        """Return the declared mode, owner and group. `model` provides the owner and group that are not declared."""
        uid = user_id(self.owner) if self.owner else model.uid if model else os.geteuid()
        gid = group_id(self.group) if self.group else model.gid if model else os.getegid()
        return Attributes(parse_mode(self.mode), uid, gid)

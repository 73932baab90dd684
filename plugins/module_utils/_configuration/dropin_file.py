# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The text of a drop-in: a header that shows that this collection wrote it, and the settings as YAML."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import (
    KeyPath,
    Settings,
    changed_paths,
    dotted,
    same,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings_text import parse_settings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError, InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installed_file import read_file

_MARK = "# Written by the Ansible module matrix_ops.synapse.synapse_config, which overwrites what is changed here."
_ADVICE = "# A key in this file replaces the whole key of the files that Synapse reads before it."
# The names of the declared secrets are kept in the file, so that a later task can hide them too.
_SECRETS = "# Secrets: "


@dataclasses.dataclass(frozen=True)
class DropinFile:
    """A drop-in, existing or planned: the comment at its beginning, the settings, and its mode, owner and group."""

    header: str
    settings: Settings
    attributes: Attributes
    blank: bool = False

    @property
    def ours(self) -> bool:
        """Whether this collection wrote it, so that it can be replaced."""
        return self.blank or self.header.startswith(_MARK)

    @property
    def secret(self) -> set[KeyPath]:
        """The paths of the settings that were declared as secrets."""
        remembered = [line for line in self.header.splitlines() if line.startswith(_SECRETS)]
        try:
            return {tuple(where) for where in json.loads(remembered[0][len(_SECRETS) :])} if remembered else set()
        except (ValueError, TypeError):
            # The line was changed by hand: hide everything, to be safe.
            return {(key,) for key in self.settings}

    def has_same_content_as(self, other: DropinFile) -> bool:
        """Return whether both files have the same content."""
        return self.header == other.header and same(self.settings, other.settings)

    def text(self) -> str:
        """Return the text of the file. Raises InvalidInput for a value that cannot be read back exactly from YAML."""
        # Without PyYAML, reading the configuration has already failed with a clear error.
        import yaml

        text: str = yaml.safe_dump(self.settings, default_flow_style=False, allow_unicode=True, sort_keys=False)
        read = yaml.safe_load(text)
        if not same(read, self.settings):
            wrong = dotted(changed_paths(read, self.settings))
            raise InvalidInput(
                f"{', '.join(wrong)} cannot be written as YAML in a form that Synapse reads as the same value: set"
                " another value."
            )
        return self.header + text


def header(secret: t.Collection[KeyPath]) -> str:
    """Return the first lines of a drop-in with secrets at the paths `secret`."""
    lines = [_MARK, _ADVICE]
    if secret:
        lines.append(_SECRETS + json.dumps(sorted(secret)))
    return "".join(f"{line}\n" for line in lines)


def read_dropin(path: str, *, trusted: t.Collection[int] = ()) -> DropinFile | None:
    """Return the drop-in at `path`, or None if there is no file.

    `trusted`: see _directory. Raises InvalidInput if another user could replace it, SynapseError if it cannot be read.
    """
    file = read_file(path, trusted=trusted)
    if file is None:
        return None
    text = file.content.decode(errors="replace")
    comments: list[str] = []
    for line in text.splitlines(keepends=True):
        if not line.startswith("#"):
            break
        comments.append(line)
    try:
        settings = parse_settings(file.content.decode(), path).settings
    except (ConfigurationError, UnicodeDecodeError):
        # A broken file is written again if it is ours, which its header shows.
        settings = {}
    return DropinFile("".join(comments), settings, file.attributes, blank=not text.strip())

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Which settings of a block a later file of the configuration removes, because it replaces the whole block."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import (
    KeyPath,
    Settings,
    leaves,
    masked,
)

# What an entry of a list is known by, in this order.
_NAMES = ("idp_id", "module", "port", "path", "server_name")
_NAMED_AT_MOST = 5


class Replacement(t.NamedTuple):
    """A block of the file `earlier` that the file `later` replaces. `lost`: the names of the settings that are lost.

    `last`: the last file with the key, whose block is in force. `is_empty`: `later` sets the key to nothing at all.
    `is_list`: the block is a list, and `lost` are its entries.
    """

    key: str
    later: str
    earlier: str
    lost: tuple[str, ...]
    last: str
    is_empty: bool = False
    is_list: bool = False

    def sentence(self) -> str:
        """Return what happened, and what to do, as two sentences."""
        names = ", ".join(self.lost[:_NAMED_AT_MOST])
        if len(self.lost) > _NAMED_AT_MOST:
            names += f" and {len(self.lost) - _NAMED_AT_MOST} more"
        how = f"sets {self.key} to nothing, and thereby replaces" if self.is_empty else "replaces"
        has = "has" if len(self.lost) == 1 else "have"
        if self.is_list:
            return (
                f"{self.later} {how} the whole list {self.key} of {self.earlier}, so that {names} of it {has} no"
                f" effect. Add to {self.key} in {self.last} what is still needed of it."
            )
        whose = f"remove {self.key} there" if self.last == self.later else f"remove {self.key} from the later files"
        return (
            f"{self.later} {how} the whole {self.key} block of {self.earlier}, so that {names} of it {has} no effect."
            f" Write the complete block in {self.last}, or {whose}."
        )


def find_replacements(files: t.Iterable[tuple[str, Settings]], key: t.Any) -> list[Replacement]:
    """Return which of `files` remove settings from the block `key` of the file before them.

    `files`: the path and the settings of each file, in the order in which Synapse reads them. `key` is a top-level key,
    of any type. Only mappings and lists are blocks. A setting with another value in the last file is not lost, and
    neither is a block of another name, such as that of an SQLite database in place of which a later file sets a
    PostgreSQL database.
    """
    setting: dict[str, tuple[str, t.Any]] = {}
    for path, settings in files:
        if key in settings:
            # The same file can be read twice, and the last time counts.
            setting.pop(os.path.realpath(path), None)
            setting[os.path.realpath(path)] = path, settings[key]
    blocks, key = list(setting.values()), str(key)
    found: list[Replacement] = []
    for (earlier, block), (later, replacing) in zip(blocks, blocks[1:]):
        last, in_force = blocks[-1]
        # What a file after `later` sets again is not lost.
        finally_lost = _lost(key, block, in_force)
        lost = tuple(name for name in _lost(key, block, replacing) if name in finally_lost)
        if lost:
            is_list = isinstance(block, list)
            found.append(Replacement(key, later, earlier, lost, last, replacing is None, is_list))
    return found


def _lost(key: str, block: t.Any, in_force: t.Any) -> list[str]:
    if isinstance(block, dict) and block:
        named = in_force.get("name") if isinstance(in_force, dict) else None
        if named and block.get("name", named) != named:
            # Another database is not a part of this one.
            return []
        return [".".join((key, *path)) for path in leaves(block) if not _has(in_force, path)]
    if isinstance(block, list):
        kept = [_name(key, entry) for entry in in_force] if isinstance(in_force, list) else []
        return [name for name in (_name(key, entry) for entry in block) if name not in kept]
    return []


def _has(value: t.Any, path: KeyPath) -> bool:
    for name in path:
        # In the paths, each key is text.
        value = {str(key): inner for key, inner in value.items()} if isinstance(value, dict) else {}
        if name not in value:
            return False
        value = value[name]
    return True


def _name(key: str, entry: t.Any) -> str:
    """Return what an entry of a list is known by, without a secret."""
    if isinstance(entry, dict):
        named = next(((name, entry[name]) for name in _NAMES if isinstance(entry.get(name), (str, int))), None)
        return f"the entry with the {named[0]} {named[1]}" if named else "an entry without a name"
    return str(masked({key: [entry]})[key][0])

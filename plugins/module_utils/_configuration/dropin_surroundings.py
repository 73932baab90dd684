# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The configuration that Synapse reads before and after a drop-in, which does not have to exist yet.

Relies on how Synapse 1.163 finds and merges its files (synapse/config/_base.py): a top-level key in a later file
replaces the whole key of an earlier file.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    find_files,
    read_configuration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import Settings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError, InvalidInput


class Surroundings(t.NamedTuple):
    """The configuration that Synapse reads before and after a drop-in."""

    earlier: Configuration
    later: Configuration

    def effective(self, own: Settings, keys: t.Collection[str]) -> Settings:
        """Return the settings in force with the top-level `keys`, if the drop-in has the settings `own`."""
        everything = {**self.earlier.settings, **own, **self.later.settings}
        return {key: value for key, value in everything.items() if key in keys}


def read_surroundings(config_path: t.Sequence[str], path: str) -> Surroundings:
    """Return what Synapse with this `config_path` reads before and after `path`, which does not have to exist yet.

    Raises InvalidInput if Synapse would not read `path` at all, ConfigurationError if the others cannot be read.
    """
    _require_existing(config_path, path)
    files: list[str] = []
    for given in config_path:
        inside = find_files([given])
        if os.path.isdir(given) and path.endswith(".yaml") and _same_place(given, os.path.dirname(path)):
            inside = sorted({*inside, os.path.join(given, os.path.basename(path))})
        files.extend(inside)
    own = [_same_place(file, path) for file in files]
    if not any(own):
        raise InvalidInput(
            f"Synapse would not read {path}: it reads {', '.join(config_path)}, and in a directory only the files whose"
            " names end with .yaml. Set a path in one of them, or set config_path to the paths of --config-path."
        )
    # If Synapse reads it several times, the last time counts for all its keys.
    last = max(number for number, is_own in enumerate(own) if is_own)
    earlier = [file for file, is_own in zip(files[:last], own) if not is_own]
    return Surroundings(read_configuration(earlier), read_configuration(files[last + 1 :]))


def _require_existing(config_path: t.Sequence[str], path: str) -> None:
    missing = [given for given in config_path if _is_missing(given) and not _same_place(given, path)]
    if missing:
        raise ConfigurationError(
            f"{', '.join(missing)} in config_path does not exist on this host, and Synapse does not start without it:"
            " install Synapse or create it first, or set config_path to the paths of Synapse's option --config-path."
        )


def _is_missing(path: str) -> bool:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        # It may exist, or it may not be a path at all: reading it raises the error.
        return False
    return False


def _same_place(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)

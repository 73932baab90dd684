# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Files that look as if they belonged to the configuration of Synapse, but that Synapse does not read.

In a directory of its option --config-path, Synapse 1.163 only reads the regular files whose names end with .yaml
(find_config_files in synapse/config/_base.py). It does not look into directories inside it.
"""

from __future__ import annotations

import os
import re
import typing as t

# Names that someone has given a file to turn it off, and copies that editors and package managers make.
_TURNED_OFF = re.compile(
    r"(\.(bak|backup|old|orig|save|disabled|off|example|sample|dist|tmp|swp|dpkg-\w+|ucf-\w+)|~)\d*$"
)
_OTHER_ENDING = re.compile(r"\.(yml|yaml)(\.txt)?$", re.IGNORECASE)


def find_ignored(config_path: t.Sequence[str]) -> list[tuple[str, str]]:
    """Return the path of each such file or directory, and a sentence about it.

    Only directories in `config_path` are looked at. Hidden files, and names such as `50-presence.yaml.bak` that show
    that a file is turned off, are left out. Of a directory with several files, only the directory is returned.
    """
    read = {os.path.realpath(path) for path in config_path}
    found: dict[str, str] = {}
    for directory in config_path:
        if os.path.isdir(directory):
            found.update(_in_directory(directory, read))
    return sorted(found.items())


def _in_directory(directory: str, read: set[str]) -> t.Iterator[tuple[str, str]]:
    for name in _names(directory):
        path = os.path.join(directory, name)
        if name.startswith(".") or _TURNED_OFF.search(name) or os.path.realpath(path) in read:
            continue
        if os.path.isdir(path):
            if any(_OTHER_ENDING.search(inner) and not inner.startswith(".") for inner in _names(path)):
                yield (
                    path,
                    f"Synapse does not read the files in {path}: it does not look into directories in {directory}. Move"
                    f" the files into {directory}, or give Synapse this directory too, with another --config-path.",
                )
        elif name.endswith(".yaml"):
            if not os.path.isfile(path):
                reason = "it is a symbolic link to a file that does not exist" if os.path.islink(path) else _OTHER_KIND
                yield path, f"Synapse does not read {path}: {reason}. Correct it, or remove it."
        elif _OTHER_ENDING.search(name):
            right = os.path.splitext(re.sub(r"\.txt$", "", path, flags=re.IGNORECASE))[0] + ".yaml"
            yield (
                path,
                f"Synapse does not read {path}: in a directory it only reads files whose names end with .yaml. Rename"
                f" it to {right} if it belongs to the configuration, or move it away.",
            )


_OTHER_KIND = "it is not a regular file"


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Makes file names from the ids of rooms, events, media and accounts, which anyone may have chosen."""

from __future__ import annotations

import hashlib
import re

# The same on every file system, whether it is case-sensitive or not.
_PLAIN = re.compile(r"[0-9a-z_][0-9a-z_=-]{0,39}")
_OTHERS = re.compile(r"[^0-9A-Za-z=-]+")
# On Windows these are devices in every directory.
_DEVICES = re.compile(r"con|prn|aux|nul|(?:com|lpt)[0-9]")
_READABLE = 40
_DIGITS = 32


def name_of(identifier: str) -> str:
    """Return the name of the file or directory for `identifier`, which can be any text.

    A short one in lower case (such as alice, bot_2 or a=b) is its own name. Any other gets a name of at most 73
    characters: its harmless characters, a plus, and the first 32 digits of its SHA-256, such as
    kRZQ_example_org+5f0c2a94d1e07b3886aa41f7c90d2e13. So a name depends only on the id, does not contain a dot, a slash
    or a space, is not reserved on any system, and is different for each id, even on case-insensitive file systems.
    """
    if _PLAIN.fullmatch(identifier) and not _DEVICES.fullmatch(identifier):
        return identifier
    readable = _OTHERS.sub("_", identifier)[:_READABLE].strip("_-=")
    return f"{readable}+{digest_of(identifier)[:_DIGITS]}"


def digest_of(identifier: str) -> str:
    """Return the SHA-256 of an id in hexadecimal, also of one that is not valid Unicode."""
    return hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether connections of ssh share one login, as its arguments say."""

from __future__ import annotations

import re
import shlex

_OPTION = re.compile(r"\s*(\w+)(?:\s*=\s*|\s+)(.*?)\s*")
_NO = ("", "no", "false", "none")


def shares_login(arguments: str) -> bool:
    """Whether ssh with these arguments keeps its first login for each later connection, and never asks a person.

    The configuration files of ssh are not read: an option that is not in the arguments counts as unset.
    """
    options = _options(arguments)
    return (
        options.get("controlmaster", "no") in ("yes", "true", "auto")
        and options.get("controlpersist", "no") not in _NO
        # Without it, Ansible adds one.
        and options.get("controlpath", "added") not in _NO
    )


def _options(arguments: str) -> dict[str, str]:
    """Return the options in lower case. The first value of an option counts, as for ssh itself."""
    try:
        words = shlex.split(arguments)
    except ValueError:
        # Ansible cannot run ssh with them either.
        return {}
    options: dict[str, str] = {}
    for word, following in zip(words, [*words[1:], ""]):
        if word == "-M":
            options.setdefault("controlmaster", "yes")
        elif word.startswith(("-o", "-S")):
            value = word[2:] or following
            option = _OPTION.fullmatch(value if word.startswith("-o") else f"controlpath={value}")
            if option:
                options.setdefault(option[1].lower(), option[2].lower())
    return options

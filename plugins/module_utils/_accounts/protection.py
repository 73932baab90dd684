# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Patterns of accounts that are not deactivated. A misspelt pattern must not cause a deactivation."""

from __future__ import annotations

import fnmatch
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput


def matches(pattern: str, name: str) -> bool:
    """Return whether a pattern matches a user ID or its localpart."""
    localpart = name[1:].partition(":")[0]
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(localpart, pattern)


def require_protectors(patterns: t.Sequence[str], names: t.Collection[str], server_name: str) -> None:
    """Raise InvalidInput for a pattern that is probably misspelt.

    `names`: the user IDs of all accounts of the server `server_name`.
    """
    for pattern in patterns:
        reason = _flaw(pattern, names, server_name)
        if reason:
            raise InvalidInput(
                f"protect contains {pattern!r}, which {reason}. Nothing was changed. Check the spelling, because the"
                " account that it should protect would be deactivated."
            )


def _flaw(pattern: str, names: t.Collection[str], own: str) -> str | None:
    _localpart, colon, server_name = pattern.partition(":")
    if colon and not fnmatch.fnmatchcase(own, server_name):
        return f"is not for this server, {own}"
    if any(matches(pattern, name) for name in names):
        return None
    alike = [name for name in names if matches(pattern.lower(), name.lower())]
    if alike:
        return f"matches no account, but {alike[0]} if upper and lower case are ignored"
    return None if set(pattern) & set("*?[") else "is not an account of this server"

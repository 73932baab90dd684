# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Names of databases, users and tables in a statement for PostgreSQL, which has no parameters for them."""

from __future__ import annotations


def quoted(name: str) -> str:
    """Return a name as PostgreSQL reads it in a statement, whatever it contains."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The environment variables of PostgreSQL's client library (libpq), such as PGOPTIONS and PGHOSTADDR.

They change which server, schema or rights a connection has, and the Synapse that is started later does not have them.
"""

from __future__ import annotations

import os

_PREFIX = "PG"


def forget_libpq_variables() -> None:
    """Remove them from this process, and so from all programs that it starts from now on."""
    for name in [name for name in os.environ if name.startswith(_PREFIX)]:
        del os.environ[name]

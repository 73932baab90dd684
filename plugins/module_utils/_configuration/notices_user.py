# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The user with whom a server sends its notices, whom Synapse lets no one else create or invite.

Relies on server_notices.system_mxid_localpart of Synapse 1.163 (synapse/config/server_notices.py).
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration


def notices_user(configuration: Configuration) -> str | None:
    """Return the user ID, or None if the server sends no notices. Raises ConfigurationError without a server name."""
    notices = configuration.settings.get("server_notices")
    localpart = notices.get("system_mxid_localpart") if isinstance(notices, dict) else None
    return f"@{localpart}:{configuration.server_name}" if localpart else None

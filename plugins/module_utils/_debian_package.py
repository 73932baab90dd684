# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The paths of Element's Debian package of Synapse, which are the defaults of this collection."""

from __future__ import annotations

# The --config-path options of its unit, in their order.
DEFAULT_CONFIG_PATH = ("/etc/matrix-synapse/homeserver.yaml", "/etc/matrix-synapse/conf.d")
DEFAULT_PYTHON = "/opt/venvs/matrix-synapse/bin/python"
# The working directory in its unit.
DEFAULT_WORKING_DIRECTORY = "/var/lib/matrix-synapse"

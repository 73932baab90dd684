# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The version of this collection, as in galaxy.yml. Modules cannot read that file on the hosts where they run."""

from __future__ import annotations

COLLECTION_VERSION = "1.0.0"

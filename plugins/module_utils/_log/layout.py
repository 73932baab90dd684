# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The formats of a log, in one place: the kinds of layout, how one is recognised, and what turns lines into records."""

from __future__ import annotations

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.canonical import CANONICAL, canonical_line
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.json_layout import JsonLayout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.plain_layout import (
    Layout,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.recognition import (
    AnyLayout,
    recognise,
    record_of,
)

__all__ = [
    "CANONICAL",
    "AnyLayout",
    "JsonLayout",
    "Layout",
    "canonical_line",
    "recognise",
    "record_of",
]

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    """What the attributes of a module mean. Each module says itself how far it supports them."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Says in check mode what it would do, and changes nothing.
  diff_mode:
    description: Shows in diff mode what was there before and what is there after.
  idempotent:
    description: Changes nothing and reports C(changed=false) when everything is already as declared.
  platform:
    description: The operating systems on which the module runs.
"""

    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - This module only reads.
  diff_mode:
    support: N/A
    details:
      - This module only reads.
  idempotent:
    support: full
    details:
      - This module only reads.
"""

    ACTIONGROUP_SYNAPSE = r"""
options: {}
attributes:
  action_group:
    description:
      - Set the connection options once for all modules of the group,
        with C(group/matrix_ops.synapse.synapse) in C(module_defaults).
    support: full
    membership:
      - matrix_ops.synapse.synapse
"""

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    """The meaning of the attributes of a module. Each module documents how far it supports them."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Predicts in check mode what would change, and changes nothing.
  diff_mode:
    description: Shows in diff mode the state before and after.
  idempotent:
    description: Changes nothing and returns C(changed=false) if everything is already as declared.
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
      - Use C(group/matrix_ops.synapse.synapse) in C(module_defaults) to set the connection options once for all modules
        of the group.
    support: full
    membership:
      - matrix_ops.synapse.synapse
"""

    ACTIONGROUP_HOST = r"""
options: {}
attributes:
  action_group:
    description:
      - Use C(group/matrix_ops.synapse.host) in C(module_defaults) to set O(config_path) once for all modules that must
        run on the host of Synapse.
    support: full
    membership:
      - matrix_ops.synapse.host
"""

    ACTIONGROUPS = r"""
options: {}
attributes:
  action_group:
    description:
      - Use C(group/matrix_ops.synapse.synapse) in C(module_defaults) to set the connection options once for all modules
        of the group, and C(group/matrix_ops.synapse.host) to set O(config_path) once for all modules that must run on
        the host of Synapse.
    support: full
    membership:
      - matrix_ops.synapse.synapse
      - matrix_ops.synapse.host
"""

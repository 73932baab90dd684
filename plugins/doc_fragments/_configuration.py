# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    """The files that Synapse is configured with: see `configuration_argument_spec` in `_argument_spec`."""

    DOCUMENTATION = r"""
options:
  config_path:
    description:
      - The configuration of Synapse on the host where the module runs.
      - Name the same files and directories as the C(--config-path) options that Synapse is started with, in the same
        order, for a top-level key in a later file replaces the whole key of an earlier one.
      - Of a directory, the files whose names end with C(.yaml) are read in the order of their names.
      - The default is how Synapse's Debian package starts it.
    type: list
    elements: path
    default:
      - /etc/matrix-synapse/homeserver.yaml
      - /etc/matrix-synapse/conf.d
requirements:
  - PyYAML on the host where the module runs
"""

    OPTIONAL = r"""
options:
  config_path:
    description:
      - The configuration of Synapse on the host where the module runs. It is read only where something that the task
        needs is looked up in it.
      - Name the same files and directories as the C(--config-path) options that Synapse is started with, in the same
        order, for a top-level key in a later file replaces the whole key of an earlier one.
      - Of a directory, the files whose names end with C(.yaml) are read in the order of their names.
      - Synapse's Debian package starts it with V(/etc/matrix-synapse/homeserver.yaml) and
        V(/etc/matrix-synapse/conf.d).
    type: list
    elements: path
requirements:
  - PyYAML on the host where the module runs, if O(config_path) is read
"""

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
      - The configuration files and directories of Synapse, on the host where the module runs.
      - List the same paths as the C(--config-path) options that Synapse is started with, in the same order. A top-level
        key in a later file replaces the whole key of an earlier file.
      - In a directory, Synapse reads the files whose names end with C(.yaml), in alphabetical order.
      - The default is the configuration of Synapse's Debian package.
    type: list
    elements: path
    default:
      - /etc/matrix-synapse/homeserver.yaml
      - /etc/matrix-synapse/conf.d
requirements:
  - PyYAML on the host where the module runs, if the configuration is read
"""

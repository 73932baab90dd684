#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_config_info
short_description: Get information about the configuration of Synapse
version_added: 1.0.0
description:
  - Reads all configuration files in the same order as Synapse. Returns the settings in force, and for each setting the
    file that sets it.
  - Returns the paths in the settings, for systemd units and permissions that must allow Synapse to use them.
  - Secrets are hidden.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._attributes.actiongroup_host
  - matrix_ops.synapse._attributes.info_module
  - matrix_ops.synapse._configuration
attributes:
  platform:
    support: full
    platforms: posix
options:
  working_directory:
    description:
      - The working directory of Synapse. Relative paths in its configuration start there.
      - If it is not set, relative paths are listed in RV(unknown). Synapse's Debian package runs in
        V(/var/lib/matrix-synapse).
    type: path
seealso:
  - module: matrix_ops.synapse.synapse_config
"""

EXAMPLES = r"""
- name: Read the configuration
  matrix_ops.synapse.synapse_config_info:
  register: synapse

- name: Show where the media is stored
  ansible.builtin.debug:
    msg: "{{ synapse.config.settings.media_store_path }}, set in {{ synapse.config.sources.media_store_path }}"

- name: Show the directories that Synapse writes to
  ansible.builtin.debug:
    msg: "{{ synapse.config.paths | selectattr('written') | map(attribute='path') | unique }}"
"""

RETURN = r"""
config:
  description: The configuration of Synapse.
  returned: success
  type: dict
  contains:
    files:
      description: The files that Synapse reads, in the same order.
      returned: always
      type: list
      elements: str
      sample:
        - /etc/matrix-synapse/homeserver.yaml
        - /etc/matrix-synapse/conf.d/50-presence.yaml
    settings:
      description:
        - The settings in force. A setting that no file sets is missing, because its default is defined by Synapse.
        - A setting that a file leaves empty is empty here too.
        - Strings and numbers whose name looks like the name of a secret are hidden.
      returned: always
      type: dict
      sample:
        server_name: example.org
        macaroon_secret_key: (hidden)
    sources:
      description: For each top-level key of RV(config.settings), the file whose value is in force.
      returned: always
      type: dict
      sample:
        server_name: /etc/matrix-synapse/homeserver.yaml
    paths:
      description: The paths in the settings, and the default paths of Synapse where no setting names one.
      returned: always
      type: list
      elements: dict
      contains:
        path:
          description: The absolute path. It does not have to exist.
          returned: always
          type: str
          sample: /var/lib/matrix-synapse/media
        setting:
          description: The setting of this path, with dots between the keys.
          returned: always
          type: str
          sample: media_store_path
        written:
          description: Whether it is a directory in which Synapse creates and changes files.
          returned: always
          type: bool
          sample: true
unknown:
  description: What could not be found out. Empty if O(working_directory) is set.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The setting of the path, with dots between the keys.
      returned: always
      type: str
      sample: media_store_path
    reason:
      description: Why it is not in RV(config.paths).
      returned: always
      type: str
      sample: The path media_store is relative to the working directory of Synapse.
    fix:
      description: What to do about it.
      returned: always
      type: str
      sample: Set working_directory to the directory that Synapse runs in.
"""

import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    configuration_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import read_configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import masked
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.used_paths import find_used_paths
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, run_info


def read(parameters: Parameters) -> dict[str, t.Any]:
    """Return the configuration as the module returns it."""
    configuration = read_configuration(parameters["config_path"])
    settings = configuration.settings
    paths = find_used_paths(configuration, parameters["working_directory"])
    relative = [used for used in paths if not os.path.isabs(used.path)]
    return {
        "config": {
            "files": [file.path for file in configuration.files],
            "settings": masked(settings),
            "sources": {str(key): configuration.source_of(key) for key in settings},
            "paths": [used._asdict() for used in paths if used not in relative],
        },
        "unknown": [
            {
                "name": used.setting,
                "reason": f"The path {used.path} is relative to the working directory of Synapse.",
                "fix": "Set working_directory to the directory that Synapse runs in.",
            }
            for used in relative
        ],
    }


def main() -> None:
    """Run the module."""
    own = ArgumentSpec({"working_directory": {"type": "path"}})
    run_info(configuration_argument_spec().merge(own), read)


if __name__ == "__main__":
    main()

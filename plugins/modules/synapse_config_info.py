#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_config_info
short_description: Read the configuration of Synapse as Synapse puts it together
version_added: 1.0.0
description:
  - Reads all files of the configuration in the order in which Synapse reads them, and returns the settings in force and
    which file says each.
  - Returns the paths that the settings name, for units and access rights that must let Synapse use them.
  - Secrets are hidden.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._attributes.info_module
  - matrix_ops.synapse._configuration
attributes:
  platform:
    support: full
    platforms: posix
options:
  chdir:
    description:
      - The directory that Synapse runs in, where relative paths in the settings start.
      - That of Synapse's Debian package is the default.
    type: path
    default: /var/lib/matrix-synapse
seealso:
  - module: matrix_ops.synapse.synapse_config
"""

EXAMPLES = r"""
- name: Read the configuration
  matrix_ops.synapse.synapse_config_info:
  register: synapse_configuration

- name: Say where the media are
  ansible.builtin.debug:
    msg: "{{ synapse_configuration.settings.media_store_path }}, set in {{
      synapse_configuration.sources.media_store_path }}"

- name: Say which directories Synapse writes to
  ansible.builtin.debug:
    msg: "{{ synapse_configuration.paths | selectattr('written') | map(attribute='path') | unique }}"
"""

RETURN = r"""
files:
  description: The files that Synapse reads, in that order.
  returned: success
  type: list
  elements: str
  sample:
    - /etc/matrix-synapse/homeserver.yaml
    - /etc/matrix-synapse/conf.d/50-presence.yaml
settings:
  description:
    - The settings in force. What no file says is not here, since its default is Synapse's own.
    - Every text and number whose name is like that of a secret is hidden.
  returned: success
  type: dict
  sample:
    server_name: example.org
    macaroon_secret_key: (hidden)
sources:
  description: The file that decides, for each top-level key of RV(settings).
  returned: success
  type: dict
  sample:
    server_name: /etc/matrix-synapse/homeserver.yaml
paths:
  description: The paths that the settings name, and those that Synapse uses where no setting names one.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The path, absolute. It need not exist.
      type: str
    setting:
      description: The setting that names it, with dots between the keys.
      type: str
    written:
      description: Whether it is a directory in which Synapse makes and changes files.
      type: bool
  sample:
    - path: /var/lib/matrix-synapse/media
      setting: media_store_path
      written: true
"""

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
    """Return what the configuration says."""
    configuration = read_configuration(parameters["config_path"])
    settings = configuration.settings
    return {
        "files": [file.path for file in configuration.files],
        "settings": masked(settings),
        "sources": {str(key): configuration.source_of(key) for key in settings},
        "paths": [used._asdict() for used in find_used_paths(configuration, parameters["chdir"])],
    }


def main() -> None:
    """Run the module."""
    own = ArgumentSpec({"chdir": {"type": "path", "default": "/var/lib/matrix-synapse"}})
    run_info(configuration_argument_spec(required=True).merge(own), read)


if __name__ == "__main__":
    main()

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: settings_faults
short_description: Find what is wrong with settings of Synapse
version_added: 1.0.0
description:
  - Returns what is wrong with settings that are not on a server yet, such as those in an inventory.
  - It knows the settings of Synapse 1.163. It needs no Synapse and reads no file.
  - Synapse's own parser finds more. The module M(matrix_ops.synapse.synapse_config) asks it before it writes settings.
author:
  - Matrix Ops maintainers (@matrix-ops)
options:
  _input:
    description:
      - The settings, in the form of Synapse's own configuration.
    type: dict
    required: true
  secrets:
    description:
      - Settings with secret values, as in O(matrix_ops.synapse.synapse_config#module:secrets). They are merged with
        O(_input) at every level. Their values never appear in the result.
    type: dict
    default: {}
  name:
    description:
      - How messages call the place of the settings in O(_input), for example the name of the variable.
    type: str
    default: settings
  secrets_name:
    description:
      - How messages call the place of the top-level keys in O(secrets).
    type: str
    default: secrets
notes:
  - A setting that is missing is not a fault, because another file may have it. So two settings that need each other
    must be in the same variables.
seealso:
  - module: matrix_ops.synapse.synapse_config
"""

EXAMPLES = r"""
- name: Check the settings of all hosts before anything is changed
  ansible.builtin.assert:
    that: faults | rejectattr('kind', 'equalto', 'unknown') | length == 0
    fail_msg: "{{ faults | map(attribute='message') | join(' ') }}"
  vars:
    faults: "{{ synapse_homeserver_settings | matrix_ops.synapse.settings_faults(name='synapse_homeserver_settings') }}"
"""

RETURN = r"""
_value:
  description: The faults. Empty if there is none.
  type: list
  elements: dict
  contains:
    setting:
      description: The setting, with dots between the keys.
      returned: always
      type: str
      sample: max_upload_size
    kind:
      description:
        - V(refused) if Synapse does not start with it.
        - V(misread) if Synapse takes it for something else, such as the text "false" for true.
        - V(secret) if YAML reads a secret as a number or another value that is not text.
        - V(unknown) if Synapse does not have such a top-level key, and ignores it. Modules can have keys of their own.
      returned: always
      type: str
      sample: refused
    message:
      description: What is wrong and what to do, as sentences.
      returned: always
      type: str
      sample: >-
        max_upload_size in synapse_homeserver_settings is 'lots', but must be a size such as 50M, and Synapse does not
        start.
"""

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.findings import REPLACED, find_faults
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import (
    KeyPath,
    Settings,
    leaves,
    overlay,
    plain,
    secret_values,
)


def settings_faults(
    settings: object, secrets: object = None, name: str = "settings", secrets_name: str = "secrets"
) -> list[dict[str, t.Any]]:
    """Return the faults of settings, as documented. Raises AnsibleFilterError if one of both is not a dictionary."""
    own, hidden = _mapping(settings, name), _mapping(secrets or {}, secrets_name)
    merged = {key: overlay(own.get(key), value) for key, value in hidden.items()}
    files = (ConfigurationFile(name, own), ConfigurationFile(secrets_name, merged))
    paths = set(leaves(hidden)) if hidden else set[KeyPath]()
    values = secret_values(hidden, paths)
    return [
        {
            "setting": ".".join(fault.key),
            "kind": fault.kind,
            "message": fault.hiding(values, hidden, paths),
        }
        for fault in find_faults(Configuration(files), declares=lambda _file, _key: True)
        if fault.kind != REPLACED
    ]


def _mapping(value: object, name: str) -> Settings:
    if not isinstance(value, dict):
        raise AnsibleFilterError(f"The filter settings_faults reads a dictionary of settings, but {name} is none.")
    found: Settings = plain(value)
    return found


class FilterModule:
    """The filters of this file, for Ansible."""

    def filters(self) -> dict[str, t.Callable[..., list[dict[str, t.Any]]]]:
        """Return each filter by its name."""
        return {"settings_faults": settings_faults}

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
  - Returns the faults that this collection finds without Synapse, and warns of them. See RV(config.faults).
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
      - With O(validate=true), Synapse's parser runs there, or in V(/) if it is not set.
    type: path
  validate:
    description:
      - Whether to let Synapse's own parser read the configuration. RV(validation) is its result. The task does not fail
        if Synapse does not accept the configuration.
      - The parser creates nothing, but a directory that the configuration names must exist, or Synapse's user must be
        able to create it, as Synapse does when it starts.
      - If a file that is named in O(config_path) itself sets C(worker_app), the configuration is parsed as that of a
        worker, otherwise as that of the main process, which does not start with C(worker_app).
    type: bool
    default: false
  synapse_user:
    description:
      - The user that Synapse runs as, by name or number. If the task runs as root, Synapse's parser runs as this user.
      - It is only used with O(validate=true). If it is not set, the parser runs as the user of the task. As root, it
        runs without Python modules from the working directory and from the variable C(PYTHONPATH).
    type: str
  synapse_python:
    description:
      - The Python interpreter that Synapse runs with. It is only used with O(validate=true).
      - The default is the one of Synapse's Debian package.
    type: path
    default: /opt/venvs/matrix-synapse/bin/python
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

- name: Stop if the configuration has a fault
  ansible.builtin.assert:
    that: synapse.config.faults | length == 0
    fail_msg: "{{ synapse.config.faults | map(attribute='message') | join('\n') }}"

- name: Let Synapse check its configuration
  matrix_ops.synapse.synapse_config_info:
    validate: true
    synapse_user: matrix-synapse
    working_directory: /var/lib/matrix-synapse
  register: checked

- name: Stop before a restart that would fail
  ansible.builtin.assert:
    that: checked.validation.accepted
    fail_msg: "{{ checked.validation.complaint }}"
"""

RETURN = r"""
config:
  description: The configuration of Synapse.
  returned: success, unless O(validate=true) and it cannot be read (see RV(validation.complaint))
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
    faults:
      description:
        - What is wrong with the settings in force, and which files Synapse does not read, as far as this collection
          knows Synapse 1.163. The message of each fault is also a warning of the task.
        - An empty list does not mean that Synapse starts. O(validate=true) lets Synapse's own parser decide.
      returned: always
      type: list
      elements: dict
      contains:
        kind:
          description:
            - V(refused) if Synapse does not start with the setting.
            - V(misread) if Synapse's parser accepts the setting, but Synapse takes it for something else, such as the
              text V(false) for true, or fails later.
            - V(secret) if YAML does not read a secret as text, and Synapse then fails. In quotes it is text.
            - V(unknown) for a key that Synapse does not have, or not at this level. Other programs may read it.
            - V(replaced) if a file replaces a whole block of an earlier one, and settings of that are lost.
              RV(config.replaced) has the details.
            - V(repeated) if one file has the same key more than once. Synapse only reads the last one.
            - V(ignored) for a file that looks as if it belongs to the configuration, but that Synapse does not read, or
              whose content is text or a list instead of settings.
          returned: always
          type: str
          sample: misread
        setting:
          description: The setting, with dots between the keys. Empty for a file.
          returned: always
          type: str
          sample: presence.enabled
        file:
          description: The file that sets it, or the file that Synapse does not read.
          returned: always
          type: str
          sample: /etc/matrix-synapse/conf.d/50-presence.yaml
        message:
          description: What is wrong, and what to do. It does not contain secrets.
          returned: always
          type: str
          sample: >-
            presence.enabled in /etc/matrix-synapse/conf.d/50-presence.yaml is the text "false", which Synapse takes for
            true: write false without quotes.
    replaced:
      description:
        - The blocks of which a later file removes settings, because a key in a later file replaces the whole key of
          earlier files.
      returned: always
      type: list
      elements: dict
      contains:
        setting:
          description: The top-level key of the block.
          returned: always
          type: str
          sample: database
        file:
          description: The file that replaces the block.
          returned: always
          type: str
          sample: /etc/matrix-synapse/conf.d/20-pool.yaml
        earlier:
          description: The file whose block it replaces. Of several files with the block, it is the one before.
          returned: always
          type: str
          sample: /etc/matrix-synapse/homeserver.yaml
        lost:
          description: The settings that have no effect, with dots between the keys. For a list, its entries.
          returned: always
          type: list
          elements: str
          sample:
            - database.name
            - database.args.user
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
validation:
  description: Whether Synapse accepts its configuration.
  returned: if O(validate=true)
  type: dict
  contains:
    accepted:
      description: Whether Synapse can start with the configuration.
      returned: always
      type: bool
      sample: false
    cause:
      description:
        - V(configuration) if the parser refused the configuration or did not end within 60 seconds, if it accepts a
          setting with which Synapse ends when it starts, or if this module cannot read a file of the configuration.
        - V(installation) if Synapse's own program failed before it read the configuration, if a signal ended it, or if
          it ended without an answer.
        - Empty if it is accepted.
      returned: always
      type: str
      sample: configuration
    complaint:
      description:
        - The words of Synapse as one line with at most 2000 characters, or the reason that this module has found.
          Secrets are hidden.
        - Empty if it is accepted.
      returned: always
      type: str
      sample: caches.global_factor must be a number.
"""

import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    configuration_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.findings import (
    find_faults,
    find_ignored_files,
    find_replacements,
    without_repetition,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    read_configuration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.parser import Parser
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.reader import reader_named
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import masked, secret_values
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.used_paths import find_used_paths
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.verdict import (
    CONFIGURATION,
    INSTALLATION,
    Verdict,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError, MissingLibrary
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, run_info


def read(parameters: Parameters) -> dict[str, t.Any]:
    """Return what the module returns."""
    if not parameters["validate"]:
        return describe(read_configuration(parameters["config_path"]), parameters)
    try:
        configuration = read_configuration(parameters["config_path"])
        found = describe(configuration, parameters)
    except ConfigurationError as error:
        return {"unknown": [], "validation": Verdict(CONFIGURATION, error.message).shown()}
    except MissingLibrary:
        # In the Python of Synapse, the library is missing for Synapse too.
        verdict = judge(parameters)
        if verdict.cause != INSTALLATION:
            raise
        return {"unknown": [], "validation": verdict.hiding(()).shown()}
    verdict = judge(parameters, configuration)
    ending = [fault.message for fault in find_faults(configuration) if fault.ends_start]
    if verdict.accepted and ending:
        verdict = Verdict(CONFIGURATION, " ".join(ending))
    return {**found, "validation": verdict.hiding(secret_values(configuration.settings)).shown()}


def judge(parameters: Parameters, configuration: Configuration | None = None) -> Verdict:
    """Return the result of Synapse's parser for the configuration. None if this module cannot read it."""
    user = parameters["synapse_user"]
    parser = Parser(
        tuple(parameters["config_path"]),
        parameters["synapse_python"],
        parameters["working_directory"] or "/",
        reader_named(user) if user else None,
        is_guess=parameters["working_directory"] is None,
    )
    return parser.judge(
        is_of_worker=configuration is not None and configuration.is_of_worker(parameters["config_path"])
    )


def describe(configuration: Configuration, parameters: Parameters) -> dict[str, t.Any]:
    """Return the configuration as the module returns it, and its faults as warnings."""
    settings = configuration.settings
    paths = find_used_paths(configuration, parameters["working_directory"])
    faults = find_faults(configuration) + find_ignored_files(parameters["config_path"])
    relative = [used for used in paths if not os.path.isabs(used.path)]
    return {
        "config": {
            "files": [file.path for file in configuration.files],
            "settings": masked(settings),
            "sources": {str(key): configuration.source_of(key) for key in settings},
            "paths": [used._asdict() for used in paths if used not in relative],
            "faults": [
                {"kind": fault.kind, "setting": ".".join(fault.key), "file": fault.file, "message": fault.message}
                for fault in faults
            ],
            "replaced": [
                {"setting": one.key, "file": one.later, "earlier": one.earlier, "lost": list(one.lost)}
                for one in find_replacements(configuration)
            ],
        },
        "warnings": [fault.message for fault in without_repetition(faults)],
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
    own = ArgumentSpec(
        {
            "working_directory": {"type": "path"},
            "validate": {"type": "bool", "default": False},
            "synapse_user": {"type": "str"},
            "synapse_python": {"type": "path", "default": "/opt/venvs/matrix-synapse/bin/python"},
        }
    )
    run_info(configuration_argument_spec().merge(own), read)


if __name__ == "__main__":
    main()

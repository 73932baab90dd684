#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_config
short_description: Manage settings of Synapse in a separate configuration file
version_added: 1.0.0
description:
  - Writes settings to a file that Synapse reads in addition to its main configuration, or removes that file.
  - Reads all other configuration files, but does not change them. A file that this module did not write is only
    replaced or removed with O(force=true).
  - Fails if a setting would have no effect, because Synapse does not read the file or because a later file sets the
    same key.
  - Fails if Synapse would not start with the result. That is found out before the file takes its place, so that check
    mode fails with the same message, and nothing is left of a refused or interrupted change. See O(validate).
  - Warns of settings that Synapse would ignore or understand in another way, such as a misspelt key.
  - Returns which settings change and whether Synapse needs a restart or a reload.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._attributes.actiongroup_host
  - matrix_ops.synapse._configuration
attributes:
  check_mode:
    support: full
    details:
      - O(synapse_python) and O(working_directory) do not have to exist in check mode, because an earlier task may
        create them. If one of them does not exist, Synapse's own parser is not asked.
      - Other files and directories that the configuration names must exist in check mode too, unless Synapse can create
        them.
  diff_mode:
    support: full
    details:
      - Shows the settings in force before and after, as the result of all configuration files, and not the text of the
        file.
      - Hides the settings in O(secrets), and all strings and numbers whose name looks like the name of a secret.
  idempotent:
    support: full
  platform:
    support: full
    platforms: posix
options:
  path:
    description:
      - The file to write. Synapse must read it when it is started with O(config_path). In a directory, any name that
        ends with C(.yaml) is possible.
    type: path
    required: true
    aliases:
      - dest
  settings:
    description:
      - All settings of the file, in the form of Synapse's own configuration. A setting that is in the file but not
        declared here is removed.
    type: dict
    default: {}
  secrets:
    description:
      - Settings with secret values. The module merges them with O(settings) at every level and writes them to the same
        file, but hides them in all output.
      - Put only secrets here, because Ansible removes these values from the result wherever they occur.
    type: dict
    default: {}
  merge:
    description:
      - Synapse uses the whole value of a top-level key from the last file that has this key. All other settings under
        the same key in earlier files have no effect.
      - With V(true), the module merges each key with its value in the files that Synapse reads before O(path), so that
        those settings stay in force.
      - Their values are copied when the task runs. Run the task again after an earlier file has changed.
    type: bool
    default: false
  force:
    description:
      - Whether to replace or remove a file at O(path) that this module did not write. Its content is lost.
    type: bool
    default: false
  state:
    description:
      - With V(present), the file contains exactly the declared settings.
      - With V(absent), the file does not exist.
    type: str
    choices:
      - present
      - absent
    default: present
  mode:
    description:
      - The permissions of the file, as octal digits in quotes.
      - With O(secrets), a mode with permissions for all users is an error.
    type: raw
    default: "0640"
  owner:
    description:
      - The owner of the file. If it is not set, an existing file keeps its owner. If root creates the file, it gets the
        owner of the first file in O(config_path), as long as O(synapse_user) can then read it.
      - Otherwise the file gets the group of O(synapse_user). If other users of the host have the same group (for
        example C(nogroup)), it gets O(synapse_user) as its owner instead.
    type: str
  group:
    description:
      - The group of the file. The same rules apply as for O(owner).
    type: str
  synapse_user:
    description:
      - The user that Synapse runs as, by name or number. The task fails if this user could not read the file or enter
        its directory, because Synapse would not start again.
      - If it is not set, the module uses the user of the running processes that were started with O(config_path), if
        that user can read Synapse's signing key and other users cannot. If there is no such user, nothing is checked.
    type: str
  validate:
    description:
      - When Synapse's own parser must accept the whole configuration with the new content of the file. With
        V(changed), before each change. With V(always), also if nothing changes, unless there is no file to remove. With
        V(never), it is not asked.
      - If it refuses the configuration, the task fails with the words of Synapse, and nothing has changed. The message
        reports if the earlier configuration has the same fault.
      - The module itself checks the values that it knows in any case, also with V(never) or if Synapse is not
        installed. It refuses a declared value that Synapse would take for another one, and a secret that YAML does not
        read as text. If Synapse's parser is not asked, it also refuses a value with which Synapse does not start, in
        any file. Otherwise the parser decides.
      - If the task runs as root, the parser runs as O(synapse_user). If the module does not know that user, it runs as
        root, and without Python modules from the working directory and from variables such as C(PYTHONPATH).
      - The parser creates nothing. A directory that the configuration names must exist, or the user must be able to
        create it, as Synapse does when it starts. The same is true for the signing key of a new server and for the file
        in C(registration_shared_secret_path). Third-party modules that the configuration names are loaded.
      - The log configuration, the certificates, the registrations of application services, and the driver of
        PostgreSQL must be usable too. The main process makes a missing log configuration if its directory exists.
        Handlers in the log configuration that do not write to files or streams are only looked up.
      - The configuration is parsed as the process reads it that is started with O(config_path). If a file that is named
        in O(config_path) itself sets C(worker_app), that is a worker, otherwise the main process. In a directory,
        C(worker_app) is refused, because the main process reads the files there too.
    type: str
    choices:
      - never
      - changed
      - always
    default: changed
  synapse_python:
    description:
      - The Python interpreter that Synapse runs with. It is not used with O(validate=never).
      - If it is not set, the one of Synapse's Debian package is used, V(/opt/venvs/matrix-synapse/bin/python). If that
        does not exist on the host, Synapse's own parser is not asked.
      - If it is set, it must exist, but not in check mode.
    type: path
  working_directory:
    description:
      - The working directory of Synapse, as an absolute path. Relative paths in its configuration start there. It is
        not used with O(validate=never).
      - If it is not set, V(/var/lib/matrix-synapse) is used with the interpreter of Synapse's Debian package. With
        another one, it is V(/), and it is not checked whether Synapse could create directories there.
      - It must exist, but not in check mode.
    type: path
notes:
  - The module does not reload or restart Synapse. RV(reload_required) and RV(restart_required) show what is needed.
  - A file that the main process shares with workers is checked for one process in each task. To check it for a worker,
    add the file of that worker to O(config_path).
  - A reload (SIGHUP) applies C(caches.global_factor) and C(caches.per_cache_factors), and only from files that existed
    when Synapse was started. After a file was created or removed, Synapse needs a restart.
  - If the task runs as root, every directory in O(path) must belong to root, to the owner of the first file in
    O(config_path) or to O(synapse_user), and no other user may have write permission. Otherwise such a user could make
    root write to another place.
seealso:
  - module: matrix_ops.synapse.synapse_config_info
  - module: matrix_ops.synapse.synapse_runtime_info
"""

EXAMPLES = r"""
- name: Disable presence
  matrix_ops.synapse.synapse_config:
    path: /etc/matrix-synapse/conf.d/50-presence.yaml
    settings:
      presence:
        enabled: false
    synapse_user: matrix-synapse
  notify: Restart Synapse

- name: Increase the cache factor and keep all other settings under the key caches
  matrix_ops.synapse.synapse_config:
    path: /etc/matrix-synapse/conf.d/60-cache-factor.yaml
    merge: true
    settings:
      caches:
        global_factor: 2.0
    synapse_user: matrix-synapse
  register: cache_factor

- name: Reload Synapse if a reload is enough
  ansible.builtin.systemd_service:
    name: matrix-synapse.service
    state: reloaded
  when: cache_factor.reload_required

- name: Restart Synapse if it needs a restart
  ansible.builtin.systemd_service:
    name: matrix-synapse.service
    state: restarted
  when: cache_factor.restart_required

- name: Configure e-mail with a password that is hidden in all output
  matrix_ops.synapse.synapse_config:
    path: /etc/matrix-synapse/conf.d/50-email.yaml
    settings:
      email:
        smtp_host: mail.example.org
        smtp_user: synapse
        notif_from: "Matrix <matrix@example.org>"
    secrets:
      email:
        smtp_pass: "{{ synapse_smtp_password }}"
    synapse_user: matrix-synapse
  notify: Restart Synapse

- name: Change the size of the caches of a Synapse in a virtual environment
  matrix_ops.synapse.synapse_config:
    config_path:
      - /etc/synapse/homeserver.yaml
      - /etc/synapse/conf.d
    path: /etc/synapse/conf.d/60-cache-factor.yaml
    merge: true
    settings:
      caches:
        cache_autotuning:
          max_cache_memory_usage: 1024M
          target_cache_memory_usage: 758M
          min_cache_ttl: 5m
    synapse_user: synapse
    synapse_python: /srv/synapse/venv/bin/python
    working_directory: /srv/synapse/data
  notify: Restart Synapse

- name: Write the file of a worker, and let Synapse check it as that worker reads it
  matrix_ops.synapse.synapse_config:
    config_path:
      - /etc/matrix-synapse/homeserver.yaml
      - /etc/matrix-synapse/conf.d
      - /etc/matrix-synapse/workers/worker1.yaml
    path: /etc/matrix-synapse/workers/worker1.yaml
    settings:
      worker_app: synapse.app.generic_worker
      worker_name: worker1
      worker_listeners:
        - type: http
          port: 8083
          bind_addresses:
            - 127.0.0.1
          resources:
            - names:
                - client
                - federation
      worker_log_config: /etc/matrix-synapse/workers/worker1.log.yaml
    synapse_user: matrix-synapse

- name: Remove the file with the cache factor
  matrix_ops.synapse.synapse_config:
    path: /etc/matrix-synapse/conf.d/60-cache-factor.yaml
    state: absent
  notify: Restart Synapse
"""

RETURN = r"""
config:
  description: The file and the settings in force.
  returned: success
  type: dict
  contains:
    path:
      description: The path of the file.
      returned: always
      type: str
      sample: /etc/matrix-synapse/conf.d/60-cache-factor.yaml
    settings:
      description:
        - The settings in force after the task, as the result of all configuration files. It contains only the top-level
          keys that the file sets or has set before.
        - A key that no file sets is missing. A setting that a file leaves empty is empty here too. Secrets are hidden.
      returned: always
      type: dict
      sample:
        caches:
          global_factor: 2.0
changed_keys:
  description:
    - The settings in force that change, or in check mode would change, with dots between the keys.
    - Empty if only the file itself changes, for example its owner.
  returned: success
  type: list
  elements: str
  sample:
    - caches.global_factor
restart_required:
  description:
    - Whether a running Synapse must be restarted to apply the change.
    - V(false) if no setting in force changes, or if a reload is enough.
  returned: success
  type: bool
  sample: true
reload_required:
  description:
    - Whether a running Synapse must be reloaded (SIGHUP) to apply the change.
    - V(false) if no setting in force changes, or if Synapse must be restarted.
  returned: success
  type: bool
  sample: false
outcome:
  description:
    - The result of the step that failed, as a check afterwards showed it.
    - V(done), V(partly_done), V(not_done), or V(unknown) if the check did not show it.
  returned: if a step failed
  type: str
  sample: not_done
steps:
  description:
    - The steps that were done, or in check mode would be done.
    - If the task fails after its first step has begun, the steps that were done until then. RV(outcome) is the result
      of the step that failed.
  returned: success, or if the task failed after its first step had begun
  type: list
  elements: str
  sample:
    - write caches to /etc/matrix-synapse/conf.d/60-cache-factor.yaml
validation:
  description: The result of Synapse's parser.
  returned: if Synapse's own parser does not accept the configuration
  type: dict
  contains:
    accepted:
      description: Whether Synapse accepts the configuration. It is V(false).
      returned: always
      type: bool
      sample: false
    cause:
      description:
        - V(configuration) if the parser refused the configuration or did not end within 60 seconds. V(installation) if
          it failed before it read the configuration, if a signal ended it, or if it ended without an answer.
      returned: always
      type: str
      sample: configuration
    complaint:
      description: The words of Synapse as one line with at most 2000 characters. Secrets are hidden.
      returned: always
      type: str
      sample: caches.global_factor must be a number.
"""

import contextlib
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    configuration_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.dropin import DropinResource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.dropin_declared import DeclaredDropin
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.parser import Parser
from ansible_collections.matrix_ops.synapse.plugins.module_utils._debian_package import (
    DEFAULT_PYTHON,
    DEFAULT_WORKING_DIRECTORY,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, run_resource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import ProcessReader, find_processes


def declare(parameters: Parameters) -> DropinResource:
    """Return the file as the parameters declare it."""
    names = ("path", "settings", "secrets", "merge", "force", "mode", "owner", "group", "synapse_user")
    declared = DeclaredDropin(present=parameters["state"] == "present", **{name: parameters[name] for name in names})
    config_path = parameters["config_path"]
    return DropinResource(
        config_path,
        declared,
        lambda: running_users(config_path),
        None if parameters["validate"] == "never" else find_parser(parameters),
        always=parameters["validate"] == "always",
    )


def find_parser(parameters: Parameters) -> Parser | None:
    """Return Synapse's parser as declared, or that of the Debian package. None if neither is declared nor installed."""
    python, directory = parameters["synapse_python"], parameters["working_directory"]
    if python is None and not os.path.exists(DEFAULT_PYTHON):
        return None
    if directory is None and python in (None, DEFAULT_PYTHON) and os.path.isdir(DEFAULT_WORKING_DIRECTORY):
        directory = DEFAULT_WORKING_DIRECTORY
    config_path = tuple(parameters["config_path"])
    return Parser(config_path, python or DEFAULT_PYTHON, directory or "/", is_guess=directory is None)


def running_users(config_path: t.Sequence[str]) -> list[str]:
    """Return the users of the processes that seem to be Synapse with this configuration, each once."""
    users: list[str] = []
    # Nothing is found without /proc, or if a process ends at the same moment.
    with contextlib.suppress(SynapseError):
        for process in find_processes(config_path).processes:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                users.append(ProcessReader(process.pid).user())
    return list(dict.fromkeys(users))


def main() -> None:
    """Run the module."""
    own = ArgumentSpec(
        {
            "path": {"type": "path", "required": True, "aliases": ["dest"]},
            "settings": {"type": "dict", "default": {}},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
            "merge": {"type": "bool", "default": False},
            "force": {"type": "bool", "default": False},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "mode": {"type": "raw", "default": "0640"},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "synapse_user": {"type": "str"},
            "validate": {"type": "str", "choices": ["never", "changed", "always"], "default": "changed"},
            "synapse_python": {"type": "path"},
            "working_directory": {"type": "path"},
        }
    )
    run_resource(configuration_argument_spec().merge(own), declare)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_config
short_description: Set options of Synapse in a configuration file of their own
version_added: 1.0.0
description:
  - Writes settings into a file that Synapse reads beside its main configuration, or takes such a file away.
  - Files that somebody else wrote are read, but not changed unless O(force=true).
  - Fails where a setting would have no effect, because Synapse does not read the file or because a later file sets the
    same key.
  - Reports which settings change, so that a playbook knows whether Synapse has to be restarted.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._configuration
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Shows the settings in force before and after, as all files together make them, not the text of the file.
      - What O(secrets) names is hidden, as is every text and number whose name is like that of a secret.
  idempotent:
    support: full
  platform:
    support: full
    platforms: posix
options:
  path:
    description:
      - The file to write. It must be one that Synapse reads when it is started with O(config_path). In a directory that
        is any name that ends with C(.yaml).
    type: path
    required: true
    aliases:
      - dest
  settings:
    description:
      - The settings that the file holds, as in Synapse's own configuration. What the file held before and is not named
        here is gone from it.
    type: dict
    default: {}
  secrets:
    description:
      - Settings that nobody shall see. They are put together with O(settings) at every depth and written into the same
        file, but are hidden in all output.
      - Name nothing here that is no secret, for Ansible blanks these values wherever they occur in the result.
    type: dict
    default: {}
  merge:
    description:
      - Synapse takes a top-level key whole from the last file that has it, so that other settings under the same key
        are lost.
      - With V(true) each key is laid over what the files before O(path) say, so that those settings stay in force.
      - They are copied when the task runs. When an earlier file changes, run the task again.
    type: bool
    default: false
  force:
    description:
      - Whether a file at O(path) that this module did not write may be replaced or removed. Its content is lost.
    type: bool
    default: false
  state:
    description:
      - V(present) means that the file holds exactly these settings.
      - V(absent) means that the file does not exist.
    type: str
    choices:
      - present
      - absent
    default: present
  mode:
    description:
      - The permissions of the file, as octal digits in quotes.
      - With O(secrets), permissions for everybody are refused.
    type: raw
    default: "0640"
  owner:
    description:
      - The owner of the file. If not set, an existing file keeps its owner, and a new one that root writes gets the
        owner of the first file in O(config_path), as long as O(synapse_user) can read it then.
      - Otherwise it gets the group of O(synapse_user), or where other accounts have the same group (as C(nogroup)),
        that user as its owner.
    type: str
  group:
    description:
      - The group of the file, by the same rules.
    type: str
  synapse_user:
    description:
      - The user that Synapse runs as, by name or number. The task fails if it could not read the file, or not get to
        it, because Synapse would not start again.
      - If not set, it is the user of the running processes that were started with O(config_path), if it can read
        Synapse's signing key and not everybody can. If there is none, nothing is checked.
    type: str
notes:
  - The module does not tell Synapse. RV(applied_by) says whether a reload (SIGHUP) is enough, or it takes a restart.
  - At a reload Synapse applies C(caches.global_factor) and C(caches.per_cache_factors), and it reads only the files
    that were there when it was started. It takes a restart to see a new file, or to forget one that is gone.
  - Every directory on the way to O(path) must belong to root, to the owner of the first file in O(config_path) or to
    O(synapse_user), and nobody else may write to it. This applies where the task runs as root, who could otherwise be
    made to write elsewhere.
seealso:
  - module: matrix_ops.synapse.synapse_runtime_info
"""

EXAMPLES = r"""
- name: Turn presence off
  matrix_ops.synapse.synapse_config:
    path: /etc/matrix-synapse/conf.d/50-presence.yaml
    settings:
      presence:
        enabled: false
    synapse_user: matrix-synapse
  notify: Restart Synapse

- name: Enlarge the caches, whatever else the configuration says under the key caches
  matrix_ops.synapse.synapse_config:
    path: /etc/matrix-synapse/conf.d/60-cache-factor.yaml
    merge: true
    settings:
      caches:
        global_factor: 2.0
    synapse_user: matrix-synapse
  register: cache_factor

- name: Let Synapse apply them, if a reload is enough
  ansible.builtin.systemd_service:
    name: matrix-synapse.service
    state: reloaded
  when: cache_factor.applied_by == 'reload'

- name: Let Synapse apply them, if it takes a restart
  ansible.builtin.systemd_service:
    name: matrix-synapse.service
    state: restarted
  when: cache_factor.applied_by == 'restart'

- name: Send mail, with a password that appears nowhere
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

- name: Take the settings away again
  matrix_ops.synapse.synapse_config:
    path: /etc/matrix-synapse/conf.d/60-cache-factor.yaml
    state: absent
  notify: Restart Synapse
"""

RETURN = r"""
path:
  description: The file.
  returned: success
  type: str
  sample: /etc/matrix-synapse/conf.d/60-cache-factor.yaml
effective:
  description:
    - The settings in force afterwards, of the top-level keys that the file sets or did set, as all files together make
      them.
    - A key that no file sets is not here. Secrets are hidden.
  returned: success
  type: dict
  sample:
    caches:
      global_factor: 2.0
changed_keys:
  description:
    - The settings whose value in force changes, or in check mode would change, written with dots.
    - It is empty when only the file itself changes, for example its owner.
  returned: success
  type: list
  elements: str
  sample:
    - caches.global_factor
applied_by:
  description:
    - V(reload) or V(restart), whichever a running Synapse needs to apply the change.
    - Null if no setting in force changes.
  returned: success
  type: str
  sample: restart
outcome:
  description:
    - What became of the step at which the task failed, as was seen when it was looked at again.
    - V(done), V(partly_done), V(not_done), or V(unknown) if that cannot be seen.
  returned: if a step failed
  type: str
steps:
  description:
    - What was done, or in check mode would be done, in words.
    - When a task fails in the middle, what was done until then, and the message says what became of the rest.
  returned: success, or if the task failed after it had begun
  type: list
  elements: str
  sample:
    - write caches to /etc/matrix-synapse/conf.d/60-cache-factor.yaml
"""

import contextlib
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    configuration_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.dropin import (
    DeclaredDropin,
    DropinResource,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, run_resource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import ProcessReader, find_processes


def declare(parameters: Parameters) -> DropinResource:
    """Return the file as the parameters declare it."""
    names = ("path", "settings", "secrets", "merge", "force", "mode", "owner", "group", "synapse_user")
    declared = DeclaredDropin(present=parameters["state"] == "present", **{name: parameters[name] for name in names})
    config_path = parameters["config_path"]
    return DropinResource(config_path, declared, lambda: running_users(config_path))


def running_users(config_path: t.Sequence[str]) -> list[str]:
    """Return the users of the processes that seem to be Synapse with this configuration, each once."""
    users: list[str] = []
    # Without /proc, and for a process that ends in this moment, there is nothing to tell.
    with contextlib.suppress(SynapseError):
        for process in find_processes(config_path)[0]:
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
        }
    )
    run_resource(configuration_argument_spec(required=True).merge(own), declare)


if __name__ == "__main__":
    main()

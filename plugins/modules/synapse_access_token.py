#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_access_token
short_description: Obtain an access token of a Synapse homeserver for automation
version_added: 1.0.0
description:
  - Logs in with a password and keeps the access token in a file, or returns it.
  - A token that is still valid is reused, because Synapse allows an address only five logins in a row.
  - On a new server it can first register the account with the server's shared secret, as a server admin if wanted.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._attributes.actiongroup_synapse
  - matrix_ops.synapse._connection
attributes:
  check_mode:
    support: full
    details:
      - Whether a password is right can only be seen by logging in, which check mode does not do.
  diff_mode:
    support: full
    details:
      - The token itself is never shown.
  idempotent:
    support: full
  platform:
    support: full
    platforms: posix
options:
  user:
    description:
      - The account that the token is for, in full (V(@ansible:example.org)) or its localpart alone (V(ansible)).
    type: str
    required: true
    aliases:
      - user_id
      - name
  password:
    description:
      - Its password. Only needed while there is no valid token.
    type: str
  access_token:
    description:
      - A token to reuse if it is still valid, or to log out.
      - Where O(access_token_path) holds a valid one, that is taken, and this one is left alone. With O(state=absent),
        this one is left alone wherever there is such a file.
  access_token_path:
    description:
      - The file where the token is kept. It is created with the mode V(0600), and its directory must exist.
      - Where the task runs as root, every directory on the way must belong to root, and nobody else may write to it.
      - The other modules of this collection read the token from there by their option of the same name.
      - With it, RV(access_token) is not returned.
  state:
    description:
      - V(present) means that there is a valid token.
      - V(absent) means that the token is logged out, together with its device, and its file is removed.
    type: str
    choices:
      - present
      - absent
    default: present
  device_id:
    description:
      - The device that a login makes or uses again. It is always the same, so that logins do not pile up devices.
      - A token that is still valid is kept with the device that it has, whatever this says. To get another device, run
        the task with O(state=absent) before.
      - Logging a token out takes its device away, and with it every other token of that device. Give each place that
        keeps a token of the same account a device of its own.
    type: str
    default: matrix_ops.synapse
  device_display_name:
    description:
      - The name that the device gets in the list of the account's sessions, if a login makes it. One that is there
        already keeps its name.
    type: str
    default: Ansible
  register:
    description:
      - Whether an account that does not exist is registered before, with O(password) and the server's shared secret.
      - The secret is O(registration_shared_secret), or else that of the configuration in O(config_path).
    type: bool
    default: false
  admin:
    description:
      - Whether the account must be a server admin. If it is not, the task fails.
      - With O(register=true), a new account is made one. Registering does not change an account that exists.
    type: bool
    default: false
  registration_shared_secret:
    description:
      - The server's shared secret for registrations.
    type: str
  config_path:
    description:
      - The configuration that Synapse is started with, to read the shared secret from. Files and directories in the
        order of Synapse's own C(--config-path).
    type: list
    elements: path
notes:
  - Without O(access_token_path) the task returns a secret. Set C(no_log) on the task then.
seealso:
  - module: matrix_ops.synapse.synapse_admin_user
"""

EXAMPLES = r"""
- name: Make the first server admin and keep its token, on the host of Synapse
  matrix_ops.synapse.synapse_access_token:
    user: ansible
    password: "{{ synapse_admin_password }}"
    register: true
    admin: true
    config_path:
      - /etc/matrix-synapse/homeserver.yaml
      - /etc/matrix-synapse/conf.d
    access_token_path: /root/.synapse-token

- name: Get a token of an account that exists, for the rest of this play
  matrix_ops.synapse.synapse_access_token:
    user: ansible
    password: "{{ synapse_admin_password }}"
  no_log: true
  register: synapse_token

- name: Log the token out and remove its file
  matrix_ops.synapse.synapse_access_token:
    user: ansible
    access_token_path: /root/.synapse-token
    state: absent
"""

RETURN = r"""
user_id:
  description: The full user id of the account. Null in check mode where nothing says what the server is called.
  returned: success
  type: str
  sample: "@ansible:example.org"
device_id:
  description: The device that the token belongs to. Null if there is no token.
  returned: success
  type: str
admin:
  description:
    - Whether the account is a server admin. Null if that cannot be asked, as in check mode before there is a token.
  returned: success
  type: bool
registered:
  description: Whether the account was registered, or in check mode would be.
  returned: success
  type: bool
access_token_path:
  description: The file where the token is kept. Null if none is declared.
  returned: success
  type: str
access_token:
  description:
    - The token, unless it is kept in a file or is the one that the task was given. Null if there is none to return.
  returned: success
  type: str
outcome:
  description:
    - What became of the step at which the task failed, as the server showed when it was looked at again.
    - V(done), V(partly_done), V(not_done), or V(unknown) if that cannot be seen.
  returned: if a step failed
  type: str
steps:
  description:
    - What was done, or in check mode would be done.
    - Where the server does not show whether the account exists, registering and logging in are one step.
    - When a task fails in the middle, what was done until then, and the message says what became of the rest.
  returned: success, or if the task failed after it had begun
  type: list
  elements: str
"""

from ansible_collections.matrix_ops.synapse.plugins.module_utils._access.login import Login
from ansible_collections.matrix_ops.synapse.plugins.module_utils._access.token import (
    AccessTokenResource,
    Registration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    configuration_argument_spec,
    connection_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import read_configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, connect, run_resource


def declare(parameters: Parameters) -> AccessTokenResource:
    """Return the token that the task declares."""
    present = parameters["state"] == "present"
    paths = parameters["config_path"]
    configuration = read_configuration(paths) if paths and present else None
    registration = None
    if parameters["register"] and present:
        secret = parameters["registration_shared_secret"]
        if not secret and configuration:
            secret = configuration.secret("registration_shared_secret")
        if not secret:
            where = f"{', '.join(paths)} sets none" if paths else "config_path does not name the configuration either"
            raise InvalidInput(f"register needs the server's registration_shared_secret, and {where}.")
        registration = Registration(secret, parameters["admin"])
    return AccessTokenResource(
        connect({**parameters, "access_token": None, "access_token_path": None}),
        Login(parameters["user"], parameters["password"], parameters["device_id"], parameters["device_display_name"]),
        present=present,
        known_token=parameters["access_token"],
        path=parameters["access_token_path"],
        registration=registration,
        admin=parameters["admin"],
        server_name=configuration.server_name if configuration else None,
    )


def main() -> None:
    """Run the module."""
    spec = ArgumentSpec(
        {
            "user": {"type": "str", "required": True, "aliases": ["user_id", "name"]},
            "password": {"type": "str", "no_log": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "device_id": {"type": "str", "default": "matrix_ops.synapse"},
            "device_display_name": {"type": "str", "default": "Ansible"},
            "register": {"type": "bool", "default": False},
            "admin": {"type": "bool", "default": False},
            "registration_shared_secret": {"type": "str", "no_log": True},
        }
    )
    run_resource(connection_argument_spec().merge(configuration_argument_spec()).merge(spec), declare)


if __name__ == "__main__":
    main()

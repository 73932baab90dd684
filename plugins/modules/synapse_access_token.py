#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_access_token
short_description: Manage an access token of a Synapse homeserver
version_added: 1.0.0
description:
  - Logs in with a password, and writes the access token to a file or returns it.
  - Reuses a token that is still valid, because Synapse allows only five logins in a row from an IP address by default.
  - Can create the account first, with the shared secret of the server. This works on a new server that has no server
    admin yet.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._attributes.actiongroup_synapse
  - matrix_ops.synapse._connection
  - matrix_ops.synapse._configuration
attributes:
  check_mode:
    support: full
    details:
      - Check mode does not log in. Only a login shows whether the account exists and the password is right, whether the
        account is locked, deactivated or waits for an approval (C(msc3866)), whether the server is disabled for its
        type of user (C(hs_disabled)), has reached C(max_mau_value) or a rate limit (C(rc_login)), and what a module of
        Synapse forbids. A new account whose access token is refused because of C(max_mau_value) exists afterwards.
      - With O(create=true), the module finds out whether the server accepts the shared secret with a registration that
        the server refuses in any case. Whether the name of the new account is reserved is known if O(config_path) can
        be read. Otherwise only a run shows it.
  diff_mode:
    support: full
    details:
      - Does not show the token itself.
  idempotent:
    support: full
  platform:
    support: full
    platforms: posix
options:
  user_id:
    description:
      - The account of the token, as a full user ID (V(@ansible:example.org)) or a localpart (V(ansible)).
      - Required to log in and to create the account. A valid token is reused without it.
      - If it is set, a token in O(access_token_path) that belongs to another account is an error.
    type: str
    aliases:
      - name
  password:
    description:
      - The password of the account. Only needed if there is no valid token.
      - With O(create=true), an account that does not exist gets this password. If it is not set, the new account gets a
        random password, and only its access token can be used afterwards.
      - Until the token is written, the random password is kept in a private file next to O(access_token_path), whose
        name ends in C(.password). If the task is interrupted, the next run logs in with it.
    type: str
  access_token:
    description:
      - A token to reuse if it is still valid, or to log out. Unlike in other modules, the environment variable
        E(SYNAPSE_ACCESS_TOKEN) is not used.
      - With O(state=present), it is ignored if O(access_token_path) contains a valid token, or if it belongs to an
        account other than O(user_id).
      - With O(state=absent), only one of O(access_token) and O(access_token_path) can be set.
  access_token_path:
    description:
      - The file that contains the token. It is created with the mode V(0600). Its directory must exist.
      - If the task runs as root, each directory of the path must belong to root, and other users must not be able to
        write to it.
      - The other modules of this collection read the token with their option of the same name.
      - If it is set, the token itself is not returned.
  state:
    description:
      - V(present) makes sure that there is a valid token.
      - V(absent) logs out the token together with its device, and removes the file. It requires either
        O(access_token_path) or O(access_token).
    type: str
    choices:
      - present
      - absent
    default: present
  device_id:
    description:
      - The ID of the device that a login creates or reuses. A fixed ID prevents that each login creates a new device.
      - A token that is still valid keeps its device. To change the device, run the task with O(state=absent) first.
      - Logging out a token removes its device, and with it every other token of this device. Use a different device for
        each place that stores a token of the same account.
    type: str
    default: matrix_ops.synapse
  device_display_name:
    description:
      - The display name of the device, if a login creates it. An existing device keeps its name.
    type: str
    default: Ansible
  create:
    description:
      - Whether to create the account if it does not exist and there is no valid token. The new account gets its token
        without a login, so this also works on a server that does not allow logins with a password.
      - This needs the shared secret of the server. It is O(registration_shared_secret), or the
        C(registration_shared_secret) of the configuration in O(config_path).
      - If the configuration can be read, the task fails if the account does not exist and the configuration disables
        the server (C(hs_disabled)), or reserves the name of the account for an application service or for server
        notices.
      - The policy of the server for passwords (C(password_config)) does not apply, because Synapse does not apply it to
        such a registration.
    type: bool
    default: false
  admin:
    description:
      - Whether the account must be a server admin. If it is not, the task fails.
      - With O(create=true), a new account is created as a server admin. An existing account is not changed.
    type: bool
    default: false
  registration_shared_secret:
    description:
      - The shared secret of the server for registrations.
      - The default is the value in the configuration of Synapse.
    type: str
notes:
  - Without O(access_token_path), the task returns a new token. Set C(no_log=true) on the task in this case. A token
    that is reused from O(access_token) is not returned again.
seealso:
  - module: matrix_ops.synapse.synapse_admin_user
"""

EXAMPLES = r"""
- name: Create the first server admin and keep its token, on the host of Synapse
  matrix_ops.synapse.synapse_access_token:
    user_id: ansible
    password: "{{ synapse_admin_password }}"
    create: true
    admin: true
    access_token_path: /root/.synapse-token

- name: Get a token of an existing account for the rest of this play
  matrix_ops.synapse.synapse_access_token:
    user_id: ansible
    password: "{{ synapse_admin_password }}"
  no_log: true
  register: login

- name: List the accounts with this token
  matrix_ops.synapse.synapse_admin_user_info:
    access_token: "{{ login.token.access_token }}"

- name: Log out the token and remove its file
  matrix_ops.synapse.synapse_access_token:
    access_token_path: /root/.synapse-token
    state: absent
"""

RETURN = r"""
token:
  description:
    - The token and its account, or in check mode the token that a run would leave.
    - Empty with O(state=absent).
  returned: success
  type: dict
  contains:
    user_id:
      description: The full user ID of the account.
      returned: always, except in check mode if the server does not return its name
      type: str
      sample: "@ansible:example.org"
    device_id:
      description: The ID of the device of the token.
      returned: always
      type: str
      sample: matrix_ops.synapse
    admin:
      description: Whether the account is a server admin.
      returned: if the server serves the Admin API, except in check mode if a login is needed
      type: bool
      sample: true
    access_token_path:
      description: The file that contains the token.
      returned: if O(access_token_path) is set
      type: str
      sample: /root/.synapse-token
    access_token:
      description: The token itself.
      returned: if the task logged in and O(access_token_path) is not set
      type: str
      sample: syt_YW5zaWJsZQ_abcdefghijklmnopqrst_0aBcDe
account_created:
  description:
    - Whether the account was created, or in check mode would be created.
    - In check mode this is also V(true) if the server does not show whether the account exists.
  returned: success
  type: bool
  sample: false
request:
  description: The request that failed, without its content.
  returned: if a request failed
  type: dict
  contains:
    method:
      description: The HTTP method.
      returned: always
      type: str
      sample: POST
    url:
      description: The URL, without a query.
      returned: always
      type: str
      sample: http://127.0.0.1:8008/_matrix/client/v3/login
status:
  description: The HTTP status of the answer.
  returned: if Synapse refused a request
  type: int
  sample: 403
errcode:
  description: The error code of the Matrix specification. Empty if the answer had none.
  returned: if Synapse refused a request
  type: str
  sample: M_FORBIDDEN
error:
  description: The explanation of Synapse.
  returned: if Synapse refused a request
  type: str
  sample: Invalid username or password
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
    - Creating the account and logging in are one step, because a new account gets its token at once.
  returned: success, or if the task failed after its first step had begun
  type: list
  elements: str
  sample:
    - log in as @ansible:example.org
"""

import functools
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._access.login import Login
from ansible_collections.matrix_ops.synapse.plugins.module_utils._access.token import (
    AccessTokenResource,
    Creation,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    configuration_argument_spec,
    connection_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    read_configuration,
    read_configuration_if_there,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConfigurationError,
    InvalidInput,
    MissingLibrary,
    SynapseError,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, connect, run_resource


def declare(parameters: Parameters) -> AccessTokenResource:
    """Return the token that the task declares."""
    present = parameters["state"] == "present"
    if not present and not (parameters["access_token"] or parameters["access_token_path"]):
        raise InvalidInput("state=absent needs a token to log out, but access_token and access_token_path are empty.")
    if not present and parameters["access_token"] and parameters["access_token_path"]:
        raise InvalidInput(
            "state=absent logs out one token, but both access_token and access_token_path are set. Set the option of"
            " the other token to an empty string, also if module_defaults sets it."
        )
    login = Login(
        parameters["user_id"], parameters["password"], parameters["device_id"], parameters["device_display_name"]
    )
    return AccessTokenResource(
        connect({**parameters, "access_token": None, "access_token_path": None}),
        login,
        present=present,
        known_token=parameters["access_token"],
        path=parameters["access_token_path"],
        creation=_creation(parameters) if parameters["create"] and present else None,
        admin=parameters["admin"],
    )


def _creation(parameters: Parameters) -> Creation:
    paths, given, admin = parameters["config_path"], parameters["registration_shared_secret"], parameters["admin"]
    if given:
        return Creation(lambda: str(given), admin, configuration=lambda: _configuration_if_there(paths))
    known = functools.cache(lambda: read_configuration(paths))

    @functools.cache
    def read_secret() -> str:
        try:
            secret = known().secret("registration_shared_secret")
        except SynapseError as error:
            error.explain("It is read because create is true and registration_shared_secret is not set.")
            raise
        if secret:
            return secret
        raise InvalidInput(
            f"create needs the registration_shared_secret of the server, but {', '.join(paths)} does not set it."
            " Set it in the configuration of Synapse and restart Synapse."
        )

    return Creation(read_secret, admin, lambda: known().server_name, known)


def _configuration_if_there(paths: t.Sequence[str]) -> Configuration | None:
    """Return the configuration if it can be read: with the secret in the task, the account does not depend on it."""
    try:
        return read_configuration_if_there(paths)
    except (ConfigurationError, MissingLibrary):
        return None


def main() -> None:
    """Run the module."""
    spec = ArgumentSpec(
        {
            "user_id": {"type": "str", "aliases": ["name"]},
            "password": {"type": "str", "no_log": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "device_id": {"type": "str", "default": "matrix_ops.synapse"},
            "device_display_name": {"type": "str", "default": "Ansible"},
            "create": {"type": "bool", "default": False},
            "admin": {"type": "bool", "default": False},
            "registration_shared_secret": {"type": "str", "no_log": True},
        },
        # Otherwise there is nothing to log out, and nobody would notice.
        required_if=[("state", "absent", ["access_token", "access_token_path"], True)],
    )
    connection = connection_argument_spec()
    # A token that is in the environment for other modules is not one to reuse or to log out.
    del connection.argument_spec["access_token"]["fallback"]
    run_resource(connection.merge(configuration_argument_spec()).merge(spec), declare)


if __name__ == "__main__":
    main()

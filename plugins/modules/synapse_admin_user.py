#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_admin_user
short_description: Manage an account of a Synapse homeserver
version_added: 1.0.0
description:
  - Brings one account of a Synapse homeserver into the declared state, through the User Admin API.
  - Only what is declared is compared and written. After writing, the account is read again.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._attributes.actiongroup_synapse
  - matrix_ops.synapse._connection
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - A password is never shown. That it is set is.
  idempotent:
    support: partial
    details:
      - With O(update_password=always) the password is set every time, because Synapse does not tell whether it is
        the same.
  platform:
    support: full
    platforms: posix
options:
  user_id:
    description:
      - The account, in full (V(@alice:example.org)) or its localpart alone (V(alice)).
      - Only accounts of this server can be managed.
    type: str
    required: true
    aliases:
      - name
  state:
    description:
      - V(present) means that the account exists and is active. One that was deactivated is reactivated. Synapse does
        not give its rooms, addresses and devices back.
      - V(absent) means that the account is deactivated, if it exists. Synapse never deletes an account, so that nobody
        else can take its name.
    type: str
    choices:
      - present
      - absent
    default: present
  create:
    description:
      - Whether an account that does not exist is created.
      - Set it to V(false) to change people's accounts without ever making a new one by a typing error.
    type: bool
    default: true
  admin:
    description:
      - Whether the account is a server admin.
    type: bool
  password:
    description:
      - The password. Without one, an account is created that nobody can log in to with a password.
      - It must fit the server's password policy, which Synapse itself does not ask of an admin.
      - When it is set on an existing account is said by O(update_password).
    type: str
  update_password:
    description:
      - V(on_create) sets the password of an account that is created or reactivated, and leaves that of others alone.
      - V(always) sets it every time. The task then always reports a change.
      - V(if_different) compares it with the stored one and sets it only if it is another. It needs O(config_path) and
        runs on the host of Synapse, because only the database knows the stored one.
    type: str
    choices:
      - always
      - on_create
      - if_different
    default: on_create
  logout_devices:
    description:
      - Whether setting a password logs the person out everywhere.
      - Somebody who is logged out may lose the keys of encrypted messages. Use it when a password has become known to
        others.
    type: bool
    default: false
  displayname:
    description:
      - The name that others see. An empty one removes it. Synapse gives a new account its localpart as its name.
    type: str
  avatar_url:
    description:
      - The address of the picture that others see, as C(mxc://) URI of uploaded media. An empty one removes it.
    type: str
  user_type:
    description:
      - The type of the account, such as V(bot) or V(support), or one that the configuration defines. An empty one makes
        it an ordinary account.
    type: str
  threepids:
    description:
      - All the e-mail addresses and telephone numbers of the account. Others are removed.
      - An address of another account is refused, unless O(steal_threepids) allows to take it from there.
    type: list
    elements: dict
    suboptions:
      medium:
        description:
          - V(email) for an e-mail address, V(msisdn) for a telephone number.
        type: str
        choices:
          - email
          - msisdn
        required: true
      address:
        description:
          - The e-mail address, or the telephone number with its country code.
        type: str
        required: true
  external_ids:
    description:
      - All the identities of the account at providers of single sign-on. Others are removed.
    type: list
    elements: dict
    suboptions:
      auth_provider:
        description:
          - The provider's name in the configuration of Synapse, such as V(oidc-keycloak).
        type: str
        required: true
      external_id:
        description:
          - What the provider calls the person.
        type: str
        required: true
  rate_limit:
    description:
      - A rate limit of its own for the account, instead of the server's. An empty one (V({})) removes it.
    type: dict
    suboptions:
      messages_per_second:
        description:
          - How many messages in a second. V(0) means any number.
        type: int
      burst_count:
        description:
          - How many messages at once before the limit applies. V(0) means any number.
        type: int
  locked:
    description:
      - Whether the account is locked. Nobody can use it then, but its devices stay logged in.
    type: bool
  suspended:
    description:
      - Whether the account is suspended. Its owner can read then, but not write.
    type: bool
  shadow_banned:
    description:
      - Whether the account is shadow-banned. Its owner seems to write then, but nobody else sees it.
    type: bool
  erase:
    description:
      - With O(state=absent), whether the account is erased too. Synapse then removes its name and picture and hides
        its messages from those who join later.
    type: bool
    default: false
  manage_appservice_users:
    description:
      - Whether accounts of application services may be changed, such as the puppets of a bridge.
      - They are recognised by what made them, and with O(config_path) by the namespaces of the registered services too.
    type: bool
    default: false
  steal_threepids:
    description:
      - Whether an address may be taken from another account. Synapse itself does that without a word.
    type: bool
    default: false
seealso:
  - module: matrix_ops.synapse.synapse_access_token
"""

EXAMPLES = r"""
- name: Create an account for Alice
  matrix_ops.synapse.synapse_admin_user:
    access_token_path: /root/.synapse-token
    user_id: alice
    displayname: Alice
    password: "{{ alice_password }}"

- name: Make Alice a server admin, but never create her by a typing error
  matrix_ops.synapse.synapse_admin_user:
    access_token_path: /root/.synapse-token
    user_id: "@alice:example.org"
    create: false
    admin: true

- name: Reset the password of Alice and leave her devices logged in
  matrix_ops.synapse.synapse_admin_user:
    access_token_path: /root/.synapse-token
    user_id: alice
    create: false
    password: "{{ alice_new_password }}"
    update_password: always

- name: Deactivate Bob's account and erase what it shows
  matrix_ops.synapse.synapse_admin_user:
    access_token_path: /root/.synapse-token
    user_id: bob
    state: absent
    erase: true
"""

RETURN = r"""
user:
  description: The account as it is now, or in check mode as it would be. Null if it does not exist.
  returned: success
  type: dict
  contains:
    user_id:
      description: The full user id.
      returned: success
      type: str
      sample: "@alice:example.org"
    admin:
      description: Whether it is a server admin.
      returned: success
      type: bool
    displayname:
      description: The name that others see. Empty if there is none.
      returned: success
      type: str
    avatar_url:
      description: The address of its picture. Empty if there is none.
      returned: success
      type: str
    user_type:
      description: The type that Synapse knows, such as V(bot). Null for an ordinary account.
      returned: success
      type: str
    is_guest:
      description: Whether it is a guest.
      returned: success
      type: bool
    appservice_id:
      description: The application service that it belongs to. Null if there is none.
      returned: success
      type: str
    locked:
      description: Whether it is locked.
      returned: success
      type: bool
    suspended:
      description: Whether it is suspended.
      returned: success
      type: bool
    shadow_banned:
      description: Whether it is shadow-banned.
      returned: success
      type: bool
    deactivated:
      description: Whether it is deactivated.
      returned: success
      type: bool
    erased:
      description: Whether it is erased.
      returned: success
      type: bool
steps:
  description: What was done, or in check mode would be done.
  returned: success
  type: list
  elements: str
  sample: ["create the account"]
"""

from ansible_collections.matrix_ops.synapse.plugins.module_utils._account import AccountResource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts import Accounts
from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    connection_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, connect, run_resource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._users import DeclaredAccount


def declare(parameters: Parameters) -> AccountResource:
    """Return the account that the task declares."""
    declared = DeclaredAccount(
        present=parameters["state"] == "present",
        create=parameters["create"],
        admin=parameters["admin"],
        password=parameters["password"],
        update_password=parameters["update_password"],
        logout_devices=parameters["logout_devices"],
        displayname=parameters["displayname"],
        avatar_url=parameters["avatar_url"],
        locked=parameters["locked"],
        suspended=parameters["suspended"],
        erase=parameters["erase"],
    )
    return AccountResource(Accounts(connect(parameters)), parameters["user_id"], declared)


def main() -> None:
    """Run the module."""
    spec = ArgumentSpec(
        {
            "user_id": {"type": "str", "required": True, "aliases": ["name"]},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "create": {"type": "bool", "default": True},
            "admin": {"type": "bool"},
            "password": {"type": "str", "no_log": True},
            "update_password": {
                "type": "str",
                "choices": ["always", "on_create"],
                "default": "on_create",
                "no_log": False,
            },
            "logout_devices": {"type": "bool", "default": False},
            "displayname": {"type": "str"},
            "avatar_url": {"type": "str"},
            "locked": {"type": "bool"},
            "suspended": {"type": "bool"},
            "erase": {"type": "bool", "default": False},
        }
    )
    run_resource(connection_argument_spec().merge(spec), declare)


if __name__ == "__main__":
    main()

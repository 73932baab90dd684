#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_admin_users
short_description: Manage many accounts of a Synapse homeserver in one task
version_added: 1.0.0
description:
  - Brings a list of accounts into their declared states. The whole server is read in large pages, compared at once,
    and only differences are written, several at a time.
  - One account that fails does not stop the others. The task fails in the end and names those that failed. An account
    of which no answer came is looked at again, and what became of it is said. Only where nobody answers at all is the
    rest not attempted.
  - With O(exclusive=true) the list is complete, and every other account is deactivated.
  - Accounts are deactivated last, and only if all else went well, whether for not being declared or by
    O(users[].state=absent). As long as one entry is wrong or cannot be brought about, nobody is, because that cannot be
    undone, and the entry may be a misspelt name of theirs.
  - Two entries with the same e-mail address, telephone number or identity are both refused.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._attributes.actiongroup_synapse
  - matrix_ops.synapse._connection
  - matrix_ops.synapse._configuration.optional
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Only accounts that change are shown. Passwords never are.
  idempotent:
    support: partial
    details:
      - With O(users[].update_password=always) the password is set every time, because Synapse does not tell whether
        it is the same.
  platform:
    support: full
    platforms: posix
options:
  users:
    description:
      - The accounts.
    type: list
    elements: dict
    required: true
    suboptions:
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
          - V(present) means that the account exists and is active. One that was deactivated is reactivated. Synapse
            does not give its rooms, addresses and devices back.
          - V(absent) means that the account is deactivated, if it exists. Synapse never deletes an account, so that
            nobody else can take its name.
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
          - When it is set on an existing account is said by O(users[].update_password).
        type: str
      update_password:
        description:
          - V(on_create) sets the password of an account that is created or reactivated, and leaves that of others
            alone.
          - V(always) sets it every time. The task then always reports a change.
          - V(if_different) compares it with the stored one and sets it only if it is another. It needs O(config_path)
            and runs on the host of Synapse, because only the database knows the stored one.
        type: str
        choices:
          - always
          - on_create
          - if_different
        default: on_create
      logout_devices:
        description:
          - Whether setting a password logs the person out everywhere.
          - Somebody who is logged out may lose the keys of encrypted messages. Use it when a password has become known
            to others.
        type: bool
        default: false
      displayname:
        description:
          - The name that others see. An empty one removes it. Synapse gives a new account its localpart as its name.
          - White space around it does not count, because Synapse leaves it out.
        type: str
      avatar_url:
        description:
          - The address of the picture that others see, as C(mxc://) URI of uploaded media. An empty one removes it.
        type: str
      user_type:
        description:
          - The type of the account, such as V(bot) or V(support), or one that the configuration defines. An empty one
            makes it an ordinary account.
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
          - With O(users[].state=absent), whether the account is erased too. Synapse then removes its name and picture
            and hides its messages from those who join later.
        type: bool
        default: false
  exclusive:
    description:
      - Whether every account that is not in O(users) is deactivated.
      - The account that the task runs as, accounts of application services, and those that O(protect) matches are left
        alone.
      - It needs O(max_changes), so that a wrong list cannot empty a server.
    type: bool
    default: false
  protect:
    description:
      - Accounts that O(exclusive) leaves alone, as patterns of localparts or full user ids, such as V(support-*).
      - A name without C(*), C(?) or C([) must be that of an account, and a pattern must fit this server and be written
        in the same letters as the accounts, so that a misspelt one does not cost somebody the account.
    type: list
    elements: str
    default: []
  max_changes:
    description:
      - The most accounts that may be changed. If more would be, the task fails before the first is written.
    type: int
  parallel:
    description:
      - How many requests are made at the same time.
    type: int
    default: 4
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
  synapse_python:
    description:
      - The Python that Synapse is installed in. It compares passwords for O(users[].update_password=if_different).
    type: path
    default: /opt/venvs/matrix-synapse/bin/python
  chdir:
    description:
      - The directory that Synapse runs in, which relative paths in its configuration start from.
    type: path
seealso:
  - module: matrix_ops.synapse.synapse_admin_user
  - module: matrix_ops.synapse.synapse_admin_user_info
requirements:
  - psycopg2 where a PostgreSQL database is read
"""

EXAMPLES = r"""
- name: Create everybody who is not there yet, and make no other changes
  matrix_ops.synapse.synapse_admin_users:
    access_token_path: /root/.synapse-token
    users:
      - user_id: alice
        displayname: Alice
        password: "{{ initial_passwords.alice }}"
      - user_id: bob
        displayname: Bob
        password: "{{ initial_passwords.bob }}"

- name: Let the list of employees be the accounts of this server, but never change more than twenty at once
  matrix_ops.synapse.synapse_admin_users:
    access_token_path: /root/.synapse-token
    users: "{{ employees }}"
    exclusive: true
    max_changes: 20
    protect:
      - ansible
      - support-*
"""

RETURN = r"""
users:
  description:
    - What became of each declared account, and of each that O(exclusive) deactivated. Also when the task fails.
  returned: always
  type: list
  elements: dict
  contains:
    user_id:
      description: The full user id.
      returned: always
      type: str
      sample: "@alice:example.org"
    changed:
      description: Whether it was changed, or may have been, or in check mode would be.
      returned: always
      type: bool
    failed:
      description: Whether it is not as declared.
      returned: always
      type: bool
    msg:
      description: Why it failed, and what became of the change that did.
      returned: if it failed
      type: str
    outcome:
      description:
        - What became of the change that failed, as the account showed when it was looked at again.
        - V(done), V(partly_done), V(not_done), or V(unknown) if that cannot be seen.
      returned: if a change failed
      type: str
    steps:
      description: What was done, or in check mode would be done.
      returned: if it was changed, or would be
      type: list
      elements: str
steps:
  description: How many accounts were to be changed, or in check mode would be.
  returned: always
  type: list
  elements: str
"""

from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.account_list import AccountList
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.entry import Scope
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.options import (
    account_argument_spec,
    declared_account,
    declared_accounts,
    declared_configuration,
    management_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import ArgumentSpec
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, connect, run_resource


def declare(parameters: Parameters) -> AccountList:
    """Return the accounts that the task declares."""
    scope = Scope(**{name: parameters[name] for name in ("exclusive", "protect", "max_changes", "parallel")})
    client = connect(parameters, connections=scope.parallel)
    accounts = declared_accounts(client, parameters, declared_configuration(parameters))
    return AccountList(accounts, [(user["user_id"], declared_account(user)) for user in parameters["users"]], scope)


def main() -> None:
    """Run the module."""
    own = ArgumentSpec(
        {
            "users": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": account_argument_spec().argument_spec,
            },
            "exclusive": {"type": "bool", "default": False},
            "protect": {"type": "list", "elements": "str", "default": []},
            "max_changes": {"type": "int"},
            "parallel": {"type": "int", "default": 4},
        },
        required_if=[("exclusive", True, ["max_changes"])],
    )
    run_resource(management_argument_spec().merge(own), declare)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_admin_users
short_description: Manage many accounts of a Synapse homeserver
version_added: 1.0.0
description:
  - Brings a list of accounts into their declared states. The module reads all accounts of the server in large pages,
    compares them, and writes only differences, several at the same time.
  - If one account fails, the others are still changed. At the end the task fails and names the accounts that
    failed. If no response to a change arrives, the module reads the account again and reports the result. The remaining
    accounts are skipped only if the server does not respond any more.
  - With O(exclusive=true) the list is complete, and every other account is deactivated.
  - Accounts are deactivated last, and only if all other changes succeeded. This applies to O(users[].state=absent) and
    to O(exclusive). If one entry is wrong or fails, no account is deactivated, because a deactivation cannot be undone,
    and the entry may be a misspelt user ID of such an account.
  - If two entries have the same e-mail address, telephone number or external ID, both fail.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._attributes.actiongroup_synapse
  - matrix_ops.synapse._connection
  - matrix_ops.synapse._configuration
  - matrix_ops.synapse._progress
attributes:
  check_mode:
    support: full
    details:
      - Check mode fails where a run would fail. To find out whether the server knows O(users[].user_type), the module
        sends a request that the server refuses in any case, for an account that cannot exist.
      - Only a run shows what a module of Synapse forbids (a new account, a deactivation), whether an identity server
        releases an e-mail address or telephone number that is bound there, and, if O(config_path) cannot be read, the
        limits of the server for avatars and whether a module of Synapse manages the passwords alone.
  diff_mode:
    support: full
    details:
      - The diff shows only accounts that change, and never a password.
  idempotent:
    support: partial
    details:
      - With O(users[].update_password=always) the password is set every time, because Synapse does not show whether
        it is the same.
  platform:
    support: full
    platforms: posix
options:
  users:
    description:
      - The accounts with their declared states.
    type: list
    elements: dict
    required: true
    suboptions:
      user_id:
        description:
          - The account, as a full user ID (V(@alice:example.org)) or a localpart (V(alice)).
          - It must be on this server.
        type: str
        required: true
        aliases:
          - name
      state:
        description:
          - V(present) makes sure that the account exists and is active. A deactivated account is reactivated. Synapse
            does not restore its rooms, e-mail addresses, telephone numbers and devices.
          - V(absent) makes sure that the account is deactivated, if it exists. Synapse never deletes an account, so
            that no other user can get its name.
        type: str
        choices:
          - present
          - absent
        default: present
      create:
        description:
          - Whether to create the account if it does not exist.
          - With V(false) the task fails if the account does not exist, so that a misspelt user ID creates no account.
        type: bool
        default: true
      admin:
        description:
          - Whether the account is a server admin.
          - For the first server admin, see the option C(bootstrap_admin) of M(matrix_ops.synapse.synapse_admin_user).
        type: bool
      password:
        description:
          - The password. If it is not set, a new account has no password, and the user cannot log in with one.
          - The password must comply with the password policy of the server. Synapse itself does not check this for
            requests of an admin.
          - If the server does not allow passwords (C(password_config)), only a new account can get one.
          - O(users[].update_password) defines when the password of an existing account is set.
        type: str
      update_password:
        description:
          - V(on_create) sets the password only when the account is created or reactivated.
          - V(always) sets the password every time. The task then always reports a change.
          - V(if_different) compares the password with the stored one and sets it only if it is different. This reads
            the database, so the task must run on the host of Synapse and O(config_path) must be readable.
        type: str
        choices:
          - always
          - on_create
          - if_different
        default: on_create
      logout_devices:
        description:
          - Whether to log out all devices of the account when the password of an existing account is set.
          - A user who is logged out may lose the keys of encrypted messages. Use V(true) if the password has become
            known to others.
        type: bool
        default: false
      display_name:
        description:
          - The display name. An empty string removes it. Synapse gives a new account its localpart as display name.
          - Leading and trailing white space is ignored, because Synapse removes it.
        type: str
        aliases:
          - displayname
      avatar_url:
        description:
          - The C(mxc://) URI of the avatar, which must be uploaded media. An empty string removes the avatar.
          - If O(config_path) can be read, the account fails if the media does not comply with C(max_avatar_size) and
            C(allowed_avatar_mimetypes).
        type: str
      user_type:
        description:
          - The type of the account, such as V(bot) or V(support), or a type that the configuration of Synapse defines.
            An empty string makes it an ordinary account.
          - The account fails if the server does not know the type.
        type: str
      threepids:
        description:
          - The complete list of e-mail addresses and telephone numbers of the account. Others are removed.
          - The task fails if one of them belongs to another account, unless O(allow_threepid_takeover=true).
          - Old versions of Synapse stored e-mail addresses with upper-case letters, which no API can remove. If the
            account has such an address and the list does not contain it in lower case, the account fails with the SQL
            statement that removes it.
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
          - The complete list of the IDs of the account at single sign-on providers. Others are removed.
        type: list
        elements: dict
        suboptions:
          auth_provider:
            description:
              - The name of the provider in the configuration of Synapse, such as V(oidc-keycloak).
            type: str
            required: true
          external_id:
            description:
              - The ID of the user at this provider.
            type: str
            required: true
      rate_limit:
        description:
          - A rate limit for this account, instead of the rate limit of the server. An empty dict (V({})) removes it.
        type: dict
        suboptions:
          messages_per_second:
            description:
              - The number of messages per second. V(0) means no limit.
            type: int
          burst_count:
            description:
              - The number of messages that the user can send at once before the limit applies. V(0) means no limit.
            type: int
      locked:
        description:
          - Whether the account is locked. The user of a locked account cannot use it, but its devices stay logged in.
        type: bool
      suspended:
        description:
          - Whether the account is suspended. The user of a suspended account can read, but not write.
        type: bool
      shadow_banned:
        description:
          - Whether the account is shadow-banned. Synapse accepts messages of a shadow-banned user, but does not show
            them to other users.
        type: bool
      erase:
        description:
          - With O(users[].state=absent), whether to erase the account in addition. Synapse then removes its display
            name and avatar, and hides its messages from users who join a room later.
        type: bool
        default: false
  exclusive:
    description:
      - Whether to deactivate every account that is not in O(users).
      - The account that the access token belongs to, accounts of application services, and accounts that match
        O(protect) are not deactivated.
      - It requires O(max_changes), so that a wrong list cannot deactivate all accounts of a server.
    type: bool
    default: false
  protect:
    description:
      - Accounts that O(exclusive) does not deactivate, as patterns of localparts or full user IDs, such as
        V(support-*).
      - A misspelt pattern must not cause a deactivation. So the task fails if a pattern without C(*), C(?) and C([)
        matches no account, if a pattern contains the name of another server, or if a pattern matches accounts only when
        upper and lower case are ignored.
    type: list
    elements: str
    default: []
  max_changes:
    description:
      - The maximum number of accounts to change. If more accounts would change, the task fails before the first change.
      - If it is not set, there is no maximum. Required with O(exclusive=true).
    type: int
  parallel:
    description:
      - How many requests to send at the same time, from V(1) to V(64).
    type: int
    default: 4
  allow_appservice_users:
    description:
      - Whether accounts of application services may be changed, such as the accounts that a bridge creates.
      - The module recognizes an account that an application service has created, and a user ID in the exclusive
        namespace of an application service. It knows the namespaces only if it can read O(config_path).
      - Whatever is set here, only the service itself can create such an account.
    type: bool
    default: false
  allow_threepid_takeover:
    description:
      - Whether an e-mail address or telephone number may be removed from another account to add it to a declared one.
        Synapse itself does this silently.
    type: bool
    default: false
  synapse_python:
    description:
      - The Python interpreter that Synapse runs with. It compares passwords, for
        O(users[].update_password=if_different).
      - The default is the one of Synapse's Debian package.
    type: path
    default: /opt/venvs/matrix-synapse/bin/python
  working_directory:
    description:
      - The working directory of Synapse. Relative paths in its configuration start there.
      - It is only needed if the configuration contains a relative path of an SQLite database, or of a file of an
        application service.
    type: path
seealso:
  - module: matrix_ops.synapse.synapse_admin_user
  - module: matrix_ops.synapse.synapse_admin_user_info
requirements:
  - psycopg2 on the host where the module runs, if a PostgreSQL database is read
"""

EXAMPLES = r"""
- name: Create the accounts that do not exist yet, and set their display names
  matrix_ops.synapse.synapse_admin_users:
    access_token_path: /root/.synapse-token
    users:
      - user_id: alice
        display_name: Alice
        password: "{{ initial_passwords.alice }}"
      - user_id: bob
        display_name: Bob
        password: "{{ initial_passwords.bob }}"

- name: Deactivate all accounts that are not in the list of employees, but change at most 20 accounts
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
    - The result for each declared account, and for each account that O(exclusive) deactivated.
    - Also if the task fails because of some of the accounts.
  returned: if the accounts were compared
  type: list
  elements: dict
  contains:
    user_id:
      description: The full user ID.
      returned: always
      type: str
      sample: "@alice:example.org"
    changed:
      description: Whether the account was changed or may have been changed, or in check mode would be changed.
      returned: always
      type: bool
      sample: true
    failed:
      description: Whether the account is not as declared.
      returned: always
      type: bool
      sample: false
    msg:
      description: Why the account is not as declared.
      returned: if RV(users[].failed) is true
      type: str
    outcome:
      description:
        - The result of the step that failed, as a check afterwards showed it.
        - V(done), V(partly_done), V(not_done), or V(unknown) if the check did not show it.
      returned: if a step failed
      type: str
      sample: not_done
    steps:
      description: The steps that were done, or in check mode would be done.
      returned: if the account was changed, or in check mode would be changed
      type: list
      elements: str
      sample: ["set display_name"]
summary:
  description: The numbers of accounts in RV(users).
  returned: if the accounts were compared
  type: dict
  contains:
    total:
      description: The number of accounts.
      returned: always
      type: int
      sample: 2
    changed:
      description: The number of accounts that were changed or may have been changed, or in check mode would be changed.
      returned: always
      type: int
      sample: 1
    failed:
      description: The number of accounts that are not as declared.
      returned: always
      type: int
      sample: 0
request:
  description: The request that failed, without its content.
  returned: if a request failed
  type: dict
  contains:
    method:
      description: The HTTP method.
      returned: always
      type: str
      sample: PUT
    url:
      description: The URL, without a query.
      returned: always
      type: str
      sample: http://127.0.0.1:8008/_synapse/admin/v2/users/%40alice%3Aexample.org
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
  sample: You are not a server admin
steps:
  description:
    - The number of accounts that were changed, or in check mode would be changed, as one step. Empty if no account
      changes.
    - RV(users[].steps) are the steps for each account.
  returned: if the accounts were compared
  type: list
  elements: str
  sample: ["change 2 accounts"]
"""

from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.account_list import AccountList
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.entry import Scope
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.options import (
    account_argument_spec,
    declared_account,
    declared_accounts,
    management_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    progress_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, connect, run_resource


def declare(parameters: Parameters) -> AccountList:
    """Return the accounts that the task declares."""
    scope = Scope(**{name: parameters[name] for name in ("exclusive", "protect", "max_changes", "parallel")})
    client = connect(parameters, connections=scope.parallel)
    accounts = declared_accounts(client, parameters)
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
    run_resource(management_argument_spec().merge(progress_argument_spec()).merge(own), declare)


if __name__ == "__main__":
    main()

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
  - Brings one account of a Synapse homeserver into the declared state, with the Admin API.
  - The module compares and writes only declared values. After a change it reads the account again.
  - With O(bootstrap_admin=true) it also makes the first server admin, without the access token of a server admin.
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
      - Check mode fails where a run would fail. To find out whether the server knows O(user_type), the module sends a
        request that the server refuses in any case, for an account that cannot exist.
      - Only a run shows what a module of Synapse forbids (a new account, a deactivation), whether an identity server
        releases an e-mail address or telephone number that is bound there, and, if O(config_path) cannot be read, the
        limits of the server for avatars and whether a module of Synapse manages the passwords alone.
  diff_mode:
    support: full
    details:
      - The diff shows that a password is set, but never the password itself.
  idempotent:
    support: partial
    details:
      - With O(update_password=always) the password is set every time, because Synapse does not show whether it is
        the same.
  platform:
    support: full
    platforms: posix
options:
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
      - V(present) makes sure that the account exists and is active. A deactivated account is reactivated. Synapse does
        not restore its rooms, e-mail addresses, telephone numbers and devices.
      - V(absent) makes sure that the account is deactivated, if it exists. Synapse never deletes an account, so that no
        other user can get its name.
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
      - Only a server admin can change this. For the first server admin, see O(bootstrap_admin).
    type: bool
  password:
    description:
      - The password. If it is not set, a new account has no password, and the user cannot log in with one.
      - The password must comply with the password policy of the server. Synapse itself does not check this for requests
        of an admin.
      - If the server does not allow passwords (C(password_config)), only a new account can get one.
      - O(update_password) defines when the password of an existing account is set.
      - With O(bootstrap_admin=true) the module may log in with the password for a moment, on a temporary device, to
        see whether Synapse treats the account as a server admin. Check mode does not log in.
    type: str
  update_password:
    description:
      - V(on_create) sets the password only when the account is created or reactivated.
      - V(always) sets the password every time. The task then always reports a change.
      - V(if_different) compares the password with the stored one and sets it only if it is different. This reads the
        database, so the task must run on the host of Synapse and O(config_path) must be readable.
      - Without the access token of a server admin, the password of an existing account cannot be set. With
        O(bootstrap_admin=true), V(always) then compares the password as well, and the task fails if it is different.
    type: str
    choices:
      - always
      - on_create
      - if_different
    default: on_create
  logout_devices:
    description:
      - Whether to log out all devices of the account when the password of an existing account is set.
      - A user who is logged out may lose the keys of encrypted messages. Use V(true) if the password has become known
        to others.
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
      - If O(config_path) can be read, the task fails if the media does not comply with C(max_avatar_size) and
        C(allowed_avatar_mimetypes).
    type: str
  user_type:
    description:
      - The type of the account, such as V(bot) or V(support), or a type that the configuration of Synapse defines. An
        empty string makes it an ordinary account.
      - The task fails if the server does not know the type.
    type: str
  threepids:
    description:
      - The complete list of e-mail addresses and telephone numbers of the account. Others are removed.
      - The task fails if one of them belongs to another account, unless O(allow_threepid_takeover=true).
      - Old versions of Synapse stored e-mail addresses with upper-case letters, which no API can remove. If the account
        has such an address and the list does not contain it in lower case, the task fails with the SQL statement that
        removes it.
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
      - Whether the account is shadow-banned. Synapse accepts messages of a shadow-banned user, but does not show them
        to other users.
    type: bool
  erase:
    description:
      - With O(state=absent), whether to erase the account in addition. Synapse then removes its display name and
        avatar, and hides its messages from users who join a room later.
    type: bool
    default: false
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
      - Whether an e-mail address or telephone number may be removed from another account to add it to this one.
        Synapse itself does this silently.
    type: bool
    default: false
  bootstrap_admin:
    description:
      - Whether to make the account a server admin without the access token of a server admin. It requires
        O(admin=true) and O(state=present).
      - Use it for the first server admin, or if no server admin can be reached. Run the task on the host of Synapse,
        where it can read O(config_path).
      - An account that does not exist is registered with the C(registration_shared_secret) of the server. It needs
        O(password), and can get its O(display_name) and O(user_type) at once. An existing account is made a server
        admin in the database.
      - The task fails if another declared value differs from the database, because only a server admin can change it.
      - Synapse may remember for some time that the account is not a server admin. RV(restart_required) shows whether to
        restart Synapse.
      - If the task has the access token of a server admin, the module uses the Admin API, as without this option.
    type: bool
    default: false
  registration_shared_secret:
    description:
      - The secret that O(bootstrap_admin) registers a new account with. If it is not set, the secret in O(config_path)
        is used.
    type: str
  allow_database_write:
    description:
      - Whether O(bootstrap_admin) may make an existing account a server admin in the database of Synapse. The module
        writes nothing else there.
    type: bool
    default: true
  allow_existing_admins:
    description:
      - Whether O(bootstrap_admin) may make an existing account a server admin if the server has other server admins,
        for example because none of them can be reached.
    type: bool
    default: false
  synapse_python:
    description:
      - The Python interpreter that Synapse runs with. It compares passwords, if O(update_password) requires that.
      - The default is the one of Synapse's Debian package.
    type: path
    default: /opt/venvs/matrix-synapse/bin/python
  working_directory:
    description:
      - The working directory of Synapse. Relative paths in its configuration start there.
      - It is only needed if the configuration contains a relative path of an SQLite database, or of a file of an
        application service.
    type: path
notes:
  - If the server uses the Matrix Authentication Service, that service creates accounts, sets their passwords, locks and
    deactivates them, and decides which accounts are server admins. The task then fails with a message that contains the
    C(mas-cli) command to run.
seealso:
  - module: matrix_ops.synapse.synapse_admin_users
  - module: matrix_ops.synapse.synapse_admin_user_info
  - module: matrix_ops.synapse.synapse_access_token
requirements:
  - psycopg2 on the host where the module runs, if a PostgreSQL database is read or written
"""

EXAMPLES = r"""
- name: Create an account for Alice
  matrix_ops.synapse.synapse_admin_user:
    access_token_path: /root/.synapse-token
    user_id: alice
    display_name: Alice
    password: "{{ alice_password }}"

- name: Make Alice a server admin, but do not create the account
  matrix_ops.synapse.synapse_admin_user:
    access_token_path: /root/.synapse-token
    user_id: "@alice:example.org"
    create: false
    admin: true

- name: Reset the password of Alice and keep her devices logged in
  matrix_ops.synapse.synapse_admin_user:
    access_token_path: /root/.synapse-token
    user_id: alice
    create: false
    password: "{{ alice_new_password }}"
    update_password: always

- name: Set the password of Alice only if it is different
  matrix_ops.synapse.synapse_admin_user:
    access_token_path: /root/.synapse-token
    user_id: alice
    password: "{{ alice_password }}"
    update_password: if_different

- name: Make Alice the first server admin
  matrix_ops.synapse.synapse_admin_user:
    user_id: alice
    create: false
    admin: true
    bootstrap_admin: true
  register: first_admin

- name: Restart Synapse if it does not treat Alice as a server admin yet
  ansible.builtin.systemd_service:
    name: matrix-synapse.service
    state: restarted
  when: first_admin.restart_required

- name: Set the e-mail address, the telephone number and the rate limit of Carol
  matrix_ops.synapse.synapse_admin_user:
    access_token_path: /root/.synapse-token
    user_id: carol
    threepids:
      - medium: email
        address: carol@example.org
      - medium: msisdn
        address: "+44 20 7946 0000"
    rate_limit:
      messages_per_second: 50
      burst_count: 100

- name: Deactivate and erase the account of Bob
  matrix_ops.synapse.synapse_admin_user:
    access_token_path: /root/.synapse-token
    user_id: bob
    state: absent
    erase: true
"""

RETURN = r"""
user:
  description:
    - The account as it is now, or in check mode as it would be. Empty if it does not exist.
    - If the Admin API did not show an account that O(bootstrap_admin) manages, it contains only C(user_id) and
      C(admin).
  returned: success
  type: dict
  contains:
    user_id:
      description: The full user ID.
      returned: if the account exists
      type: str
      sample: "@alice:example.org"
    admin:
      description: Whether the account is a server admin.
      returned: if the account exists
      type: bool
      sample: false
    display_name:
      description: The display name. Empty if it is not set.
      returned: if the Admin API showed the account
      type: str
      sample: Alice
    avatar_url:
      description: The C(mxc://) URI of the avatar. Empty if it is not set.
      returned: if the Admin API showed the account
      type: str
      sample: mxc://example.org/SEsfnsuifSDFSSEF
    user_type:
      description: The type of the account, such as V(bot). Empty for an ordinary account.
      returned: if the Admin API showed the account
      type: str
      sample: bot
    guest:
      description: Whether the account is a guest.
      returned: if the Admin API showed the account
      type: bool
      sample: false
    appservice_id:
      description: The ID of the application service that created the account. Empty for other accounts.
      returned: if the Admin API showed the account
      type: str
      sample: telegram
    locked:
      description: Whether the account is locked.
      returned: if the Admin API showed the account
      type: bool
      sample: false
    suspended:
      description: Whether the account is suspended.
      returned: if the Admin API showed the account
      type: bool
      sample: false
    shadow_banned:
      description: Whether the account is shadow-banned.
      returned: if the Admin API showed the account
      type: bool
      sample: false
    deactivated:
      description: Whether the account is deactivated.
      returned: if the Admin API showed the account
      type: bool
      sample: false
    erased:
      description: Whether the account is erased.
      returned: if the Admin API showed the account
      type: bool
      sample: false
    threepids:
      description: The e-mail addresses and telephone numbers of the account.
      returned: if the Admin API showed the account
      type: list
      elements: dict
      contains:
        medium:
          description: The kind, such as V(email) or V(msisdn). Old accounts can have other kinds.
          returned: always
          type: str
          sample: email
        address:
          description: The e-mail address or telephone number.
          returned: always
          type: str
          sample: alice@example.org
    external_ids:
      description: The IDs of the account at single sign-on providers.
      returned: if the Admin API showed the account
      type: list
      elements: dict
      contains:
        auth_provider:
          description: The name of the provider in the configuration of Synapse.
          returned: always
          type: str
          sample: oidc-keycloak
        external_id:
          description: The ID of the user at this provider.
          returned: always
          type: str
          sample: alice
    rate_limit:
      description: The rate limit of the account. Empty if it has none.
      returned: if the Admin API showed the account and O(rate_limit) is set
      type: dict
      contains:
        messages_per_second:
          description: The number of messages per second. V(0) means no limit.
          returned: if the account has a rate limit
          type: int
          sample: 50
        burst_count:
          description: The number of messages that the user can send at once. V(0) means no limit.
          returned: if the account has a rate limit
          type: int
          sample: 100
method:
  description:
    - How the account was managed, or in check mode would be. V(admin_api), or with O(bootstrap_admin) also
      V(registration) or V(database).
  returned: success, unless O(bootstrap_admin) found that the account is already a server admin
  type: str
  sample: admin_api
verified:
  description:
    - Whether the Admin API shows the account as declared. V(false) in check mode if something would change.
    - If O(bootstrap_admin) found that the account is already a server admin, the module verifies this with the access
      token of the account, or by a login with O(password). Check mode does not log in, so the value is V(false) then.
  returned: success
  type: bool
  sample: true
restart_required:
  description: Whether Synapse must, or may have to, be restarted before it treats the account as a server admin.
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
  sample: ["create the account"]
"""

from ansible_collections.matrix_ops.synapse.plugins.module_utils._access.first_admin import FirstAdmin, Ways
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.account import AccountResource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.accounts import Accounts
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.options import (
    account_argument_spec,
    declared_account,
    declared_accounts,
    management_argument_spec,
    require_configuration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import ArgumentSpec
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import AuthenticationFailed, InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import (
    Parameters,
    connect,
    require_one_access_token,
    run_resource,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Resource


def declare(parameters: Parameters) -> Resource:
    """Return the declared account: managed through the Admin API, unless it is to become the first server admin."""
    declared, bootstrap = declared_account(parameters), parameters["bootstrap_admin"]
    if bootstrap and not (declared.present and declared.admin):
        raise InvalidInput(
            "bootstrap_admin makes the account a server admin: set admin to true and state to present, or set"
            " bootstrap_admin to false."
        )
    client = _connect_to_bootstrap(parameters) if bootstrap else connect(parameters)
    if not bootstrap or (client.has_token and Accounts(client).caller_is_admin()):
        return AccountResource(declared_accounts(client, parameters), parameters["user_id"], declared)
    configuration = require_configuration(parameters["config_path"], "bootstrap_admin")
    ways = Ways(
        secret=parameters["registration_shared_secret"] or configuration.secret("registration_shared_secret"),
        allow_database_write=parameters["allow_database_write"],
        allow_existing_admins=parameters["allow_existing_admins"],
        working_directory=parameters["working_directory"],
    )
    accounts = declared_accounts(client, parameters, configuration)
    return FirstAdmin(accounts, parameters["user_id"], declared, configuration, ways)


def _connect_to_bootstrap(parameters: Parameters) -> Client:
    """Return a client with the access token if it is valid. What is left of an old one must not prevent an admin."""
    without = {**parameters, "access_token": None, "access_token_path": None}
    require_one_access_token(parameters)
    try:
        client = connect(parameters)
    except InvalidInput:
        return connect(without)
    try:
        return client if client.has_token and client.whoami() else connect(without)
    except AuthenticationFailed:
        return connect(without)


def main() -> None:
    """Run the module."""
    own = ArgumentSpec(
        {
            "bootstrap_admin": {"type": "bool", "default": False},
            "registration_shared_secret": {"type": "str", "no_log": True},
            "allow_database_write": {"type": "bool", "default": True},
            "allow_existing_admins": {"type": "bool", "default": False},
        }
    )
    run_resource(management_argument_spec().merge(account_argument_spec()).merge(own), declare)


if __name__ == "__main__":
    main()

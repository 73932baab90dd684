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
  - With O(admin=true) and O(config_path) it makes the first server admin of a server too, where nobody has the access
    token of one. RV(method) says how.
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
      - Only a server admin can make another one. Where none is, or nobody has the access token of one, set
        O(config_path) and run the task on the host of Synapse. An account that does not exist is then registered with
        the server's C(registration_shared_secret). One that exists is made an admin in the database.
      - Whatever else is declared is then compared with the database, and the task fails if it differs, because only a
        server admin can change it. A new account gets its O(displayname) and O(user_type) with the registration.
      - Synapse remembers for a while that an account is no admin. RV(restart_required) says when it has to be
        restarted.
    type: bool
  password:
    description:
      - The password. Without one, an account is created that nobody can log in to with a password.
      - It must fit the server's password policy, to which Synapse itself does not hold an admin.
      - Where the task has no admin's token, the account logs in with it for a moment, on a device that is made for that
        alone, to see whether Synapse treats it as an admin. Check mode never does.
      - When it is set on an existing account is said by O(update_password).
    type: str
  update_password:
    description:
      - V(on_create) sets the password of an account that is created or reactivated, and leaves that of others alone.
      - V(always) sets it every time. The task then always reports a change.
      - V(if_different) compares it with the stored one and sets it only if it is another. It needs O(config_path) and
        runs on the host of Synapse, because only the database knows the stored one.
      - Where the task has no admin's token, it can set none on an account that exists. V(always) then compares too, and
        the task fails if the stored one is another.
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
      - White space around it does not count, because Synapse leaves it out.
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
  registration_shared_secret:
    description:
      - The secret that a first admin is registered with. If not set, it is read from O(config_path), which is needed
        nevertheless.
    type: str
  allow_database:
    description:
      - Whether an account that exists may be made the first admin in the database of Synapse. Nothing else is ever
        written there.
    type: bool
    default: true
  despite_other_admins:
    description:
      - Whether that may be done on a server that has other admins, for example because nobody can reach them any more.
    type: bool
    default: false
  synapse_python:
    description:
      - The Python that Synapse is installed in. It compares passwords where O(update_password) asks for that.
    type: path
    default: /opt/venvs/matrix-synapse/bin/python
  chdir:
    description:
      - The directory that Synapse runs in, which relative paths in its configuration start from.
    type: path
notes:
  - Where the Matrix Authentication Service is in charge of accounts, it makes them, sets their passwords, locks and
    deactivates them, and decides who is an admin. The task then fails and names the command of C(mas-cli) that does it.
seealso:
  - module: matrix_ops.synapse.synapse_admin_users
  - module: matrix_ops.synapse.synapse_admin_user_info
  - module: matrix_ops.synapse.synapse_access_token
requirements:
  - psycopg2 where a PostgreSQL database is read or written
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

- name: Make sure that Alice has this password, and change nothing if she has
  matrix_ops.synapse.synapse_admin_user:
    access_token_path: /root/.synapse-token
    config_path:
      - /etc/matrix-synapse/homeserver.yaml
      - /etc/matrix-synapse/conf.d
    user_id: alice
    password: "{{ alice_password }}"
    update_password: if_different

- name: Make Alice the first server admin
  matrix_ops.synapse.synapse_admin_user:
    config_path:
      - /etc/matrix-synapse/homeserver.yaml
      - /etc/matrix-synapse/conf.d
    user_id: alice
    create: false
    admin: true
  register: first_admin

- name: Restart Synapse, if it does not know that yet
  ansible.builtin.systemd_service:
    name: matrix-synapse.service
    state: restarted
  when: first_admin.restart_required

- name: Give Carol her addresses, and a rate limit of her own
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

- name: Deactivate Bob's account and erase what it shows
  matrix_ops.synapse.synapse_admin_user:
    access_token_path: /root/.synapse-token
    user_id: bob
    state: absent
    erase: true
"""

RETURN = r"""
user:
  description:
    - The account as it is now, or in check mode as it would be. Null if it does not exist.
    - Of a first admin that could not be asked through the Admin API, only C(user_id) and C(admin).
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
    threepids:
      description: Its e-mail addresses and telephone numbers.
      returned: success
      type: list
      elements: dict
    external_ids:
      description: Its identities at providers of single sign-on.
      returned: success
      type: list
      elements: dict
    rate_limit:
      description: Its own rate limit. Null if it has none.
      returned: if O(rate_limit) is set
      type: dict
method:
  description:
    - How the account was managed, or in check mode would be. V(admin_api), or for a first admin V(registration) or
      V(database).
    - Null if that account is an admin already.
  returned: success
  type: str
  sample: admin_api
verified:
  description:
    - Whether the Admin API shows the account as declared. False in check mode if something would change.
    - Of an account that is an admin already, where the task has no admin's token, that is seen with the account's own
      token. With its password alone it is seen by logging in, which check mode does not do, so it is false then.
  returned: success
  type: bool
restart_required:
  description: Whether Synapse has to be restarted before it treats a first admin as one, or might have to.
  returned: success
  type: bool
outcome:
  description:
    - What became of the step at which the task failed, as the server showed when it was looked at again.
    - V(done), V(partly_done), V(not_done), or V(unknown) if that cannot be seen.
  returned: if a step failed
  type: str
steps:
  description:
    - What was done, or in check mode would be done.
    - When a task fails in the middle, what was done until then, and the message says what became of the rest.
  returned: success, or if the task failed after it had begun
  type: list
  elements: str
  sample: ["create the account"]
"""

from ansible_collections.matrix_ops.synapse.plugins.module_utils._access.first_admin import FirstAdmin, Ways
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.account import AccountResource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.options import (
    account_argument_spec,
    declared_account,
    declared_accounts,
    declared_configuration,
    management_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import ArgumentSpec
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import (
    Parameters,
    connect,
    read_access_token,
    run_resource,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Resource


def declare(parameters: Parameters) -> Resource:
    """Return the account that the task declares: through the Admin API, unless it is to become the first admin."""
    configuration = declared_configuration(parameters)
    _require_what_the_secret_needs(parameters)
    accounts = declared_accounts(connect(parameters), parameters, configuration)
    declared = declared_account(parameters)
    wants_admin = declared.present and declared.admin
    if configuration is None or not wants_admin or (read_access_token(parameters) and accounts.caller_is_admin()):
        return AccountResource(accounts, parameters["user_id"], declared)
    ways = Ways(
        secret=parameters["registration_shared_secret"] or configuration.secret("registration_shared_secret"),
        allow_database=parameters["allow_database"],
        despite_other_admins=parameters["despite_other_admins"],
        working_directory=parameters["chdir"],
    )
    return FirstAdmin(accounts, parameters["user_id"], declared, configuration, ways)


def _require_what_the_secret_needs(parameters: Parameters) -> None:
    secret, token = parameters["registration_shared_secret"], read_access_token(parameters)
    if secret and not token and not parameters["config_path"]:
        raise InvalidInput(
            "registration_shared_secret is of no use without config_path, which says what the server is called and"
            " where its database is: set config_path, and run the task on the host of Synapse."
        )


def main() -> None:
    """Run the module."""
    own = ArgumentSpec(
        {
            "registration_shared_secret": {"type": "str", "no_log": True},
            "allow_database": {"type": "bool", "default": True},
            "despite_other_admins": {"type": "bool", "default": False},
        }
    )
    run_resource(management_argument_spec().merge(account_argument_spec()).merge(own), declare)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_admin_user_info
short_description: Get information about the accounts of a Synapse homeserver
version_added: 1.0.0
description:
  - Returns the accounts of a Synapse homeserver, or those that match all filters, with their rights, names and times.
  - The default is all accounts. This includes locked and deactivated accounts and guests, which some lists of Synapse
    leave out by default.
  - Reads the accounts with the Admin API, or in the database if you have no access token of a server admin. The result
    is the same.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._attributes.info_module
  - matrix_ops.synapse._attributes.actiongroup_synapse
  - matrix_ops.synapse._connection
  - matrix_ops.synapse._configuration
attributes:
  platform:
    support: full
    platforms: posix
options:
  user_id:
    description:
      - Return only this account, given as a full user ID (V(@alice:example.org)) or a localpart (V(alice)). Upper and
        lower case matter.
      - If it does not exist, or another filter does not match it, the result is empty. An account of another server is
        an error.
    type: str
  search:
    description:
      - Return only accounts with this text in their localpart or their display name. Upper and lower case do not
        matter.
      - No character has a special meaning, not even V(%) or V(_).
    type: str
  admin:
    description:
      - Return only server admins (V(true)), or only other accounts (V(false)).
    type: bool
  deactivated:
    description:
      - Return only deactivated accounts (V(true)), or only other accounts (V(false)).
    type: bool
  locked:
    description:
      - Return only locked accounts (V(true)), or only other accounts (V(false)).
    type: bool
  guest:
    description:
      - Return only guests (V(true)), or only other accounts (V(false)).
    type: bool
  user_type:
    description:
      - Return only accounts of this type, such as V(bot) or V(support). An empty string matches ordinary accounts.
    type: str
  count_only:
    description:
      - Whether to return only the number of accounts. This is much faster on a big server, unless O(user_id),
        O(search), O(user_type), O(locked=true) or O(guest=true) is set.
    type: bool
    default: false
  source:
    description:
      - V(admin_api) reads the accounts with the Admin API. This needs the access token of a server admin.
      - V(database) reads the accounts in the database that the configuration in O(config_path) names. This needs no
        access token, and Synapse does not have to run. The connection options are not used.
    type: str
    choices:
      - admin_api
      - database
    default: admin_api
  working_directory:
    description:
      - The working directory of Synapse. Relative paths in its configuration start there.
      - It is only needed with O(source=database), if the path of an SQLite database is relative.
    type: path
notes:
  - Synapse's list of accounts does not contain suspensions, application services and e-mail addresses. The module
    M(matrix_ops.synapse.synapse_admin_user) returns them for one account, for example if the task has
    C(check_mode=true) and O(matrix_ops.synapse.synapse_admin_user#module:create=false).
  - If the Matrix Authentication Service manages the accounts, Synapse does not list guests. O(source=admin_api) then
    leaves out old guests, and O(guest=true) is an error. The service also decides which accounts are server admins, so
    RV(users[].admin) is not reliable on such a server.
  - With O(source=database), run the task as the user of Synapse, with C(become_user), or as root. If PostgreSQL accepts
    only the user of Synapse without a password (peer authentication), root cannot connect.
seealso:
  - module: matrix_ops.synapse.synapse_admin_user
  - module: matrix_ops.synapse.synapse_admin_users
requirements:
  - psycopg2 on the host where the module runs, if a PostgreSQL database is read
"""

EXAMPLES = r"""
- name: List all accounts
  matrix_ops.synapse.synapse_admin_user_info:
    access_token_path: /root/.synapse-token
  register: accounts

- name: Show the active accounts that were not seen for half a year
  ansible.builtin.debug:
    msg: "{{ item.user_id }} was last seen {{ item.last_seen | default('never') }}"
  loop: "{{ accounts.users | rejectattr('deactivated') }}"
  loop_control:
    label: "{{ item.user_id }}"
  when: item.last_seen_ts | default(0) / 1000 < now().timestamp() - 180 * 86400

- name: Find the server admins without an access token
  matrix_ops.synapse.synapse_admin_user_info:
    source: database
    admin: true
    deactivated: false
  become: true
  become_user: matrix-synapse

- name: Find all accounts with the name Smith
  matrix_ops.synapse.synapse_admin_user_info:
    access_token_path: /root/.synapse-token
    search: smith

- name: Count the accounts that can log in
  matrix_ops.synapse.synapse_admin_user_info:
    access_token_path: /root/.synapse-token
    deactivated: false
    locked: false
    guest: false
    count_only: true

- name: Look for one account
  matrix_ops.synapse.synapse_admin_user_info:
    access_token_path: /root/.synapse-token
    user_id: alice
  register: alice

- name: Fail if it does not exist
  ansible.builtin.assert:
    that: alice.summary.total == 1
"""

RETURN = r"""
users:
  description:
    - The accounts, sorted by C(user_id) byte by byte. Empty with O(count_only=true).
  returned: success
  type: list
  elements: dict
  contains:
    user_id:
      description: The full user ID.
      returned: always
      type: str
      sample: "@alice:example.org"
    admin:
      description: Whether the account is a server admin.
      returned: always
      type: bool
      sample: false
    display_name:
      description: The display name. Empty if it is not set.
      returned: always
      type: str
      sample: Alice
    avatar_url:
      description: The C(mxc://) URI of the avatar. Empty if it is not set.
      returned: always
      type: str
      sample: mxc://example.org/SEQsPGAtrkzPdGQD
    user_type:
      description: The type of the account, such as V(bot). Empty for an ordinary account.
      returned: always
      type: str
      sample: bot
    guest:
      description: Whether the account is a guest.
      returned: always
      type: bool
      sample: false
    locked:
      description: Whether the account is locked.
      returned: always
      type: bool
      sample: false
    shadow_banned:
      description: Whether the account is shadow-banned.
      returned: always
      type: bool
      sample: false
    deactivated:
      description: Whether the account is deactivated.
      returned: always
      type: bool
      sample: false
    erased:
      description: Whether the account is erased.
      returned: always
      type: bool
      sample: false
    created:
      description: The time when the account was created (ISO 8601, UTC).
      returned: if Synapse knows it
      type: str
      sample: "2026-01-31T12:00:00Z"
    created_ts:
      description: The same time in milliseconds since 1970. Synapse stores it in seconds.
      returned: if Synapse knows it
      type: int
      sample: 1769860800000
    last_seen:
      description:
        - The time when a device of the account was last seen (ISO 8601, UTC), in full seconds.
        - Synapse updates it at most every two minutes, with a delay of some seconds.
      returned: if Synapse knows that the account was seen
      type: str
      sample: "2026-01-31T12:00:00Z"
    last_seen_ts:
      description: The same time in milliseconds since 1970.
      returned: if Synapse knows that the account was seen
      type: int
      sample: 1769860800123
summary:
  description: The number of accounts.
  returned: success
  type: dict
  contains:
    total:
      description: The number of accounts that match all filters, also with O(count_only=true).
      returned: always
      type: int
      sample: 1
source:
  description: Where the accounts were read, V(admin_api) or V(database).
  returned: success
  type: str
  sample: admin_api
request:
  description: The request that failed, without its content.
  returned: if a request failed
  type: dict
  contains:
    method:
      description: The HTTP method.
      returned: always
      type: str
      sample: GET
    url:
      description: The URL, without a query.
      returned: always
      type: str
      sample: http://127.0.0.1:8008/_synapse/admin/v3/users
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
"""

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.query import (
    AccountFilter,
    find_by_api,
    find_in_database,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    configuration_argument_spec,
    connection_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import read_configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database, find_database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, connect, run_info


def read(parameters: Parameters) -> dict[str, t.Any]:
    """Return the accounts that match the filters."""
    names = ("user_id", "search", "admin", "deactivated", "locked", "guest", "user_type")
    wanted = AccountFilter(**{name: parameters[name] for name in names})
    count_only = parameters["count_only"]
    if parameters["source"] == "admin_api":
        found = find_by_api(connect(parameters), wanted, count_only=count_only)
    else:
        configuration = read_configuration(parameters["config_path"])
        with Database(find_database(configuration, parameters["working_directory"])) as database:
            found = find_in_database(database, configuration.server_name, wanted, count_only=count_only)
    return {"users": found.users, "summary": {"total": found.total}, "source": parameters["source"]}


def main() -> None:
    """Run the module."""
    own = ArgumentSpec(
        {
            "user_id": {"type": "str"},
            "search": {"type": "str"},
            "admin": {"type": "bool"},
            "deactivated": {"type": "bool"},
            "locked": {"type": "bool"},
            "guest": {"type": "bool"},
            "user_type": {"type": "str"},
            "count_only": {"type": "bool", "default": False},
            "source": {"type": "str", "choices": ["admin_api", "database"], "default": "admin_api"},
            "working_directory": {"type": "path"},
        }
    )
    run_info(connection_argument_spec().merge(configuration_argument_spec()).merge(own), read)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_admin_user_info
short_description: See which accounts a Synapse homeserver has
version_added: 1.0.0
description:
  - Returns the accounts of a Synapse homeserver, or those that filters leave, with their rights, names and times.
  - By default these are all accounts. Locked and deactivated ones and guests are among them, unlike in the lists that
    Synapse shows by default.
  - Reads them through the Admin API, or in the database where nobody has the access token of a server admin. The
    result is the same.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._attributes.info_module
  - matrix_ops.synapse._attributes.actiongroup_synapse
  - matrix_ops.synapse._connection
  - matrix_ops.synapse._configuration.optional
attributes:
  platform:
    support: full
    platforms: posix
options:
  user_id:
    description:
      - Return this account only, given in full (V(@alice:example.org)) or as its localpart alone (V(alice)), with upper
        and lower case as it was registered.
      - If it does not exist, or another filter does not fit it, the result is empty. An account of another server is an
        error.
    type: str
  name:
    description:
      - Return only accounts with this text in their localpart or their display name, in upper or lower case.
      - All characters mean themselves, V(%) and V(_) too.
    type: str
  admin:
    description:
      - Return only server admins (V(true)), or only others (V(false)).
    type: bool
  deactivated:
    description:
      - Return only accounts that are deactivated (V(true)), or only others (V(false)).
    type: bool
  locked:
    description:
      - Return only accounts that are locked (V(true)), or only others (V(false)).
    type: bool
  guest:
    description:
      - Return only guests (V(true)), or only others (V(false)).
    type: bool
  user_type:
    description:
      - Return only accounts of this type, such as V(bot) or V(support). An empty one means ordinary accounts.
    type: str
  count_only:
    description:
      - Whether only their number is returned. That is much faster on a big server, unless O(user_id), O(name),
        O(user_type), O(locked=true) or O(guest=true) has to be looked for.
    type: bool
    default: false
  method:
    description:
      - V(api) asks the Admin API, with the access token of a server admin.
      - V(database) reads the database that O(config_path) names, which is required then. It needs no token, and Synapse
        need not run. The connection options are not used.
    type: str
    choices:
      - api
      - database
    default: api
  chdir:
    description:
      - The directory that Synapse runs in. It is needed only with O(method=database), if the path of an SQLite database
        is relative.
    type: path
notes:
  - Synapse's list of accounts does not tell who is suspended, which application service an account belongs to, nor its
    addresses. M(matrix_ops.synapse.synapse_admin_user) returns all that of one account, when it runs with
    C(check_mode=true) and O(matrix_ops.synapse.synapse_admin_user#module:create=false).
  - Where the Matrix Authentication Service is in charge of accounts, Synapse does not list guests. With O(method=api)
    old ones are left out then, and O(guest=true) is an error. That service also decides who is an admin, so that
    RV(users[].admin) tells nothing there.
  - With O(method=database) run the task as the user of Synapse, with C(become_user), or as root. Where PostgreSQL lets
    in the user of Synapse without a password, root does not get in.
seealso:
  - module: matrix_ops.synapse.synapse_admin_user
  - module: matrix_ops.synapse.synapse_admin_users
requirements:
  - psycopg2 on the host where the module runs, if a PostgreSQL database is read
"""

EXAMPLES = r"""
- name: Look who is registered
  matrix_ops.synapse.synapse_admin_user_info:
    access_token_path: /root/.synapse-token
  register: registered

- name: Show who has not been seen for half a year
  ansible.builtin.debug:
    msg: "{{ item.user_id }} was last seen {{ item.last_seen | default('never', true) }}"
  loop: "{{ registered.users | rejectattr('deactivated') }}"
  loop_control:
    label: "{{ item.user_id }}"
  when: (item.last_seen_ts or 0) / 1000 < now().timestamp() - 180 * 86400

- name: Find the server admins without the access token of one
  matrix_ops.synapse.synapse_admin_user_info:
    method: database
    config_path:
      - /etc/matrix-synapse/homeserver.yaml
      - /etc/matrix-synapse/conf.d
    admin: true
    deactivated: false
  become: true
  become_user: matrix-synapse

- name: Find everybody who is called Smith
  matrix_ops.synapse.synapse_admin_user_info:
    access_token_path: /root/.synapse-token
    name: smith

- name: Count the people who can log in
  matrix_ops.synapse.synapse_admin_user_info:
    access_token_path: /root/.synapse-token
    deactivated: false
    locked: false
    guest: false
    count_only: true

- name: See whether Alice is registered
  matrix_ops.synapse.synapse_admin_user_info:
    access_token_path: /root/.synapse-token
    user_id: alice
  register: alice

- name: Stop if she is not
  ansible.builtin.assert:
    that: alice.count == 1
"""

RETURN = r"""
users:
  description:
    - The accounts, ordered by C(user_id) byte by byte. Empty with O(count_only=true).
  returned: success
  type: list
  elements: dict
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
      sample: Alice
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
    locked:
      description: Whether it is locked.
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
    creation_ts:
      description: When it was registered, in milliseconds since 1970. Synapse itself knows it to the second.
      returned: success
      type: int
      sample: 1769860800000
    created:
      description: The same in UTC.
      returned: success
      type: str
      sample: "2026-01-31T12:00:00Z"
    last_seen_ts:
      description:
        - When one of its devices was last seen, in milliseconds since 1970. Null if Synapse knows of none.
        - Synapse notes this every two minutes at most, and some seconds late.
      returned: success
      type: int
      sample: 1769860800123
    last_seen:
      description: The same in UTC, in full seconds.
      returned: success
      type: str
      sample: "2026-01-31T12:00:00Z"
count:
  description: How many accounts there are.
  returned: success
  type: int
  sample: 1
method:
  description: How they were read, V(api) or V(database).
  returned: success
  type: str
  sample: api
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
    """Return the accounts that the filters leave."""
    names = ("user_id", "name", "admin", "deactivated", "locked", "guest", "user_type")
    wanted = AccountFilter(**{name: parameters[name] for name in names})
    count_only = parameters["count_only"]
    if parameters["method"] == "api":
        found = find_by_api(connect(parameters), wanted, count_only=count_only)
    else:
        configuration = read_configuration(parameters["config_path"])
        with Database(find_database(configuration, parameters["chdir"])) as database:
            found = find_in_database(database, configuration.server_name, wanted, count_only=count_only)
    return {"users": found.users, "count": found.count, "method": parameters["method"]}


def main() -> None:
    """Run the module."""
    own = ArgumentSpec(
        {
            "user_id": {"type": "str"},
            "name": {"type": "str"},
            "admin": {"type": "bool"},
            "deactivated": {"type": "bool"},
            "locked": {"type": "bool"},
            "guest": {"type": "bool"},
            "user_type": {"type": "str"},
            "count_only": {"type": "bool", "default": False},
            "method": {"type": "str", "choices": ["api", "database"], "default": "api"},
            "chdir": {"type": "path"},
        },
        required_if=[("method", "database", ["config_path"])],
    )
    run_info(connection_argument_spec().merge(configuration_argument_spec()).merge(own), read)


if __name__ == "__main__":
    main()

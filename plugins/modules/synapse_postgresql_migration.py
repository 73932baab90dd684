#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_postgresql_migration
short_description: Move a Synapse homeserver from SQLite to PostgreSQL
version_added: 1.0.0
description:
  - Moves all data of a server from SQLite to PostgreSQL with Synapse's own program C(synapse_port_db), and switches
    Synapse to it. Most rows are copied while Synapse runs, from a snapshot. Synapse is stopped only for the rest.
  - Copies rows that were changed, removed or replaced while the snapshot was copied as well, which C(synapse_port_db)
    alone does not do in tables such as C(users) and C(events). It also keeps booleans that have no value in old rows,
    which that program makes false, so that old push notifications would be disabled, and old accounts not approved.
  - Before Synapse uses PostgreSQL, the rows of all tables are counted in both databases, and the sequences are checked.
    After the start, a sample of accounts, old messages, device keys, media and memberships is compared through the API
    with what it was before, and an account is logged in.
  - If anything fails after Synapse was stopped, it is started again with SQLite as before. If the module is killed, the
    next run continues, or copies everything again. Synapse never uses a database that is not complete.
  - Two copies of the SQLite database are made next to it, or in O(work_directory). If the disk is too small for them,
    the task fails before it changes anything. The same applies to the disk of PostgreSQL, if it runs on this host and
    its data directory can be found.
  - It also fails before it changes anything if Synapse runs, but was started with other paths than O(config_path), uses
    another database than the configuration names now, or does not answer at O(base_url) or O(unix_socket).
  - The SQLite database stays where it is, unchanged. As long as nothing was written into PostgreSQL, O(state=back)
    returns to it.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._attributes.actiongroups
  - matrix_ops.synapse._connection
  - matrix_ops.synapse._configuration
  - matrix_ops.synapse._service_control
  - matrix_ops.synapse._progress
attributes:
  check_mode:
    support: full
    details:
      - Checks everything that can be checked without copying, also in PostgreSQL, and lets Synapse's own parser judge
        the future configuration.
  diff_mode:
    support: full
    details:
      - Shows which database Synapse uses.
  idempotent:
    support: full
  platform:
    support: full
    platforms: posix
options:
  login_host:
    description:
      - The host of PostgreSQL, or the directory of its socket. Synapse connects with the same value.
    type: str
    default: localhost
  login_port:
    description:
      - The port of PostgreSQL.
    type: int
    default: 5432
  login_db:
    description:
      - The database, which must be empty. It must have the encoding C(UTF8), and the collation and character type C(C),
        and belong to O(login_user). C(createdb --encoding=UTF8 --locale=C --template=template0 --owner=synapse synapse)
        creates such a database.
    type: str
    default: synapse
  login_user:
    description:
      - The user that Synapse connects as.
    type: str
    default: synapse
  login_password:
    description:
      - The password of O(login_user). Without it, PostgreSQL must accept the user of Synapse without a password.
    type: str
    default: ""
  cp_min:
    description:
      - The minimum number of connections that each process of Synapse keeps open.
    type: int
    default: 5
  cp_max:
    description:
      - The maximum number of connections of each process of Synapse. C(max_connections) of PostgreSQL must be enough
        for the main process and all workers. The same applies to C(CONNECTION LIMIT) of the user or the database.
    type: int
    default: 10
  dropin_path:
    description:
      - The file that switches Synapse to the new database. It is also the file in which the role
        P(matrix_ops.synapse.synapse_homeserver#role) writes the database.
      - The default is C(60-matrix_ops-database.yaml) in the first directory of O(config_path).
    type: path
  work_directory:
    description:
      - The directory for two copies of the SQLite database during the move, which only the user of Synapse can enter.
        The directory around it must exist.
      - The default is C(.matrix_ops-migration) in the directory of the SQLite database.
    type: path
  batch_size:
    description:
      - How many rows are copied at a time, at least V(1).
    type: int
    default: 1000
  sample_size:
    description:
      - About how many objects are compared through the API before and after the move.
    type: int
    default: 50
  state:
    description:
      - With V(migrated), Synapse uses PostgreSQL, with all data of the SQLite database that it used before.
      - With V(back), Synapse uses the SQLite database again. The task fails if anything was written into PostgreSQL
        since the move, or if the SQLite database was changed.
    type: str
    choices:
      - migrated
      - back
    default: migrated
notes:
  - All paths on the host must be absolute, and without C(..).
  - Run the task as root, or with O(manager=daemon) as the user who runs Synapse. As root, the module makes the copies
    and connects to PostgreSQL as the owner of the SQLite database, so that peer authentication works.
  - The connection options are needed for the comparison after the start. Without an access token, the module only
    compares what it can see without one, and returns the rest in RV(migration.unknown).
  - Synapse fills its user directory again after the move, in background updates. Until these are finished, a search may
    find fewer users.
  - The state of the move is kept in C(.matrix_ops-migration.json) in the directory of the first file of
    O(config_path). Without it, an interrupted move cannot be continued, and O(state=back) is not possible.
  - Only tables of Synapse are copied. If the SQLite database has others with rows, such as those of a module of
    Synapse, the task warns of them, also in check mode.
  - Environment variables of PostgreSQL's client library in the environment of the task, such as C(PGOPTIONS), are
    ignored, because Synapse would not have them later.
  - If the configuration sets C(databases), it cannot be moved, because C(synapse_port_db) supports only one database.
seealso:
  - module: matrix_ops.synapse.synapse_database_info
requirements:
  - psycopg2 on the host where the module runs, also for the Python of Synapse
"""

EXAMPLES = r"""
- name: Move the server to PostgreSQL
  matrix_ops.synapse.synapse_postgresql_migration:
    login_password: "{{ synapse_postgresql_password }}"
    access_token_path: /root/.synapse-token
  become: true

- name: Move a server that runs in a virtual environment, to a PostgreSQL on another host
  matrix_ops.synapse.synapse_postgresql_migration:
    login_host: postgresql.example.org
    login_password: "{{ synapse_postgresql_password }}"
    config_path:
      - /etc/synapse/homeserver.yaml
      - /etc/synapse/conf.d
    synapse_python: /srv/synapse/venv/bin/python
    unit: synapse.service
    access_token_path: /root/.synapse-token
  become: true

- name: Go back to SQLite, as long as nothing was written into PostgreSQL
  matrix_ops.synapse.synapse_postgresql_migration:
    state: back
    login_password: "{{ synapse_postgresql_password }}"
  become: true
"""

RETURN = r"""
migration:
  description: The move.
  returned: success
  type: dict
  contains:
    state:
      description: V(migrated) or V(back), as requested.
      returned: always
      type: str
      sample: migrated
    source:
      description: The path of the SQLite database. Empty if Synapse already used PostgreSQL before this module was run.
      returned: always
      type: str
      sample: /var/lib/matrix-synapse/homeserver.db
    database:
      description: The database that Synapse uses, or in check mode would use.
      returned: always
      type: str
      sample: the PostgreSQL database synapse at localhost:5432
    dropin_path:
      description: The file that switches Synapse to the new database.
      returned: always
      type: str
      sample: /etc/matrix-synapse/conf.d/60-matrix_ops-database.yaml
    rows:
      description: How many rows PostgreSQL had after the move.
      returned: after a move
      type: int
      sample: 3200000
    tables:
      description: How many tables PostgreSQL had after the move.
      returned: after a move
      type: int
      sample: 170
    downtime:
      description: How many seconds Synapse was stopped, until it answered again.
      returned: after a move that was not interrupted
      type: float
      sample: 41.5
    proven:
      description: How many objects of each kind were the same through the API as before.
      returned: after a move
      type: dict
      sample:
        accounts: 10
        events: 14
        login: 1
    unknown:
      description: What could not be compared.
      returned: after a move
      type: list
      elements: dict
      contains:
        name:
          description: The kind of objects.
          returned: always
          type: str
          sample: login
        reason:
          description: The reason.
          returned: always
          type: str
          sample: No account was logged in, because there is no access token.
        fix:
          description: How to change that.
          returned: always
          type: str
          sample: Set access_token or access_token_path to the token of a server admin.
    not_copied:
      description:
        - Tables with rows that Synapse's program does not copy, with the number of their rows. Synapse fills the user
          directory again, and does not need the others. But a module of Synapse may need tables that it has made
          itself. The task warns of those.
      returned: after a move
      type: dict
      sample:
        user_directory: 211
    unstorable:
      description:
        - Tables with rows that were left out, with their number, because PostgreSQL cannot store the NUL character.
      returned: after a move
      type: dict
      sample: {}
exit_status:
  description: The exit status of Synapse's program, or the negative number of the signal that ended it.
  returned: if Synapse's program failed
  type: int
  sample: 5
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
      sample: http://127.0.0.1:8008/_matrix/client/v3/account/whoami
status:
  description: The HTTP status of the answer.
  returned: if Synapse refused a request
  type: int
  sample: 401
errcode:
  description: The error code of the Matrix specification. Empty if the answer had none.
  returned: if Synapse refused a request
  type: str
  sample: M_UNKNOWN_TOKEN
error:
  description: The explanation of Synapse.
  returned: if Synapse refused a request
  type: str
  sample: Invalid access token passed.
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
  sample:
    - "move the SQLite database /var/lib/matrix-synapse/homeserver.db to the PostgreSQL database synapse at
      localhost:5432: copy it while Synapse runs, stop matrix-synapse.service, copy the rest, write
      /etc/matrix-synapse/conf.d/60-matrix_ops-database.yaml, and start it"
"""

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    configuration_argument_spec,
    connection_argument_spec,
    progress_argument_spec,
    service_control_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.declared import DeclaredMigration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.resource import MigrationResource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import (
    Parameters,
    connect,
    read_access_token,
    run_resource,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.control import find_service

OPTIONS: dict[str, dict[str, t.Any]] = {
    "login_host": {"type": "str", "default": "localhost"},
    "login_port": {"type": "int", "default": 5432},
    "login_db": {"type": "str", "default": "synapse"},
    "login_user": {"type": "str", "default": "synapse"},
    "login_password": {"type": "str", "default": "", "no_log": True},
    "cp_min": {"type": "int", "default": 5},
    "cp_max": {"type": "int", "default": 10},
    "dropin_path": {"type": "path"},
    "work_directory": {"type": "path"},
    "batch_size": {"type": "int", "default": 1000},
    "sample_size": {"type": "int", "default": 50},
    "state": {"type": "str", "choices": ["migrated", "back"], "default": "migrated"},
}

HOST = configuration_argument_spec().merge(service_control_argument_spec()).merge(ArgumentSpec(OPTIONS))


def declare(parameters: Parameters) -> MigrationResource:
    """Return the move that the task declares. Raises InvalidInput for values that cannot be meant."""
    parameters = HOST.with_plain_paths(parameters)
    names = (*(name for name in OPTIONS if name != "state"), "synapse_python", "working_directory")
    declared = DeclaredMigration(
        config_path=tuple(parameters["config_path"]), **{name: parameters[name] for name in names}
    )
    # Without an access token, there is nothing that only an admin can see.
    client = connect(parameters) if read_access_token(parameters) else None
    return MigrationResource(declared, find_service(parameters), client, present=parameters["state"] == "migrated")


def main() -> None:
    """Run the module."""
    run_resource(HOST.merge(connection_argument_spec()).merge(progress_argument_spec()), declare)


if __name__ == "__main__":
    main()

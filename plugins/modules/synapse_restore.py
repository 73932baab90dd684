#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_restore
short_description: Restore a Synapse from a backup onto an empty host
version_added: 1.0.0
description:
  - Puts the database, the configuration with its secrets and the signing key, the units and the media of a backup by
    M(matrix_ops.synapse.synapse_backup) onto this host, starts the server, and proves that it is the same server.
  - The whole archive is read and proven before anything changes. A damaged or incomplete archive, one of another
    format, and one that does not fit to the options are refused.
  - A server is never replaced. If there is a database with tables, a media file, another signing key, another file at
    the path of a file in the archive, or a further configuration file in a directory of O(config_path), the task fails
    and changes nothing.
  - An interrupted restore continues with the next run, and Synapse cannot start before everything is in place and
    proven. The configuration is written last.
  - When the restore is finished, another run changes nothing, whatever the server has done since then.
  - The one-time keys of devices (C(e2e_one_time_keys_json)) are not restored, because some were used after the backup.
    Clients upload new ones by themselves.
  - The playbook C(matrix_ops.synapse.restore) installs the version of Synapse in the archive and PostgreSQL first.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._attributes.actiongroups
  - matrix_ops.synapse._backup_archive
  - matrix_ops.synapse._connection
  - matrix_ops.synapse._configuration
  - matrix_ops.synapse._service_control
  - matrix_ops.synapse._progress
attributes:
  check_mode:
    support: full
    details:
      - Reads and proves the whole archive too.
  diff_mode:
    support: full
    details:
      - Shows the names of files and the database, never their content.
  idempotent:
    support: full
  platform:
    support: full
    platforms: posix
options:
  allowed_paths:
    description:
      - Files and directories to which the archive may write, in addition to the directories of O(config_path), to
        O(working_directory), and with O(manager=systemd) to the files and drop-ins of O(unit) and O(worker_unit) in
        C(/etc/systemd/system).
      - An archive that contains any other path is refused, so that it cannot replace files of the system.
      - In a directory of the system, such as C(/etc/default), only a file that is named here itself is written.
      - List everything again that the backup got with its C(extra_paths).
    type: list
    elements: path
    default:
      - /var/lib/matrix-synapse
      - /etc/default/matrix-synapse
  allow_other_version:
    description:
      - Whether to use an installed Synapse of another version than in the backup, if it can use its database. It then
        changes the database to its own schema when it starts.
    type: bool
    default: false
  allow_missing_installation:
    description:
      - In check mode, do not fail because Synapse, its user or the connection to its database is missing on this host.
        It is meant for a playbook that would install them before. What cannot be checked then is in RV(unknown).
      - It has no effect if Synapse is installed. A run without check mode fails before it changes anything.
    type: bool
    default: false
  login_host:
    description:
      - The host of PostgreSQL, or the directory of its socket. Synapse then connects to its database with the options
        C(login_*), instead of the connection in the archive.
      - The module writes C(60-matrix_ops-database.yaml) in the first directory of O(config_path) for this, as the role
        C(matrix_ops.synapse.synapse_homeserver) does.
      - If it is not set, the connection in the archive is used, with its password, and the other options of this kind
        are ignored.
    type: str
  login_port:
    description:
      - The port of PostgreSQL.
    type: int
    default: 5432
  login_db:
    description:
      - The name of the database.
    type: str
    default: synapse
  login_user:
    description:
      - The user of PostgreSQL that owns the database.
    type: str
    default: synapse
  login_password:
    description:
      - The password of O(login_user). Without it, PostgreSQL must accept the user of Synapse without a password.
    type: str
    default: ""
  cp_min:
    description:
      - The minimum number of connections of each process of Synapse, with O(login_host).
    type: int
    default: 5
  cp_max:
    description:
      - The maximum number of connections of each process of Synapse, with O(login_host).
    type: int
    default: 10
requirements:
  - Synapse on the host where the module runs
  - psycopg2 on the host where the module runs, and PostgreSQL's C(pg_restore), if the database is PostgreSQL
notes:
  - Run the task on the host of Synapse. With O(manager=systemd), it must be root.
  - All paths must be absolute, and without C(..).
  - The users and groups of the files must exist on the host. Their numbers may differ from those of the old server.
  - Directories get the owner, group and mode that they had, but no write permission for other users.
  - With O(manager=daemon), the task must run as the user that Synapse ran as on the old server.
  - A PostgreSQL database must exist, be empty and belong to the user of Synapse. It is filled in one transaction. What
    extensions have created in it does not count.
  - Files that the archive has in common with the host stay as they are.
  - The sample of the backup is compared with the running server by its API. This requires the access token of a server
    admin, for example in a file that is itself in the archive (O(access_token_path)).
  - The file C(.matrix_ops-restore.json) next to the first file of the configuration contains which archive was
    restored.
seealso:
  - module: matrix_ops.synapse.synapse_backup
  - module: matrix_ops.synapse.synapse_backup_info
"""

EXAMPLES = r"""
- name: Restore a server onto an empty host on which the same version of Synapse is installed
  matrix_ops.synapse.synapse_restore:
    src: /root/synapse-example.org-20260131T120000Z.tar
    access_token_path: /root/.synapse-token
    allowed_paths:
      - /var/lib/matrix-synapse
      - /etc/default/matrix-synapse
      - /root/.synapse-token
  become: true

- name: Restore an encrypted backup
  matrix_ops.synapse.synapse_restore:
    src: /root/synapse-example.org-20260131T120000Z.tar.age
    age_identity_path: /root/backup.key
  become: true

- name: Restore a server that does not run with systemd
  matrix_ops.synapse.synapse_restore:
    src: /srv/backups/synapse-example.org-20260131T120000Z.tar
    manager: daemon
    config_path:
      - /srv/synapse/homeserver.yaml
    synapse_python: /srv/synapse/venv/bin/python
    working_directory: /srv/synapse
"""

RETURN = r"""
restore:
  description: What is restored.
  returned: success
  type: dict
  contains:
    src:
      description: The path of the archive.
      returned: always
      type: str
      sample: /root/synapse-example.org-20260131T120000Z.tar
    server_name:
      description: The name of the server.
      returned: always
      type: str
      sample: example.org
    created:
      description: The time when the backup was made (ISO 8601, UTC).
      returned: always
      type: str
      sample: "2026-01-31T12:00:00Z"
    created_ts:
      description: The same time in milliseconds since 1970.
      returned: always
      type: int
      sample: 1769860800000
    synapse_version:
      description: The version of Synapse in the backup.
      returned: always
      type: str
      sample: 1.163.2
    engine:
      description: V(sqlite) or V(postgresql).
      returned: always
      type: str
      sample: postgresql
    database:
      description: The database, in words.
      returned: always
      type: str
      sample: the PostgreSQL database synapse at localhost
    files:
      description: The paths of the files, without media and the database.
      returned: always
      type: list
      elements: str
      sample:
        - /etc/matrix-synapse/homeserver.yaml
    media_directories:
      description: The directories of the media. Empty if the backup contains no media.
      returned: always
      type: list
      elements: str
      sample:
        - /var/lib/matrix-synapse/media_store
    summary:
      description: The numbers of what the backup contains.
      returned: always
      type: dict
      contains:
        tables:
          description: The number of tables.
          returned: always
          type: int
          sample: 170
        rows:
          description: The number of rows in all tables.
          returned: always
          type: int
          sample: 211004
        files:
          description: The number of files, without media and the database.
          returned: always
          type: int
          sample: 11
        media_files:
          description: The number of media files.
          returned: always
          type: int
          sample: 1250
    proven:
      description:
        - What this run has proven. C(tables) and C(rows) were counted in the restored database, C(media_files) were
          read again from the disk, evenly chosen if there are many, and the others are objects of the sample that the
          running server returned unchanged.
      returned: if this run has proven something
      type: dict
      sample:
        tables: 170
        rows: 211004
        media_files: 1250
        accounts: 10
unknown:
  description: What could not be proven.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: What it is.
      returned: always
      type: str
      sample: accounts
    reason:
      description: Why it could not be proven.
      returned: always
      type: str
      sample: There is no access token.
    fix:
      description: What to do about it.
      returned: always
      type: str
      sample: Set access_token_path to a file with the access token of a server admin.
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
    - start matrix-synapse.service
"""

import dataclasses
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    configuration_argument_spec,
    connection_argument_spec,
    progress_argument_spec,
    service_control_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.options import (
    archive_argument_spec,
    identity_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import (
    Parameters,
    connect,
    read_access_token,
    require_one_access_token,
    run_resource,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.connection import Connection
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.declared import DeclaredRestore
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.restore import RestoreResource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.control import find_service

OPTIONS: dict[str, dict[str, t.Any]] = {
    "allowed_paths": {
        "type": "list",
        "elements": "path",
        "default": ["/var/lib/matrix-synapse", "/etc/default/matrix-synapse"],
    },
    "allow_other_version": {"type": "bool", "default": False},
    "allow_missing_installation": {"type": "bool", "default": False},
    "login_host": {"type": "str"},
    "login_port": {"type": "int", "default": 5432},
    "login_db": {"type": "str", "default": "synapse"},
    "login_user": {"type": "str", "default": "synapse"},
    "login_password": {"type": "str", "default": "", "no_log": True},
    "cp_min": {"type": "int", "default": 5},
    "cp_max": {"type": "int", "default": 10},
}

HOST = (
    archive_argument_spec()
    .merge(configuration_argument_spec())
    .merge(service_control_argument_spec())
    .merge(ArgumentSpec(OPTIONS))
)


def declare(parameters: Parameters) -> RestoreResource:
    """Return the restore that the options of the module declare. Raises InvalidInput for what cannot be meant."""
    parameters = HOST.with_plain_paths(parameters)
    require_one_access_token(parameters)
    names = [field.name for field in dataclasses.fields(Connection)]
    connection = Connection(**{name: parameters[name] for name in names}) if parameters["login_host"] else None
    if connection is not None:
        connection.check()
    declared = DeclaredRestore(
        src=parameters["src"],
        config_path=parameters["config_path"],
        synapse_python=parameters["synapse_python"],
        manager=parameters["manager"],
        unit=parameters["unit"],
        worker_unit=parameters["worker_unit"],
        working_directory=parameters["working_directory"],
        allowed_paths=parameters["allowed_paths"],
        allow_other_version=parameters["allow_other_version"],
        allow_missing_installation=parameters["allow_missing_installation"],
        identity=identity_of(parameters),
        connection=connection,
    )

    def connected() -> Client | None:
        return connect(parameters) if read_access_token(parameters) else None

    return RestoreResource(declared, find_service(parameters), connected)


def main() -> None:
    """Run the module."""
    run_resource(HOST.merge(connection_argument_spec()).merge(progress_argument_spec()), declare)


if __name__ == "__main__":
    main()

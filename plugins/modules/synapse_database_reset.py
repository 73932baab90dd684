#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_database_reset
short_description: Drop the database of a Synapse homeserver and start with an empty one
version_added: 1.0.0
description:
  - Drops the database of a Synapse homeserver, in the only two cases in which the Synapse Admin FAQ advises it. In all
    other cases the task fails, with the reason and with what helps instead.
  - The first case is a server that has never federated. The module looks for all evidence that
    M(matrix_ops.synapse.synapse_federation_info) knows, and refuses if there is any. No evidence is not a proof,
    because Synapse deletes old data.
  - The second case is a server whose C(server_name) changes. That is so if the accounts in the database have another
    server name than the configuration. Synapse does not start with such a database.
  - Stops Synapse with its workers, makes a backup, drops the database, starts Synapse, and checks that it answers and
    that its new database is empty. The backup is an archive of M(matrix_ops.synapse.synapse_backup), with the database,
    the configuration and the keys. The media files are only in it with O(purge_media=true), because otherwise they
    stay where they are.
  - Of a PostgreSQL database, drops what the installed Synapse creates, in one transaction. The database itself stays.
    The task fails if there is anything else in it, except extensions. An SQLite database is moved aside, and removed
    when the new one is proven.
  - What was checked is checked again when Synapse is stopped. The task also fails, and nothing is dropped, if the
    database was used while the backup was made, or if another program is connected to the PostgreSQL database with the
    user of Synapse, such as the Synapse of another host.
  - The task fails before anything is stopped if Synapse would not start again, because its parser refuses the
    configuration, or because it may not create tables in the PostgreSQL database. It also fails if Synapse runs, but
    was started with other paths than O(config_path), uses another database than the configuration names now, or does
    not answer at O(base_url) or O(unix_socket).
  - If something fails, the old database stays and Synapse runs on it again, or the new one stays. The message
    contains which of the two, and where the backup is. If the task is killed, the next one continues.
  - The way back is M(matrix_ops.synapse.synapse_restore), which only fills an empty host. On the same host, first stop
    Synapse. Then move the SQLite database away with the files next to it that end in C(-wal) and C(-shm), or drop the
    PostgreSQL database and create an empty one. If the media were removed, move the new media store away too. Also move
    files away that have changed since the reset, such as the file of a new access token or a new signing key. The
    restore names all that is in its way.
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
  diff_mode:
    support: full
  idempotent:
    support: full
    details:
      - A database without accounts and rooms is not dropped. Accounts of application services do not count, because
        these may register them as soon as Synapse starts.
  platform:
    support: full
    platforms: posix
options:
  confirm:
    description:
      - The server name, exactly as in the configuration, with its port if it has one. If the server name changes, this
        is the new one.
      - The task fails with any other value. So it does not reset a server by mistake.
    type: str
    required: true
  dest_directory:
    description:
      - The directory on this host for the backup, as an absolute path. It must be private to the user who runs the
        task. If it does not exist, it is created with the mode C(0700).
      - The backup contains the media files only with O(purge_media=true).
      - M(matrix_ops.synapse.synapse_backup) with C(keep_last) or C(keep_within) removes it later like any other backup
        in this directory. Copy it to another place if you may need it longer.
    type: path
    default: /var/backups/synapse
  optional_paths:
    description:
      - More files, or directories with all files in them, that the backup contains if they exist. The same as with
        M(matrix_ops.synapse.synapse_backup).
      - The playbook C(matrix_ops.synapse.reset_database) adds the file with the access token of the playbook C(site),
        because that token is valid again after a restore.
    type: list
    elements: path
    default: []
  age_recipients:
    description:
      - Encrypt the backup with C(age) to these public keys.
    type: list
    elements: str
    default: []
  gpg_recipients:
    description:
      - Encrypt the backup with GnuPG to these keys.
    type: list
    elements: str
    default: []
  margin:
    description:
      - How much space must stay free on the disk in addition to what the backup may need. A number of bytes, or a
        number followed by C(K), C(M), C(G) or C(T).
    type: str
    default: 1G
  purge_media:
    description:
      - Whether to remove the media files in the media store too, when Synapse runs with its new database.
      - Removes only files with paths that Synapse uses in its media store, follows no link, and does not touch storage
        providers. Files that were written after the reset stay.
      - If the database is already empty, the media files are still backed up and removed.
      - If it is not set, the media files are not in the backup and stay in the media store. A restore of the backup
        finds them there, as long as they are not removed.
    type: bool
    default: false
  new_signing_key:
    description:
      - If the server name changes, whether to replace the signing key by a new one. The old key stays next to it, with
        the old server name at the end of its name. It is in the backup too.
      - The option has no effect if the server name does not change.
    type: bool
    default: false
notes:
  - Run the task on the host of Synapse, as root. With O(manager=daemon), run it as the user of Synapse.
  - O(config_path) must be the configuration of the main process, not of a worker. Workers on other hosts are not
    stopped. Stop them first.
  - All accounts, access tokens, rooms and settings of users are gone afterwards. Create a new server admin with the
    playbook C(matrix_ops.synapse.grant_admin), or with M(matrix_ops.synapse.synapse_admin_user).
  - The access token is not used.
  - If a restore or a move to PostgreSQL was interrupted, finish it first. Only one reset of a server runs at a time.
  - If Synapse delegates accounts to a Matrix Authentication Service, that service has a database of its own, which is
    not reset.
seealso:
  - module: matrix_ops.synapse.synapse_federation_info
  - module: matrix_ops.synapse.synapse_database_info
  - module: matrix_ops.synapse.synapse_backup
  - module: matrix_ops.synapse.synapse_restore
requirements:
  - psycopg2 on the host where the module runs, if Synapse uses PostgreSQL
"""

EXAMPLES = r"""
- name: Look whether the database may be dropped, and what would be done
  matrix_ops.synapse.synapse_database_reset:
    confirm: example.org
  become: true
  check_mode: true

- name: Start again with an empty database and an empty media store
  matrix_ops.synapse.synapse_database_reset:
    confirm: example.org
    purge_media: true
  become: true
  register: result

- name: Show the path of the backup
  ansible.builtin.debug:
    var: result.database_reset.backup

- name: Start again after server_name was changed in the configuration
  matrix_ops.synapse.synapse_database_reset:
    confirm: new.example
    new_signing_key: true
  become: true

- name: Reset a Synapse that its user runs as a daemon
  matrix_ops.synapse.synapse_database_reset:
    confirm: example.org
    config_path: /srv/synapse/homeserver.yaml
    manager: daemon
    synapse_python: /srv/synapse/venv/bin/python
    dest_directory: /srv/synapse/backups
  become: true
  become_user: synapse
"""

RETURN = r"""
database_reset:
  description: The reset.
  returned: success
  type: dict
  contains:
    server_name:
      description: The server name in the configuration.
      returned: always
      type: str
      sample: example.org
    old_server_name:
      description: The server name of the accounts in the old database.
      returned: if the server name changes
      type: str
      sample: old.example
    case:
      description:
        - V(never_federated) if there is no evidence that the server has ever federated.
        - V(server_name_changes) if the accounts in the database have another server name.
        - V(unfinished) if an earlier task has dropped the database and was interrupted, so that this one continues.
        - V(unused) if the database has no accounts and no rooms, so that there is nothing to drop.
      returned: always
      type: str
      sample: never_federated
    reason:
      description: The same as a sentence.
      returned: always
      type: str
      sample: >-
        There is no evidence that example.org has ever federated. That is not a proof, because Synapse deletes old data.
    database:
      description: The database or the databases.
      returned: always
      type: str
      sample: the PostgreSQL database synapse at localhost
    backup:
      description: The path of the backup.
      returned: if a backup was made, also if by the interrupted task
      type: str
      sample: /var/backups/synapse/synapse-example.org-20260131T120000Z.tar
    media:
      description: What was done in the media store.
      returned: if O(purge_media=true), except in check mode and if nothing changed
      type: dict
      contains:
        removed:
          description: The number of removed files.
          returned: always
          type: int
          sample: 24
        kept:
          description: The paths of at most ten files and links that do not come from Synapse and were kept.
          returned: always
          type: list
          elements: str
          sample: []
        kept_count:
          description: The number of all of these.
          returned: always
          type: int
          sample: 0
    old_signing_key:
      description: The path of the signing key of the old server name.
      returned: if it is replaced
      type: str
      sample: /etc/matrix-synapse/homeserver.signing.key.of-old.example
    next_steps:
      description: What to do next, as sentences. Empty if no database was dropped.
      returned: always
      type: list
      elements: str
      sample:
        - >-
          All accounts and access tokens are gone. Create a server admin and a token for this collection:
          ansible-playbook -i INVENTORY matrix_ops.synapse.site, or matrix_ops.synapse.grant_admin.
steps:
  description: What the task has done, or would do, in this order. Empty if nothing changed.
  returned: success
  type: list
  elements: str
  sample:
    - stop matrix-synapse.service
    - back up to /var/backups/synapse
    - drop everything in the PostgreSQL database synapse at localhost
    - start matrix-synapse.service, and check that the new database is empty
evidence:
  description: The evidence that the server has federated, as M(matrix_ops.synapse.synapse_federation_info) returns it.
  returned: if the task failed because of it
  type: list
  elements: dict
  contains:
    kind:
      description: The kind of evidence.
      returned: always
      type: str
      sample: destinations
    count:
      description: The number of servers.
      returned: always
      type: int
      sample: 2
    servers:
      description: The names of the servers, at most ten.
      returned: always
      type: list
      elements: str
      sample:
        - matrix.example.net
remedies:
  description: The problems because of which users want to drop a database, and what helps instead.
  returned: if the task failed because the server has federated
  type: list
  elements: dict
  contains:
    problem:
      description: The problem.
      returned: always
      type: str
      sample: the taken alias of a lost room
    remedy:
      description: What to run instead.
      returned: always
      type: str
      sample: "ansible-playbook -i INVENTORY matrix_ops.synapse.free_alias -e free_alias_alias='#lobby:example.org'"
database:
  description: V(old) or V(new), for the database that is in place after a failure.
  returned: if the task failed after it had begun to change something, and this could be found out
  type: str
  sample: old
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
      sample: http://127.0.0.1:8008/_synapse/admin/v1/federation/destinations
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

import functools
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    configuration_argument_spec,
    connection_argument_spec,
    progress_argument_spec,
    service_control_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.backup import Backup
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.declared import (
    INCLUDE,
    LOCATION,
    DeclaredBackup,
    bytes_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, run_resource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.declared import DeclaredReset
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.place import find_place
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.reset import ResetResource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.startable import require_startable
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.control import find_service

OPTIONS: dict[str, dict[str, t.Any]] = {
    "confirm": {"type": "str", "required": True},
    "dest_directory": {"type": "path", "default": "/var/backups/synapse"},
    "optional_paths": {"type": "list", "elements": "path", "default": []},
    "age_recipients": {"type": "list", "elements": "str", "default": []},
    "gpg_recipients": {"type": "list", "elements": "str", "default": []},
    "margin": {"type": "str", "default": "1G"},
    "purge_media": {"type": "bool", "default": False},
    "new_signing_key": {"type": "bool", "default": False},
}

HOST = configuration_argument_spec().merge(service_control_argument_spec()).merge(ArgumentSpec(OPTIONS))


def declare(parameters: Parameters) -> ResetResource:
    """Return the reset that the task declares. Raises InvalidInput for values that cannot be meant."""
    parameters = HOST.with_plain_paths(parameters)
    config_path = tuple(parameters["config_path"])
    backup = DeclaredBackup(
        dest_directory=parameters["dest_directory"],
        config_path=config_path,
        working_directory=parameters["working_directory"],
        media=INCLUDE if parameters["purge_media"] else LOCATION,
        age_recipients=tuple(parameters["age_recipients"]),
        gpg_recipients=tuple(parameters["gpg_recipients"]),
        optional_paths=tuple(parameters["optional_paths"]),
        margin=bytes_of(parameters["margin"], "margin"),
        manager=parameters["manager"],
        unit=parameters["unit"],
        worker_unit=parameters["worker_unit"] or "",
        synapse_python=parameters["synapse_python"],
    )
    declared = DeclaredReset(
        config_path=config_path,
        confirm=parameters["confirm"],
        dest_directory=parameters["dest_directory"],
        purge_media=parameters["purge_media"],
        new_signing_key=parameters["new_signing_key"],
        synapse_python=parameters["synapse_python"],
    )
    place = functools.partial(find_place, backup.surroundings)
    startable = functools.partial(require_startable, config_path, parameters["synapse_python"])
    return ResetResource(declared, find_service(parameters), Backup(backup), place, startable)


def main() -> None:
    """Run the module."""
    run_resource(HOST.merge(connection_argument_spec()).merge(progress_argument_spec()), declare)


if __name__ == "__main__":
    main()

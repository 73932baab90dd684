#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_backup
short_description: Back up a Synapse homeserver into one archive
version_added: 1.0.0
description:
  - Writes everything that a Synapse consists of into one tar file, from which M(matrix_ops.synapse.synapse_restore)
    raises the server again. That is the database, the configuration with its drop-ins and secrets, the signing key,
    registrations, units with their drop-ins, and the media. Synapse can be running or stopped.
  - A restore starts the workers that ran. If Synapse was stopped, these are the instances of O(worker_unit) that are
    enabled.
  - The database is saved in one consistent state while Synapse writes to it. SQLite is copied by its own backup API,
    with what is still in its write-ahead log, and PostgreSQL is dumped by C(pg_dump).
  - The database is saved first, so that the media of all that it names are in the archive.
  - The one-time keys of end-to-end encryption (C(e2e_one_time_keys_json)) are left out, as the documentation of Synapse
    demands. Clients upload new ones.
  - The archive contains C(manifest.json), which describes the server, and C(SHA256SUMS). After C(tar -xf), the command
    C(sha256sum -c SHA256SUMS) checks all files.
  - An archive gets its name only when it is complete and on the disk. What a killed run has left is removed by the next
    run in the same directory.
  - Next to each archive is a file C(<archive>.json) without secrets, which describes it. Only archives with this file
    are ever removed.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._attributes.actiongroup_host
  - matrix_ops.synapse._backup_identity
  - matrix_ops.synapse._configuration
  - matrix_ops.synapse._progress
attributes:
  check_mode:
    support: full
    details:
      - Looks at everything that a run looks at before it begins, and predicts which archives are removed. The name of
        the new archive is not known before it is made.
  diff_mode:
    support: full
    details:
      - Shows the names of the archives.
  idempotent:
    support: full
    details:
      - A new archive is made when the newest one is older than O(max_age). V(0) makes a new one each time.
  platform:
    support: full
    platforms: posix
options:
  dest_directory:
    description:
      - The directory for the archives. Archives contain all secrets of the server and have the mode C(0600).
      - If it does not exist, it is created with the mode C(0700). An existing directory must belong to the user who
        runs the task, and no other user may read or write it.
      - A directory inside the media of Synapse, or a directory of the system such as C(/etc), is refused.
      - If the task runs as root, no other user may be able to write to a directory on the path.
    type: path
    required: true
  media:
    description:
      - V(include) adds all media to the archive. V(location) only records where they are. Then save them in another
        way.
      - Links, special files and hidden directories in the media store are left out, and are listed in
        RV(backup.skipped_media). A file that Synapse removes meanwhile is listed in RV(backup.vanished_media).
      - The directory C(lost+found) of a file system is left out too.
    type: str
    choices:
      - include
      - location
    default: include
  age_recipients:
    description:
      - Encrypt the archive to these public keys of age, or of SSH. The program C(age) must be installed.
      - The content of an encrypted archive is never on the disk without encryption. The exception is the copy of an
        SQLite database, which is next to the database, belongs to the same user, and is removed.
    type: list
    elements: str
    default: []
  gpg_recipients:
    description:
      - Encrypt the archive to these public keys of GnuPG. Each one is the key itself, as C(gpg --export --armor) prints
        it, or the absolute path of a file with it. The program C(gpg) must be installed. No keyring is read or changed.
    type: list
    elements: str
    default: []
  extra_paths:
    description:
      - More files, or directories with all files in them, that the archive must contain.
      - Each file may have at most 64 MiB, and the directories in it may be 16 levels deep. Links and special files in
        a directory are left out.
    type: list
    elements: path
    default: []
  optional_paths:
    description:
      - The same as O(extra_paths), but paths that do not exist are left out.
    type: list
    elements: path
    default: []
  keep_last:
    description:
      - How many of the newest archives of this server in O(dest_directory) to keep, at least V(1).
      - Archives that neither O(keep_last) nor O(keep_within) keeps are removed after the new one is complete. If none
        of both is set, nothing is removed.
    type: int
  keep_within:
    description:
      - Keep archives up to this age. A number of seconds, or a number followed by C(s), C(m), C(h), C(d) or C(w) for
        seconds, minutes, hours, days or weeks.
    type: str
  max_age:
    description:
      - Make a new archive if the newest one is older than this, in the same form as O(keep_within).
      - An archive only counts if it contains what the task asks for, and is encrypted to the same keys.
    type: str
    default: 1h
  verify:
    description:
      - Whether to read the archive again before it gets its name, restore its database into a scratch database, and
        compare the number of rows of each table with those at the time of the backup.
      - For SQLite the scratch database is a file next to the database. For PostgreSQL it is a database on the same
        server. Its user needs the privilege C(CREATEDB). If it is missing, O(verify_login_user) is used, or if the task
        runs as root on the host of PostgreSQL, its user C(postgres). The scratch database is removed afterwards.
      - For an encrypted archive, the private key is required (O(age_identity_path), O(gpg_home)).
    type: bool
    default: false
  verify_login_user:
    description:
      - The user of PostgreSQL who creates and drops the scratch database.
    type: str
  verify_login_password:
    description:
      - The password of O(verify_login_user).
    type: str
  margin:
    description:
      - How much space must be free in addition to what the archive may need at most. A number of bytes, or a number
        followed by C(K), C(M), C(G) or C(T).
    type: str
    default: 1G
  manager:
    description:
      - V(systemd) if Synapse runs as a systemd unit. The files of its units are then in the archive. The task fails if
        systemd has no unit O(unit).
      - V(daemon) if a user starts Synapse.
    type: str
    choices:
      - systemd
      - daemon
    default: systemd
  unit:
    description:
      - The systemd unit of the main process.
      - The default is the one of Synapse's Debian package.
    type: str
    default: matrix-synapse.service
  worker_unit:
    description:
      - The systemd template unit of the workers. An empty string means that there are none.
    type: str
    default: matrix-synapse-worker@.service
  environment_files:
    description:
      - Environment files to add, in addition to those of the units. Files that do not exist are left out.
    type: list
    elements: path
    default:
      - /etc/default/matrix-synapse
  synapse_python:
    description:
      - The Python interpreter that Synapse runs with. Its version of Synapse and its packages are recorded.
      - The default is the one of Synapse's Debian package.
    type: path
    default: /opt/venvs/matrix-synapse/bin/python
  working_directory:
    description:
      - The working directory of Synapse. Relative paths in its configuration start there.
      - The default is that of the unit.
    type: path
requirements:
  - Synapse on the host where the module runs
  - psycopg2 and the programs of PostgreSQL (C(pg_dump), and C(pg_restore) for O(verify)) of at least the version of the
    server, if the database is PostgreSQL
  - age or GnuPG, if the archive is encrypted
notes:
  - O(config_path) must be the configuration of the main process, not of a worker.
  - All paths must be absolute, and without C(..).
  - Run the task as root. The database is read as the user of Synapse, so that PostgreSQL lets it in by peer
    authentication.
  - The tables of the database that a module of a third party creates are saved too. A server with several databases is
    refused.
  - Comments in a PostgreSQL database are left out, and so are extensions that only a superuser can create and on which
    nothing depends, such as C(pg_stat_statements). The user of Synapse could not restore them.
  - Copy the archives to another host. A backup on the same disk does not help if the disk is lost.
seealso:
  - module: matrix_ops.synapse.synapse_backup_info
  - module: matrix_ops.synapse.synapse_restore
"""

EXAMPLES = r"""
- name: Back up the server, and keep the backups of seven days
  matrix_ops.synapse.synapse_backup:
    dest_directory: /var/backups/synapse
    keep_within: 7d
  become: true

- name: Encrypt the backup, so that this host cannot read it
  matrix_ops.synapse.synapse_backup:
    dest_directory: /var/backups/synapse
    age_recipients:
      - age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
    keep_last: 14
  become: true

- name: Back up everything except the media before an upgrade, and prove that the database can be restored
  matrix_ops.synapse.synapse_backup:
    dest_directory: /var/backups/synapse
    media: location
    verify: true
    max_age: "0"
  become: true
  register: result

- name: Show where the backup is
  ansible.builtin.debug:
    msg: "{{ result.backup.path }}, {{ result.backup.size | human_readable }}"

- name: Back up a Synapse that does not run with systemd
  matrix_ops.synapse.synapse_backup:
    dest_directory: /srv/backups
    manager: daemon
    config_path:
      - /srv/synapse/homeserver.yaml
    synapse_python: /srv/synapse/venv/bin/python
    working_directory: /srv/synapse
"""

RETURN = r"""
backup:
  description: The backup that was made, or the existing one that is new enough. In check mode, most keys are missing
    for one that does not exist yet.
  returned: success
  type: dict
  contains:
    dest_directory:
      description: The directory of the archives.
      returned: always
      type: str
      sample: /var/backups/synapse
    path:
      description: The path of the archive.
      returned: if it exists
      type: str
      sample: /var/backups/synapse/synapse-example.org-20260131T120000Z.tar
    size:
      description: The size of the archive in bytes.
      returned: if it exists
      type: int
      sample: 1834762240
    estimated_size:
      description: How many bytes the archive has at most. What is compressed needs less.
      returned: in check mode, if a new archive would be made
      type: int
      sample: 2147483648
    created:
      description: The time when it was made (ISO 8601, UTC).
      returned: if it exists
      type: str
      sample: "2026-01-31T12:00:00Z"
    created_ts:
      description: The same time in milliseconds since 1970.
      returned: if it exists
      type: int
      sample: 1769860800000
    server_name:
      description: The name of the server.
      returned: if it exists
      type: str
      sample: example.org
    synapse_version:
      description: The version of Synapse.
      returned: if it exists
      type: str
      sample: 1.163.2
    engine:
      description: The engine of the database, V(postgresql) or V(sqlite).
      returned: if it exists
      type: str
      sample: postgresql
    schema_version:
      description: The schema version of the database.
      returned: if it exists
      type: int
      sample: 94
    media:
      description: V(include) or V(location).
      returned: if it exists
      type: str
      sample: include
    media_files:
      description: The number of media files in the archive.
      returned: if it exists
      type: int
      sample: 5423
    media_bytes:
      description: The size of all media files in bytes.
      returned: if it exists
      type: int
      sample: 1610612736
    files:
      description: The number of other files in the archive, such as the configuration.
      returned: if it exists
      type: int
      sample: 9
    encryption:
      description: V(age), V(gpg), or empty for an archive that is not encrypted.
      returned: if it exists
      type: str
      sample: age
    recipients:
      description: The public keys of age or the fingerprints of the keys of GnuPG to which it is encrypted.
      returned: if it exists
      type: list
      elements: str
      sample: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]
    verified:
      description: Whether its database was restored into a scratch database and compared.
      returned: if it exists
      type: bool
      sample: false
    vanished_media:
      description: The media files that Synapse removed during the backup, at most 1,000.
      returned: if a new archive was made
      type: list
      elements: str
      sample: []
    skipped_media:
      description: The links, special files and hidden directories among the media, at most 1,000.
      returned: if a new archive was made
      type: list
      elements: dict
      contains:
        path:
          description: The number of the media directory, and the path in it.
          returned: always
          type: str
          sample: 0/local_content/aa
        reason:
          description: Why it is not in the archive.
          returned: always
          type: str
          sample: it is a link
    removed:
      description: The archives that were removed, or in check mode would be.
      returned: always
      type: list
      elements: str
      sample:
        - synapse-example.org-20260124T120000Z.tar
    kept:
      description: The number of archives of this server in the directory afterwards.
      returned: always
      type: int
      sample: 7
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
    - make a backup of example.org in /var/backups/synapse
"""

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    configuration_argument_spec,
    progress_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.declared import (
    DeclaredBackup,
    bytes_of,
    seconds_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.options import (
    identity_argument_spec,
    identity_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.resource import BackupResource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.retention import Retention
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.scratch_database import Login
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, run_resource

OPTIONS: dict[str, dict[str, t.Any]] = {
    "dest_directory": {"type": "path", "required": True},
    "media": {"type": "str", "choices": ["include", "location"], "default": "include"},
    "age_recipients": {"type": "list", "elements": "str", "default": []},
    "gpg_recipients": {"type": "list", "elements": "str", "default": []},
    "extra_paths": {"type": "list", "elements": "path", "default": []},
    "optional_paths": {"type": "list", "elements": "path", "default": []},
    "keep_last": {"type": "int"},
    "keep_within": {"type": "str"},
    "max_age": {"type": "str", "default": "1h"},
    "verify": {"type": "bool", "default": False},
    "verify_login_user": {"type": "str"},
    "verify_login_password": {"type": "str", "no_log": True},
    "margin": {"type": "str", "default": "1G"},
    "manager": {"type": "str", "choices": ["systemd", "daemon"], "default": "systemd"},
    "unit": {"type": "str", "default": "matrix-synapse.service"},
    "worker_unit": {"type": "str", "default": "matrix-synapse-worker@.service"},
    "environment_files": {"type": "list", "elements": "path", "default": ["/etc/default/matrix-synapse"]},
    "synapse_python": {"type": "path", "default": "/opt/venvs/matrix-synapse/bin/python"},
    "working_directory": {"type": "path"},
}

HOST = configuration_argument_spec().merge(identity_argument_spec()).merge(ArgumentSpec(OPTIONS))


def declare(parameters: Parameters) -> BackupResource:
    """Return the backups that the task declares. Raises InvalidInput for values that cannot be meant."""
    parameters = HOST.with_plain_paths(parameters)
    last, within = parameters["keep_last"], parameters["keep_within"]
    if last is not None and last < 1:
        raise InvalidInput(f"keep_last is {last}. Set it to 1 or more, or leave it out to keep all backups.")
    if not parameters["config_path"]:
        raise InvalidInput("config_path is empty. Set it to the files and directories that Synapse is started with.")
    retention = Retention(last, None if within is None else seconds_of(within, "keep_within"))
    declared = DeclaredBackup(
        dest_directory=parameters["dest_directory"],
        config_path=tuple(parameters["config_path"]),
        working_directory=parameters["working_directory"],
        media=parameters["media"],
        age_recipients=tuple(parameters["age_recipients"]),
        gpg_recipients=tuple(parameters["gpg_recipients"]),
        extra_paths=tuple(parameters["extra_paths"]),
        optional_paths=tuple(parameters["optional_paths"]),
        verify=parameters["verify"],
        identity=identity_of(parameters),
        login=Login(parameters["verify_login_user"] or "", parameters["verify_login_password"] or ""),
        margin=bytes_of(parameters["margin"], "margin"),
        manager=parameters["manager"],
        unit=parameters["unit"],
        worker_unit=parameters["worker_unit"],
        environment_files=tuple(parameters["environment_files"]),
        synapse_python=parameters["synapse_python"],
    )
    return BackupResource(declared, retention, seconds_of(parameters["max_age"], "max_age"))


def main() -> None:
    """Run the module."""
    run_resource(HOST.merge(progress_argument_spec()), declare)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_backup_info
short_description: Prove a backup of Synapse, and get what it contains
version_added: 1.0.0
description:
  - Reads a whole archive of M(matrix_ops.synapse.synapse_backup) and compares the SHA-256 of everything in it. The task
    fails if a byte is different, or if something is missing.
  - Returns what the archive contains, without secrets.
  - Neither Synapse nor its database is needed. The archive can be on any host.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._attributes.info_module
  - matrix_ops.synapse._backup_archive
  - matrix_ops.synapse._progress
attributes:
  platform:
    support: full
    platforms: posix
requirements:
  - age or GnuPG, if the archive is encrypted
notes:
  - All paths must be absolute, and without C(..).
seealso:
  - module: matrix_ops.synapse.synapse_backup
  - module: matrix_ops.synapse.synapse_restore
"""

EXAMPLES = r"""
- name: Prove a backup
  matrix_ops.synapse.synapse_backup_info:
    src: /var/backups/synapse/synapse-example.org-20260131T120000Z.tar
  become: true
  register: result

- name: Show what it contains
  ansible.builtin.debug:
    msg: "{{ result.backup.server_name }} at {{ result.backup.created }}, {{ result.backup.media.files }} media files"

- name: Prove an encrypted backup on a host that has the private key
  matrix_ops.synapse.synapse_backup_info:
    src: /srv/backups/synapse-example.org-20260131T120000Z.tar.age
    age_identity_path: /root/backup.key
"""

RETURN = r"""
backup:
  description: What the archive contains.
  returned: success
  type: dict
  contains:
    src:
      description: The path of the archive.
      returned: always
      type: str
      sample: /var/backups/synapse/synapse-example.org-20260131T120000Z.tar
    size:
      description: The size of the archive in bytes.
      returned: always
      type: int
      sample: 1834762240
    content_sha256:
      description: The SHA-256 of C(SHA256SUMS) in the archive. It identifies the content, whether it is encrypted or
        not.
      returned: always
      type: str
      sample: 1f0a4a5c4a31a7d8c4d0b5a8e3b7a60f8a8ef5cf7a3b1d9df2b86e0ae1c36f4d
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
      description: The version of Synapse.
      returned: always
      type: str
      sample: 1.163.2
    engine:
      description: The engine of the database, V(postgresql) or V(sqlite).
      returned: always
      type: str
      sample: postgresql
    schema_version:
      description: The schema version of the database.
      returned: always
      type: int
      sample: 94
    database:
      description: The database, such as its name or path, and what it was saved with.
      returned: always
      type: dict
      sample:
        name: synapse
        server_version: "15.14"
    row_counts:
      description: The number of rows of each table.
      returned: always
      type: dict
      sample:
        events: 211504
        users: 2001
    media:
      description: The media.
      returned: always
      type: dict
      contains:
        mode:
          description: V(include), or V(location) if the archive only has the paths of the directories.
          returned: always
          type: str
          sample: include
        directories:
          description:
            - The directories with media, the media store first. If the media are in the archive, C(bytes) is the size
              of the files in the directory, without those in another directory of this list.
          returned: always
          type: list
          elements: dict
          sample:
            - path: /var/lib/matrix-synapse/media_store
              setting: media_store_path
              bytes: 1610612736
        files:
          description: The number of files in the archive.
          returned: always
          type: int
          sample: 5423
        bytes:
          description: The size of these files in bytes.
          returned: always
          type: int
          sample: 1610612736
        vanished:
          description: The files that Synapse removed during the backup, at most 1,000.
          returned: always
          type: list
          elements: str
          sample: []
        vanished_count:
          description: The number of all these files.
          returned: always
          type: int
          sample: 0
        skipped:
          description: The links, special files and hidden directories, which are not in the archive, at most 1,000.
          returned: always
          type: list
          elements: dict
          sample: []
        skipped_count:
          description: The number of all of them.
          returned: always
          type: int
          sample: 0
    files:
      description: The other files, without their content.
      returned: always
      type: list
      elements: dict
      contains:
        path:
          description: The absolute path.
          returned: always
          type: str
          sample: /etc/matrix-synapse/homeserver.yaml
        kind:
          description: What it is for, such as V(configuration), V(signing_key) or V(unit).
          returned: always
          type: str
          sample: configuration
        mode:
          description: The permissions.
          returned: always
          type: str
          sample: "0640"
        owner:
          description: The owner.
          returned: always
          type: str
          sample: root
        group:
          description: The group.
          returned: always
          type: str
          sample: matrix-synapse
        size:
          description: The size in bytes.
          returned: always
          type: int
          sample: 2114
    installation:
      description: What Synapse was installed with.
      returned: always
      type: dict
      sample:
        kind: virtualenv
        python: /opt/venvs/matrix-synapse/bin/python
        python_version: 3.11.2
        synapse_version: 1.163.2
    service:
      description: The service, such as its user and its units.
      returned: always
      type: dict
      sample:
        manager: systemd
        unit: matrix-synapse.service
        user: matrix-synapse
"""

import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import progress_argument_spec
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.archive_reader import prove_archive
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.options import (
    archive_argument_spec,
    identity_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.verification import reporting
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, run_info
from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import returned_time

_RETURNED = (
    *("server_name", "synapse_version", "engine", "schema_version", "database", "row_counts", "media", "installation"),
    "service",
)
# A SHA-256 could be used to guess a short secret.
_OF_FILES = ("path", "kind", "mode", "owner", "group", "size")


def read(parameters: Parameters) -> dict[str, t.Any]:
    """Return what the archive contains, after all of it was proven."""
    parameters = archive_argument_spec().with_plain_paths(parameters)
    src = parameters["src"]
    size = os.path.getsize(src) if os.path.isfile(src) else 0
    proven = prove_archive(src, identity_of(parameters), reporting(size))
    manifest = proven.manifest
    return {
        "backup": {
            "src": src,
            "size": size,
            "content_sha256": proven.content_sha256,
            **returned_time("created", manifest["created_ts"]),
            **{name: manifest[name] for name in _RETURNED},
            "files": [{name: file[name] for name in _OF_FILES} for file in manifest["files"]],
        }
    }


def main() -> None:
    """Run the module."""
    run_info(archive_argument_spec().merge(progress_argument_spec()), read)


if __name__ == "__main__":
    main()

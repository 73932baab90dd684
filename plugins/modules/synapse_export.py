#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_export
short_description: Export the data of one account of a Synapse homeserver
version_added: 1.0.0
description:
  - Runs Synapse's own C(export-data) command on the host of the server, which may be running or stopped meanwhile.
  - Puts an export in its place only when it is complete and every file in it could be read. After a failure nothing is
    left there.
  - Keeps everything in the export to its owner alone, as directories of the mode C(0700) and files of C(0600).
  - Detects beforehand what makes the command fail, write an empty export, or write outside its directory. These are an
    account that does not exist, pending invites and knocks, and room ids with slashes.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._configuration
attributes:
  check_mode:
    support: full
    details:
      - How much the export will hold is not known before it is made.
  diff_mode:
    support: full
    details:
      - Shows whose export is where. It never shows what is in it.
  idempotent:
    support: full
    details:
      - A complete export of the same account is left alone, however old it is. O(force=true) makes a new one each time.
  platform:
    support: full
    platforms: posix
options:
  user_id:
    description:
      - The account, in full (V(@alice:example.org)) or its localpart alone (V(alice)), with upper and lower case as it
        was registered.
      - It may be deactivated or erased. But then it has forgotten its rooms, so that the export holds none of them.
    type: str
    required: true
    aliases:
      - name
  destination:
    description:
      - The directory that shall hold the export. The directory that it is in must exist.
      - It may exist already if it is empty, or holds an export of the same account by this module. Anything else is
        left alone, and the task fails.
      - While the export is made, it is in a hidden directory beside this one, which needs the same room on the disk.
    type: path
    required: true
    aliases:
      - dest
  force:
    description:
      - Whether a new export is made although there is one. It takes the place of the old one when it is complete.
    type: bool
    default: false
  synapse_python:
    description:
      - The Python that the server runs with. The default is that of Synapse's Debian package.
    type: path
    default: /opt/venvs/matrix-synapse/bin/python
  chdir:
    description:
      - The directory that the server runs in. It is needed only if the configuration has relative paths.
    type: path
  export_timeout:
    description:
      - How many seconds Synapse's command may take. It writes some hundreds to some thousands of events in a second.
      - With V(0) there is no limit.
    type: int
    default: 3600
requirements:
  - Synapse itself, on the host where the module runs
  - psycopg2 on the host where the module runs, if the server's database is PostgreSQL
notes:
  - Do not name the configuration of a worker in O(config_path).
  - Run the task as the user of Synapse, with C(become_user), or as root. The export belongs to whoever makes it.
  - As root the server's own files keep their owner. But where PostgreSQL lets in the user of Synapse without a
    password, root does not get in.
  - Forgotten rooms and the media themselves are not part of Synapse's export. Encrypted messages stay encrypted.
  - Export an account before it is deactivated.
"""

EXAMPLES = r"""
- name: Make a directory for exports
  ansible.builtin.file:
    path: /var/lib/matrix-synapse/exports
    state: directory
    owner: matrix-synapse
    group: matrix-synapse
    mode: "0700"

- name: Export everything of Alice
  matrix_ops.synapse.synapse_export:
    user_id: "@alice:example.org"
    destination: /var/lib/matrix-synapse/exports/alice
  become: true
  become_user: matrix-synapse

- name: Export it again, whatever is there
  matrix_ops.synapse.synapse_export:
    user_id: "@alice:example.org"
    destination: /var/lib/matrix-synapse/exports/alice
    force: true
  become: true
  become_user: matrix-synapse

- name: Export from a server that was installed elsewhere
  matrix_ops.synapse.synapse_export:
    user_id: alice
    destination: /srv/exports/alice
    config_path:
      - /srv/synapse/homeserver.yaml
    synapse_python: /srv/synapse/venv/bin/python
"""

RETURN = r"""
user_id:
  description: The account in full.
  returned: success
  type: str
  sample: "@alice:example.org"
destination:
  description: The directory that holds the export.
  returned: success
  type: str
  sample: /var/lib/matrix-synapse/exports/alice
created_at:
  description: When the export was made, in UTC. Null in check mode when it is not made yet.
  returned: success
  type: str
  sample: "2026-01-31T12:00:00Z"
synapse_version:
  description: The version of Synapse that made the export, or in check mode would make it.
  returned: success
  type: str
  sample: 1.163.2
size:
  description: The size of all files in bytes, without C(manifest.json). Null in check mode when it is not made yet.
  returned: success
  type: int
  sample: 181243
counts:
  description: How much the export holds. Null in check mode when it is not made yet.
  returned: success
  type: dict
  contains:
    files:
      description: The number of files, without C(manifest.json).
      type: int
    rooms:
      description: The number of rooms.
      type: int
    events:
      description: The number of events in all rooms.
      type: int
    media:
      description: The number of uploaded media, of which the export holds the descriptions.
      type: int
    devices:
      description: The number of devices.
      type: int
  sample:
    files: 12
    rooms: 3
    events: 211
    media: 2
    devices: 1
forgotten_rooms:
  description:
    - The rooms that the account has been in and has forgotten. Synapse's export leaves them out.
    - When an account is deactivated, Synapse forgets all its rooms.
  returned: success
  type: list
  elements: str
  sample: []
steps:
  description: What was done, or in check mode would be done.
  returned: success
  type: list
  elements: str
  sample:
    - export the data of @alice:example.org to /var/lib/matrix-synapse/exports/alice
"""

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    configuration_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export import DeclaredExport, ExportResource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, run_resource


def declare(parameters: Parameters) -> ExportResource:
    """Return the export that the task declares."""
    names = ("user_id", "destination", "config_path", "synapse_python", "chdir", "export_timeout", "force")
    return ExportResource(DeclaredExport(**{name: parameters[name] for name in names}))


def main() -> None:
    """Run the module."""
    own = ArgumentSpec(
        {
            "user_id": {"type": "str", "required": True, "aliases": ["name"]},
            "destination": {"type": "path", "required": True, "aliases": ["dest"]},
            "force": {"type": "bool", "default": False},
            "synapse_python": {"type": "path", "default": "/opt/venvs/matrix-synapse/bin/python"},
            "chdir": {"type": "path"},
            "export_timeout": {"type": "int", "default": 3600},
        }
    )
    run_resource(configuration_argument_spec(required=True).merge(own), declare)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_export
short_description: Export the data of a user account of Synapse
version_added: 1.0.0
description:
  - Runs Synapse's own C(export-data) command on the host of Synapse. Synapse can be running or stopped.
  - The export appears at its destination only when it is complete and every file in it was read successfully. After a
    failure there is no partial export.
  - Only the owner can read the export. Directories have the mode C(0700) and files the mode C(0600).
  - Also exports data with which Synapse's own command fails, such as pending invites and knocks, IDs that are not valid
    file names, and deeply nested JSON. No data of the account can prevent its export.
  - Can add the media files. Synapse's own command exports only their metadata. The module compares the size and the
    SHA-256 of each file with those of the upload.
  - Adds C(manifest.json), which lists every file with its size and SHA-256, the ID that each file name was made from,
    and the data that the export does not contain, with the reason. Adds C(index.html), a page on which the user can
    read the data in any browser, without a network connection.
  - The names of files and directories can be unpacked on every operating system. A short ID of lower-case letters,
    digits and C(_), C(-) or C(=) is used as the name. For any other ID the name is its harmless characters, a plus, and
    the first 32 digits of the SHA-256 of the whole ID.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._attributes.actiongroups
  - matrix_ops.synapse._connection
  - matrix_ops.synapse._configuration
  - matrix_ops.synapse._progress
attributes:
  check_mode:
    support: full
    details:
      - What the export contains is not known before it is made. See the return values.
  diff_mode:
    support: full
    details:
      - Shows the account and the destination of the export, never its content.
  idempotent:
    support: full
    details:
      - A complete export of the same account that contains what the task asks for is kept, unless it is older than
        O(max_age). O(recreate=true) makes a new export each time.
  platform:
    support: full
    platforms: posix
options:
  user_id:
    description:
      - The account, as a full user ID (V(@alice:example.org)) or a localpart (V(alice)). Upper and lower case matter.
      - The account may be deactivated or erased. It has then forgotten its rooms, so that the export contains none of
        them unless O(include_forgotten=true).
    type: str
    required: true
    aliases:
      - name
  dest:
    description:
      - The path of the export, a directory, or a file if O(format) is an archive. The parent directory must exist.
      - The destination may already exist if it is an empty directory or an export of the same account by this module,
        and if it belongs to the user who runs the task. Anything else is not changed, and the task fails.
      - The export is made in a hidden directory next to the destination. This needs the same space on the disk, and up
        to twice as much for an archive. If the task fails or is killed, the media files that were fetched stay in the
        hidden directory, and the next run continues with them.
      - If the task runs as root, every directory on the path must belong to root, and no other user may write to it.
        Directories with the sticky bit, such as C(/tmp), are allowed on the path, but not as the parent directory.
        Otherwise another user could redirect what root writes.
      - A destination in a directory of the system, such as C(/etc) or C(/usr), is refused.
      - Either this or O(dest_directory) is required.
    type: path
  dest_directory:
    description:
      - The parent directory of the export. The module chooses the name of the export, a different one for each account.
        It is the localpart if that is short and consists of lower-case letters, digits and C(_), C(-) or C(=), such as
        C(alice) or C(alice.zip). Otherwise a part of the SHA-256 of the localpart is added, such as
        C(Anna_B+161a473b4cf4efefe5147bf7ee4387e9.zip). The whole path is returned as RV(export.dest).
      - If the directory does not exist, it is created with the mode C(0700), and missing parent directories with the
        mode C(0755). The owner and mode of an existing directory do not change.
      - The other rules of O(dest) apply here too.
    type: path
  format:
    description:
      - Whether the export is a directory or one archive file.
      - For an archive, the ending C(.tar.gz) or C(.zip) is added to the path if it does not have it.
    type: str
    choices:
      - directory
      - tar.gz
      - zip
    default: directory
  media:
    description:
      - Whether to add the files that the account has uploaded. They are in the directory C(media) of the export, each
        named after its media ID. Their original names are in C(manifest.json).
      - Files that cannot be exported are listed with the reason in RV(export.missing_media).
      - With V(false), an existing export that contains the media files is kept too.
    type: bool
    default: false
  media_source:
    description:
      - The source of the media files.
      - V(media_store) copies them from the media store on this host. Synapse does not need to run for this.
      - V(client_api) downloads them from O(base_url) with the client API of Matrix. This requires an access token.
      - V(auto) copies the files that are in the media store, and downloads the others if there is an access token.
    type: str
    choices:
      - auto
      - media_store
      - client_api
    default: auto
  include_quarantined:
    description:
      - With O(media=true), whether to add media that an admin has quarantined too.
      - With V(false), an existing export that was made with V(true) is kept too.
    type: bool
    default: false
  include_forgotten:
    description:
      - Whether to export rooms that the account has forgotten too, as far as the account could see them and Synapse
        still has them. Synapse's own command omits them.
      - When an account is deactivated, it forgets all its rooms.
    type: bool
    default: false
  require_all_media:
    description:
      - With O(media=true), whether the task fails if a media file cannot be exported. The message then lists the
        missing files.
      - A file that is quarantined or was never uploaded is found before the export starts, in check mode as well.
    type: bool
    default: false
  parallel:
    description:
      - How many media files to fetch at the same time, from V(1) to V(64).
    type: int
    default: 4
  max_age:
    description:
      - The maximum age of an existing export. An older one is replaced by a new one.
      - A number of seconds, or a number followed by C(s), C(m), C(h), C(d) or C(w) for seconds, minutes, hours, days or
        weeks.
      - If it is not set, an export of any age is kept.
    type: str
  recreate:
    description:
      - Whether to make a new export even if there is one already. The new export replaces the old one when it is
        complete.
    type: bool
    default: false
  synapse_python:
    description:
      - The Python interpreter that Synapse runs with. It runs Synapse's own command.
      - The default is the one of Synapse's Debian package.
    type: path
    default: /opt/venvs/matrix-synapse/bin/python
  working_directory:
    description:
      - The working directory of Synapse. Relative paths in its configuration start there.
      - It is only needed if the path of an SQLite database or of the media store is relative. The path of the media
        store is relative if the configuration does not set it.
    type: path
  export_timeout:
    description:
      - How many seconds Synapse's command may run. It writes some hundreds to some thousands of events per second.
      - With V(0) there is no limit. At most V(31622400).
    type: int
    default: 3600
requirements:
  - Synapse on the host where the module runs
  - psycopg2 on the host where the module runs, if a PostgreSQL database is read
notes:
  - O(config_path) must be the configuration of the main process, not of a worker.
  - Run the task as root, or as the user of Synapse with C(become_user). The export belongs to the user who runs the
    task.
  - If the task runs as root, Synapse's own files keep their owner. If PostgreSQL accepts only the user of Synapse
    without a password (peer authentication), root cannot connect.
  - The connection options are only needed for data that only the running server provides. Without an access token,
    the media files must be in the media store, and data that only the API provides is listed as not exported.
  - Encrypted messages stay encrypted. Only the devices of the user have the keys.
  - Export an account before you deactivate it.
  - Check mode reads the same as a run does before it starts Synapse's command. Only the attempt shows that a media file
    is lost or damaged (O(require_all_media)), that the command takes longer than O(export_timeout), and that the disk
    is full.
"""

EXAMPLES = r"""
- name: Export the data of Alice to the file alice.zip in a directory that only root can read
  matrix_ops.synapse.synapse_export:
    user_id: "@alice:example.org"
    dest_directory: /var/lib/matrix_ops.synapse/exports
    format: zip
  become: true

- name: Export the data as the user of Synapse, to a directory where that user may write
  matrix_ops.synapse.synapse_export:
    user_id: "@alice:example.org"
    dest: /var/lib/matrix-synapse/alice
  become: true
  become_user: matrix-synapse

- name: Export the data and the media files as an archive, and make a new one after a month
  matrix_ops.synapse.synapse_export:
    user_id: alice
    dest_directory: /var/lib/matrix_ops.synapse/exports
    format: tar.gz
    media: true
    max_age: 30d
    access_token_path: /root/.synapse-token
  become: true

- name: Export the data with the media files while Synapse is stopped, and fail if a file is missing
  matrix_ops.synapse.synapse_export:
    user_id: alice
    dest: /var/lib/matrix_ops.synapse/exports/alice_with_media
    media: true
    media_source: media_store
    require_all_media: true
  become: true

- name: Export the rooms of a deactivated account
  matrix_ops.synapse.synapse_export:
    user_id: bob
    dest: /var/lib/matrix_ops.synapse/exports/bob
    include_forgotten: true
  become: true

- name: Make a new export even if there is one already
  matrix_ops.synapse.synapse_export:
    user_id: "@alice:example.org"
    dest: /var/lib/matrix_ops.synapse/exports/alice
    recreate: true
  become: true

- name: Export the data from a Synapse that is not the Debian package
  matrix_ops.synapse.synapse_export:
    user_id: alice
    dest: /srv/exports/alice
    config_path:
      - /srv/synapse/homeserver.yaml
    synapse_python: /srv/synapse/venv/bin/python
"""

RETURN = r"""
export:
  description: The export. In check mode, some keys are missing for an export that does not exist yet.
  returned: success
  type: dict
  contains:
    user_id:
      description: The full user ID of the account.
      returned: always
      type: str
      sample: "@alice:example.org"
    dest:
      description: The path of the export.
      returned: always
      type: str
      sample: /var/lib/matrix_ops.synapse/exports/alice
    format:
      description: V(directory), V(tar.gz) or V(zip).
      returned: always
      type: str
      sample: directory
    created:
      description: The time when the export was made (ISO 8601, UTC).
      returned: if the export exists
      type: str
      sample: "2026-01-31T12:00:00Z"
    created_ts:
      description: The same time in milliseconds since 1970.
      returned: if the export exists
      type: int
      sample: 1769860800000
    synapse_version:
      description: The version of Synapse that made the export, or in check mode the version that would make it.
      returned: always
      type: str
      sample: 1.163.2
    size:
      description: The size of all files in bytes, without C(manifest.json).
      returned: if the export exists
      type: int
      sample: 181243
    summary:
      description: The numbers of what the export contains.
      returned: if the export exists
      type: dict
      contains:
        files:
          description: The number of files, without C(manifest.json).
          returned: always
          type: int
          sample: 14
        rooms:
          description: The number of rooms, including those in RV(export.pending_rooms).
          returned: always
          type: int
          sample: 3
        events:
          description: The number of events in all rooms.
          returned: always
          type: int
          sample: 211
        encrypted_messages:
          description: The number of events that are encrypted.
          returned: always
          type: int
          sample: 0
        media:
          description: The number of uploaded media. The export contains the metadata of each of them.
          returned: always
          type: int
          sample: 2
        media_files:
          description: The number of media whose file the export contains.
          returned: always
          type: int
          sample: 2
        devices:
          description: The number of devices.
          returned: always
          type: int
          sample: 1
    pending_rooms:
      description:
        - The rooms that the account was invited to or has knocked at, and has never joined. What the server knows about
          them is in the files C(invite_state) and C(knock_state) of the directories of these rooms.
      returned: always
      type: list
      elements: dict
      contains:
        room_id:
          description: The room ID.
          returned: always
          type: str
          sample: "!lpZVXdbnFgbsvpMkDZ:example.org"
        membership:
          description: V(invite) or V(knock).
          returned: always
          type: str
          sample: invite
    missing_media:
      description: The media files that were requested with O(media=true) and that the export does not contain.
      returned: if the export exists
      type: list
      elements: dict
      contains:
        media_id:
          description: The media ID.
          returned: always
          type: str
          sample: GCmhgzMPRjqgpODLsNQzVuHZ
        reason:
          description: Why the file is missing.
          returned: always
          type: str
          sample: it was quarantined by @admin:example.org
    not_exported:
      description: Other data of the account that the server has and the export does not contain.
      returned: if the export exists
      type: list
      elements: dict
      contains:
        name:
          description: The data.
          returned: always
          type: str
          sample: 12 read receipts
        reason:
          description: Why the export does not contain it.
          returned: always
          type: str
          sample: Synapse's export-data command does not export them, and the Admin API does not return them
    forgotten_rooms:
      description:
        - The IDs of the rooms that the account has joined and forgotten. The export contains them only with
          O(include_forgotten=true).
        - When an account is deactivated, it forgets all its rooms.
      returned: always
      type: list
      elements: str
      sample: []
exit_status:
  description: The exit status of Synapse's command, or the negative number of the signal that ended it.
  returned: if Synapse's command failed
  type: int
  sample: 1
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
    - export the data of @alice:example.org to /var/lib/matrix_ops.synapse/exports/alice
"""

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    configuration_argument_spec,
    connection_argument_spec,
    progress_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.declared import DeclaredExport
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.export import ExportResource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import (
    Parameters,
    connect,
    read_access_token,
    run_resource,
)

OPTIONS: dict[str, dict[str, t.Any]] = {
    "user_id": {"type": "str", "required": True, "aliases": ["name"]},
    "dest": {"type": "path"},
    "dest_directory": {"type": "path"},
    "format": {"type": "str", "choices": ["directory", "tar.gz", "zip"], "default": "directory"},
    "media": {"type": "bool", "default": False},
    "media_source": {"type": "str", "choices": ["auto", "media_store", "client_api"], "default": "auto"},
    "include_quarantined": {"type": "bool", "default": False},
    "include_forgotten": {"type": "bool", "default": False},
    "require_all_media": {"type": "bool", "default": False},
    "parallel": {"type": "int", "default": 4},
    "max_age": {"type": "str"},
    "recreate": {"type": "bool", "default": False},
    "synapse_python": {"type": "path", "default": "/opt/venvs/matrix-synapse/bin/python"},
    "working_directory": {"type": "path"},
    "export_timeout": {"type": "int", "default": 3600},
}


def declare(parameters: Parameters) -> ExportResource:
    """Return the export that the task declares."""
    declared = DeclaredExport(**{name: parameters[name] for name in (*OPTIONS, "config_path")})
    # Without an access token, the server is not asked.
    client = connect(parameters, connections=declared.parallel) if read_access_token(parameters) else None
    return ExportResource(declared, client)


def main() -> None:
    """Run the module."""
    destinations = [["dest", "dest_directory"]]
    own = ArgumentSpec(OPTIONS, mutually_exclusive=destinations, required_one_of=destinations)
    run_resource(
        connection_argument_spec().merge(configuration_argument_spec()).merge(progress_argument_spec()).merge(own),
        declare,
    )


if __name__ == "__main__":
    main()

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
  - Survives what that command stops at, which are pending invites and knocks, ids that are no names of files, and
    data that is nested deeply. What an account holds cannot keep it from being exported.
  - On demand adds the media themselves, which the command only describes. Each is as long as what was uploaded, and
    has its SHA-256.
  - Writes beside it C(manifest.json), which lists every file with its size and SHA-256, the ids of what the files are
    named after, and what the export does not hold and why, and C(index.html), on which people can read their data in
    any browser without a network.
  - Names what belongs to a room, an event or a file of the account so that it can be unpacked on every system. A short
    id of lower-case letters, digits and C(_), C(-) or C(=) is the name; else it is what is harmless of the id, a plus,
    and the first 32 digits of the SHA-256 of the whole id.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._attributes.actiongroup_synapse
  - matrix_ops.synapse._connection
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
      - A complete export of the same account that holds what is asked for is left alone, unless it is older than
        O(max_age). O(force=true) makes a new one each time.
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
      - The directory that shall hold the export, or with O(archive) the file. The directory that it is in must exist.
      - It may exist already if it is an empty directory, or an export of the same account by this module, and belongs
        to who runs the task. Anything else is left alone, and the task fails.
      - While the export is made, it is in a hidden directory beside this one, which needs the same room on the disk,
        and with O(archive) up to twice as much. If the task fails or is killed, the media that were fetched stay in
        that directory, and the next run goes on with them.
      - For root, every directory on the way must belong to root, and nobody else may write to it. Only directories with
        the sticky bit, as C(/tmp), may be on the way too. Otherwise somebody could let root write elsewhere.
      - A place in a directory of the system, such as C(/etc) or C(/usr), is refused.
      - Either this or O(destination_directory) is required.
    type: path
    aliases:
      - dest
  destination_directory:
    description:
      - The directory in which the export gets a name of its own, of which no two accounts have the same. It is that of
        the account without the server, if that is short and has only lower-case letters, digits and C(_), C(-) or
        C(=), as C(alice) or with O(archive) C(alice.zip). Otherwise a part of its SHA-256 follows, as in
        C(Anna_B+161a473b4cf4efefe5147bf7ee4387e9.zip). RV(destination) tells it.
      - The directory is made if it is missing, for its owner alone, and so are those that it is in, for everybody to
        pass through. One that is there keeps its owner and mode.
      - Otherwise it is as with O(destination).
    type: path
  archive:
    description:
      - Pack the export into one file of this kind. The name of the file is O(destination), with the ending C(.tar.gz)
        or C(.zip) added to it if it does not have it.
    type: str
    choices:
      - tar.gz
      - zip
  media:
    description:
      - Whether the export holds the files that the account has uploaded, in its directory C(media), each named after
        its media id. Their original names are in C(manifest.json).
      - What the server cannot or may not give away is listed with the reason in RV(missing_media).
      - An export that is there already and holds them is left alone with V(false) too.
    type: bool
    default: false
  media_source:
    description:
      - Where the media are had from.
      - With V(store) they are copied from the media store on this host, for which Synapse need not run.
      - With V(api) they are downloaded from O(base_url), which takes an access token.
      - With V(auto) they are copied where that is possible, and the others downloaded if there is an access token.
    type: str
    choices:
      - auto
      - api
      - store
    default: auto
  include_quarantined:
    description:
      - Whether media that an admin has put into quarantine are exported too.
    type: bool
    default: false
  include_forgotten:
    description:
      - Whether rooms that the account has forgotten are exported too, as far as it could see them and Synapse still
        has them. Synapse's own command leaves them out.
      - When an account is deactivated, Synapse forgets all its rooms.
    type: bool
    default: false
  strict:
    description:
      - Whether the task fails if one of the media cannot be exported. It then names them.
    type: bool
    default: false
  parallel:
    description:
      - How many media are fetched at the same time.
    type: int
    default: 4
  max_age:
    description:
      - How old an export that is there may be. One that is older is replaced by a new one.
      - A number of seconds, or one with C(m), C(h), C(d) or C(w) after it for minutes, hours, days or weeks.
      - If it is not set, it may be of any age.
    type: str
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
      - The directory that the server runs in. It is needed only if the configuration has relative paths, as that of
        the media store is if the configuration does not name it.
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
  - Run the task as root, or as the user of Synapse with C(become_user). The export belongs to whoever makes it.
  - As root the server's own files keep their owner. But where PostgreSQL lets in the user of Synapse without a
    password, root does not get in.
  - The connection options are needed only for what the server itself has to be asked for. Without an access token the
    media must be in the media store, and what only the Admin API knows is listed as not exported.
  - Encrypted messages stay encrypted. The keys are with the person.
  - Export an account before it is deactivated.
"""

EXAMPLES = r"""
- name: Export everything of Alice, to alice.zip in a directory that is made for root alone
  matrix_ops.synapse.synapse_export:
    user_id: "@alice:example.org"
    destination_directory: /var/lib/matrix_ops.synapse/exports
    archive: zip
  become: true

- name: Export it as the user of Synapse, where that one may write
  matrix_ops.synapse.synapse_export:
    user_id: "@alice:example.org"
    destination: /var/lib/matrix-synapse/alice
  become: true
  become_user: matrix-synapse

- name: Export everything with the files, packed, and afresh after a month
  matrix_ops.synapse.synapse_export:
    user_id: alice
    destination_directory: /var/lib/matrix_ops.synapse/exports
    archive: tar.gz
    media: true
    max_age: 30d
    access_token_path: /root/.synapse-token
  become: true

- name: Export the files too while Synapse is stopped, and fail if one is missing
  matrix_ops.synapse.synapse_export:
    user_id: alice
    destination: /var/lib/matrix_ops.synapse/exports/alice_whole
    media: true
    media_source: store
    strict: true
  become: true

- name: Export what a deactivated account could see
  matrix_ops.synapse.synapse_export:
    user_id: bob
    destination: /var/lib/matrix_ops.synapse/exports/bob
    include_forgotten: true
  become: true

- name: Export it again, whatever is there
  matrix_ops.synapse.synapse_export:
    user_id: "@alice:example.org"
    destination: /var/lib/matrix_ops.synapse/exports/alice
    force: true
  become: true

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
  description: The directory or the file that holds the export.
  returned: success
  type: str
  sample: /var/lib/matrix_ops.synapse/exports/alice
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
      description: The number of rooms, with those that the account is only invited to or has knocked at.
      type: int
    events:
      description: The number of events in all rooms.
      type: int
    encrypted_messages:
      description: How many of them are encrypted.
      type: int
    media:
      description: The number of uploaded media, of which the export holds the descriptions.
      type: int
    media_files:
      description: Of how many media the export holds the file.
      type: int
    devices:
      description: The number of devices.
      type: int
  sample:
    files: 14
    rooms: 3
    events: 211
    encrypted_messages: 0
    media: 2
    media_files: 2
    devices: 1
pending:
  description:
    - The rooms that the account is invited to or has knocked at, and was never in. What the server knows of them is in
      the files C(invite_state) and C(knock_state) of their directories.
  returned: success
  type: list
  elements: dict
  contains:
    room_id:
      description: The room.
      type: str
    membership:
      description: V(invite) or V(knock).
      type: str
  sample:
    - room_id: "!lpZVXdbnFgbsvpMkDZ:example.org"
      membership: invite
missing_media:
  description: The media that the export should hold and does not. Null in check mode when it is not made yet.
  returned: success
  type: list
  elements: dict
  contains:
    media_id:
      description: The media id.
      type: str
    missing:
      description: Why there is no file.
      type: str
  sample:
    - media_id: GCmhgzMPRjqgpODLsNQzVuHZ
      missing: "it was quarantined by @admin:example.org"
not_exported:
  description:
    - What else the server has of the account and the export does not hold. Null in check mode when it is not made yet.
  returned: success
  type: list
  elements: dict
  contains:
    what:
      description: What it is.
      type: str
    why:
      description: Why it is not in the export.
      type: str
  sample:
    - what: 12 read receipts
      why: Synapse's export leaves them out, and its Admin API does not give them
forgotten_rooms:
  description:
    - The rooms that the account has been in and has forgotten. The export holds them only with
      O(include_forgotten=true).
    - When an account is deactivated, Synapse forgets all its rooms.
  returned: success
  type: list
  elements: str
  sample: []
outcome:
  description:
    - What became of the step at which the task failed, as was seen when it was looked at again.
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
  sample:
    - export the data of @alice:example.org to /var/lib/matrix_ops.synapse/exports/alice
"""

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    configuration_argument_spec,
    connection_argument_spec,
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
    "destination": {"type": "path", "aliases": ["dest"]},
    "destination_directory": {"type": "path"},
    "archive": {"type": "str", "choices": ["tar.gz", "zip"]},
    "media": {"type": "bool", "default": False},
    "media_source": {"type": "str", "choices": ["auto", "api", "store"], "default": "auto"},
    "include_quarantined": {"type": "bool", "default": False},
    "include_forgotten": {"type": "bool", "default": False},
    "strict": {"type": "bool", "default": False},
    "parallel": {"type": "int", "default": 4},
    "max_age": {"type": "str"},
    "force": {"type": "bool", "default": False},
    "synapse_python": {"type": "path", "default": "/opt/venvs/matrix-synapse/bin/python"},
    "chdir": {"type": "path"},
    "export_timeout": {"type": "int", "default": 3600},
}


def declare(parameters: Parameters) -> ExportResource:
    """Return the export that the task declares."""
    declared = DeclaredExport(**{name: parameters[name] for name in (*OPTIONS, "config_path")})
    # The server is not needed where nobody gives a token for it.
    client = connect(parameters, connections=declared.parallel) if read_access_token(parameters) else None
    return ExportResource(declared, client)


def main() -> None:
    """Run the module."""
    places = [["destination", "destination_directory"]]
    own = ArgumentSpec(OPTIONS, mutually_exclusive=places, required_one_of=places)
    run_resource(connection_argument_spec().merge(configuration_argument_spec(required=True)).merge(own), declare)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_room
short_description: Delete or block a room of a Synapse homeserver, or let somebody lead it
version_added: 1.0.0
description:
  - Deletes a room of a Synapse homeserver and waits until that is done, keeps people from joining it, or makes somebody
    of this server its admin.
  - A deletion that is under way already is awaited, whoever has started it. A server that does not answer for a short
    while meanwhile does not end that.
  - Rooms are made by people. This module makes none, except the one that people are moved to with O(new_room).
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._attributes.actiongroup_synapse
  - matrix_ops.synapse._connection
attributes:
  check_mode:
    support: full
    details:
      - Whom a deletion makes leave is known only after it.
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    support: full
    platforms: posix
options:
  room_id:
    description:
      - The id of the room. Since room version 12 it has no server name in it.
      - An alias is not accepted, because it could point to another room by the time that this one is deleted.
        M(matrix_ops.synapse.synapse_room_info) tells the id.
    type: str
    required: true
  state:
    description:
      - V(present) means that the room is on this server. If it is not, the task fails.
      - V(absent) means that everybody of this server has left the room, and with O(purge) that nothing of it is in the
        database. On other servers the room goes on.
    type: str
    choices:
      - present
      - absent
    default: present
  blocked:
    description:
      - Whether nobody of this server can join the room. That can be said of rooms that are not on this server too, with
        O(state=absent).
    type: bool
  admin_user:
    description:
      - Somebody of this server who shall be an admin of the room, in full or as localpart. Only with O(state=present).
      - It takes somebody of this server in the room who has power there, in whose name Synapse does it. Who is not in
        the room is invited, if it is not public.
      - What Synapse would refuse is refused before anything is changed, as far as it can be read, for example to invite
        somebody who is banned, or to a room that is blocked, or in the name of somebody who is suspended.
      - Only the attempt tells whether the server allows no invitations (C(block_non_admin_invites)), or whether the one
        who is invited accepts none. The task fails then, after the power has been given.
    type: str
  purge:
    description:
      - With O(state=absent), whether everything of the room is taken out of the database. Its local aliases are free
        then. Without it they stay, unless O(new_room) takes them.
    type: bool
    default: true
  force_purge:
    description:
      - With O(state=absent), whether the room is purged even if somebody could not be made to leave it.
    type: bool
    default: false
  new_room:
    description:
      - A new room that the people and the local aliases are moved to. Only with O(state=absent).
    type: dict
    suboptions:
      user_id:
        description:
          - Who makes it, in full or as localpart. Only that account can write in it.
        type: str
        required: true
      name:
        description:
          - Its name. Synapse has one of its own if none is given.
        type: str
      announcement:
        description:
          - What is said in it, for example why the old one was closed. Synapse has its own words otherwise.
        type: str
  wait_timeout:
    description:
      - How many seconds a deletion is awaited. If it takes longer the task fails, while Synapse goes on. Running the
        task again waits for it.
      - With V(0) it is only started.
    type: int
    default: 600
seealso:
  - module: matrix_ops.synapse.synapse_room_info
  - module: matrix_ops.synapse.synapse_room_alias
    description: Frees an alias without deleting a room.
"""

EXAMPLES = r"""
- name: Delete a room, and let nobody come back
  matrix_ops.synapse.synapse_room:
    access_token_path: /root/.synapse-token
    room_id: "!abcdefghijklmnop:example.org"
    state: absent
    blocked: true

- name: Close a room and move its people to a new one
  matrix_ops.synapse.synapse_room:
    access_token_path: /root/.synapse-token
    room_id: "!abcdefghijklmnop:example.org"
    state: absent
    new_room:
      user_id: support
      name: The lobby has moved
      announcement: The old lobby was full of spam.

- name: Let Alice lead a room whose admin has left the company
  matrix_ops.synapse.synapse_room:
    access_token_path: /root/.synapse-token
    room_id: "!Yqxu0gN4hKcXzsPbzR7v1TQmLw3D5aEoJf8yG6tVdHk"
    admin_user: "@alice:example.org"

- name: Keep everybody out of a room of another server
  matrix_ops.synapse.synapse_room:
    access_token_path: /root/.synapse-token
    room_id: "!spam:bad.example"
    state: absent
    blocked: true
"""

RETURN = r"""
room_id:
  description: The id of the room.
  returned: success
  type: str
blocked:
  description: Whether nobody of this server can join it, or in check mode whether that would be so.
  returned: success
  type: bool
delete_id:
  description: What Synapse calls the deletion. Null if none was made or awaited.
  returned: success
  type: str
delete_status:
  description: How far it is, V(complete), or V(scheduled) with O(wait_timeout=0).
  returned: success
  type: str
kicked_users:
  description: Who was made to leave. Null if that is not known.
  returned: success
  type: list
  elements: str
failed_to_kick_users:
  description: Who could not be made to leave. Null if that is not known.
  returned: success
  type: list
  elements: str
local_aliases:
  description: The aliases that were moved to the new room. Null if that is not known.
  returned: success
  type: list
  elements: str
new_room_id:
  description: The id of the new room. Null if there is none.
  returned: success
  type: str
outcome:
  description:
    - What became of the step at which the task failed, as the server showed when it was looked at again.
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
  sample: ["delete the room and block it"]
"""

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    connection_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, connect, run_resource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.deletion import DeclaredDeletion
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.room import DeclaredRoom, RoomResource


def declare(parameters: Parameters) -> RoomResource:
    """Return the room that the task declares."""
    new_room = parameters["new_room"] or {}
    deletion = DeclaredDeletion(
        purge=parameters["purge"],
        force_purge=parameters["force_purge"],
        block=bool(parameters["blocked"]),
        new_room_creator=new_room.get("user_id"),
        new_room_name=new_room.get("name"),
        message=new_room.get("announcement"),
    )
    declared = DeclaredRoom(
        present=parameters["state"] == "present",
        blocked=parameters["blocked"],
        admin_user=parameters["admin_user"],
        deletion=deletion,
        wait_timeout=parameters["wait_timeout"],
    )
    return RoomResource(connect(parameters), parameters["room_id"], declared)


def main() -> None:
    """Run the module."""
    own = ArgumentSpec(
        {
            "room_id": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "blocked": {"type": "bool"},
            "admin_user": {"type": "str"},
            "purge": {"type": "bool", "default": True},
            "force_purge": {"type": "bool", "default": False},
            "new_room": {
                "type": "dict",
                "options": {
                    "user_id": {"type": "str", "required": True},
                    "name": {"type": "str"},
                    "announcement": {"type": "str"},
                },
            },
            "wait_timeout": {"type": "int", "default": 600},
        }
    )
    run_resource(connection_argument_spec().merge(own), declare)


if __name__ == "__main__":
    main()

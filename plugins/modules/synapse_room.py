#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_room
short_description: Manage a room of a Synapse homeserver
version_added: 1.0.0
description:
  - Deletes a room of a Synapse homeserver and waits until the deletion is complete, blocks a room so that no user of
    this server can join it, or makes a user of this server room admin.
  - If a deletion of the room is already in progress, the module waits for it, whoever started it. It continues to wait
    if the server does not answer for a short time.
  - Rooms are created by users. This module creates no room, except the one that users are moved to with O(new_room).
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._attributes.actiongroup_synapse
  - matrix_ops.synapse._connection
  - matrix_ops.synapse._configuration
  - matrix_ops.synapse._progress
attributes:
  check_mode:
    support: full
    details:
      - The result of a deletion is only known after it, so check mode does not return RV(deletion).
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
      - The room ID. Since room version 12 it contains no server name.
      - A room alias is not accepted, because it could point to another room when the room is deleted.
        M(matrix_ops.synapse.synapse_room_info) returns the room ID of an alias.
    type: str
    required: true
  state:
    description:
      - V(present) means that the room is on this server. If it is not, the task fails.
      - V(absent) means that all users of this server have left the room, and with O(purge) that the database contains
        nothing of the room. On other servers the room continues to exist.
    type: str
    choices:
      - present
      - absent
    default: present
  blocked:
    description:
      - Whether the users of this server are prevented from joining the room. With O(state=absent), a room that is not
        on this server can be blocked as well.
    type: bool
  admin_user_id:
    description:
      - The user of this server who must be an admin of the room, as a full user ID or a localpart. Only with
        O(state=present).
      - Synapse does this in the name of a user of this server who is in the room and has the power level for it. If
        there is no such user, the task fails. The new admin is invited if they are not in the room and the room is not
        public.
      - If the module can read before the change that Synapse would refuse it, the task fails and nothing is changed.
        For example, the user is banned, the user must be invited and the room is blocked or the user has blocked
        invitations, or the user in whose name Synapse acts is suspended.
    type: str
  purge:
    description:
      - With O(state=absent), whether everything of the room is deleted from the database, including its local aliases.
        Without it the aliases stay, unless O(new_room) moves them.
    type: bool
    default: true
  allow_purge_with_members:
    description:
      - With O(state=absent), whether the room is purged even if Synapse could not remove every user from it.
    type: bool
    default: false
  new_room:
    description:
      - A new room that the users and the local aliases are moved to. Only with O(state=absent).
    type: dict
    suboptions:
      creator_user_id:
        description:
          - The user who creates the new room, as a full user ID or a localpart. Only this user can write in the room.
        type: str
        required: true
      name:
        description:
          - The name of the new room. If it is not set, Synapse uses a name of its own.
        type: str
      announcement:
        description:
          - The message that is sent to the new room, for example why the old room was closed. If it is not set, Synapse
            uses a message of its own.
          - At most about 64000 bytes.
        type: str
  wait_timeout:
    description:
      - How many seconds to wait for a deletion. If the deletion takes longer, the task fails and Synapse continues with
        it. Run the task again to wait for it.
      - With V(0) the deletion is only started.
    type: int
    default: 600
notes:
  - The configuration at O(config_path) is only read to find out before the change what Synapse would refuse. This is an
    invitation by a user who is not a server admin (C(block_non_admin_invites)), an invitation of the user of server
    notices (C(server_notices)), and any event while C(hs_disabled) is set or while the account of the access token has
    not agreed to the privacy policy (C(user_consent)). The task then fails, in check mode as well. If the default
    O(config_path) cannot be read on the host where the module runs, or belongs to another server, only the attempt
    shows this.
  - Only the attempt shows what a module of Synapse refuses (a spam checker, or rules for events, which can also forbid
    the deletion), that the limit of monthly active users is reached (C(limit_usage_by_mau)), a rate limit, that the
    power levels of a room are too large only because of what Synapse adds to the event, and that a user cannot be
    removed from a room whose state is damaged. If an invitation is refused, the task fails after the user was given the
    power level.
seealso:
  - module: matrix_ops.synapse.synapse_room_info
  - module: matrix_ops.synapse.synapse_room_alias
    description: Removes an alias without deleting the room.
"""

EXAMPLES = r"""
- name: Delete a room and prevent users from joining it again
  matrix_ops.synapse.synapse_room:
    access_token_path: /root/.synapse-token
    room_id: "!abcdefghijklmnop:example.org"
    state: absent
    blocked: true

- name: Delete a room and move its users to a new one
  matrix_ops.synapse.synapse_room:
    access_token_path: /root/.synapse-token
    room_id: "!abcdefghijklmnop:example.org"
    state: absent
    new_room:
      creator_user_id: support
      name: The lobby has moved
      announcement: The old lobby was full of spam.

- name: Make Alice an admin of a room whose admin has left the company
  matrix_ops.synapse.synapse_room:
    access_token_path: /root/.synapse-token
    room_id: "!Yqxu0gN4hKcXzsPbzR7v1TQmLw3D5aEoJf8yG6tVdHk"
    admin_user_id: "@alice:example.org"

- name: Block a room of another server
  matrix_ops.synapse.synapse_room:
    access_token_path: /root/.synapse-token
    room_id: "!spam:bad.example"
    state: absent
    blocked: true
"""

RETURN = r"""
room:
  description: The room as it is after the task, or in check mode as it would be.
  returned: success
  type: dict
  contains:
    room_id:
      description: The room ID.
      returned: always
      type: str
      sample: "!abcdefghijklmnop:example.org"
    blocked:
      description: Whether the users of this server are prevented from joining the room.
      returned: always
      type: bool
      sample: true
deletion:
  description:
    - The deletion of the room.
    - If it has failed, also what Synapse had changed by then. A new room that it had created stays, and the next run
      creates another one.
  returned: if the task started a deletion or waited for one, except in check mode and after a failure to wait
  type: dict
  contains:
    delete_id:
      description: The ID that Synapse gave to the deletion.
      returned: always
      type: str
      sample: bHGZqwOOqLjaCBrl
    status:
      description: The status of the deletion, V(complete), V(failed), or V(scheduled) with O(wait_timeout=0).
      returned: always
      type: str
      sample: complete
    kicked_users:
      description: The user IDs of the users that Synapse removed from the room.
      returned: if the deletion is complete, or has failed after it had begun
      type: list
      elements: str
      sample: ["@bob:example.org"]
    failed_to_kick_users:
      description: The user IDs of the users that Synapse could not remove from the room.
      returned: if the deletion is complete, or has failed after it had begun
      type: list
      elements: str
      sample: []
    local_aliases:
      description: The aliases that Synapse moved to the new room.
      returned: if the deletion is complete, or has failed after it had begun
      type: list
      elements: str
      sample: ["#lobby:example.org"]
    new_room_id:
      description: The room ID of the new room.
      returned: if the deletion created a new room
      type: str
      sample: "!Yqxu0gN4hKcXzsPbzR7v1TQmLw3D5aEoJf8yG6tVdHk"
request:
  description: The request that failed, without its content.
  returned: if a request failed
  type: dict
  contains:
    method:
      description: The HTTP method.
      returned: always
      type: str
      sample: PUT
    url:
      description: The URL, without a query.
      returned: always
      type: str
      sample: http://127.0.0.1:8008/_synapse/admin/v1/rooms/%21abcdefghijklmnop%3Aexample.org/block
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
  sample: ["delete the room and block it"]
"""

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    configuration_argument_spec,
    connection_argument_spec,
    progress_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, connect, run_resource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.configured_rules import ConfiguredRules
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.deletion import DeclaredDeletion
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.room import DeclaredRoom, RoomResource


def declare(parameters: Parameters) -> RoomResource:
    """Return the room that the task declares."""
    new_room = parameters["new_room"] or {}
    deletion = DeclaredDeletion(
        purge=parameters["purge"],
        allow_purge_with_members=parameters["allow_purge_with_members"],
        block=bool(parameters["blocked"]),
        new_room_creator=new_room.get("creator_user_id"),
        new_room_name=new_room.get("name"),
        announcement=new_room.get("announcement"),
    )
    declared = DeclaredRoom(
        present=parameters["state"] == "present",
        blocked=parameters["blocked"],
        admin_user_id=parameters["admin_user_id"],
        deletion=deletion,
        wait_timeout=parameters["wait_timeout"],
    )
    client = connect(parameters)
    return RoomResource(client, parameters["room_id"], declared, ConfiguredRules(client, parameters["config_path"]))


def main() -> None:
    """Run the module."""
    own = ArgumentSpec(
        {
            "room_id": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "blocked": {"type": "bool"},
            "admin_user_id": {"type": "str"},
            "purge": {"type": "bool", "default": True},
            "allow_purge_with_members": {"type": "bool", "default": False},
            "new_room": {
                "type": "dict",
                "options": {
                    "creator_user_id": {"type": "str", "required": True},
                    "name": {"type": "str"},
                    "announcement": {"type": "str"},
                },
            },
            "wait_timeout": {"type": "int", "default": 600},
        }
    )
    run_resource(
        connection_argument_spec().merge(configuration_argument_spec()).merge(progress_argument_spec()).merge(own),
        declare,
    )


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_room_alias
short_description: Manage a room alias of a Synapse homeserver
version_added: 1.0.0
description:
  - Lets an alias point to a room, moves it from one room to another, or frees it.
  - A server admin can free an alias without being in the room. Synapse itself then leaves the alias standing among the
    addresses that the room names (C(m.room.canonical_alias)). This module takes it off there too, in the name of a
    local member who has the power to, and says so if there is none. The access token for that ends after ten minutes,
    even if it cannot be logged out.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._attributes.actiongroup_synapse
  - matrix_ops.synapse._connection
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    support: full
    platforms: posix
options:
  alias:
    description:
      - The alias, in full (V(#lobby:example.org)) or without the server (V(#lobby)).
      - Only aliases of this server can be managed.
    type: str
    required: true
    aliases:
      - name
  room_id:
    description:
      - The room that the alias shall point to. Required with O(state=present).
      - With O(state=absent), a room that shall not name the alias any more, for one that was freed earlier. Without it,
        rooms are found whose main address the alias still is.
      - Since room version 12 a room id has no server name in it.
    type: str
  state:
    description:
      - V(present) means that the alias points to O(room_id), wherever it pointed to before.
      - V(absent) means that the alias is free.
    type: str
    choices:
      - present
      - absent
    default: present
  canonical:
    description:
      - Whether the alias is the main address of the room, the one that people see.
      - With O(state=absent) it can only be V(false).
      - What was the main address before stays an alias, but the room does not name it any more, unless O(alt_aliases)
        does.
    type: bool
  alt_aliases:
    description:
      - All other addresses that the room names. Others are taken off. Each must point to the room already, or be
        O(alias) itself. They may be aliases of other servers.
      - Only with O(state=present).
    type: list
    elements: str
seealso:
  - module: matrix_ops.synapse.synapse_access_token
"""

EXAMPLES = r"""
- name: Let the alias point to the new lobby, wherever it pointed to before
  matrix_ops.synapse.synapse_room_alias:
    access_token_path: /root/.synapse-token
    alias: "#lobby:example.org"
    room_id: "!Yqxu0gN4hKcXzsPbzR7v1TQmLw3D5aEoJf8yG6tVdHk"

- name: Free an alias that a lost room holds
  matrix_ops.synapse.synapse_room_alias:
    access_token_path: /root/.synapse-token
    alias: "#lobby:example.org"
    state: absent
  register: freed

- name: Say so if the lost room still names it
  ansible.builtin.debug:
    msg: "{{ freed.dangling_reason }}"
  when: freed.dangling

- name: Let the alias be the main address of the room, beside its old name
  matrix_ops.synapse.synapse_room_alias:
    access_token_path: /root/.synapse-token
    alias: "#lobby:example.org"
    room_id: "!Yqxu0gN4hKcXzsPbzR7v1TQmLw3D5aEoJf8yG6tVdHk"
    canonical: true
    alt_aliases:
      - "#old-lobby:example.org"
"""

RETURN = r"""
alias:
  description: The alias in full.
  returned: success
  type: str
  sample: "#lobby:example.org"
room_id:
  description: The room that it points to now, or in check mode would point to. Null if it is free.
  returned: success
  type: str
previous_room_id:
  description: The room that it pointed to before. Null if it was free.
  returned: success
  type: str
dangling:
  description:
    - Whether a room still names the alias that nobody of this server has the power to change. The alias itself is as
      declared then.
  returned: success
  type: bool
dangling_reason:
  description: Which room that is, and why nobody can change it. Null if there is none.
  returned: success
  type: str
written_as:
  description: The user ids in whose names addresses of rooms were changed, or in check mode would be.
  returned: success
  type: list
  elements: str
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
"""

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    connection_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, connect, run_resource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.alias import AliasResource, DeclaredAlias


def declare(parameters: Parameters) -> AliasResource:
    """Return the alias that the task declares."""
    declared = DeclaredAlias(
        room_id=parameters["room_id"],
        present=parameters["state"] == "present",
        canonical=parameters["canonical"],
        alt_aliases=parameters["alt_aliases"],
    )
    return AliasResource(connect(parameters), parameters["alias"], declared)


def main() -> None:
    """Run the module."""
    spec = ArgumentSpec(
        {
            "alias": {"type": "str", "required": True, "aliases": ["name"]},
            "room_id": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "canonical": {"type": "bool"},
            "alt_aliases": {"type": "list", "elements": "str"},
        },
        required_if=[("state", "present", ["room_id"])],
    )
    run_resource(connection_argument_spec().merge(spec), declare)


if __name__ == "__main__":
    main()

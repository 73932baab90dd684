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
  - Creates a room alias, moves it from one room to another, or removes it.
  - A server admin can remove an alias without being in the room. Synapse then silently leaves the alias among the
    published aliases of the room, which are the canonical alias and the alternative aliases in its
    C(m.room.canonical_alias) event. This module removes it there as well, in the name of a user of this server who is
    in the room and has the power level for it, and reports if there is no such user. The access token that it uses for
    this expires after ten minutes, even if it cannot be logged out.
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
      - The alias, in full (V(#lobby:example.org)) or without the server name (V(#lobby)).
      - Only aliases of this server can be managed.
    type: str
    required: true
    aliases:
      - name
  room_id:
    description:
      - The room that the alias should point to. Required with O(state=present).
      - With O(state=absent), a room that should not publish the alias any more. Set it if the alias was removed earlier
        and the room still publishes it. Without it, the module finds the rooms that still have the alias as canonical
        alias.
      - Since room version 12 a room ID contains no server name.
    type: str
  state:
    description:
      - V(present) means that the alias points to O(room_id). If it points to another room, it is moved.
      - V(absent) means that the alias points to no room.
    type: str
    choices:
      - present
      - absent
    default: present
  canonical:
    description:
      - Whether the alias is the canonical alias of the room, which clients show as its main alias.
      - With O(state=absent) it can only be V(false).
      - The previous canonical alias still points to the room, but the room does not publish it any more, unless
        O(alt_aliases) contains it.
    type: bool
  alt_aliases:
    description:
      - All alternative aliases that the room publishes. Others are removed from the published aliases. Each must
        already point to the room, or be O(alias) itself. They can be aliases of other servers.
      - Only with O(state=present).
    type: list
    elements: str
  working_directory:
    description:
      - The working directory of Synapse. Relative paths in its configuration start there.
      - It is only needed if C(app_service_config_files) in the configuration contains a relative path.
    type: path
notes:
  - The configuration at O(config_path) is only read to find out before the change what Synapse would refuse. This is an
    alias in the exclusive namespace of an application service (C(app_service_config_files)), an alias that
    C(alias_creation_rules) does not allow, and a change of the published aliases while C(hs_disabled) is set or while
    the account of the access token has not agreed to the privacy policy (C(user_consent)). The task then fails, in
    check mode as well. If the default O(config_path) cannot be read on the host where the module runs, or belongs to
    another server, only the attempt shows this. Synapse reads the configuration when it starts, so a file that was
    changed since then can differ from what Synapse does.
  - Only the attempt shows what a module of Synapse refuses (a spam checker, or rules for events), that the limit of
    monthly active users is reached (C(limit_usage_by_mau)), a rate limit, and that the list of the published aliases
    is too large only because of what Synapse adds to the event.
  - If Synapse refuses to point an alias to its new room, the alias stays at the old room, which publishes it again.
seealso:
  - module: matrix_ops.synapse.synapse_room
  - module: matrix_ops.synapse.synapse_access_token
"""

EXAMPLES = r"""
- name: Point an alias to the new lobby, even if it points to another room
  matrix_ops.synapse.synapse_room_alias:
    access_token_path: /root/.synapse-token
    alias: "#lobby:example.org"
    room_id: "!Yqxu0gN4hKcXzsPbzR7v1TQmLw3D5aEoJf8yG6tVdHk"

- name: Remove an alias from a lost room
  matrix_ops.synapse.synapse_room_alias:
    access_token_path: /root/.synapse-token
    alias: "#lobby:example.org"
    state: absent
  register: removed

- name: Show the rooms that still publish it
  ansible.builtin.debug:
    msg: "{{ item.room_id }} still publishes the alias, because {{ item.reason }}."
  loop: "{{ removed.room_alias.still_published_by }}"

- name: Make the alias the canonical alias of the room, and keep the old one as an alternative
  matrix_ops.synapse.synapse_room_alias:
    access_token_path: /root/.synapse-token
    alias: "#lobby:example.org"
    room_id: "!Yqxu0gN4hKcXzsPbzR7v1TQmLw3D5aEoJf8yG6tVdHk"
    canonical: true
    alt_aliases:
      - "#old-lobby:example.org"
"""

RETURN = r"""
room_alias:
  description: The alias as it is after the task, or in check mode as it would be.
  returned: success
  type: dict
  contains:
    alias:
      description: The alias in full.
      returned: always
      type: str
      sample: "#lobby:example.org"
    room_id:
      description: The room that the alias points to.
      returned: if the alias points to a room
      type: str
      sample: "!Yqxu0gN4hKcXzsPbzR7v1TQmLw3D5aEoJf8yG6tVdHk"
    previous_room_id:
      description: The room that the alias pointed to before the task.
      returned: if the alias pointed to a room
      type: str
      sample: "!abcdefghijklmnop:example.org"
    still_published_by:
      description:
        - The rooms that still publish the alias although they should not, because no user of this server can change
          that. The alias itself is as declared.
        - Empty if there is no such room among those that the module checks. The module checks the room that the alias
          pointed to before the task, and with O(state=absent) also O(room_id). If O(state=absent) and neither is known,
          it checks the rooms that still have the alias as canonical alias.
      returned: always
      type: list
      elements: dict
      contains:
        room_id:
          description: The room.
          returned: always
          type: str
          sample: "!abcdefghijklmnop:example.org"
        reason:
          description:
            - Why no user of this server can change what the room publishes. It is a part of a sentence that can follow
              the word because, without the room and the alias.
          returned: always
          type: str
          sample: no user of this server in the room has the required power level (50)
    written_as:
      description: The user IDs of the users in whose names the published aliases of rooms were changed, or in check
        mode would be changed.
      returned: always
      type: list
      elements: str
      sample: ["@bob:example.org"]
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
      sample: http://127.0.0.1:8008/_matrix/client/v3/directory/room/%23lobby%3Aexample.org
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
  sample: ["move the alias from !abcdefghijklmnop:example.org to !Yqxu0gN4hKcXzsPbzR7v1TQmLw3D5aEoJf8yG6tVdHk"]
"""

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    configuration_argument_spec,
    connection_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, connect, run_resource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.alias import AliasResource, DeclaredAlias
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.configured_rules import ConfiguredRules


def declare(parameters: Parameters) -> AliasResource:
    """Return the alias that the task declares."""
    declared = DeclaredAlias(
        room_id=parameters["room_id"],
        present=parameters["state"] == "present",
        canonical=parameters["canonical"],
        alt_aliases=parameters["alt_aliases"],
    )
    client = connect(parameters)
    rules = ConfiguredRules(client, parameters["config_path"], parameters["working_directory"])
    return AliasResource(client, parameters["alias"], declared, rules)


def main() -> None:
    """Run the module."""
    spec = ArgumentSpec(
        {
            "alias": {"type": "str", "required": True, "aliases": ["name"]},
            "room_id": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "canonical": {"type": "bool"},
            "alt_aliases": {"type": "list", "elements": "str"},
            "working_directory": {"type": "path"},
        },
        required_if=[("state", "present", ["room_id"])],
    )
    run_resource(connection_argument_spec().merge(configuration_argument_spec()).merge(spec), declare)


if __name__ == "__main__":
    main()

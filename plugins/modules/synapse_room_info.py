#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_room_info
short_description: See which rooms a Synapse homeserver has, and who is in them
version_added: 1.0.0
description:
  - Returns the rooms of a Synapse homeserver, or those that filters leave, and what is in them if that is asked for,
    such as the servers that participate in a room.
  - Reads them through the Admin API, or in the database where nobody has the access token of a server admin.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._attributes.info_module
  - matrix_ops.synapse._attributes.actiongroup_synapse
  - matrix_ops.synapse._connection
  - matrix_ops.synapse._configuration.optional
attributes:
  platform:
    support: full
    platforms: posix
options:
  room:
    description:
      - Return this room only, by its id or an alias that points to it.
      - If there is none, or another filter does not fit it, the result is empty.
    type: str
    aliases:
      - room_id
      - alias
  name:
    description:
      - Return only rooms with this text in their name or their main address, in upper or lower case.
      - All characters mean themselves, V(%) and V(_) too.
    type: str
  public:
    description:
      - Return only rooms that are in the public directory (V(true)), or only others (V(false)).
    type: bool
  empty:
    description:
      - Return only rooms that nobody is joined to (V(true)), or only others (V(false)).
    type: bool
  encrypted:
    description:
      - Return only rooms that are encrypted (V(true)), or only others (V(false)).
    type: bool
  version:
    description:
      - Return only rooms of this room version, such as V(12).
    type: str
  room_type:
    description:
      - Return only rooms of this type, such as V(m.space). An empty one means ordinary rooms.
    type: str
  order_by:
    description:
      - What the result is ordered by. Rooms that have no such value come last, and of two with the same value the one
        with the lower room id comes first.
    type: str
    choices:
      - room_id
      - name
      - canonical_alias
      - joined_members
      - joined_local_members
      - state_events
      - version
      - creator
    default: room_id
  descending:
    description:
      - Whether the highest value comes first.
    type: bool
    default: false
  limit:
    description:
      - How many rooms to return at most. Without it these are all.
    type: int
  members:
    description:
      - Whether to return with each room who is joined to it.
    type: bool
    default: false
  servers:
    description:
      - Whether to return with each room the servers that participate in it, which are those of everybody who is joined.
      - Once nobody of this server is in a room any more, Synapse does not know who else is.
    type: bool
    default: false
  state:
    description:
      - Whether to return with each room its state as it is now.
    type: bool
    default: false
  blocked:
    description:
      - Whether to return with each room whether it is blocked.
    type: bool
    default: false
  count_only:
    description:
      - Whether only the number of rooms is returned.
    type: bool
    default: false
  method:
    description:
      - V(api) asks the Admin API, with the access token of a server admin. It leaves out rooms that Synapse has counted
        nothing of yet, as just after they were made.
      - V(database) reads the database that O(config_path) names, which is required then. It needs no token, and Synapse
        need not run. The connection options are not used.
    type: str
    choices:
      - api
      - database
    default: api
  chdir:
    description:
      - The directory that Synapse runs in. It is needed only with O(method=database), if the path of an SQLite database
        is relative.
    type: path
notes:
  - O(members), O(servers), O(state) and O(blocked) take one request for each room and each of them. Use filters or
    O(limit) on a big server.
  - The members and events that Synapse counts lag some seconds behind. Those that O(members) returns do not.
  - With O(method=database) run the task as the user of Synapse, with C(become_user), or as root. Where PostgreSQL lets
    in the user of Synapse without a password, root does not get in.
seealso:
  - module: matrix_ops.synapse.synapse_room
  - module: matrix_ops.synapse.synapse_database_info
requirements:
  - psycopg2 on the host where the module runs, if a PostgreSQL database is read
"""

EXAMPLES = r"""
- name: See which servers are in a room
  matrix_ops.synapse.synapse_room_info:
    access_token_path: /root/.synapse-token
    room: "#lobby:example.org"
    servers: true
  register: lobby

- name: Show them
  ansible.builtin.debug:
    msg: "{{ lobby.rooms | map(attribute='servers') | flatten }}"

- name: Find the ten rooms with the most members
  matrix_ops.synapse.synapse_room_info:
    access_token_path: /root/.synapse-token
    order_by: joined_members
    descending: true
    limit: 10

- name: Count the rooms that nobody is in any more, while Synapse is stopped
  matrix_ops.synapse.synapse_room_info:
    method: database
    config_path:
      - /etc/matrix-synapse/homeserver.yaml
      - /etc/matrix-synapse/conf.d
    empty: true
    count_only: true
  become: true
  become_user: matrix-synapse

- name: Find the public rooms whose name speaks of money
  matrix_ops.synapse.synapse_room_info:
    access_token_path: /root/.synapse-token
    public: true
    name: money
"""

RETURN = r"""
rooms:
  description: The rooms that the filters leave. None with O(count_only).
  returned: success
  type: list
  elements: dict
  contains:
    room_id:
      description: The id of the room.
      returned: success
      type: str
      sample: "!Yqxu0gN4hKcXzsPbzR7v1TQmLw3D5aEoJf8yG6tVdHk"
    name:
      description: Its name. Empty if it has none.
      returned: success
      type: str
    canonical_alias:
      description: Its main address. Null if it has none.
      returned: success
      type: str
    joined_members:
      description: How many are joined. Null if Synapse has not counted them yet.
      returned: success
      type: int
    joined_local_members:
      description: How many of this server are joined. Null if Synapse has not counted them yet.
      returned: success
      type: int
    version:
      description: The room version.
      returned: success
      type: str
      sample: "12"
    creator:
      description: Who has made it.
      returned: success
      type: str
    encryption:
      description: How it is encrypted. Null if it is not.
      returned: success
      type: str
      sample: m.megolm.v1.aes-sha2
    federatable:
      description: Whether people of other servers can join.
      returned: success
      type: bool
    public:
      description: Whether it is in the public directory.
      returned: success
      type: bool
    join_rules:
      description: Who can join, such as V(public) or V(invite).
      returned: success
      type: str
    guest_access:
      description: Whether guests can join, V(can_join) or V(forbidden).
      returned: success
      type: str
    history_visibility:
      description: Who can see what was said.
      returned: success
      type: str
    state_events:
      description: How many events its state consists of. Null if Synapse has not counted them yet.
      returned: success
      type: int
    room_type:
      description: Its type, such as V(m.space). Null for an ordinary room.
      returned: success
      type: str
    members:
      description: Who is joined, as sorted user ids.
      returned: if O(members) is set
      type: list
      elements: str
    servers:
      description: The servers of those who are joined, sorted, with their ports.
      returned: if O(servers) is set
      type: list
      elements: str
      sample: ["[2001:db8::1]:8448", example.org, "matrix.example.net:8448"]
    state:
      description: Its state events by type and key, with C(event_id), C(type), C(state_key), C(sender),
        C(origin_server_ts) in milliseconds, and C(content).
      returned: if O(state) is set
      type: list
      elements: dict
    blocked:
      description: Whether nobody of this server can join it.
      returned: if O(blocked) is set
      type: bool
count:
  description: How many rooms the filters leave, whatever O(limit) is.
  returned: success
  type: int
method:
  description: How they were read, V(api) or V(database).
  returned: success
  type: str
  sample: api
"""

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    configuration_argument_spec,
    connection_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import read_configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database, find_database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, connect, run_info
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.query import (
    ORDERS,
    ApiRooms,
    Order,
    RoomFilter,
    RoomSource,
    StoredRooms,
    find_rooms,
    servers_of,
)


def read(parameters: Parameters) -> dict[str, t.Any]:
    """Return the rooms that the filters leave."""
    if parameters["method"] == "api":
        return _read(ApiRooms(connect(parameters)), parameters)
    configuration = read_configuration(parameters["config_path"])
    with Database(find_database(configuration, parameters["chdir"])) as database:
        return _read(StoredRooms(database, configuration.server_name), parameters)


def _read(source: RoomSource, parameters: Parameters) -> dict[str, t.Any]:
    names = ("room", "name", "public", "empty", "encrypted", "version", "room_type")
    wanted = RoomFilter(**{name: parameters[name] for name in names})
    order = Order(parameters["order_by"], parameters["descending"], parameters["limit"])
    found = find_rooms(source, wanted, order, count_only=parameters["count_only"])
    for room in found.rooms:
        room.update(_details(source, room["room_id"], parameters))
    return {"rooms": found.rooms, "count": found.total, "method": parameters["method"]}


def _details(source: RoomSource, room_id: str, parameters: Parameters) -> dict[str, t.Any]:
    details: dict[str, t.Any] = {}
    if parameters["members"] or parameters["servers"]:
        joined = source.joined(room_id)
        if parameters["members"]:
            details["members"] = joined
        if parameters["servers"]:
            details["servers"] = servers_of(joined)
    if parameters["state"]:
        details["state"] = source.state(room_id)
    if parameters["blocked"]:
        details["blocked"] = source.is_blocked(room_id)
    return details


def main() -> None:
    """Run the module."""
    flags = ("descending", "members", "servers", "state", "blocked", "count_only")
    own = ArgumentSpec(
        {
            "room": {"type": "str", "aliases": ["room_id", "alias"]},
            "name": {"type": "str"},
            "public": {"type": "bool"},
            "empty": {"type": "bool"},
            "encrypted": {"type": "bool"},
            "version": {"type": "str"},
            "room_type": {"type": "str"},
            "order_by": {"type": "str", "choices": list(ORDERS), "default": "room_id"},
            "limit": {"type": "int"},
            **{flag: {"type": "bool", "default": False} for flag in flags},
            "method": {"type": "str", "choices": ["api", "database"], "default": "api"},
            "chdir": {"type": "path"},
        },
        required_if=[("method", "database", ["config_path"])],
    )
    run_info(connection_argument_spec().merge(configuration_argument_spec()).merge(own), read)


if __name__ == "__main__":
    main()

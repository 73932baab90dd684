#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_room_info
short_description: Get information about the rooms of a Synapse homeserver
version_added: 1.0.0
description:
  - Returns the rooms of a Synapse homeserver, or those that match all filters. Can also return details of each room,
    such as the servers that participate in it.
  - Reads the rooms with the Admin API, or in the database if you have no access token of a server admin.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._attributes.info_module
  - matrix_ops.synapse._attributes.actiongroup_synapse
  - matrix_ops.synapse._connection
  - matrix_ops.synapse._configuration
attributes:
  platform:
    support: full
    platforms: posix
options:
  room:
    description:
      - Return only this room. A room ID, or an alias that points to the room.
      - If the room does not exist or does not match another filter, the result is empty.
    type: str
  search:
    description:
      - Return only rooms with this text in their name or their canonical alias. Upper and lower case do not matter.
      - No character has a special meaning, not even V(%) or V(_).
    type: str
  public:
    description:
      - Return only rooms that are in the public directory (V(true)), or only other rooms (V(false)).
    type: bool
  empty:
    description:
      - Return only rooms without joined members (V(true)), or only other rooms (V(false)). A room whose members Synapse
        has not counted yet is not empty.
    type: bool
  encrypted:
    description:
      - Return only encrypted rooms (V(true)), or only other rooms (V(false)).
    type: bool
  room_version:
    description:
      - Return only rooms of this room version, such as V(12).
    type: str
  room_type:
    description:
      - Return only rooms of this type, such as V(m.space). An empty string returns only rooms without a type.
    type: str
  order_by:
    description:
      - The value by which the rooms are sorted. Rooms that do not have the value come last. Rooms that have the same
        value are sorted by room ID.
      - Room IDs are compared byte by byte. For all other texts, upper and lower case do not matter. Room versions are
        compared as texts, so V(10) comes before V(9).
    type: str
    choices:
      - room_id
      - name
      - canonical_alias
      - joined_members
      - joined_local_members
      - state_events
      - room_version
      - creator
    default: room_id
  descending:
    description:
      - Whether the highest value comes first.
    type: bool
    default: false
  limit:
    description:
      - The maximum number of rooms to return. Without it all rooms are returned.
    type: int
  gather:
    description:
      - The details to return for each room in addition to the values that are always returned.
      - V(members) are the users that are joined to the room.
      - V(servers) are the servers that participate in the room, which are the servers of the joined members. After the
        last user of this server has left a room, Synapse does not know the other members any more.
      - V(state) is the current state of the room.
      - V(blocked) is whether the room is blocked.
    type: list
    elements: str
    choices:
      - members
      - servers
      - state
      - blocked
    default: []
  count_only:
    description:
      - Whether to return only the number of rooms.
    type: bool
    default: false
  source:
    description:
      - V(admin_api) reads the rooms with the Admin API. This needs the access token of a server admin. Rooms that
        Synapse has no statistics of yet, such as rooms that were just created, are missing.
      - V(database) reads the rooms in the database that the configuration in O(config_path) names. This needs no access
        token, and Synapse does not have to run. The connection options are not used. Rooms that Synapse has no
        statistics of yet are included, but those of their values that come from the state of the room, such as the
        name, are empty.
    type: str
    choices:
      - admin_api
      - database
    default: admin_api
  working_directory:
    description:
      - The working directory of Synapse. Relative paths in its configuration start there.
      - It is only needed with O(source=database), if the path of an SQLite database is relative.
    type: path
notes:
  - With O(source=admin_api), each detail in O(gather) needs one request for each room. V(members) and V(servers) share
    one. Use filters or O(limit) on a big server.
  - The numbers of members and events come from the statistics of Synapse, which are some seconds late. The members that
    O(gather=members) returns are current.
  - With O(source=database), run the task as the user of Synapse, with C(become_user), or as root. If PostgreSQL accepts
    only the user of Synapse without a password (peer authentication), root cannot connect.
seealso:
  - module: matrix_ops.synapse.synapse_room
  - module: matrix_ops.synapse.synapse_database_info
requirements:
  - psycopg2 on the host where the module runs, if a PostgreSQL database is read
"""

EXAMPLES = r"""
- name: Get the servers that participate in a room
  matrix_ops.synapse.synapse_room_info:
    access_token_path: /root/.synapse-token
    room: "#lobby:example.org"
    gather:
      - servers
  register: lobby

- name: Show the servers
  ansible.builtin.debug:
    msg: "{{ lobby.rooms | map(attribute='servers') | flatten }}"

- name: Get the ten rooms with the most members
  matrix_ops.synapse.synapse_room_info:
    access_token_path: /root/.synapse-token
    order_by: joined_members
    descending: true
    limit: 10

- name: Count the rooms without members while Synapse is stopped
  matrix_ops.synapse.synapse_room_info:
    source: database
    empty: true
    count_only: true
  become: true
  become_user: matrix-synapse

- name: Get the public rooms that have the word money in their name
  matrix_ops.synapse.synapse_room_info:
    access_token_path: /root/.synapse-token
    public: true
    search: money
"""

RETURN = r"""
rooms:
  description: The rooms that match all filters. Empty with O(count_only=true).
  returned: success
  type: list
  elements: dict
  contains:
    room_id:
      description: The room ID.
      returned: always
      type: str
      sample: "!Yqxu0gN4hKcXzsPbzR7v1TQmLw3D5aEoJf8yG6tVdHk"
    name:
      description: The name of the room. Empty if it has none.
      returned: always
      type: str
      sample: Lobby
    canonical_alias:
      description: The canonical alias of the room. Empty if it has none.
      returned: always
      type: str
      sample: "#lobby:example.org"
    joined_members:
      description: The number of joined members.
      returned: if Synapse has counted them
      type: int
      sample: 12
    joined_local_members:
      description: The number of joined members of this server.
      returned: if Synapse has counted them
      type: int
      sample: 5
    room_version:
      description: The room version. Empty if it is not known.
      returned: always
      type: str
      sample: "12"
    creator:
      description: The user ID of the user who created the room. Empty if it is not known.
      returned: always
      type: str
      sample: "@alice:example.org"
    encryption:
      description: The encryption algorithm of the room. Empty if the room is not encrypted.
      returned: always
      type: str
      sample: m.megolm.v1.aes-sha2
    federatable:
      description: Whether users of other servers can join the room.
      returned: always
      type: bool
      sample: true
    public:
      description: Whether the room is in the public directory.
      returned: always
      type: bool
      sample: false
    join_rules:
      description: Who can join the room, such as V(public) or V(invite). Empty if it is not set.
      returned: always
      type: str
      sample: invite
    guest_access:
      description: Whether guests can join the room, V(can_join) or V(forbidden). Empty if it is not set.
      returned: always
      type: str
      sample: forbidden
    history_visibility:
      description: Who can see the history of the room, such as V(shared). Empty if it is not set.
      returned: always
      type: str
      sample: shared
    state_events:
      description: The number of events in the current state of the room.
      returned: if Synapse has counted them
      type: int
      sample: 21
    room_type:
      description: The type of the room, such as V(m.space). Empty if it has none.
      returned: always
      type: str
      sample: m.space
    members:
      description: The user IDs of the joined members, sorted.
      returned: if O(gather) contains V(members)
      type: list
      elements: str
      sample: ["@alice:example.org", "@bob:example.org"]
    servers:
      description: The names of the servers of the joined members, sorted, with their ports.
      returned: if O(gather) contains V(servers)
      type: list
      elements: str
      sample: ["[2001:db8::1]:8448", example.org, "matrix.example.net:8448"]
    state:
      description: The state events of the room, sorted by type and state key.
      returned: if O(gather) contains V(state)
      type: list
      elements: dict
      contains:
        event_id:
          description: The event ID.
          returned: always
          type: str
          sample: $AvtQcT6hGNNKXS1lBnkmqjjzNgYBJZsTHbNDXSRVfOk
        type:
          description: The type of the event.
          returned: always
          type: str
          sample: m.room.name
        state_key:
          description: The state key of the event.
          returned: always
          type: str
          sample: ""
        sender:
          description: The user ID of the user who sent the event.
          returned: always
          type: str
          sample: "@alice:example.org"
        origin_server_ts:
          description: The time at which the event was sent, in milliseconds since 1970.
          returned: always
          type: int
          sample: 1767268800000
        content:
          description: The content of the event.
          returned: always
          type: dict
    blocked:
      description: Whether the users of this server are prevented from joining the room.
      returned: if O(gather) contains V(blocked)
      type: bool
      sample: false
summary:
  description: The number of rooms.
  returned: success
  type: dict
  contains:
    total:
      description: The number of rooms that match all filters, also with O(limit) and O(count_only=true).
      returned: always
      type: int
      sample: 7
source:
  description: Where the rooms were read, V(admin_api) or V(database).
  returned: success
  type: str
  sample: admin_api
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
      sample: http://127.0.0.1:8008/_synapse/admin/v1/rooms
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
    """Return the rooms that match all filters."""
    if parameters["source"] == "admin_api":
        return _read(ApiRooms(connect(parameters)), parameters)
    configuration = read_configuration(parameters["config_path"])
    with Database(find_database(configuration, parameters["working_directory"])) as database:
        return _read(StoredRooms(database, configuration.server_name), parameters)


def _read(source: RoomSource, parameters: Parameters) -> dict[str, t.Any]:
    names = ("room", "search", "public", "empty", "encrypted", "room_version", "room_type")
    wanted = RoomFilter(**{name: parameters[name] for name in names})
    order = Order(parameters["order_by"], parameters["descending"], parameters["limit"])
    found = find_rooms(source, wanted, order, count_only=parameters["count_only"])
    for room in found.rooms:
        room.update(_details(source, room["room_id"], parameters["gather"]))
    return {"rooms": found.rooms, "summary": {"total": found.total}, "source": parameters["source"]}


def _details(source: RoomSource, room_id: str, gather: t.Collection[str]) -> dict[str, t.Any]:
    details: dict[str, t.Any] = {}
    if "members" in gather or "servers" in gather:
        joined = source.joined(room_id)
        if "members" in gather:
            details["members"] = joined
        if "servers" in gather:
            details["servers"] = servers_of(joined)
    if "state" in gather:
        details["state"] = source.state(room_id)
    if "blocked" in gather:
        details["blocked"] = source.is_blocked(room_id)
    return details


def main() -> None:
    """Run the module."""
    own = ArgumentSpec(
        {
            "room": {"type": "str"},
            "search": {"type": "str"},
            "public": {"type": "bool"},
            "empty": {"type": "bool"},
            "encrypted": {"type": "bool"},
            "room_version": {"type": "str"},
            "room_type": {"type": "str"},
            "order_by": {"type": "str", "choices": list(ORDERS), "default": "room_id"},
            "descending": {"type": "bool", "default": False},
            "limit": {"type": "int"},
            "gather": {
                "type": "list",
                "elements": "str",
                "choices": ["members", "servers", "state", "blocked"],
                "default": [],
            },
            "count_only": {"type": "bool", "default": False},
            "source": {"type": "str", "choices": ["admin_api", "database"], "default": "admin_api"},
            "working_directory": {"type": "path"},
        }
    )
    run_info(connection_argument_spec().merge(configuration_argument_spec()).merge(own), read)


if __name__ == "__main__":
    main()

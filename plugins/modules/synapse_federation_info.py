#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_federation_info
short_description: See which servers a Synapse homeserver talks to
version_added: 1.0.0
description:
  - Returns the destinations of a Synapse homeserver, which are the servers that it has sent something to or has failed
    to, with how each of them is reached.
  - Tells with O(talking_to) which servers it talks to, which are more than the destinations.
  - Tells with O(ever_federated) whether it has ever talked to another server, and what shows that.
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
  destination:
    description:
      - Return this destination only, by its full name with the port if it has one. Such names are compared letter by
        letter.
      - If it is none, the result is empty.
    type: str
  failing:
    description:
      - Return only destinations that the last try has failed to reach (V(true)), or only others (V(false)).
    type: bool
  rooms:
    description:
      - Whether to return with each destination the rooms that Synapse has had something to send from. That takes one
        request for each destination.
    type: bool
    default: false
  talking_to:
    description:
      - Whether to return all servers that this server talks to. O(destination) and O(failing) do not concern them.
      - Beside the destinations these are the servers of everybody who is joined to a room here, and, as only the
        database that O(config_path) names can tell, those that have sent something within the last day.
      - Without O(config_path) that takes one request for each room that somebody from another server is in. Rooms whose
        members Synapse has not counted yet are left out then.
    type: bool
    default: false
  ever_federated:
    description:
      - Whether to look for evidence that this server has ever talked to another one. Without O(config_path) only a
        small part of it can be seen, with the same effort as for O(talking_to).
    type: bool
    default: false
  method:
    description:
      - V(api) asks the Admin API, with the access token of a server admin. With O(config_path) the database is read
        beside it, for what the API does not tell.
      - V(database) reads only the database that O(config_path) names, which is required then. It needs no token, and
        Synapse need not run. The connection options are not used.
    type: str
    choices:
      - api
      - database
    default: api
  chdir:
    description:
      - The directory that Synapse runs in. It is needed only with O(config_path), if the path of an SQLite database is
        relative.
    type: path
notes:
  - RV(destinations[].state) compares with the clock of the host where the module runs.
  - Where the database is read, run the task as the user of Synapse, with C(become_user), or as root. Where PostgreSQL
    lets in the user of Synapse without a password, root does not get in.
seealso:
  - module: matrix_ops.synapse.synapse_federation_destination
requirements:
  - psycopg2 on the host where the module runs, if a PostgreSQL database is read
"""

EXAMPLES = r"""
- name: See which servers this server talks to
  matrix_ops.synapse.synapse_federation_info:
    access_token_path: /root/.synapse-token
    config_path:
      - /etc/matrix-synapse/homeserver.yaml
      - /etc/matrix-synapse/conf.d
    talking_to: true
  become: true
  become_user: matrix-synapse
  register: federation

- name: Show their names
  ansible.builtin.debug:
    msg: "{{ federation.talking_to | map(attribute='server') }}"

- name: Find the servers that cannot be reached
  matrix_ops.synapse.synapse_federation_info:
    access_token_path: /root/.synapse-token
    failing: true
  register: failing

- name: Show since when, and when they are tried again
  ansible.builtin.debug:
    msg: "{{ item.destination }} has failed since {{ item.failing_since }}, next try {{ item.next_attempt }}"
  loop: "{{ failing.destinations }}"
  loop_control:
    label: "{{ item.destination }}"

- name: Look which rooms are shared with a server
  matrix_ops.synapse.synapse_federation_info:
    access_token_path: /root/.synapse-token
    destination: matrix.example.net
    rooms: true

- name: Look whether this server has ever federated, while Synapse is stopped
  matrix_ops.synapse.synapse_federation_info:
    method: database
    config_path:
      - /etc/matrix-synapse/homeserver.yaml
      - /etc/matrix-synapse/conf.d
    ever_federated: true
  become: true
  become_user: matrix-synapse
  register: federation

- name: Stop if it has
  ansible.builtin.assert:
    that: not federation.ever_federated.verdict
    fail_msg: "It has: {{ federation.ever_federated.evidence }}"
"""

RETURN = r"""
destinations:
  description: The destinations that the filters leave, ordered by name. The server itself is never one.
  returned: success
  type: list
  elements: dict
  contains:
    destination:
      description: The name of the other server, with its port if it has one.
      returned: success
      type: str
      sample: matrix.example.net:8448
    state:
      description:
        - V(ok) if the last try went well, or there was none.
        - V(backing_off) if it failed, and Synapse waits until RV(destinations[].next_attempt).
        - V(retry_due) if it failed, and Synapse tries again as soon as there is something to send.
      returned: success
      type: str
      sample: backing_off
    failure_ts:
      description: Since when it has been failing, in milliseconds since 1970. Null if the last try went well.
      returned: success
      type: int
      sample: 1769860800123
    failing_since:
      description: The same in UTC, in full seconds.
      returned: success
      type: str
      sample: "2026-01-31T12:00:00Z"
    retry_last_ts:
      description: When Synapse last tried in vain, in milliseconds since 1970. Null if the last try went well.
      returned: success
      type: int
      sample: 1769861400123
    last_attempt:
      description: The same in UTC, in full seconds.
      returned: success
      type: str
      sample: "2026-01-31T12:10:00Z"
    retry_interval:
      description: How long Synapse waits after RV(destinations[].retry_last_ts), in milliseconds.
      returned: success
      type: int
      sample: 1200000
    next_attempt_ts:
      description: Until when Synapse waits, in milliseconds since 1970. Null if the last try went well.
      returned: success
      type: int
      sample: 1769862600123
    next_attempt:
      description: The same in UTC, in full seconds. Null also if no calendar has that year.
      returned: success
      type: str
      sample: "2026-01-31T12:30:00Z"
    last_successful_stream_ordering:
      description: The position of the last event that was delivered. Null if there was none.
      returned: success
      type: int
      sample: 4711
    rooms:
      description: The rooms that Synapse has had something to send from, ordered by room id.
      returned: with O(rooms=true)
      type: list
      elements: dict
      contains:
        room_id:
          description: The id of the room.
          returned: success
          type: str
          sample: "!Yqxu0gN4hKcXzsPbzR7v1TQmLw3D5aEoJf8yG6tVdHk"
        stream_ordering:
          description: The position of the last event in it for the destination.
          returned: success
          type: int
          sample: 4711
        delivered:
          description: Whether that event was delivered.
          returned: success
          type: bool
          sample: true
count:
  description: How many destinations the filters leave.
  returned: success
  type: int
  sample: 1
server_name:
  description: The name of this server itself.
  returned: success
  type: str
  sample: example.org
talking_to:
  description: The servers that this server talks to, ordered by name.
  returned: with O(talking_to=true)
  type: list
  elements: dict
  contains:
    server:
      description: The name of the other server, with its port if it has one.
      returned: success
      type: str
      sample: matrix.example.net:8448
    evidence:
      description:
        - V(destinations) if it is among the destinations.
        - V(joined_members) if somebody from it is joined to a room here.
        - V(inbound) if it has sent something within the last day, or little more.
      returned: success
      type: list
      elements: str
      sample:
        - destinations
        - joined_members
ever_federated:
  description: Whether this server has ever talked to another one.
  returned: with O(ever_federated=true)
  type: dict
  contains:
    verdict:
      description:
        - Whether there is any evidence. V(false) means that none was found.
        - It is worth the more the less is in RV(unseen), but never a proof, because Synapse forgets. A server that has
          left its last room and purged it may have kept nothing.
      returned: success
      type: bool
      sample: true
    evidence:
      description: The evidence that there is, kind by kind.
      returned: success
      type: list
      elements: dict
      contains:
        source:
          description:
            - V(destinations), servers that Synapse has sent something to, or has failed to.
            - V(joined_members), servers of those who are joined to a room here, and V(members), also of those who are
              invited, have left or are banned. The first is shown where the database is not read, the second where it
              is.
            - V(rooms), servers that rooms here were created on.
            - V(aliases), servers that are noted as being in the rooms that aliases point to.
            - V(inbound), servers that have sent something within the last day, or little more, and V(inbound_events),
              servers whose events have come in and wait to be processed.
            - V(signing_keys), servers whose signing keys were fetched.
            - V(device_lists), servers of people whose devices are known.
            - V(media), servers that media were fetched from.
            - V(past_members), servers of those who have ever been in a room here, or have invited somebody from here.
              That is looked for only if there is nothing else, because it takes long.
          returned: success
          type: str
          sample: signing_keys
        count:
          description: How many servers that shows.
          returned: success
          type: int
          sample: 2
        servers:
          description: Their names, but ten at most.
          returned: success
          type: list
          elements: str
          sample:
            - example.net
            - matrix.example.net:8448
unseen:
  description:
    - The kinds of evidence that could not be looked for, because only the database holds them and O(config_path) was
      not set. Empty if nothing that was asked for needs it.
    - They are named as in RV(ever_federated.evidence[].source).
  returned: success
  type: list
  elements: str
  sample: []
method:
  description: How the destinations were read, V(api) or V(database).
  returned: success
  type: str
  sample: api
"""

import contextlib
import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    configuration_argument_spec,
    connection_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import read_configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._federation.evidence import Evidence
from ansible_collections.matrix_ops.synapse.plugins.module_utils._federation.query import (
    ApiSource,
    DatabaseSource,
    DestinationFilter,
    Source,
    find_destinations,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, connect, run_info


def read(parameters: Parameters) -> dict[str, t.Any]:
    """Return the destinations, and what else the task asks for."""
    wanted = DestinationFilter(parameters["destination"], parameters["failing"])
    with contextlib.ExitStack() as stack:
        source, database = open_sources(parameters, stack)
        found = find_destinations(source, wanted, time.time(), rooms=parameters["rooms"])
        result = {
            "destinations": found,
            "count": len(found),
            "server_name": source.server_name,
            "method": parameters["method"],
            "unseen": [],
        }
        evidence = Evidence(source, database)
        if parameters["talking_to"]:
            result["talking_to"] = evidence.talking_to()
        if parameters["ever_federated"]:
            result["ever_federated"] = evidence.ever_federated()
        if parameters["talking_to"] or parameters["ever_federated"]:
            result["unseen"] = evidence.unseen(ever_federated=parameters["ever_federated"])
    return result


def open_sources(parameters: Parameters, stack: contextlib.ExitStack) -> tuple[Source, DatabaseSource | None]:
    """Return where the destinations are, and the database if it can be read; `stack` closes it."""
    api = ApiSource(connect(parameters)) if parameters["method"] == "api" else None
    needed = api is None or parameters["talking_to"] or parameters["ever_federated"]
    if not needed or not parameters["config_path"]:
        return t.cast(ApiSource, api), None
    configuration = read_configuration(parameters["config_path"])
    database = stack.enter_context(DatabaseSource(configuration, parameters["chdir"]))
    if api is None:
        return database, database
    database.require_same_server(api.server_name)
    return api, database


def main() -> None:
    """Run the module."""
    own = ArgumentSpec(
        {
            "destination": {"type": "str"},
            "failing": {"type": "bool"},
            "rooms": {"type": "bool", "default": False},
            "talking_to": {"type": "bool", "default": False},
            "ever_federated": {"type": "bool", "default": False},
            "method": {"type": "str", "choices": ["api", "database"], "default": "api"},
            "chdir": {"type": "path"},
        },
        required_if=[("method", "database", ["config_path"])],
    )
    run_info(connection_argument_spec().merge(configuration_argument_spec()).merge(own), read)


if __name__ == "__main__":
    main()

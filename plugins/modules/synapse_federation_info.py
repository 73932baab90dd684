#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_federation_info
short_description: Get information about the federation of a Synapse homeserver
version_added: 1.0.0
description:
  - Returns the destinations of a Synapse homeserver and the state of each. A destination is a server that Synapse has
    sent something to, or has tried to send something to.
  - Can also return all servers that it talks to, which may be more than the destinations, and evidence that it has ever
    federated.
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
  destination:
    description:
      - Return only this destination, given as the full server name, with its port if it has one. Upper and lower case
        matter.
      - If it does not exist, or another filter does not match it, the result is empty.
    type: str
  failing:
    description:
      - With V(true), return only destinations that the last attempt failed to reach. With V(false), return only the
        others.
    type: bool
  gather:
    description:
      - What to add to the result.
      - V(rooms) adds to each destination the rooms that Synapse has sent something from, or has something to send from.
        With O(source=admin_api), that needs one request for each destination.
      - V(talking_to) adds all servers that this server talks to. These are the destinations, the servers of all users
        who are joined to a room here, and the servers that have sent something within the last day. O(destination) and
        O(failing) do not apply to them.
      - V(ever_federated) adds evidence that this server has ever talked to another one.
      - With O(source=admin_api), V(talking_to) and V(ever_federated) need one request for each room with a user of
        another server. Rooms whose members Synapse has not counted yet are missing. Evidence that only the database
        contains is listed in RV(unknown).
    type: list
    elements: str
    choices:
      - rooms
      - talking_to
      - ever_federated
    default: []
  source:
    description:
      - V(admin_api) reads the values with the Admin API. This needs the access token of a server admin.
      - V(database) reads the values in the database that the configuration in O(config_path) names. This needs no
        access token, and Synapse does not have to run. The connection options are not used.
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
  - O(config_path) is used only with O(source=database).
  - RV(destinations[].retry_state) is compared with the clock of the host where the module runs.
  - With O(source=database), run the task as the user of Synapse, with C(become_user), or as root. If PostgreSQL accepts
    only the user of Synapse without a password (peer authentication), root cannot connect.
seealso:
  - module: matrix_ops.synapse.synapse_federation_destination
requirements:
  - psycopg2 on the host where the module runs, if a PostgreSQL database is read
"""

EXAMPLES = r"""
- name: Get the servers that this server talks to
  matrix_ops.synapse.synapse_federation_info:
    source: database
    gather:
      - talking_to
  become: true
  become_user: matrix-synapse
  register: federation

- name: Show the names of the servers
  ansible.builtin.debug:
    msg: "{{ federation.talking_to | map(attribute='server') }}"

- name: Find the servers that cannot be reached
  matrix_ops.synapse.synapse_federation_info:
    access_token_path: /root/.synapse-token
    failing: true
  register: failing

- name: Show since when, and the time of the next attempt
  ansible.builtin.debug:
    msg: >-
      {{ item.destination }} has been failing since {{ item.failing_since | default('an unknown time') }},
      next attempt {{ item.next_attempt | default('never') }}
  loop: "{{ failing.destinations }}"
  loop_control:
    label: "{{ item.destination }}"

- name: Get the rooms that are shared with a server
  matrix_ops.synapse.synapse_federation_info:
    access_token_path: /root/.synapse-token
    destination: matrix.example.net
    gather:
      - rooms

- name: Check whether this server has ever federated, while Synapse is stopped
  matrix_ops.synapse.synapse_federation_info:
    source: database
    gather:
      - ever_federated
  become: true
  become_user: matrix-synapse
  register: federation

- name: Fail if it has
  ansible.builtin.assert:
    that: not federation.ever_federated.verdict
    fail_msg: "This server has federated: {{ federation.ever_federated.evidence }}"
"""

RETURN = r"""
destinations:
  description: The destinations that match all filters, sorted by name. The server itself is never one of them.
  returned: success
  type: list
  elements: dict
  contains:
    destination:
      description: The server name of the other server, with its port if it has one.
      returned: always
      type: str
      sample: matrix.example.net:8448
    retry_state:
      description:
        - V(ok) if the last attempt succeeded, or there was none.
        - V(backing_off) if it failed, and Synapse waits until RV(destinations[].next_attempt).
        - V(retry_due) if it failed, and Synapse tries again as soon as it has something to send.
      returned: always
      type: str
      sample: backing_off
    failing_since:
      description: The time of the first of the failed attempts (ISO 8601, UTC).
      returned: if the last attempt failed, and Synapse has stored that time
      type: str
      sample: "2026-01-31T12:00:00Z"
    failing_since_ts:
      description: The same time in milliseconds since 1970.
      returned: if the last attempt failed, and Synapse has stored that time
      type: int
      sample: 1769860800123
    last_attempt:
      description: The time of the last attempt (ISO 8601, UTC).
      returned: if the last attempt failed
      type: str
      sample: "2026-01-31T12:10:00Z"
    last_attempt_ts:
      description: The same time in milliseconds since 1970.
      returned: if the last attempt failed
      type: int
      sample: 1769861400123
    next_attempt:
      description: The end of the backoff (ISO 8601, UTC).
      returned: if the last attempt failed, and the year of the next one is at most 9999
      type: str
      sample: "2026-01-31T12:30:00Z"
    next_attempt_ts:
      description: The same time in milliseconds since 1970.
      returned: if the last attempt failed
      type: int
      sample: 1769862600123
    retry_interval_ms:
      description: How long Synapse waits after RV(destinations[].last_attempt), in milliseconds.
      returned: if the last attempt failed
      type: int
      sample: 1200000
    last_successful_stream_ordering:
      description: The stream ordering of the last event that Synapse has sent to the destination successfully.
      returned: if Synapse has sent an event to the destination successfully
      type: int
      sample: 4711
    rooms:
      description:
        - The rooms that Synapse has sent something from, or has something to send from, sorted by room ID.
      returned: if O(gather) contains V(rooms)
      type: list
      elements: dict
      contains:
        room_id:
          description: The room ID.
          returned: always
          type: str
          sample: "!Yqxu0gN4hKcXzsPbzR7v1TQmLw3D5aEoJf8yG6tVdHk"
        stream_ordering:
          description: The stream ordering of the last event in the room for this destination.
          returned: always
          type: int
          sample: 4711
        delivered:
          description: Whether that event was delivered.
          returned: always
          type: bool
          sample: true
summary:
  description: The number of destinations.
  returned: success
  type: dict
  contains:
    total:
      description: The number of destinations that match all filters.
      returned: always
      type: int
      sample: 1
server_name:
  description: The server name of this server.
  returned: success
  type: str
  sample: example.org
talking_to:
  description: The servers that this server talks to, sorted by name.
  returned: if O(gather) contains V(talking_to)
  type: list
  elements: dict
  contains:
    server:
      description: The server name of the other server, with its port if it has one.
      returned: always
      type: str
      sample: matrix.example.net:8448
    evidence:
      description:
        - V(destinations) if it is a destination.
        - V(joined_members) if a user of it is joined to a room here.
        - V(inbound) if it has sent something within the last day, or a little earlier.
      returned: always
      type: list
      elements: str
      sample:
        - destinations
        - joined_members
ever_federated:
  description: Whether this server has ever talked to another one.
  returned: if O(gather) contains V(ever_federated)
  type: dict
  contains:
    verdict:
      description:
        - Whether there is any evidence.
        - V(false) is never a proof, because Synapse deletes old data. A server that has left its last federated room,
          and has deleted it, may have no evidence left. The fewer kinds RV(unknown) lists, the more V(false) means.
      returned: always
      type: bool
      sample: true
    evidence:
      description: The evidence, one entry for each kind.
      returned: always
      type: list
      elements: dict
      contains:
        kind:
          description:
            - V(destinations), servers that Synapse has sent something to, or has tried to send something to.
            - V(joined_members), servers of users who are joined to a room here. Used only with O(source=admin_api).
            - V(members), servers of users who are joined to a room here, are invited, or have asked to join. A ban does
              not count, because users can be banned who were never here.
            - V(rooms), servers whose users created rooms that this server knows.
            - V(aliases), servers that are stored as participants of a room with a room alias.
            - V(inbound), servers that have sent something within the last day, or a little earlier.
            - V(inbound_events), servers whose events have arrived and are not processed yet.
            - V(unfinished_joins), servers in rooms whose state Synapse is still fetching after a join.
            - V(signing_keys), servers whose signing keys Synapse has fetched, and the servers it has got these keys
              from.
            - V(device_lists), servers of users whose devices or encryption keys Synapse knows, and servers that it
              informs about the devices of its own users.
            - V(device_messages), servers that have sent messages to devices of users here within the last week.
            - V(presence), servers of users whose presence Synapse knows.
            - V(user_directory), servers of users in the user directory.
            - V(media), servers that Synapse has fetched media from.
            - V(past_members), servers of users who have ever been in a room here, or have invited a user of this
              server. The module reads these only if there is no other evidence, because it takes long.
            - V(events), servers of users who have sent events that Synapse has fetched afterwards, that it has
              rejected, or that are the last ones of a room. The module reads these only if there is no other evidence.
          returned: always
          type: str
          sample: signing_keys
        count:
          description: The number of servers.
          returned: always
          type: int
          sample: 2
        servers:
          description: The names of the servers, at most ten.
          returned: always
          type: list
          elements: str
          sample:
            - example.net
            - matrix.example.net:8448
unknown:
  description:
    - The kinds of evidence that RV(talking_to) or RV(ever_federated) needs and that could not be read, because only the
      database contains them. Empty with O(source=database).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The kind of evidence, as in RV(ever_federated.evidence[].kind).
      returned: always
      type: str
      sample: inbound
    reason:
      description: Why it could not be read.
      returned: always
      type: str
      sample: Only the database of Synapse contains it.
    fix:
      description: How to read it.
      returned: always
      type: str
      sample: "Use source: database, on the host of Synapse."
source:
  description: Where the values were read, V(admin_api) or V(database).
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
      sample: http://127.0.0.1:8008/_synapse/admin/v1/federation/destinations
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
    """Return the destinations, and what `gather` adds."""
    wanted = DestinationFilter(parameters["destination"], parameters["failing"])
    gathered = parameters["gather"]
    with contextlib.ExitStack() as stack:
        source = open_source(parameters, stack)
        destinations = find_destinations(source, wanted, time.time(), rooms="rooms" in gathered)
        evidence = Evidence(source)
        result: dict[str, t.Any] = {
            "destinations": destinations,
            "summary": {"total": len(destinations)},
            "server_name": source.server_name,
            "source": parameters["source"],
            "unknown": evidence.unknown(gathered),
        }
        if "talking_to" in gathered:
            result["talking_to"] = evidence.talking_to()
        if "ever_federated" in gathered:
            result["ever_federated"] = evidence.ever_federated()
    return result


def open_source(parameters: Parameters, stack: contextlib.ExitStack) -> Source:
    """Return the source that the task names; `stack` closes it."""
    if parameters["source"] == "admin_api":
        return ApiSource(connect(parameters))
    configuration = read_configuration(parameters["config_path"])
    return stack.enter_context(DatabaseSource(configuration, parameters["working_directory"]))


def main() -> None:
    """Run the module."""
    gather = ["rooms", "talking_to", "ever_federated"]
    own = ArgumentSpec(
        {
            "destination": {"type": "str"},
            "failing": {"type": "bool"},
            "gather": {"type": "list", "elements": "str", "choices": gather, "default": []},
            "source": {"type": "str", "choices": ["admin_api", "database"], "default": "admin_api"},
            "working_directory": {"type": "path"},
        }
    )
    run_info(connection_argument_spec().merge(configuration_argument_spec()).merge(own), read)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_database_info
short_description: See what the database of a Synapse homeserver is like, and which rooms fill it
version_added: 1.0.0
description:
  - Returns the engine of the database, its version and locale and whether Synapse takes them, its size, its biggest
    tables and indexes, and the background updates that Synapse still has to run.
  - On demand also returns the rooms that fill the table C(state_groups_state), which mostly is the biggest one. They
    are counted, or estimated from some blocks of that table, or those with the most state events are asked for.
  - Everything is read in a transaction that can neither write nor lock out anybody, and a query that takes too long is
    stopped.
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
  limit:
    description:
      - How many tables, indexes and rooms are returned, the biggest first.
    type: int
    default: 10
  statement_timeout:
    description:
      - After how many seconds the database stops a query. The task fails then.
    type: float
    default: 600
  data_store:
    description:
      - Which database is described, if the configuration of Synapse has several. V(state) means the one with the state
        groups, V(main) the one with everything else.
      - O(biggest_rooms) finds by itself what it needs.
    type: str
    choices:
      - main
      - state
    default: main
  biggest_rooms:
    description:
      - Look also for the biggest rooms. If it is not set, that is not done.
    type: dict
    suboptions:
      method:
        description:
          - With V(exact) the rows of each room are counted. That reads the whole table, which may take many minutes on
            a big server.
          - With V(estimate) they are counted only in O(biggest_rooms.sample_blocks) blocks of the table, and the
            result says how far it may be from the truth. It takes a moment, however big the table is. Only PostgreSQL
            can do that, from version 14 on.
          - With V(api) the rooms with the most current state events are asked for, which Synapse keeps count of. That
            is another figure, as a room has many rows for the same state. The connection options are needed for that.
        type: str
        choices:
          - exact
          - estimate
          - api
        required: true
      sample_blocks:
        description:
          - How many blocks are read for an estimate, of 8 kilobytes each in most databases. If the table has no more,
            all are read, and the result is exact.
          - Four times as many make the error half as big.
        type: int
        default: 4500
      seed:
        description:
          - What the choice of the blocks depends on. With the same one and the same table, the same blocks are read,
            and the result is the same. Another one shows how much the result depends on chance.
        type: int
        default: 1
  chdir:
    description:
      - The directory that Synapse runs in. It is needed only if the path of an SQLite database is relative.
    type: path
notes:
  - An estimate is good where the rows of a room are scattered over the table, and where they all lie together. It is
    bad where they lie in heaps of some hundred or thousand rows, as Synapse writes the whole state of a room from time
    to time. Then a room is seen in few of the blocks that are read, and RV(biggest_rooms[].standard_error) says so. It
    is itself an estimate. To bring it down, raise O(biggest_rooms.sample_blocks).
  - The connection options are used only with O(biggest_rooms.method=api). Rooms that Synapse has no statistics of are
    missing then.
  - A count that takes long keeps PostgreSQL from cleaning up meanwhile what others delete.
  - Run the task as the user of Synapse, with C(become_user), or as root. Where PostgreSQL lets in the user of Synapse
    without a password, root does not get in.
seealso:
  - module: matrix_ops.synapse.synapse_runtime_info
requirements:
  - psycopg2 on the host where the module runs, if a PostgreSQL database is read
"""

EXAMPLES = r"""
- name: Look at the database
  matrix_ops.synapse.synapse_database_info:
  become: true
  become_user: matrix-synapse
  register: database

- name: Stop if Synapse would not start with it
  ansible.builtin.assert:
    that: database.accepted
    fail_msg: "{{ database.problems | join(' ') }}"

- name: Show what takes the most room
  ansible.builtin.debug:
    msg: "{{ item.name }} takes {{ item.size | human_readable }}"
  loop: "{{ database.tables }}"
  loop_control:
    label: "{{ item.name }}"

- name: Estimate which rooms are the biggest
  matrix_ops.synapse.synapse_database_info:
    biggest_rooms:
      method: estimate
  become: true
  become_user: matrix-synapse
  register: database

- name: Show them with the error of each figure
  ansible.builtin.debug:
    msg: "{{ item.name or item.room_id }} has {{ item.state_rows }} rows, give or take {{ 2 * item.standard_error }}"
  loop: "{{ database.biggest_rooms }}"
  loop_control:
    label: "{{ item.room_id }}"

- name: Count them, at night
  matrix_ops.synapse.synapse_database_info:
    statement_timeout: 7200
    limit: 20
    biggest_rooms:
      method: exact
  become: true
  become_user: matrix-synapse

- name: Ask Synapse which rooms have the most state events
  matrix_ops.synapse.synapse_database_info:
    access_token_path: /root/.synapse-token
    biggest_rooms:
      method: api

- name: Wait until the background updates are done
  matrix_ops.synapse.synapse_database_info:
  become: true
  become_user: matrix-synapse
  register: database
  until: database.background_updates | length == 0
  retries: 60
  delay: 60
"""

RETURN = r"""
engine:
  description: What the database is, V(postgresql) or V(sqlite).
  returned: success
  type: str
  sample: postgresql
version:
  description:
    - The version of PostgreSQL, or that of the SQLite library that the module has used, which need not be the one that
      Synapse uses.
  returned: success
  type: str
  sample: "15.14"
encoding:
  description: The encoding of its text.
  returned: success
  type: str
  sample: UTF8
collation:
  description: The locale that text is ordered by. Null for SQLite.
  returned: success
  type: str
  sample: C
ctype:
  description: The locale that tells letters from others. Null for SQLite.
  returned: success
  type: str
  sample: C
accepted:
  description: Whether Synapse starts with such a database.
  returned: success
  type: bool
  sample: true
problems:
  description:
    - What is not as Synapse wants it, in sentences. A wrong locale is a problem even if C(allow_unsafe_locale) in the
      configuration lets Synapse start with it.
  returned: success
  type: list
  elements: str
  sample: []
schema_version:
  description: The version of the tables, which counts up from one version of Synapse to a later one.
  returned: success
  type: int
  sample: 94
schema_compat_version:
  description: The lowest schema version that a Synapse must know to run on this database.
  returned: success
  type: int
  sample: 92
size:
  description: The size of the whole database in bytes.
  returned: success
  type: int
  sample: 54760833024
tables:
  description:
    - The biggest tables, the biggest first. Null for SQLite if the library was built without the table C(dbstat).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name of the table.
      returned: success
      type: str
      sample: state_groups_state
    size:
      description: Its size with everything that belongs to it, in bytes.
      returned: success
      type: int
      sample: 35651584000
    table_size:
      description: The size without the indexes, in bytes.
      returned: success
      type: int
      sample: 22548578304
    index_size:
      description: The size of its indexes, in bytes.
      returned: success
      type: int
      sample: 13103005696
    estimated_rows:
      description: How many rows PostgreSQL believes it has. Null if nobody has looked, and for SQLite.
      returned: success
      type: int
      sample: 132000000
indexes:
  description: The biggest indexes, the biggest first. Null as RV(tables) is.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name of the index.
      returned: success
      type: str
      sample: state_groups_state_type_idx
    table:
      description: The table that it belongs to.
      returned: success
      type: str
      sample: state_groups_state
    size:
      description: Its size in bytes.
      returned: success
      type: int
      sample: 13103005696
background_updates:
  description: The background updates that are not done, in the order in which Synapse runs them.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name of the update.
      returned: success
      type: str
      sample: event_stats_populate_counts_bg_update
    progress:
      description: How far it has come, in its own words.
      returned: success
      type: dict
      sample:
        last_event_stream_ordering: 4711
    depends_on:
      description: The update that has to be done before. Null if there is none.
      returned: success
      type: str
biggest_rooms:
  description: The biggest rooms, the biggest first.
  returned: with O(biggest_rooms)
  type: list
  elements: dict
  contains:
    room_id:
      description: The id of the room.
      returned: success
      type: str
      sample: "!Yqxu0gN4hKcXzsPbzR7v1TQmLw3D5aEoJf8yG6tVdHk"
    name:
      description: Its name. Null if it has none, or Synapse has no statistics of it.
      returned: success
      type: str
      sample: Example HQ
    canonical_alias:
      description: Its main alias. Null as the name is.
      returned: success
      type: str
      sample: "#hq:example.org"
    state_rows:
      description: How many rows it has in C(state_groups_state). Null with O(biggest_rooms.method=api).
      returned: success
      type: int
      sample: 1222451
    standard_error:
      description:
        - The standard error of that figure, in rows. With a chance of two to one the true figure is no farther away,
          with one of twenty to one no farther than twice that.
        - V(0) if the sample was the whole table. Null without an estimate.
      returned: success
      type: int
      sample: 6621
    state_events:
      description: How many current state events it has. Null if Synapse has no statistics of it.
      returned: success
      type: int
      sample: 4021
sample:
  description: What the estimate was made from.
  returned: with O(biggest_rooms.method=estimate)
  type: dict
  contains:
    blocks:
      description: How many blocks were read.
      returned: success
      type: int
      sample: 4500
    total_blocks:
      description: How many the table has.
      returned: success
      type: int
      sample: 2752512
    rows:
      description: How many rows were in the blocks that were read.
      returned: success
      type: int
      sample: 215874
    seed:
      description: What the choice of the blocks depends on.
      returned: success
      type: int
      sample: 1
"""

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    configuration_argument_spec,
    connection_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    read_configuration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.biggest_rooms import (
    add_names,
    ask_api,
    count_exactly,
    estimate,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import (
    Database,
    QueryTimedOut,
    find_database,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.description import (
    describe,
    measure,
    pending_updates,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, connect, run_info


def read(parameters: Parameters) -> dict[str, t.Any]:
    """Return what the database is like, and the biggest rooms if they are asked for."""
    for name in ("limit", "statement_timeout"):
        if not parameters[name] > 0:
            raise InvalidInput(f"{name} must be greater than 0, not {parameters[name]}.")
    configuration = read_configuration(parameters["config_path"])
    result = look_at_database(parameters, configuration)
    if parameters["biggest_rooms"]:
        result.update(find_biggest_rooms(parameters, configuration))
    return result


def look_at_database(parameters: Parameters, configuration: Configuration) -> dict[str, t.Any]:
    """Return what the database is like."""
    try:
        with open_database(parameters, configuration, parameters["data_store"]) as database:
            return {
                **describe(database),
                **measure(database, parameters["limit"]),
                "background_updates": pending_updates(database),
            }
    except QueryTimedOut as error:
        error.explain("Perhaps somebody has locked a table: try again later, or raise statement_timeout.")
        raise


def find_biggest_rooms(parameters: Parameters, configuration: Configuration) -> dict[str, t.Any]:
    """Return the biggest rooms by the method that is asked for."""
    asked, limit = parameters["biggest_rooms"], parameters["limit"]
    if asked["method"] == "api":
        return {"biggest_rooms": ask_api(connect(parameters), limit)}
    sample = {}
    with open_database(parameters, configuration, "state") as state:
        if asked["method"] == "exact":
            rooms = count_exactly(state, limit)
        else:
            found = estimate(state, limit, blocks=asked["sample_blocks"], seed=asked["seed"])
            rooms = found.rooms
            sizes = {"blocks": found.blocks, "total_blocks": found.total_blocks, "rows": found.rows}
            sample = {"sample": {**sizes, "seed": asked["seed"]}}
    with open_database(parameters, configuration, "main") as main:
        return {"biggest_rooms": add_names(main, rooms), **sample}


def open_database(parameters: Parameters, configuration: Configuration, data_store: str) -> Database:
    """Return a connection to the database with that data store."""
    settings = find_database(configuration, parameters["chdir"], data_store)
    return Database(settings, statement_timeout=parameters["statement_timeout"])


def main() -> None:
    """Run the module."""
    biggest_rooms = {
        "method": {"type": "str", "choices": ["exact", "estimate", "api"], "required": True},
        "sample_blocks": {"type": "int", "default": 4500},
        "seed": {"type": "int", "default": 1},
    }
    own = ArgumentSpec(
        {
            "limit": {"type": "int", "default": 10},
            "statement_timeout": {"type": "float", "default": 600},
            "data_store": {"type": "str", "choices": ["main", "state"], "default": "main"},
            "biggest_rooms": {"type": "dict", "options": biggest_rooms},
            "chdir": {"type": "path"},
        }
    )
    run_info(connection_argument_spec().merge(configuration_argument_spec(required=True)).merge(own), read)


if __name__ == "__main__":
    main()

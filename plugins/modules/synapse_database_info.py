#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_database_info
short_description: Get information about the database of a Synapse homeserver
version_added: 1.0.0
description:
  - Returns the engine, version and locale of the database, whether Synapse accepts them, the size, the biggest tables
    and indexes, and the background updates that Synapse still has to run.
  - Can also return the biggest rooms, by their rows in C(state_groups_state), which is usually the biggest table, or by
    their state events.
  - The module uses read-only transactions that do not block other users of the database. The database stops queries
    that take longer than O(statement_timeout).
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._attributes.info_module
  - matrix_ops.synapse._attributes.actiongroups
  - matrix_ops.synapse._connection
  - matrix_ops.synapse._configuration
attributes:
  platform:
    support: full
    platforms: posix
options:
  table_limit:
    description:
      - The maximum number of tables to return, at least V(1).
    type: int
    default: 10
  index_limit:
    description:
      - The maximum number of indexes to return, at least V(1).
    type: int
    default: 10
  statement_timeout:
    description:
      - How many seconds a query may take. The database stops a query that takes longer, and the task fails.
    type: float
    default: 600
  data_store:
    description:
      - Which database to describe, if the configuration of Synapse has several. V(state) is the one with the state
        groups, V(main) the one with everything else.
      - It does not affect O(biggest_rooms), which always uses the right database.
    type: str
    choices:
      - main
      - state
    default: main
  biggest_rooms:
    description:
      - Return the biggest rooms as well. If it is not set, they are not looked up.
    type: dict
    suboptions:
      source:
        description:
          - V(database) counts or estimates the rows of each room in the table C(state_groups_state).
          - V(admin_api) returns the rooms with the most current state events, which Synapse counts itself. That is a
            different number, because the table contains many rows for the same state. It needs the connection options.
            Rooms without statistics in Synapse are missing.
        type: str
        choices:
          - database
          - admin_api
        default: database
      mode:
        description:
          - Required with O(biggest_rooms.source=database), and not allowed with O(biggest_rooms.source=admin_api).
          - V(exact) counts all rows. It reads the whole table, which may take many minutes on a big server.
          - V(estimate) counts only the rows in O(biggest_rooms.sample_blocks) blocks of the table, and returns the
            standard error of the result. It is fast, however big the table is. It requires PostgreSQL 14 or later.
        type: str
        choices:
          - exact
          - estimate
      limit:
        description:
          - The maximum number of rooms to return, at least V(1).
        type: int
        default: 10
      sample_blocks:
        description:
          - How many blocks to read for an estimate. A block has 8 kilobytes in most databases. If the table has fewer
            blocks, the module reads all of them, and the result is exact.
          - Four times as many blocks reduce the error to half.
        type: int
        default: 4500
      seed:
        description:
          - The start value of the random choice of the blocks. With the same value and the same table, the same blocks
            are read, and the result is the same. Use a different value to see how much the result depends on the
            choice.
        type: int
        default: 1
  working_directory:
    description:
      - The working directory of Synapse. Relative paths in its configuration start there.
      - It is only needed if the path of an SQLite database is relative.
    type: path
notes:
  - An estimate is good if the rows of a room are scattered over the table, or are all stored together. It is bad if
    they are stored in groups of some hundred or thousand rows, because Synapse sometimes writes the whole state of a
    room at once. Such a room is in few of the blocks that are read, and RV(biggest_rooms[].standard_error), which is
    itself an estimate, is large. To reduce it, raise O(biggest_rooms.sample_blocks).
  - The connection options are used only with O(biggest_rooms.source=admin_api).
  - While an exact count runs, PostgreSQL cannot clean up rows that are deleted in the meantime.
  - Run the task as the user of Synapse, with C(become_user), or as root. If PostgreSQL accepts only the user of Synapse
    without a password (peer authentication), root cannot connect.
seealso:
  - module: matrix_ops.synapse.synapse_runtime_info
requirements:
  - psycopg2 on the host where the module runs, if a PostgreSQL database is read
"""

EXAMPLES = r"""
- name: Get information about the database
  matrix_ops.synapse.synapse_database_info:
  become: true
  become_user: matrix-synapse
  register: result

- name: Fail if Synapse would not start with it
  ansible.builtin.assert:
    that: result.database.accepted
    fail_msg: "{{ result.database.problems | join(' ') }}"

- name: Show the biggest tables
  ansible.builtin.debug:
    msg: "{{ item.name }} has {{ item.size | human_readable }}"
  loop: "{{ result.database.tables }}"
  loop_control:
    label: "{{ item.name }}"

- name: Estimate which rooms are the biggest
  matrix_ops.synapse.synapse_database_info:
    biggest_rooms:
      mode: estimate
  become: true
  become_user: matrix-synapse
  register: result

- name: Show the rooms with the error of each number
  ansible.builtin.debug:
    msg: >-
      {{ item.name | default(item.room_id, true) }} has {{ item.state_rows }} rows,
      plus or minus {{ 2 * item.standard_error }}
  loop: "{{ result.biggest_rooms }}"
  loop_control:
    label: "{{ item.room_id }}"

- name: Count the rows of the 20 biggest rooms, at night
  matrix_ops.synapse.synapse_database_info:
    statement_timeout: 7200
    biggest_rooms:
      mode: exact
      limit: 20
  become: true
  become_user: matrix-synapse

- name: Get the rooms with the most state events from the Admin API
  matrix_ops.synapse.synapse_database_info:
    access_token_path: /root/.synapse-token
    biggest_rooms:
      source: admin_api

- name: Wait until the background updates are finished
  matrix_ops.synapse.synapse_database_info:
  become: true
  become_user: matrix-synapse
  register: result
  until: result.database.background_updates | length == 0
  retries: 60
  delay: 60
"""

RETURN = r"""
database:
  description: The database.
  returned: success
  type: dict
  contains:
    engine:
      description: The engine, V(postgresql) or V(sqlite).
      returned: always
      type: str
      sample: postgresql
    version:
      description:
        - The version of PostgreSQL, or of the SQLite library that the module uses. The SQLite library of Synapse may
          have a different version.
      returned: always
      type: str
      sample: "15.14"
    encoding:
      description: The encoding of text.
      returned: always
      type: str
      sample: UTF8
    collation:
      description: The locale for the sort order of text.
      returned: with PostgreSQL
      type: str
      sample: C
    ctype:
      description: The locale for character classes and upper and lower case.
      returned: with PostgreSQL
      type: str
      sample: C
    accepted:
      description: Whether Synapse starts with such a database.
      returned: always
      type: bool
      sample: true
    problems:
      description:
        - What does not meet the requirements of Synapse, as sentences. A wrong locale is a problem even if
          C(allow_unsafe_locale) is set in the configuration, so that Synapse accepts it.
      returned: always
      type: list
      elements: str
      sample: []
    schema_version:
      description: The schema version of the tables. Newer versions of Synapse have a higher one.
      returned: always
      type: int
      sample: 94
    schema_compat_version:
      description: The lowest schema version that a Synapse must support to run with this database.
      returned: always
      type: int
      sample: 92
    size:
      description: The size of the whole database in bytes.
      returned: always
      type: int
      sample: 54760833024
    tables:
      description: The biggest tables, ordered by size, the biggest first.
      returned: if their sizes are known, see RV(unknown)
      type: list
      elements: dict
      contains:
        name:
          description: The name of the table.
          returned: always
          type: str
          sample: state_groups_state
        size:
          description: The size of the table with its indexes, in bytes.
          returned: always
          type: int
          sample: 35651584000
        table_size:
          description: The size of the table without its indexes, in bytes.
          returned: always
          type: int
          sample: 22548578304
        index_size:
          description: The size of all indexes of the table, in bytes.
          returned: always
          type: int
          sample: 13103005696
        estimated_rows:
          description: The number of rows, as PostgreSQL estimates it.
          returned: with PostgreSQL, if it has analyzed the table
          type: int
          sample: 132000000
    indexes:
      description: The biggest indexes, ordered by size, the biggest first.
      returned: if their sizes are known, see RV(unknown)
      type: list
      elements: dict
      contains:
        name:
          description: The name of the index.
          returned: always
          type: str
          sample: state_groups_state_type_idx
        table:
          description: The table of the index.
          returned: always
          type: str
          sample: state_groups_state
        size:
          description: The size of the index, in bytes.
          returned: always
          type: int
          sample: 13103005696
    background_updates:
      description: The background updates that are not finished, in the order in which Synapse runs them.
      returned: always
      type: list
      elements: dict
      contains:
        name:
          description: The name of the update.
          returned: always
          type: str
          sample: event_stats_populate_counts_bg_update
        progress:
          description: The progress as Synapse has stored it. The keys depend on the update.
          returned: if Synapse has stored a JSON object
          type: dict
          sample:
            last_event_stream_ordering: 4711
        depends_on:
          description: The update that must be finished before this one.
          returned: if it depends on one
          type: str
          sample: populate_stats_process_rooms
biggest_rooms:
  description: The biggest rooms, the biggest first.
  returned: if O(biggest_rooms) is set
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
      returned: if Synapse has statistics of the room
      type: str
      sample: Example HQ
    canonical_alias:
      description: The canonical alias of the room. Empty if it has none.
      returned: if Synapse has statistics of the room
      type: str
      sample: "#hq:example.org"
    state_rows:
      description: The number of its rows in C(state_groups_state).
      returned: with O(biggest_rooms.source=database)
      type: int
      sample: 1222451
    standard_error:
      description:
        - The standard error of RV(biggest_rooms[].state_rows), in rows. With a probability of 68 %, the true number
          differs by at most this error, and with a probability of 95 % by at most twice this error.
        - V(0) if the sample was the whole table.
      returned: with O(biggest_rooms.mode=estimate)
      type: int
      sample: 6621
    state_events:
      description: The number of its current state events.
      returned: if Synapse has statistics of the room
      type: int
      sample: 4021
biggest_rooms_sample:
  description: The sample that the estimate is based on.
  returned: with O(biggest_rooms.mode=estimate)
  type: dict
  contains:
    blocks:
      description: The number of blocks in the sample.
      returned: always
      type: int
      sample: 4500
    total_blocks:
      description: The number of blocks of the table.
      returned: always
      type: int
      sample: 2752512
    rows:
      description: The number of rows in the sample.
      returned: always
      type: int
      sample: 215874
    seed:
      description: The start value of the random choice of the blocks.
      returned: always
      type: int
      sample: 1
unknown:
  description:
    - The values of RV(database) that could not be read. The sizes of the tables and indexes are unknown if the SQLite
      library was built without the table C(dbstat).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The key of the value.
      returned: always
      type: str
      sample: tables
    reason:
      description: Why it could not be read.
      returned: always
      type: str
      sample: The SQLite library of the Python that runs the module was built without the table dbstat.
    fix:
      description: How to read it.
      returned: always
      type: str
      sample: Set ansible_python_interpreter to a Python whose SQLite library has it.
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
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    read_configuration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.biggest_rooms import (
    add_names,
    count_exactly,
    estimate,
    list_by_state_events,
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
    unmeasured,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, connect, run_info


def read(parameters: Parameters) -> dict[str, t.Any]:
    """Return the description of the database, and the biggest rooms if they are wanted."""
    require_valid(parameters)
    configuration = read_configuration(parameters["config_path"])
    result = describe_database(parameters, configuration)
    if parameters["biggest_rooms"]:
        result.update(find_biggest_rooms(parameters, configuration))
    return result


def require_valid(parameters: Parameters) -> None:
    """Raise InvalidInput if an option has a value that does not work."""
    wanted = parameters["biggest_rooms"] or {}
    numbers = {name: parameters[name] for name in ("table_limit", "index_limit", "statement_timeout")}
    if wanted:
        numbers["biggest_rooms.limit"] = wanted["limit"]
    for name, number in numbers.items():
        if not number > 0:
            raise InvalidInput(f"{name} must be greater than 0, not {number}.")
    if wanted and wanted["source"] == "admin_api" and wanted["mode"] is not None:
        raise InvalidInput(
            "biggest_rooms.mode cannot be used with source: admin_api. Remove it, or set source: database."
        )


def describe_database(parameters: Parameters, configuration: Configuration) -> dict[str, t.Any]:
    """Return the `database`, and what is `unknown` of it."""
    try:
        with open_database(parameters, configuration, parameters["data_store"]) as database:
            described = describe(database)
            measured = measure(database, tables=parameters["table_limit"], indexes=parameters["index_limit"])
            updates = pending_updates(database)
    except QueryTimedOut as error:
        error.explain("Another session may have locked a table. Try again later, or raise statement_timeout.")
        raise
    return {
        "database": {**described, **measured, "background_updates": updates},
        "unknown": unmeasured(measured),
    }


def find_biggest_rooms(parameters: Parameters, configuration: Configuration) -> dict[str, t.Any]:
    """Return the `biggest_rooms`, and the `biggest_rooms_sample` of an estimate."""
    wanted = parameters["biggest_rooms"]
    limit = wanted["limit"]
    if wanted["source"] == "admin_api":
        return {"biggest_rooms": list_by_state_events(connect(parameters), limit)}
    sample = {}
    with open_database(parameters, configuration, "state") as state:
        if wanted["mode"] == "exact":
            rooms = count_exactly(state, limit)
        else:
            found = estimate(state, limit, blocks=wanted["sample_blocks"], seed=wanted["seed"])
            rooms = found.rooms
            sizes = {"blocks": found.blocks, "total_blocks": found.total_blocks, "rows": found.rows}
            sample = {"biggest_rooms_sample": {**sizes, "seed": wanted["seed"]}}
    with open_database(parameters, configuration, "main") as main:
        return {"biggest_rooms": add_names(main, rooms), **sample}


def open_database(parameters: Parameters, configuration: Configuration, data_store: str) -> Database:
    """Return a connection to the database of that data store."""
    settings = find_database(configuration, parameters["working_directory"], data_store)
    return Database(settings, statement_timeout=parameters["statement_timeout"])


def main() -> None:
    """Run the module."""
    biggest_rooms = {
        "source": {"type": "str", "choices": ["database", "admin_api"], "default": "database"},
        "mode": {"type": "str", "choices": ["exact", "estimate"]},
        "limit": {"type": "int", "default": 10},
        "sample_blocks": {"type": "int", "default": 4500},
        "seed": {"type": "int", "default": 1},
    }
    own = ArgumentSpec(
        {
            "table_limit": {"type": "int", "default": 10},
            "index_limit": {"type": "int", "default": 10},
            "statement_timeout": {"type": "float", "default": 600},
            "data_store": {"type": "str", "choices": ["main", "state"], "default": "main"},
            "biggest_rooms": {
                "type": "dict",
                "options": biggest_rooms,
                "required_if": [("source", "database", ["mode"])],
            },
            "working_directory": {"type": "path"},
        }
    )
    run_info(connection_argument_spec().merge(configuration_argument_spec()).merge(own), read)


if __name__ == "__main__":
    main()

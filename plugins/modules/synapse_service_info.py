#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_service_info
short_description: Get information about the service of Synapse on its host
version_added: 1.0.0
description:
  - Returns what must be known before the service of Synapse is changed. That is what is installed, the systemd units
    with their files and commands, the running processes, and the paths that the configuration uses.
  - The module does not fail because something is missing or cannot be read. What is missing is returned as a value that
    is false or empty. What could not be found out is listed in RV(service.unknown), with the reason and a fix.
  - If O(synapse_python) is another Python than the one that runs the module, the module runs itself again with it,
    because it has the libraries that Synapse needs. If that Python does not work, the module continues without it.
  - No access token is needed or sent.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._attributes.actiongroups
  - matrix_ops.synapse._attributes.info_module
  - matrix_ops.synapse._configuration
  - matrix_ops.synapse._connection
attributes:
  platform:
    support: full
    platforms: linux
options:
  manager:
    description:
      - What starts Synapse.
      - V(systemd) means a systemd unit.
      - V(daemon) means that a user starts Synapse with C(--daemonize). Then RV(service.units) and RV(service.workers)
        are empty.
    type: str
    choices:
      - systemd
      - daemon
    default: systemd
  unit:
    description:
      - The systemd unit of the main process.
      - The default is the one of Synapse's Debian package.
    type: str
    default: matrix-synapse.service
  worker_unit:
    description:
      - The systemd template unit of the workers. An empty string means that there are no workers.
    type: str
    default: matrix-synapse-worker@.service
  synapse_python:
    description:
      - The Python interpreter that Synapse runs with.
      - The default is the one of Synapse's Debian package.
    type: path
    default: /opt/venvs/matrix-synapse/bin/python
  config_directory:
    description:
      - A directory of configuration files that Synapse may be started with in addition to O(config_path).
    type: path
  environment_files:
    description:
      - Files with environment variables of the units, in addition to those that the units name. They do not have to
        exist.
    type: list
    elements: path
    default:
      - /etc/default/matrix-synapse
  restart_record:
    description:
      - The path of a file that contains RV(service.restart_record) as JSON, from right before the last restart of
        Synapse. The file does not have to exist. See M(matrix_ops.synapse.synapse_runtime_info) for its effect.
    type: path
  working_directory:
    description:
      - The working directory of Synapse. Relative paths in its configuration start there.
      - The default is the one of O(unit), or V(/) if there is no unit.
    type: path
  metrics_timeout:
    description:
      - How many seconds to wait for systemd and for the start of O(synapse_python), at least V(1).
      - O(timeout) limits the requests to O(base_url).
    type: int
    default: 30
notes:
  - The module must run on the host of Synapse. Only root can see all values of processes that belong to another user.
  - Of the variables in units and environment files, only those are returned that change how Synapse uses memory. Other
    variables can be secrets.
seealso:
  - module: matrix_ops.synapse.synapse_runtime_info
  - module: matrix_ops.synapse.synapse_config_info
"""

EXAMPLES = r"""
- name: Get information about the service
  matrix_ops.synapse.synapse_service_info:
  register: synapse

- name: Fail if Synapse is not installed
  ansible.builtin.assert:
    that: synapse.service.installed
    fail_msg: Install Synapse first.

- name: Fail if the unit starts Synapse with another configuration
  ansible.builtin.assert:
    that: synapse.service.units[0].config_path == ['/etc/matrix-synapse/homeserver.yaml', '/etc/matrix-synapse/conf.d']
    fail_msg: "The unit starts {{ synapse.service.units[0].exec_start }}"

- name: Show the running workers
  ansible.builtin.debug:
    var: synapse.service.workers
"""

RETURN = r"""
service:
  description: The service of Synapse. All values are always returned. They are false or empty if something is missing.
  returned: success
  type: dict
  contains:
    config_path:
      description: The paths as in O(config_path).
      returned: always
      type: list
      elements: str
      sample:
        - /etc/matrix-synapse/homeserver.yaml
        - /etc/matrix-synapse/conf.d
    base_url:
      description: The URL as in O(base_url).
      returned: always
      type: str
      sample: http://127.0.0.1:8008
    unix_socket:
      description: The path as in O(unix_socket), empty if it is not set.
      returned: always
      type: str
      sample: ""
    systemd:
      description: Whether systemd runs on the host.
      returned: always
      type: bool
      sample: true
    has_python:
      description: Whether O(synapse_python) exists.
      returned: always
      type: bool
      sample: true
    has_config:
      description: Whether the first path of O(config_path) exists.
      returned: always
      type: bool
      sample: true
    has_config_directory:
      description: Whether the directory O(config_directory) exists.
      returned: always
      type: bool
      sample: false
    installed:
      description: Whether both RV(service.has_python) and RV(service.has_config) are true.
      returned: always
      type: bool
      sample: true
    units:
      description:
        - The units O(unit) and O(worker_unit), in this order. The second one is missing if O(worker_unit) is empty.
        - Empty if O(manager=daemon).
      returned: always
      type: list
      elements: dict
      contains:
        name:
          description: The name of the unit as in O(unit) or O(worker_unit).
          returned: always
          type: str
          sample: matrix-synapse.service
        id:
          description: >-
            The main name of the unit, if it has several. For a template unit, it is the name of an instance that was
            never started. Empty if systemd does not run.
          returned: always
          type: str
          sample: matrix-synapse.service
        exists:
          description: Whether systemd can start the unit.
          returned: always
          type: bool
          sample: true
        file_exists:
          description: Whether C(/etc/systemd/system) contains a file of this name, even if systemd has not read it yet.
          returned: always
          type: bool
          sample: false
        fragment_path:
          description: The file of the unit.
          returned: always
          type: str
          sample: /lib/systemd/system/matrix-synapse.service
        drop_in_paths:
          description: The drop-ins of the unit that systemd has read, in the same order.
          returned: always
          type: list
          elements: str
          sample:
            - /etc/systemd/system/matrix-synapse.service.d/zz-matrix_ops-file_limits.conf
        written_by:
          description: >-
            The full name of the role of this collection that has written the file of the unit, or the file in
            C(/etc/systemd/system) that systemd has not read yet. Otherwise empty.
          returned: always
          type: str
          sample: matrix_ops.synapse.synapse_homeserver
        start_line:
          description: >-
            The value of the last C(ExecStart) in the file and the drop-ins of the unit, as it is written there. The
            drop-in in which the role P(matrix_ops.synapse.synapse_service#role) repeats the command is ignored.
          returned: always
          type: str
          sample: >-
            /opt/venvs/matrix-synapse/bin/python -m synapse.app.homeserver
            --config-path=/etc/matrix-synapse/homeserver.yaml --config-path=/etc/matrix-synapse/conf.d/
        exec_start:
          description: The command that systemd starts, with spaces between the words.
          returned: always
          type: str
          sample: >-
            /opt/venvs/matrix-synapse/bin/python -m synapse.app.homeserver
            --config-path=/etc/matrix-synapse/homeserver.yaml --config-path=/etc/matrix-synapse/conf.d/
        config_path:
          description: >-
            The C(--config-path) options in RV(service.units[].exec_start), as absolute paths without slashes at the
            end. A path with a space ends at the space. Empty if the command does not start Synapse itself.
          returned: always
          type: list
          elements: str
          sample:
            - /etc/matrix-synapse/homeserver.yaml
            - /etc/matrix-synapse/conf.d
        working_directory:
          description: The working directory of the unit. V(/) if it has none.
          returned: always
          type: str
          sample: /var/lib/matrix-synapse
        variables:
          description: >-
            Each assignment of C(LD_PRELOAD), C(PYTHONMALLOC) and variables whose names start with
            C(SYNAPSE_CACHE_FACTOR), in the order in which systemd applies them. The last assignment of a variable is in
            force. First come those in the unit itself, then those in O(environment_files) that it does not name, and
            then those in the environment files that it names.
          returned: always
          type: list
          elements: dict
          contains:
            name:
              description: The name of the variable.
              returned: always
              type: str
              sample: LD_PRELOAD
            value:
              description: The value without quotes.
              returned: always
              type: str
              sample: /usr/lib/x86_64-linux-gnu/libjemalloc.so.2
            source:
              description: The environment file, or the name of the unit.
              returned: always
              type: str
              sample: /etc/default/matrix-synapse
        enabled:
          description: Whether systemd starts the unit at boot.
          returned: always
          type: bool
          sample: true
        active:
          description: Whether the unit runs.
          returned: always
          type: bool
          sample: true
        can_reload:
          description: Whether the unit can be reloaded.
          returned: always
          type: bool
          sample: true
        needs_daemon_reload:
          description: Whether files of the unit were changed after systemd read them.
          returned: always
          type: bool
          sample: false
    workers:
      description: The sorted names of the running instances of O(worker_unit).
      returned: always
      type: list
      elements: str
      sample:
        - matrix-synapse-worker@generic_worker1.service
    processes:
      description: >-
        The running processes of this Synapse, as M(matrix_ops.synapse.synapse_runtime_info) returns them with
        C(gather=freshness). Empty if RV(service.installed) is false.
      returned: always
      type: list
      elements: dict
      sample: []
    restart_record:
      description: >-
        The state of the files that a process would be started with now, as M(matrix_ops.synapse.synapse_runtime_info)
        returns it. Empty if RV(service.installed) is false.
      returned: always
      type: dict
      sample: {}
    server:
      description: The server that answers at O(base_url). It is only asked if there are RV(service.processes).
      returned: always
      type: dict
      contains:
        name:
          description: The server name.
          returned: if the server returns it
          type: str
          sample: example.org
        version:
          description: The version of Synapse.
          returned: if the server returns it
          type: str
          sample: 1.163.2
    database:
      description: >-
        The database in the configuration. Empty if the configuration cannot be read or does not set one.
      returned: always
      type: dict
      contains:
        engine:
          description: V(sqlite3) or V(psycopg2).
          returned: if O(config_path) sets a database
          type: str
          sample: psycopg2
        database:
          description: The path of the SQLite database, or the name of the PostgreSQL database.
          returned: if O(config_path) sets a database
          type: str
          sample: synapse
        host:
          description: The host of PostgreSQL, or the directory of its socket. Empty if it is not set.
          returned: for PostgreSQL
          type: str
          sample: localhost
        port:
          description: The port of PostgreSQL.
          returned: for PostgreSQL
          type: str
          sample: "5432"
        source:
          description: The configuration file that sets it.
          returned: if O(config_path) sets a database
          type: str
          sample: /etc/matrix-synapse/homeserver.yaml
    paths:
      description: >-
        The paths in the configuration, as M(matrix_ops.synapse.synapse_config_info) returns them, but all absolute.
        Empty if the configuration cannot be read.
      returned: always
      type: list
      elements: dict
      contains:
        path:
          description: The absolute path. It does not have to exist.
          returned: always
          type: str
          sample: /var/lib/matrix-synapse/media
        setting:
          description: The setting of this path, with dots between the keys.
          returned: always
          type: str
          sample: media_store_path
        written:
          description: Whether it is a directory in which Synapse creates and changes files.
          returned: always
          type: bool
          sample: true
    unknown:
      description: What could not be found out, about the service and about all processes.
      returned: always
      type: list
      elements: dict
      contains:
        name:
          description: The name of the return value that is missing or uncertain.
          returned: always
          type: str
          sample: paths
        reason:
          description: Why it is unknown.
          returned: always
          type: str
          sample: The Python package PyYAML is needed to read the configuration of Synapse.
        fix:
          description: What to do about it.
          returned: always
          type: str
          sample: Install PyYAML for the Python /usr/bin/python3.
"""

import sys
import typing as t

from ansible.module_utils.common.respawn import has_respawned, respawn_module

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    configuration_argument_spec,
    connection_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._connection_options import checked_timeout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, connect, run_info
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.interpreter import (
    has_libraries,
    is_another_python,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.service import Declared, ServiceReader

# What is asked of the server is public: a token that cannot be read or is not valid must not matter.
_NO_TOKEN = {"access_token": None, "access_token_path": None}


def read(parameters: Parameters) -> dict[str, t.Any]:
    """Return the state of the service."""
    if not parameters["config_path"]:
        raise InvalidInput("config_path is empty. Set it to the files and directories that Synapse is started with.")
    timeout = checked_timeout(parameters["metrics_timeout"], "metrics_timeout")
    client = connect({**parameters, **_NO_TOKEN})
    # Only a module that Ansible itself has started can be run again.
    is_alone = hasattr(sys.modules["__main__"], "_module_fqn")
    # The roles speak with the server by that Python, so it shows whether that is possible at a socket too.
    has_all = has_libraries() and not parameters["unix_socket"]
    needs_another = is_alone and not has_respawned() and not has_all
    if needs_another and is_another_python(parameters["synapse_python"], timeout):
        respawn_module(parameters["synapse_python"])
    declared = Declared(
        config_path=tuple(parameters["config_path"]),
        unit=parameters["unit"],
        worker_unit=parameters["worker_unit"],
        synapse_python=parameters["synapse_python"],
        environment_files=tuple(parameters["environment_files"]),
        by_systemd=parameters["manager"] == "systemd",
        timeout=timeout,
        config_directory=parameters["config_directory"],
        restart_record=parameters["restart_record"],
        working_directory=parameters["working_directory"],
    )
    return {"service": {**_address(parameters), **ServiceReader(declared, client).read()}}


def _address(parameters: Parameters) -> dict[str, str]:
    return {"base_url": parameters["base_url"], "unix_socket": parameters["unix_socket"] or ""}


def main() -> None:
    """Run the module."""
    own = ArgumentSpec(
        {
            "manager": {"type": "str", "choices": ["systemd", "daemon"], "default": "systemd"},
            "unit": {"type": "str", "default": "matrix-synapse.service"},
            "worker_unit": {"type": "str", "default": "matrix-synapse-worker@.service"},
            "synapse_python": {"type": "path", "default": "/opt/venvs/matrix-synapse/bin/python"},
            "config_directory": {"type": "path"},
            "environment_files": {"type": "list", "elements": "path", "default": ["/etc/default/matrix-synapse"]},
            "restart_record": {"type": "path"},
            "working_directory": {"type": "path"},
            "metrics_timeout": {"type": "int", "default": 30},
        }
    )
    run_info(connection_argument_spec().merge(configuration_argument_spec()).merge(own), read)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_runtime_info
short_description: Get information about the running processes of Synapse
version_added: 1.0.0
description:
  - Returns the state of the running processes of Synapse, of the main process and of the workers. A setting in a file
    has no effect until the processes use it.
  - Returns the limits for open files, whether jemalloc is loaded, and whether the caches have the configured sizes.
  - Returns which files were changed after a process was started with them. Such a process must be restarted.
  - Returns the name and the version of the server that answers at O(base_url). No access token is needed or sent.
  - Values that could not be found out are listed in RV(unknown), with the reason and a fix. They are never guessed.
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
  gather:
    description:
      - The information to return in addition to RV(processes), which is always returned.
      - With an empty list, the module returns only RV(processes), and in RV(unknown) what it could not find out about
        them.
      - V(caches) reads the metrics of each process. It uses O(synapse_python) to read the base sizes in Synapse's code.
        The module fails if the configuration in O(config_path) cannot be read.
      - V(freshness) compares the start of each process with the files that it was started with. It asks systemd for the
        files of the unit.
      - V(server) requests the name and the version of the server at O(base_url).
    type: list
    elements: str
    choices:
      - caches
      - freshness
      - server
    default:
      - caches
      - freshness
      - server
  restart_record:
    description:
      - The path of a file that contains RV(restart_record) as JSON, from right before the last restart of Synapse. The
        file does not have to exist.
      - If it is set, a file that did not change since the restart never counts as changed, even if the clock of the
        host was set.
      - The module ignores the file unless it is a regular file that belongs to root or to the user of the task, and
        that no other user can write to.
    type: path
  synapse_python:
    description:
      - The Python interpreter that Synapse runs with. It reads the base size of each cache in Synapse's code.
      - The default is the one of Synapse's Debian package.
    type: path
    default: /opt/venvs/matrix-synapse/bin/python
  metrics_timeout:
    description:
      - How many seconds to wait for the metrics of a process, for O(synapse_python), and for systemd, at least V(1).
      - O(timeout) limits the requests to O(base_url).
    type: int
    default: 30
notes:
  - The module must run on the host of Synapse. Only root can see all values of processes that belong to another user.
  - A process belongs to this Synapse if its command line contains the first path of O(config_path). Processes in
    containers are ignored. A host can have workers without a main process.
  - A file counts as changed if its content, its owner or its mode was changed after the process was started. It also
    counts as changed if this is uncertain, because the clock was set or the time of the file is in the future. The
    next restart ends this if O(restart_record) was written before it.
  - A file that contains only C(caches.global_factor) and C(caches.per_cache_factors) never counts as changed. Synapse
    applies it at a reload. RV(processes[].changed_for_reload) contains it after a change, and only
    RV(processes[].caches) shows whether the process has applied it.
  - Synapse reads its log configuration and its certificates again at a reload. The log configuration still counts as
    changed, because nothing shows whether Synapse read it again. Certificates do not count.
  - Of the packages in Synapse's environment, only the package of Synapse counts, not its dependencies.
seealso:
  - module: matrix_ops.synapse.synapse_config
"""

EXAMPLES = r"""
- name: Get information about the running processes
  matrix_ops.synapse.synapse_runtime_info:
  register: synapse_runtime

- name: Fail if a process was not restarted after a change
  ansible.builtin.assert:
    that: not item.restart_required
    fail_msg: "Restart process {{ item.pid }}. {{ item.outdated_by | map(attribute='reason') | join(' ') }}"
  loop: "{{ synapse_runtime.processes }}"
  loop_control:
    label: "{{ item.pid }}"

- name: Record the files that Synapse will be started with
  ansible.builtin.copy:
    content: "{{ synapse_runtime.restart_record | to_json }}"
    dest: /var/lib/matrix-synapse-restart.json
    mode: "0600"

- name: Restart Synapse
  ansible.builtin.systemd_service:
    name: matrix-synapse.service
    state: restarted

- name: Get the changes since the restart, also if the clock was set
  matrix_ops.synapse.synapse_runtime_info:
    gather:
      - freshness
    restart_record: /var/lib/matrix-synapse-restart.json

- name: Show the caches that do not have the configured size
  ansible.builtin.debug:
    msg: >-
      {{ item.caches | default([]) | selectattr('as_configured', 'defined') | rejectattr('as_configured')
      | map(attribute='name') }}
  loop: "{{ synapse_runtime.processes }}"
  loop_control:
    label: "{{ item.pid }}"

- name: Get the version of the running server
  matrix_ops.synapse.synapse_runtime_info:
    gather:
      - server
  register: synapse_runtime

- name: Show the version
  ansible.builtin.debug:
    var: synapse_runtime.server.version

- name: Get only the processes
  matrix_ops.synapse.synapse_runtime_info:
    gather: []
  register: synapse_runtime

- name: Fail if a process can open too few files
  ansible.builtin.assert:
    that: item.file_limits.soft is undefined or item.file_limits.soft >= 4096
    fail_msg: "Process {{ item.pid }} can open only {{ item.file_limits.soft }} files."
  loop: "{{ synapse_runtime.processes }}"
  loop_control:
    label: "{{ item.pid }}"
"""

RETURN = r"""
server:
  description: The server that answers at O(base_url).
  returned: if O(gather) contains V(server) and a server answers
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
processes:
  description: The running processes of this Synapse, the main process first. Empty if none runs on this host.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: V(main), or the C(worker_name) of a worker.
      returned: for the main process, and for a worker if its configuration can be read
      type: str
      sample: main
    app:
      description: The Python module of Synapse that the process runs.
      returned: always
      type: str
      sample: synapse.app.homeserver
    pid:
      description: The process ID.
      returned: always
      type: int
      sample: 4711
    user:
      description: The user that the process runs as.
      returned: always
      type: str
      sample: matrix-synapse
    unit:
      description: The systemd unit that started the process.
      returned: if systemd started the process and the unit can be read
      type: str
      sample: matrix-synapse.service
    config_path:
      description: The files and directories of the configuration that the process was started with, as absolute paths.
      returned: always
      type: list
      elements: str
      sample:
        - /etc/matrix-synapse/homeserver.yaml
        - /etc/matrix-synapse/conf.d
    started:
      description: The time when the process was started (ISO 8601, UTC), by the current clock of the host.
      returned: always
      type: str
      sample: "2026-01-31T12:00:00Z"
    started_ts:
      description: The same time in milliseconds since 1970.
      returned: always
      type: int
      sample: 1769860800000
    outdated_by:
      description: What was changed after the process was started with it. Empty if nothing was changed.
      returned: if O(gather) contains V(freshness)
      type: list
      elements: dict
      contains:
        path:
          description: The file, or the directory in which a file was added or removed, or the name of the unit.
          returned: always
          type: str
          sample: /etc/matrix-synapse/conf.d/registration.yaml
        kind:
          description:
            - The kind of the file.
            - V(configuration), V(log_configuration), V(secret) (a file with a key or a secret that the configuration
              names), V(unit), V(environment) (a file with environment variables of the unit), V(package) or
              V(interpreter).
          returned: always
          type: str
          sample: configuration
        reason:
          description: Why it counts as changed, as a sentence that contains the path.
          returned: always
          type: str
          sample: >-
            /etc/matrix-synapse/conf.d/registration.yaml was changed at 2026-01-31T12:30:00Z, after the process was
            started at 2026-01-31T12:00:00Z.
    changed_for_reload:
      description:
        - The paths of the files that contain only C(caches.global_factor) and C(caches.per_cache_factors), and that
          were changed or added after the process was started. They are not in RV(processes[].outdated_by).
        - Only RV(processes[].caches) shows whether the process has applied them. Empty if there is none.
        - If RV(processes[].unknown) contains C(outdated_by), the list may be incomplete.
      returned: if O(gather) contains V(freshness)
      type: list
      elements: str
      sample: []
    restart_required:
      description:
        - Whether RV(processes[].outdated_by) contains a change, so that the process must be restarted.
        - If RV(processes[].unknown) contains C(outdated_by), the module could not check everything, and V(false) is not
          certain.
      returned: if O(gather) contains V(freshness)
      type: bool
      sample: false
    file_limits:
      description: How many files and sockets the process can have open.
      returned: always
      type: dict
      contains:
        soft:
          description: The limit in force.
          returned: if there is a limit
          type: int
          sample: 16384
        hard:
          description: The highest value to which the process can raise its limit.
          returned: if there is a limit
          type: int
          sample: 16384
    open_files:
      description: How many files and sockets the process has open.
      returned: if the user of the task is allowed to see it
      type: int
      sample: 120
    jemalloc:
      description: The library jemalloc in the process.
      returned: if the user of the task is allowed to see it
      type: dict
      contains:
        loaded:
          description: Whether the process has loaded the library.
          returned: always
          type: bool
          sample: true
        library:
          description: The path of the library.
          returned: if it is loaded
          type: str
          sample: /usr/lib/x86_64-linux-gnu/libjemalloc.so.2
    environment:
      description:
        - The environment variables C(LD_PRELOAD), C(PYTHONMALLOC) and those whose names start with
          C(SYNAPSE_CACHE_FACTOR), if the process was started with them.
      returned: if the user of the task is allowed to see it
      type: dict
      sample:
        PYTHONMALLOC: malloc
    metrics_url:
      description: The URL where the process serves its metrics.
      returned: if O(gather) contains V(caches) and the metrics can be read
      type: str
      sample: http://127.0.0.1:9000/_synapse/metrics
    caches:
      description: The caches that the process has used so far.
      returned: if O(gather) contains V(caches) and the metrics can be read
      type: list
      elements: dict
      contains:
        name:
          description: The name of the cache.
          returned: always
          type: str
          sample: get_users_in_room
        size:
          description: How many entries the cache contains.
          returned: always
          type: int
          sample: 17
        max_size:
          description: How many entries the cache can contain.
          returned: if the metrics contain it
          type: int
          sample: 50000
        base_size:
          description: How many entries the cache can contain with the factor 1.
          returned: if it is known, and a factor applies to the cache
          type: int
          sample: 100000
        factor:
          description: The factor that the configuration on disk and the environment of the process set.
          returned: together with RV(processes[].caches[].base_size)
          type: float
          sample: 0.5
        expected_max_size:
          description: The maximum size that results from the base size and the factor.
          returned: together with RV(processes[].caches[].base_size)
          type: int
          sample: 50000
        as_configured:
          description: Whether the cache has the size that the configuration on disk sets.
          returned: if it is known
          type: bool
          sample: true
    unknown:
      description: What could not be found out about this process, as in RV(unknown).
      returned: always
      type: list
      elements: dict
      sample: []
cache_settings:
  description: The settings of the caches in the configuration on disk.
  returned: if O(gather) contains V(caches)
  type: dict
  contains:
    global_factor:
      description: The factor for each cache without a factor of its own.
      returned: always
      type: float
      sample: 0.5
    per_cache_factors:
      description: The factors of single caches.
      returned: always
      type: dict
      sample:
        get_users_in_room: 2.0
    event_cache_size:
      description: The base size of the cache of events.
      returned: always
      type: int
      sample: 10240
    cache_autotuning:
      description: The settings with which Synapse removes entries from its caches when memory is low. Empty if not set.
      returned: always
      type: dict
      sample:
        max_cache_memory_usage: 1024M
        target_cache_memory_usage: 758M
        min_cache_ttl: 5m
restart_record:
  description:
    - The state of the files that a process would be started with now. Write it to the file O(restart_record) before a
      restart, as it is.
    - Its content is only for this module, and may change in any release. It does not contain the content of the files.
  returned: if O(gather) contains V(freshness)
  type: dict
unknown:
  description: What could not be found out, about the server and about all processes.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description:
        - The name of the return value that is missing or uncertain.
        - V(restart_record) if the module ignored the file in O(restart_record).
      returned: always
      type: str
      sample: caches
    reason:
      description: Why it is unknown.
      returned: always
      type: str
      sample: The configuration has no listener for metrics.
    fix:
      description: What to do about it.
      returned: always
      type: str
      sample: >-
        Set enable_metrics to true, add a listener {type: metrics, port: 9000, bind_addresses: [127.0.0.1]} to
        listeners, and restart Synapse.
"""

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    configuration_argument_spec,
    connection_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._connection_options import checked_timeout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, connect, run_info
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.runtime import RuntimeReader

# What is asked of the server is public: a token that cannot be read or is not valid must not matter.
_NO_TOKEN = {"access_token": None, "access_token_path": None}


def read(parameters: Parameters) -> dict[str, t.Any]:
    """Return the state of the running processes and of the server."""
    if not parameters["config_path"]:
        raise InvalidInput("config_path is empty. Set it to the files and directories that Synapse is started with.")
    reader = RuntimeReader(
        parameters["config_path"],
        caches="caches" in parameters["gather"],
        freshness="freshness" in parameters["gather"],
        restart_record=parameters["restart_record"],
        synapse_python=parameters["synapse_python"],
        timeout=checked_timeout(parameters["metrics_timeout"], "metrics_timeout"),
        client=connect({**parameters, **_NO_TOKEN}) if "server" in parameters["gather"] else None,
    )
    return reader.read()


def main() -> None:
    """Run the module."""
    choices = ["caches", "freshness", "server"]
    own = ArgumentSpec(
        {
            "gather": {"type": "list", "elements": "str", "choices": choices, "default": choices},
            "restart_record": {"type": "path"},
            "synapse_python": {"type": "path", "default": "/opt/venvs/matrix-synapse/bin/python"},
            "metrics_timeout": {"type": "int", "default": 30},
        }
    )
    run_info(connection_argument_spec().merge(configuration_argument_spec()).merge(own), read)


if __name__ == "__main__":
    main()

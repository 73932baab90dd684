#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_runtime_info
short_description: See what the running processes of Synapse really have
version_added: 1.0.0
description:
  - Looks at the processes of Synapse themselves, the main one and the workers, because a setting that was written is
    not yet one that has an effect.
  - Tells their limits for open files, whether they have loaded jemalloc, and whether their caches have the sizes that
    the configuration demands.
  - Tells as well which files a process was started with that have changed since, so that it runs with something else
    than they say.
  - What cannot be seen is listed with the reason and what mends it. It is never guessed.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._attributes.info_module
  - matrix_ops.synapse._configuration
attributes:
  platform:
    support: full
    platforms: linux
options:
  gather:
    description:
      - What to find out.
      - V(processes) is what the kernel shows of each process. It is always part of the result.
      - V(caches) asks each process for its metrics as well, and O(synapse_python) for the sizes in Synapse's code.
      - V(freshness) compares the start of each process with the files that it was started with, and asks systemd which
        these are.
    type: list
    elements: str
    choices:
      - processes
      - caches
      - freshness
    default:
      - processes
      - caches
      - freshness
  restart_record:
    description:
      - A file that holds, as JSON, what RV(started_with) was right before Synapse was restarted the last time. It need
        not exist.
      - With it the clock of the host can be set without a file that is older than a process ever counting as changed.
      - It is believed just if it is a plain file, belongs to root or to the user of the task, and nobody else may write
        it.
    type: path
  synapse_python:
    description:
      - The Python that runs Synapse. It knows the size that each cache has before any factor is applied.
    type: path
    default: /opt/venvs/matrix-synapse/bin/python
  timeout:
    description:
      - How many seconds to wait for the metrics of a process, for O(synapse_python), and for systemd.
    type: int
    default: 30
notes:
  - The module must run on the host of Synapse. Only root sees everything of processes that belong to another user.
  - A process belongs to this Synapse when its command line names the first of O(config_path). Processes in containers
    are not looked at.
  - A file counts as changed when its content, its owner or its mode was changed after a process was started, or when
    that cannot be told, because the clock was set or the file has a time in the future. A restart ends that if
    O(restart_record) was written before it.
  - A file that sets nothing but C(caches.global_factor) and C(caches.per_cache_factors) never counts. Synapse applies
    it at a reload, and RV(processes[].caches) shows whether it has.
  - Synapse reads its log configuration and its certificates again at a reload. The log configuration counts
    nevertheless, because nothing shows whether it has. Certificates do not.
  - Of the packages in Synapse's environment that of Synapse itself counts, not those that it needs.
seealso:
  - module: matrix_ops.synapse.synapse_config
"""

EXAMPLES = r"""
- name: Look at the running processes
  matrix_ops.synapse.synapse_runtime_info:
  register: synapse_runtime

- name: Fail if Synapse was not restarted after a change
  ansible.builtin.assert:
    that: item.outdated_by | length == 0
    fail_msg: "{{ item.name }} has to be restarted. {{ item.outdated_by | map(attribute='why') | join(' ') }}"
  loop: "{{ synapse_runtime.processes }}"
  loop_control:
    label: "{{ item.name }}"

- name: Note what Synapse is about to be started with
  ansible.builtin.copy:
    content: "{{ synapse_runtime.started_with | to_json }}"
    dest: /var/lib/matrix-synapse-restart.json
    mode: "0600"

- name: Restart it
  ansible.builtin.systemd_service:
    name: matrix-synapse.service
    state: restarted

- name: See what has changed since, whatever the clock does
  matrix_ops.synapse.synapse_runtime_info:
    gather:
      - freshness
    restart_record: /var/lib/matrix-synapse-restart.json

- name: Fail if a process may open too few files
  ansible.builtin.assert:
    that: item.file_limits.soft is none or item.file_limits.soft >= 4096
    fail_msg: "{{ item.name }} may open {{ item.file_limits.soft }} files only."
  loop: "{{ synapse_runtime.processes }}"
  loop_control:
    label: "{{ item.name }}"

- name: Show the caches that do not have the size that the configuration demands
  ansible.builtin.debug:
    msg: "{{ item.caches | default([], true) | selectattr('as_configured', 'equalto', false) | map(attribute='name') }}"
  loop: "{{ synapse_runtime.processes }}"
  loop_control:
    label: "{{ item.name }}"
"""

RETURN = r"""
processes:
  description: The running processes of this Synapse, the main one first. Empty if Synapse does not run.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: V(main), or the C(worker_name) of a worker. Null if its configuration cannot be read.
      type: str
      sample: main
    app:
      description: The module of Synapse that the process runs.
      type: str
      sample: synapse.app.homeserver
    pid:
      description: The number of the process.
      type: int
    user:
      description: The user that the process runs as.
      type: str
      sample: matrix-synapse
    unit:
      description: The unit of systemd that has started the process. Null if something else has, or systemd cannot tell.
      type: str
      sample: matrix-synapse.service
    config_path:
      description: The files and directories that the process was started with, as absolute paths.
      type: list
      elements: str
    started_at:
      description: When the process was started, as the clock of the host counts now.
      type: str
      sample: "2026-01-31T12:00:00Z"
    outdated_by:
      description:
        - What has changed since the process was started, of all that it was started with. Empty if nothing has. Null if
          that is not gathered.
      type: list
      elements: dict
      contains:
        path:
          description: The file, or the directory in which a file was added or removed, or the name of the unit.
          type: str
          sample: /etc/matrix-synapse/conf.d/registration.yaml
        kind:
          description:
            - What it is. V(configuration), V(log_configuration), V(secret) (a file with a key or a secret that the
              configuration names), V(unit), V(environment) (a file of variables of the unit), V(package) or
              V(interpreter).
          type: str
          sample: configuration
        why:
          description: Why it counts, in one sentence that names it.
          type: str
          sample: >-
            /etc/matrix-synapse/conf.d/registration.yaml was changed at 2026-01-31T12:30:00Z, after the process was
            started at 2026-01-31T12:00:00Z.
    file_limits:
      description: How many files and sockets the process may have open, C(soft) and C(hard). Null means any number.
      type: dict
      sample:
        soft: 16384
        hard: 16384
    open_files:
      description: How many files and sockets the process has open. Null if this cannot be seen.
      type: int
    jemalloc:
      description:
        - Whether the process has C(loaded) jemalloc, and the C(library) (a path, null if not loaded).
        - Null if this cannot be seen.
      type: dict
      sample:
        loaded: true
        library: /usr/lib/x86_64-linux-gnu/libjemalloc.so.2
    environment:
      description:
        - The variables C(LD_PRELOAD), C(PYTHONMALLOC) and those that begin with C(SYNAPSE_CACHE_FACTOR), as far as the
          process was started with them.
        - Null if this cannot be seen.
      type: dict
      sample:
        PYTHONMALLOC: malloc
    metrics_url:
      description: Where the process serves its metrics. Null if it does not, or if caches are not gathered.
      type: str
      sample: http://127.0.0.1:9000/_synapse/metrics
    caches:
      description:
        - The caches that the process has used so far. Null if they cannot be seen or are not gathered.
      type: list
      elements: dict
      contains:
        name:
          description: The name of the cache.
          type: str
          sample: get_users_in_room
        size:
          description: How many entries it holds.
          type: int
        max_size:
          description: How many entries it may hold. Null for caches that do not tell.
          type: int
          sample: 50000
        base_size:
          description: How many entries it holds at the factor 1. Null if that is unknown, or if no factor applies.
          type: int
          sample: 100000
        factor:
          description: The factor that the configuration on disk and the environment of the process demand.
          type: float
          sample: 0.5
        expected_max_size:
          description: How many entries it may therefore hold.
          type: int
          sample: 50000
        as_configured:
          description:
            - Whether the running cache has the size that the configuration on disk demands.
            - Null if this cannot be told.
          type: bool
    unseen:
      description: What could not be found out of this process, as in RV(unseen).
      type: list
      elements: dict
settings:
  description: What the configuration on disk says of the caches. Null unless caches are gathered.
  returned: success
  type: dict
  contains:
    global_factor:
      description: The factor for every cache that has none of its own.
      type: float
      sample: 0.5
    per_cache_factors:
      description: The factors of single caches.
      type: dict
    event_cache_size:
      description: The base size of the cache of events.
      type: int
      sample: 10240
    cache_autotuning:
      description: The settings by which Synapse empties its caches when memory is short. Null if it does not.
      type: dict
started_with:
  description:
    - What a process is started with now, to be kept as O(restart_record) before a restart. It holds times, sizes and
      numbers of files, and nothing that is in them.
    - Null if V(freshness) is not gathered.
  returned: success
  type: dict
  contains:
    boot_id:
      description: The boot of the host.
      type: str
    boottime:
      description: Seconds since that boot.
      type: float
    wall:
      description: Seconds since 1970, as the clock of the host shows.
      type: float
    places:
      description: Each file or directory by its path. Null for one that does not exist.
      type: dict
unseen:
  description:
    - What could not be found out, of all processes. C(what) is the name of the return value that is missing or in
      doubt, C(why) says the reason and C(mend) what to do about it.
  returned: success
  type: list
  elements: dict
  sample:
    - what: caches
      why: The configuration has no listener for metrics.
      mend: >-
        Set enable_metrics to true, add a listener {type: metrics, port: 9000, bind_addresses: [127.0.0.1]} to
        listeners, and restart Synapse.
"""

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    configuration_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._connection_options import checked_timeout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, run_info
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.runtime import RuntimeReader


def read(parameters: Parameters) -> dict[str, t.Any]:
    """Return what the running processes have."""
    if not parameters["config_path"]:
        raise InvalidInput("config_path is empty: name the files and directories that Synapse is started with.")
    reader = RuntimeReader(
        parameters["config_path"],
        caches="caches" in parameters["gather"],
        freshness="freshness" in parameters["gather"],
        restart_record=parameters["restart_record"],
        synapse_python=parameters["synapse_python"],
        timeout=checked_timeout(parameters["timeout"]),
    )
    return reader.read()


def main() -> None:
    """Run the module."""
    choices = ["processes", "caches", "freshness"]
    own = ArgumentSpec(
        {
            "gather": {"type": "list", "elements": "str", "choices": choices, "default": choices},
            "restart_record": {"type": "path"},
            "synapse_python": {"type": "path", "default": "/opt/venvs/matrix-synapse/bin/python"},
            "timeout": {"type": "int", "default": 30},
        }
    )
    run_info(configuration_argument_spec(required=True).merge(own), read)


if __name__ == "__main__":
    main()

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
    type: list
    elements: str
    choices:
      - processes
      - caches
    default:
      - processes
      - caches
  synapse_python:
    description:
      - The Python that runs Synapse. It knows the size that each cache has before any factor is applied.
    type: path
    default: /opt/venvs/matrix-synapse/bin/python
  timeout:
    description:
      - How many seconds to wait for the metrics of a process, and for O(synapse_python).
    type: int
    default: 30
notes:
  - The module must run on the host of Synapse. Only root sees everything of processes that belong to another user.
  - A process belongs to this Synapse when its command line names the first of O(config_path). Processes in containers
    are not looked at.
seealso:
  - module: matrix_ops.synapse.synapse_config
"""

EXAMPLES = r"""
- name: Look at the running processes
  matrix_ops.synapse.synapse_runtime_info:
  register: synapse_runtime

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
    config_path:
      description: The files and directories that the process was started with, as absolute paths.
      type: list
      elements: str
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
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, run_info
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.runtime import RuntimeReader


def read(parameters: Parameters) -> dict[str, t.Any]:
    """Return what the running processes have."""
    reader = RuntimeReader(
        parameters["config_path"],
        caches="caches" in parameters["gather"],
        synapse_python=parameters["synapse_python"],
        timeout=parameters["timeout"],
    )
    return reader.read()


def main() -> None:
    """Run the module."""
    choices = ["processes", "caches"]
    own = ArgumentSpec(
        {
            "gather": {"type": "list", "elements": "str", "choices": choices, "default": choices},
            "synapse_python": {"type": "path", "default": "/opt/venvs/matrix-synapse/bin/python"},
            "timeout": {"type": "int", "default": 30},
        }
    )
    run_info(configuration_argument_spec(required=True).merge(own), read)


if __name__ == "__main__":
    main()

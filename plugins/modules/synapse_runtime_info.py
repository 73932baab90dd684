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
  - Returns the limits for open files and which files are open, the memory and the processor time of each process,
    whether jemalloc is loaded, and whether the caches have the configured sizes.
  - Returns what each process does, from its metrics. These are the requests in flight, the waits for the database, the
    federation, the presence updates, the event loop and the garbage collection.
  - Returns which files were changed after a process was started with them. Such a process must be restarted.
  - Returns an advice with its evidence if Synapse's Admin FAQ would change something.
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
      - With an empty list, the module returns only RV(processes) and RV(in_containers), and in RV(unknown) what it
        could not find out about them.
      - V(activity) reads the metrics of each process once. It returns what the process has done since its start, and
        what it does now.
      - V(advice) returns RV(advice), and all information that it needs, which is everything except V(rates).
      - V(caches) reads the metrics of each process, once together with V(activity). It uses O(synapse_python) to read
        the base sizes in Synapse's code.
      - V(freshness) compares the start of each process with the files that it was started with. It asks systemd for the
        files of the unit.
      - V(memory) returns the memory and the processor time of each process, and the memory of the host.
      - V(open_files) returns the open files and connections by kind, and the hosts with most connections.
      - V(presence) returns which presence mode the configuration sets, and which settings have no effect.
      - V(rates) reads the metrics of each process a second time, O(rate_interval) seconds after the first time, and
        returns what happened in between. The default does not contain it, because it takes this time.
      - V(server) requests the name and the version of the server at O(base_url).
      - For all except V(freshness), V(memory) and V(server), the module fails if the configuration in O(config_path)
        cannot be read.
    type: list
    elements: str
    choices:
      - activity
      - advice
      - caches
      - freshness
      - memory
      - open_files
      - presence
      - rates
      - server
    default:
      - activity
      - advice
      - caches
      - freshness
      - memory
      - open_files
      - presence
      - server
  rate_interval:
    description:
      - How many seconds are between the two readings of the metrics for V(rates), from V(1) to V(60).
    type: int
    default: 5
  state_path:
    description:
      - The path of a file on the host in which the module keeps the number of open files and the memory of each
        process, so that the next call can return RV(processes[].growth). A number that always grows shows a leak.
        Its directory must exist.
      - The file has the mode V(0600). In check mode, it is read and not written. That the module writes it never counts
        as a change.
      - If something else is at this path than a file of an earlier call, the module does not use or change it, and
        reports it in RV(unknown). It must be a regular file that belongs to root or to the user of the task, and that
        no other user can write to.
    type: path
  advice_thresholds:
    description:
      - The values from which RV(advice) contains an advice, as a dictionary. A value that is not set has its default.
      - V(oldest_version) (text) - The version that is recommended to servers with an older one. The default is
        V(1.163.0).
      - V(cache_lookups) (number) - A cache with fewer lookups since the start is not judged. The default is
        V(10000).
      - V(cache_hit_ratio) - A cache is too small only if fewer of its lookups found an entry. The default is
        V(0.9).
      - V(cache_evictions_share) - A cache is too small only if, for each failed lookup, at least this share of
        an entry was removed because the cache was full. The default is V(0.2).
      - V(small_caches) (number) - How many caches must be too small for a larger factor. The default is V(3).
      - V(memory_available_share) - Memory is short if less of the memory of the host is available. The default
        is V(0.1).
      - V(memory_limit_share) - Memory is short if a process uses more of the limit of its control group. The
        default is V(0.9).
      - V(swapped_share) - Memory is short if more of the memory of a process is in swap, and less than 30 % of
        that of the host is available. The default is V(0.2).
      - V(synapse_memory_share) - Smaller caches help only if Synapse uses at least this share of the memory of
        the host, or is near its limit. The default is V(0.25).
      - V(memory_without_jemalloc_bytes) (bytes) - Jemalloc is worth it for a process that uses at least this memory.
        The default is V(524288000).
      - V(presence_updates_per_minute) (number) - States of users that one process handles, changed or not. The
        default is V(1000).
      - V(presence_edus_sent_per_minute) (number) - Messages with presence that one process sends to other
        servers, each counted once for each server. The default is V(1000).
      - V(uptime_seconds) (seconds) - Totals and averages of a process that has not run for as long do not count.
        Measured waits, turns of the event loop and use of the processor count only if the average since the start is
        at least half of their thresholds. The default is V(600).
      - V(open_files_share) - Of the soft limit of open files. The default is V(0.7).
      - V(file_limit_hours) (hours) - The limit of open files is near if it would be reached so soon, at the
        rate of an hour or more in which the files increased. It counts only if half of V(open_files_share) is reached.
        The default is V(24).
      - V(average_wait_seconds) (seconds) - How long a transaction waits for a connection to the database. The
        default is V(0.1).
      - V(database_transactions) (number) - Averages of fewer transactions do not count. The default is V(1000).
      - V(average_tick_seconds) (seconds) - How long one turn of the event loop takes. The default is V(0.1).
      - V(slow_ticks_share) - Of the turns of the event loop, those that took longer than one second. The
        default is V(0.01).
      - V(event_loop_ticks) (number) - Averages of fewer turns do not count. The default is V(1000).
      - V(processor_share) - Of one processor core. A process in Python can use one. The default is V(0.8).
      - V(io_pressure_share) - Of the last minute, when a task waited for the disk. The default is V(0.1). It is
        evidence only together with caches that are too small.
    type: dict
    default: {}
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
    containers do not belong to it, because they have different files at the same paths. RV(in_containers) contains
    them. A host can have workers without a main process.
  - The metrics of a process are read from its listener of the type V(metrics), or from one of the type V(http) with the
    resource V(metrics), also over TLS and on a Unix socket. A counter that Synapse has not used since its start is
    V(0).
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

- name: Get the advice for a server that is slow, with the rates of ten seconds
  matrix_ops.synapse.synapse_runtime_info:
    gather:
      - advice
      - rates
    rate_interval: 10
    advice_thresholds:
      open_files_share: 0.5
  register: synapse_runtime

- name: Show the advice and its evidence
  ansible.builtin.debug:
    msg: "{{ item.advice }} {{ item.evidence | join(' ') }}"
  loop: "{{ synapse_runtime.advice }}"
  loop_control:
    label: "{{ item.topic }}"

- name: Get how the open files have grown since the last call
  matrix_ops.synapse.synapse_runtime_info:
    gather:
      - open_files
    state_path: /var/lib/matrix-synapse-open-files.json
  register: synapse_runtime

- name: Fail if a process has a thousand more open files than at the last call
  ansible.builtin.assert:
    that: (item.growth | default({})).open_files | default(0) < 1000
    fail_msg: "{{ item.growth | default('') }} {{ item.remote_hosts | default('') }}"
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
    fail_msg: "Process {{ item.pid }} can open only {{ item.file_limits.soft | default('') }} files."
  loop: "{{ synapse_runtime.processes }}"
  loop_control:
    label: "{{ item.pid }}"
"""

RETURN = r"""
server:
  description: The server that answers at O(base_url).
  returned: if O(gather) contains V(server) or V(advice), and a server answers
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
      description: V(main), or the C(worker_name) of a worker. Without one, Synapse uses its C(worker_app).
      returned: for the main process, and for a worker if its configuration can be read and sets one of them
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
    uptime_seconds:
      description: For how many seconds the process has run.
      returned: always
      type: int
      sample: 86400
    version:
      description: The version of Synapse that the process runs.
      returned: together with RV(processes[].metrics_url), if the metrics contain it
      type: str
      sample: 1.163.2
    outdated_by:
      description: What was changed after the process was started with it. Empty if nothing was changed.
      returned: if O(gather) contains V(freshness) or V(advice)
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
      returned: if O(gather) contains V(freshness) or V(advice)
      type: list
      elements: str
      sample: []
    restart_required:
      description:
        - Whether RV(processes[].outdated_by) contains a change, so that the process must be restarted.
        - If RV(processes[].unknown) contains C(outdated_by), the module could not check everything, and V(false) is not
          certain.
      returned: if O(gather) contains V(freshness) or V(advice)
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
    open_files_by_kind:
      description: What the open files and sockets are. The sum is the number of those that could be seen.
      returned: >-
        if O(gather) contains V(open_files) or V(advice), the configuration of the process can be read, and the user of
        the task is allowed to see it
      type: dict
      contains:
        listening:
          description: Sockets at which Synapse listens.
          returned: always
          type: int
          sample: 2
        client:
          description:
            - Connections to a listener with the resource C(client).
            - Behind a reverse proxy, these are the connections of the proxy. If the listener has the resource
              C(federation) too, other servers are among them.
          returned: always
          type: int
          sample: 60
        federation:
          description:
            - Connections to other servers, and connections to a listener with the resource C(federation) and
              without C(client).
          returned: always
          type: int
          sample: 25
        database:
          description: Connections to PostgreSQL, or the files of SQLite.
          returned: always
          type: int
          sample: 10
        replication:
          description: Connections to Redis and to other processes of this Synapse.
          returned: always
          type: int
          sample: 0
        log:
          description: Log files, and sockets of the journal.
          returned: always
          type: int
          sample: 1
        media:
          description: Files of the media store.
          returned: always
          type: int
          sample: 0
        other:
          description: All others, such as pipes.
          returned: always
          type: int
          sample: 9
    remote_hosts:
      description: The remote addresses with most connections, at most ten.
      returned: together with RV(processes[].open_files_by_kind)
      type: list
      elements: dict
      contains:
        address:
          description: The IP address.
          returned: always
          type: str
          sample: 192.0.2.7
        connections:
          description: The number of connections.
          returned: always
          type: int
          sample: 12
        kind:
          description: What most of them are, as in RV(processes[].open_files_by_kind).
          returned: always
          type: str
          sample: federation
    growth:
      description: What has changed since the last call with the same O(state_path). A negative value is a decrease.
      returned: if O(state_path) is set, and the file contains this process, from at least a second ago
      type: dict
      contains:
        since:
          description: The time of the last call (ISO 8601, UTC).
          returned: always
          type: str
          sample: "2026-01-31T11:00:00Z"
        since_ts:
          description: The same time in milliseconds since 1970.
          returned: always
          type: int
          sample: 1769857200000
        seconds:
          description: How many seconds have passed since.
          returned: always
          type: int
          sample: 3600
        open_files:
          description: The change of RV(processes[].open_files).
          returned: if it is known
          type: int
          sample: 340
        open_files_by_kind:
          description: The change of each kind in RV(processes[].open_files_by_kind).
          returned: if it is known
          type: dict
          sample:
            client: 3
            federation: 337
        resident_bytes:
          description: The change of RV(processes[].memory.resident_bytes).
          returned: if it is known
          type: int
          sample: 1048576
    memory:
      description: The memory of the process.
      returned: if O(gather) contains V(memory) or V(advice)
      type: dict
      contains:
        resident_bytes:
          description: The memory that the process uses, with what it shares with other processes (RSS).
          returned: if it is known
          type: int
          sample: 524288000
        proportional_bytes:
          description: The same, but shared memory counts in parts (PSS), so the sum of all processes is right.
          returned: if the user of the task is allowed to see it
          type: int
          sample: 510000000
        swapped_bytes:
          description: The memory of the process that is in swap.
          returned: if it is known
          type: int
          sample: 0
        limit_bytes:
          description: The limit of its control group, such as C(MemoryMax) of its unit.
          returned: if there is a limit
          type: int
          sample: 2147483648
    threads:
      description: How many threads the process has.
      returned: together with RV(processes[].memory)
      type: int
      sample: 13
    cpu:
      description: The processor time of the process.
      returned: together with RV(processes[].memory)
      type: dict
      contains:
        seconds:
          description: The processor time since the start.
          returned: always
          type: float
          sample: 812.4
        average_share:
          description: The average share of one processor core since the start.
          returned: if the process was not started in this moment
          type: float
          sample: 0.0094
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
        memory:
          description:
            - The memory of the process as jemalloc counts it, in bytes. Without jemalloc, Synapse does not
              publish it.
          returned: if it is loaded, and together with RV(processes[].metrics_url)
          type: dict
          contains:
            allocated_bytes:
              description: What the process has allocated.
              returned: if it is known
              type: int
              sample: 402653184
            active_bytes:
              description: The pages that contain it.
              returned: if it is known
              type: int
              sample: 440401920
            resident_bytes:
              description: What is in the memory of the host.
              returned: if it is known
              type: int
              sample: 482344960
            mapped_bytes:
              description: What is mapped.
              returned: if it is known
              type: int
              sample: 530579456
            metadata_bytes:
              description: What jemalloc needs itself.
              returned: if it is known
              type: int
              sample: 8388608
    environment:
      description:
        - The environment variables C(LD_PRELOAD), C(PYTHONMALLOC) and those whose names start with
          C(SYNAPSE_CACHE_FACTOR), if the process was started with them.
      returned: if the user of the task is allowed to see it
      type: dict
      sample:
        PYTHONMALLOC: malloc
    metrics_url:
      description:
        - The URL where the process serves its metrics.
        - For a Unix socket, it is C(http+unix://) with the path of the socket, in which each C(/) is C(%2F).
      returned: if O(gather) contains V(activity), V(advice), V(caches) or V(rates), and the metrics can be read
      type: str
      sample: http://127.0.0.1:9000/_synapse/metrics
    caches:
      description: The caches that the process has used so far.
      returned: if O(gather) contains V(caches) or V(advice), and the metrics can be read
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
        lookups:
          description: How often the process has looked for an entry since its start.
          returned: if it is known
          type: int
          sample: 90123
        hits:
          description: How often it has found one.
          returned: if it is known
          type: int
          sample: 88001
        hit_ratio:
          description: The share of the lookups that found an entry.
          returned: if there were lookups
          type: float
          sample: 0.9765
        evicted:
          description:
            - How many entries were removed because the cache was full (C(size)), because they were old or the
              memory was short (C(time)), and because they were not valid any more (C(invalidation)).
          returned: if it is known
          type: dict
          sample:
            size: 1200
            time: 34
            invalidation: 560
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
        factor_source:
          description: Where the factor comes from.
          returned: together with RV(processes[].caches[].factor)
          type: dict
          contains:
            kind:
              description: V(environment_variable), V(per_cache_factors), V(global_factor) or V(default).
              returned: always
              type: str
              sample: per_cache_factors
            name:
              description: The name of the variable or of the setting.
              returned: always
              type: str
              sample: caches.per_cache_factors.get_users_in_room
            path:
              description: The file with the setting.
              returned: if a file sets it
              type: str
              sample: /etc/matrix-synapse/conf.d/caches.yaml
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
        difference:
          description:
            - Why the cache does not have the size that the files set, as sentences with the cause and the fix.
          returned: if the size is different, or an environment variable has priority over the files
          type: str
          sample: >-
            The process has not read /etc/matrix-synapse/conf.d/caches.yaml, which was changed after its
            start. Reload Synapse.
    autotuning:
      description: The setting C(caches.cache_autotuning), and whether it has an effect.
      returned: if O(gather) contains V(caches) or V(advice), the setting is set, and the metrics can be read
      type: dict
      contains:
        max_bytes:
          description: Above this allocated memory, Synapse removes entries.
          returned: if it is set and valid
          type: int
          sample: 1073741824
        target_bytes:
          description: Below this allocated memory, it removes no more.
          returned: if it is set and valid
          type: int
          sample: 794820608
        min_ttl_seconds:
          description: It removes only entries that were not used for as long.
          returned: if it is set and valid
          type: float
          sample: 300.0
        in_force:
          description: Whether it has an effect.
          returned: if it is known
          type: bool
          sample: true
        reason:
          description: Why it has no effect, or why this is unknown, with the fix.
          returned: if RV(processes[].autotuning.in_force) is not V(true)
          type: str
          sample: >-
            jemalloc is not loaded in the process, and without it Synapse ignores caches.cache_autotuning. Load
            jemalloc with LD_PRELOAD and restart Synapse.
        allocated_bytes:
          description: The allocated memory that Synapse compares.
          returned: if it is known, and the setting has an effect
          type: int
          sample: 402653184
        is_evicting:
          description: Whether the process has so much allocated memory that it removes entries.
          returned: together with RV(processes[].autotuning.allocated_bytes)
          type: bool
          sample: false
    requests:
      description: The requests that the process is processing now.
      returned: if O(gather) contains V(activity) or V(advice), and the metrics can be read
      type: dict
      contains:
        in_flight:
          description: How many, without long polls and without the one that reads the metrics.
          returned: if it is known
          type: int
          sample: 3
        long_polls:
          description: How many requests wait for events, such as C(/sync).
          returned: if it is known
          type: int
          sample: 40
        endpoints:
          description: The endpoints with most requests in flight, at most ten, long polls too.
          returned: always
          type: list
          elements: dict
          contains:
            method:
              description: The method of the requests.
              returned: always
              type: str
              sample: GET
            servlet:
              description: The name of the endpoint in Synapse.
              returned: always
              type: str
              sample: SyncRestServlet
            in_flight:
              description: How many requests.
              returned: always
              type: int
              sample: 40
        database_wait_seconds:
          description:
            - How long these requests have waited for a connection to the database so far, all together, without
              long polls.
          returned: if it is known
          type: float
          sample: 0.02
        database_seconds:
          description: How long the database has worked for them so far.
          returned: if it is known
          type: float
          sample: 0.4
    database:
      description: The use of the database by the process, since its start where it is a total.
      returned: if O(gather) contains V(activity) or V(advice), and the metrics can be read
      type: dict
      contains:
        connections:
          description: The connections of the pool.
          returned: if it is known
          type: dict
          contains:
            working:
              description: Those that are used now.
              returned: if it is known
              type: int
              sample: 1
            open:
              description: Those that are open.
              returned: if it is known
              type: int
              sample: 5
            max:
              description: How many are possible.
              returned: if it is known
              type: int
              sample: 10
        transactions:
          description: How many transactions.
          returned: if it is known
          type: int
          sample: 181234
        wait_seconds:
          description: How long transactions have waited for a connection, all together.
          returned: if it is known
          type: float
          sample: 90.5
        average_wait_seconds:
          description: The average of one transaction.
          returned: if it is known
          type: float
          sample: 0.0005
        queries:
          description: How many queries.
          returned: if it is known
          type: int
          sample: 903456
        average_query_seconds:
          description: How long a query takes on average.
          returned: if it is known
          type: float
          sample: 0.0011
    event_loop:
      description:
        - The event loop of the process, which does one thing at a time. While a turn takes long, nothing else
          happens.
      returned: if O(gather) contains V(activity) or V(advice), and the metrics can be read
      type: dict
      contains:
        ticks:
          description: How many turns since the start.
          returned: if it is known
          type: int
          sample: 2812345
        average_tick_seconds:
          description: How long a turn takes on average.
          returned: if it is known
          type: float
          sample: 0.0012
        slow_ticks:
          description: How many turns have taken longer than one second.
          returned: if it is known
          type: int
          sample: 2
        last_tick_seconds_ago:
          description: When the last turn ended, in seconds before the metrics were read.
          returned: if it is known
          type: float
          sample: 0.004
    garbage_collection:
      description: The garbage collection of Python since the start.
      returned: if O(gather) contains V(activity) or V(advice), and the metrics can be read
      type: dict
      contains:
        collections:
          description: How many.
          returned: if it is known
          type: int
          sample: 401
        seconds:
          description: How long they took, all together.
          returned: if it is known
          type: float
          sample: 7.5
    federation:
      description:
        - What the process has sent to other servers and received from them since its start, and what it has to
          send.
      returned: if O(gather) contains V(activity) or V(advice), and the metrics can be read
      type: dict
      contains:
        sent_transactions:
          description: Transactions that other servers have accepted.
          returned: if it is known
          type: int
          sample: 4123
        sent_pdus:
          description:
            - Events for other servers, each counted once for each server. Those for servers that cannot be
              reached count too.
          returned: if it is known
          type: int
          sample: 9001
        sent_edus:
          description: Ephemeral messages that other servers have accepted, such as presence and typing.
          returned: if it is known
          type: int
          sample: 30211
        received_pdus:
          description: Events that it has received.
          returned: if it is known
          type: int
          sample: 55123
        received_edus:
          description: Ephemeral messages that it has received.
          returned: if it is known
          type: int
          sample: 120345
        pending_destinations:
          description: Servers to which the process is sending something now.
          returned: if it is known
          type: int
          sample: 2
        pending_pdus:
          description: Events that are waiting to be sent.
          returned: if it is known
          type: int
          sample: 14
        pending_edus:
          description: Ephemeral messages that are waiting to be sent.
          returned: if it is known
          type: int
          sample: 0
    presence:
      description: The presence updates of the process since its start.
      returned: if O(gather) contains V(activity) or V(advice), and the metrics can be read
      type: dict
      contains:
        updates:
          description: Updates from clients, from other servers and of timers, whether they changed something or not.
          returned: if it is known
          type: int
          sample: 81234
        state_transitions:
          description: Changes between online, unavailable and offline.
          returned: if it is known
          type: int
          sample: 5123
        notified:
          description: Updates that were passed on to clients and to other servers.
          returned: if it is known
          type: int
          sample: 9123
        keep_alives:
          description:
            - Unchanged presence of users of this server that was sent to other servers again, so that they do
              not let it expire.
          returned: if it is known
          type: int
          sample: 60123
        sent_edus:
          description:
            - Messages with presence that other servers have accepted, each counted once for each server. A
              message can contain several updates.
          returned: if it is known
          type: int
          sample: 20345
        tracked_users:
          description: Users whose presence the process has in memory.
          returned: if it is known
          type: int
          sample: 1234
    rates:
      description:
        - What happened between the two readings of the metrics.
        - Without metrics, it contains only C(seconds) and C(cpu_share).
      returned: if O(gather) contains V(rates), and its configuration can be read
      type: dict
      contains:
        seconds:
          description: How many seconds are between the two readings.
          returned: always
          type: float
          sample: 5.01
        cpu_share:
          description: The share of one processor core that the process used.
          returned: if it is known
          type: float
          sample: 0.1123
        requests_per_minute:
          description: Requests that the process has received, without those that read the metrics.
          returned: if it is known
          type: float
          sample: 840.0
        database_transactions_per_minute:
          description: Transactions in the database.
          returned: if it is known
          type: float
          sample: 1234.5
        average_wait_seconds:
          description: How long a transaction waited for a connection to the database on average.
          returned: if it is known, and there was one
          type: float
          sample: 0.0005
        average_query_seconds:
          description: How long a query took on average.
          returned: if it is known, and there was one
          type: float
          sample: 0.0011
        average_tick_seconds:
          description: How long a turn of the event loop took on average.
          returned: if it is known, and there was one
          type: float
          sample: 0.0012
        garbage_collection_share:
          description: The share of the time that the garbage collection of Python needed.
          returned: if it is known
          type: float
          sample: 0.0031
        sent_transactions_per_minute:
          description: As RV(processes[].federation.sent_transactions).
          returned: if it is known
          type: float
          sample: 60.0
        sent_pdus_per_minute:
          description: As RV(processes[].federation.sent_pdus).
          returned: if it is known
          type: float
          sample: 120.0
        sent_edus_per_minute:
          description: As RV(processes[].federation.sent_edus).
          returned: if it is known
          type: float
          sample: 420.0
        received_pdus_per_minute:
          description: As RV(processes[].federation.received_pdus).
          returned: if it is known
          type: float
          sample: 240.0
        received_edus_per_minute:
          description: As RV(processes[].federation.received_edus).
          returned: if it is known
          type: float
          sample: 960.0
        presence_updates_per_minute:
          description: As RV(processes[].presence.updates).
          returned: if it is known
          type: float
          sample: 24.0
        presence_state_transitions_per_minute:
          description: As RV(processes[].presence.state_transitions).
          returned: if it is known
          type: float
          sample: 12.0
        presence_keep_alives_per_minute:
          description: As RV(processes[].presence.keep_alives).
          returned: if it is known
          type: float
          sample: 36.0
        presence_edus_sent_per_minute:
          description: As RV(processes[].presence.sent_edus).
          returned: if it is known
          type: float
          sample: 84.0
        cache_evictions_per_minute:
          description: Entries that were removed because their cache was full.
          returned: if it is known
          type: float
          sample: 12.0
    presence_settings:
      description: The settings of presence in the configuration of the process, as in RV(presence_settings).
      returned: if O(gather) contains V(presence) or V(advice), and its configuration can be read
      type: dict
      sample:
        mode: disabled
        key: presence.enabled
        path: /etc/matrix-synapse/conf.d/presence.yaml
        ignored: []
    unknown:
      description: What could not be found out about this process, as in RV(unknown).
      returned: always
      type: list
      elements: dict
      sample: []
cache_settings:
  description: The settings of the caches in the configuration on disk.
  returned: if O(gather) contains V(caches) or V(advice)
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
in_containers:
  description:
    - Processes of Synapse in containers on this host, or with a root directory of their own. None of them is in
      RV(processes).
  returned: success
  type: list
  elements: dict
  contains:
    pid:
      description: The process ID on this host.
      returned: always
      type: int
      sample: 5120
    app:
      description: The Python module of Synapse that the process runs.
      returned: always
      type: str
      sample: synapse.app.homeserver
    config_path:
      description: The paths of its configuration, which are paths in the container.
      returned: always
      type: list
      elements: str
      sample:
        - /data/homeserver.yaml
    container:
      description: What the process runs in.
      returned: always
      type: str
      sample: docker 0123456789ab
host:
  description: The memory and the processors of the host.
  returned: if O(gather) contains V(memory) or V(advice)
  type: dict
  contains:
    memory_total_bytes:
      description: The memory of the host.
      returned: if it is known
      type: int
      sample: 8589934592
    memory_available_bytes:
      description: The memory that programs can still use without swapping.
      returned: if it is known
      type: int
      sample: 2147483648
    swap_total_bytes:
      description: The swap of the host.
      returned: if it is known
      type: int
      sample: 0
    swap_free_bytes:
      description: The part of it that is free.
      returned: if it is known
      type: int
      sample: 0
    processors:
      description: How many processor cores are online.
      returned: if it is known
      type: int
      sample: 4
    io_pressure_share:
      description: The share of the last minute in which at least one task waited for the disk.
      returned: if the kernel measures it
      type: float
      sample: 0.012
presence_settings:
  description: The settings of presence in the configuration on disk.
  returned: if O(gather) contains V(presence) or V(advice)
  type: dict
  contains:
    mode:
      description: V(enabled), V(disabled) or V(untracked).
      returned: always
      type: str
      sample: enabled
    key:
      description: The setting that decides, V(presence.enabled), V(use_presence) or V(default).
      returned: always
      type: str
      sample: presence.enabled
    path:
      description: The file with this setting.
      returned: if a file sets it
      type: str
      sample: /etc/matrix-synapse/homeserver.yaml
    problem:
      description: What is wrong with the value, as a sentence. Synapse takes any text for true.
      returned: if something is wrong
      type: str
      sample: >-
        /etc/matrix-synapse/homeserver.yaml sets presence.enabled to the text "false", which Synapse takes for true.
    ignored:
      description: Settings that have no effect.
      returned: always
      type: list
      elements: dict
      contains:
        key:
          description: The setting.
          returned: always
          type: str
          sample: use_presence
        path:
          description: The file with this setting.
          returned: always
          type: str
          sample: /etc/matrix-synapse/homeserver.yaml
        reason:
          description: Why it has no effect.
          returned: always
          type: str
          sample: >-
            Synapse uses use_presence only if presence.enabled is not set, but
            /etc/matrix-synapse/conf.d/presence.yaml sets it.
database_engine:
  description: The C(name) of the database in the configuration, V(psycopg2) or V(sqlite3).
  returned: if the configuration is read and sets a database, or several of the same kind
  type: str
  sample: psycopg2
advice:
  description:
    - What the Admin FAQ of Synapse would change, in the order in which to do it. Empty if there is no evidence
      for anything.
  returned: if O(gather) contains V(advice)
  type: list
  elements: dict
  contains:
    topic:
      description:
        - V(version), V(database_engine), V(cache_factor), V(memory), V(cache_factor_variable), V(jemalloc),
          V(presence), V(file_limit), V(database), V(event_loop) or V(workers).
      returned: always
      type: str
      sample: presence
    advice:
      description: What to do.
      returned: always
      type: str
      sample: Disable presence.
    evidence:
      description: The figures that show it, as sentences.
      returned: always
      type: list
      elements: str
      sample:
        - main (process 4711) has processed 2400 updates of presence in a minute.
    variables:
      description: The variables of the roles of this collection that do it.
      returned: always
      type: dict
      sample:
        synapse_presence_mode: disabled
restart_record:
  description:
    - The state of the files that a process would be started with now. Write it to the file O(restart_record) before a
      restart, as it is.
    - Its content is only for this module, and may change in any release. It does not contain the content of the files.
  returned: if O(gather) contains V(freshness) or V(advice)
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
        - V(activity) for all return values about what a process does, such as RV(processes[].requests).
        - V(restart_record) if the module ignored the file in O(restart_record), and V(growth) if it ignored the one in
          O(state_path).
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
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installed_file import require_writable
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, connect, run_info
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.advice import advise
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.advice_thresholds import Thresholds
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.clock import read_clock
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.growth import keep_state, with_growth
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.runtime import RuntimeReader
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.wanted import Wanted

# What is asked of the server is public: a token that cannot be read or is not valid must not matter.
_NO_TOKEN = {"access_token": None, "access_token_path": None}
_OF_PROCESSES = ("activity", "caches", "freshness", "memory", "open_files", "presence")
_ADVICE_NEEDS = (*_OF_PROCESSES, "server")
# In seconds. A task that waits longer looks as if it hangs.
_LONGEST_INTERVAL = 60


def read(parameters: Parameters) -> dict[str, t.Any]:
    """Return the state of the running processes and of the server, with an advice if it is wanted."""
    if not parameters["config_path"]:
        raise InvalidInput("config_path is empty. Set it to the files and directories that Synapse is started with.")
    interval, path = parameters["rate_interval"], parameters["state_path"]
    if not 1 <= interval <= _LONGEST_INTERVAL:
        raise InvalidInput(f"rate_interval is {interval}. Set it to a number from 1 to {_LONGEST_INTERVAL}.")
    if path:
        require_writable(path, "state_path")
    thresholds = Thresholds.read(parameters["advice_thresholds"] or {})
    gather = set(parameters["gather"])
    if "advice" in gather:
        gather |= set(_ADVICE_NEEDS)
    reader = RuntimeReader(
        parameters["config_path"],
        Wanted(
            **{name: name in gather for name in _OF_PROCESSES}, rate_interval=interval if "rates" in gather else None
        ),
        restart_record=parameters["restart_record"],
        synapse_python=parameters["synapse_python"],
        timeout=checked_timeout(parameters["metrics_timeout"], "metrics_timeout"),
        client=connect({**parameters, **_NO_TOKEN}) if "server" in gather else None,
    )
    found = reader.read()
    if path:
        found = with_growth(found, path, read_clock())
    return {**found, "advice": advise(found, thresholds)} if "advice" in gather else found


def keep(parameters: Parameters, found: dict[str, t.Any]) -> None:
    """Write the figures that the next run compares with its own."""
    if parameters["state_path"]:
        keep_state(parameters["state_path"], found["processes"], read_clock())


def main() -> None:
    """Run the module."""
    choices = ["activity", "advice", "caches", "freshness", "memory", "open_files", "presence", "rates", "server"]
    default = [name for name in choices if name != "rates"]
    own = ArgumentSpec(
        {
            "gather": {"type": "list", "elements": "str", "choices": choices, "default": default},
            "rate_interval": {"type": "int", "default": 5},
            "state_path": {"type": "path"},
            "advice_thresholds": {"type": "dict", "default": {}},
            "restart_record": {"type": "path"},
            "synapse_python": {"type": "path", "default": "/opt/venvs/matrix-synapse/bin/python"},
            "metrics_timeout": {"type": "int", "default": 30},
        }
    )
    run_info(connection_argument_spec().merge(configuration_argument_spec()).merge(own), read, keep)


if __name__ == "__main__":
    main()

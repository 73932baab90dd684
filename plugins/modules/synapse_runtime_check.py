#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_runtime_check
short_description: Check that the running processes of Synapse are as declared
version_added: 1.0.0
description:
  - Compares the running processes of Synapse, the main process and the workers, with what is declared, and fails if one
    of them is different. A setting in a file has no effect until the processes use it.
  - Each failure is a sentence that names the process, and what causes the difference, such as the line of a file of the
    systemd unit.
  - Only what is declared is read and compared. It also fails if a declared value cannot be read, with the reason and a
    fix. The sizes of caches are the only exception, see O(require_cache_proof).
  - It always fails if no process of this Synapse runs on the host, and names what keeps O(unit) from running.
  - It also fails if only workers run, although O(unit) starts the main process on this host. That is so if the command
    of the unit contains the first path of O(config_path), and the unit has failed, is restarted again and again, or is
    enabled and does not run. If O(answers) is not as declared, a unit that is not enabled counts as well.
  - Warns of settings that have no effect yet, but will change a declared value at the next start of Synapse. If a
    setting is not as declared, it also warns of files next to the configuration that Synapse does not read, such as
    C(*.yml).
  - An access token is only sent for O(presence), and is not needed. All other requests are made without it.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._attributes.actiongroups
  - matrix_ops.synapse._attributes.info_module
  - matrix_ops.synapse._configuration
  - matrix_ops.synapse._connection
  - matrix_ops.synapse._progress
attributes:
  platform:
    support: full
    platforms: linux
options:
  open_files:
    description:
      - How many files and sockets each process must be able to open, at least. A process without a limit is fine.
    type: int
  jemalloc:
    description:
      - Whether each process must have loaded the library jemalloc. V(false) declares nothing.
    type: bool
    default: false
  jemalloc_library:
    description:
      - The path of the library jemalloc that each process must have loaded.
    type: path
  cache_factor:
    description:
      - The value that the setting C(caches.global_factor) must have in the configuration.
    type: float
  caches:
    description:
      - Whether every cache whose size can be read must have the size that the configuration sets.
    type: bool
    default: false
  cache_autotuning:
    description:
      - Whether each process must have loaded jemalloc so that Synapse applies C(caches.cache_autotuning).
    type: bool
    default: false
  require_cache_proof:
    description:
      - Whether to fail if the sizes of the caches cannot be read.
      - Otherwise RV(caches_proven) is then V(false), and RV(proofs.caches) contains the reason.
    type: bool
    default: false
  report_caches:
    description:
      - Whether to read the sizes of the caches for RV(proofs) and RV(caches_proven), although nothing is declared of
        them. A different size is then not a failure.
    type: bool
    default: false
  version:
    description:
      - The version of Synapse that the server at O(base_url) must return. V(1.163) is the same version as V(1.163.0).
      - V(*) accepts any version of Synapse. An empty string declares nothing.
    type: str
  server_name:
    description:
      - The server name that the server at O(base_url) must return. An empty string declares nothing.
    type: str
  answers:
    description:
      - Whether the server at O(base_url) must be healthy, which means that it answers V(OK) at C(/health).
    type: bool
    default: false
  user:
    description:
      - The user that each process must run as. An empty string declares nothing.
    type: str
  fresh:
    description:
      - Whether each process must run with its present files, as in RV(processes[].outdated_by).
    type: bool
    default: true
  writable_paths:
    description:
      - The directories that the main process must be able to write to.
      - A file is created and removed in each of them, in the mount namespace and with the user and the groups of the
        main process. Only root and this user can do that.
      - Root does not enter a mount namespace that was made in another user namespace, or that of a process that does
        not run as O(user) or in O(unit), if they are set. That is then a failure.
    type: list
    elements: path
    default: []
  configured_paths:
    description:
      - Whether the main process must also be able to write to all directories to which it writes by its configuration,
        such as the media store.
    type: bool
    default: false
  presence:
    description:
      - The mode of presence that each process must have. V(enabled), V(disabled) and V(untracked) are the values
        C(true), C(false) and C("untracked") of the setting C(presence.enabled).
      - Each process must have the mode in its own configuration, and must have been started after the configuration
        was changed, also if O(fresh) is V(false). With V(disabled), it must not have made updates of presence since its
        start. This is only checked if its metrics can be read.
      - If an access token is set, the server at O(base_url) is asked too. It is not asked if the file
        O(access_token_path) does not exist. The requests change nothing, because they set a state of presence that does
        not exist, and ask for the presence of an account that does not exist. The token can be that of any user of the
        server. No proxy may answer requests for presence instead of Synapse.
      - If C(stream_writers.presence) names a worker, only that worker can prove V(untracked). O(base_url) must then be
        its URL.
      - If the server is asked, O(answers) is true as well. After a restart, set O(wait_timeout), so that the server is
        not asked before it answers.
    type: str
    choices:
      - enabled
      - disabled
      - untracked
  require_presence_proof:
    description:
      - Whether to fail if the server at O(base_url) was not asked, because no access token is set or because it
        limits the rate of the requests. Needs O(presence).
      - Otherwise RV(presence_proven) is then V(false), and RV(proofs.presence) contains the reason.
    type: bool
    default: false
  report_presence:
    description:
      - Whether to read the mode of presence in the configuration of each process for RV(proofs), although nothing is
        declared of it. The server is not asked.
    type: bool
    default: false
  workers:
    description:
      - How many workers of this Synapse must run on this host, neither fewer nor more. Each must have a name of its
        own.
      - If there are too few, the failure names the workers in the configuration that do not run on this host, and the
        units of O(worker_unit) that are not active.
    type: int
  worker_unit:
    description:
      - The template of the systemd units of the workers, for the messages of O(workers). Set it to an empty string if
        they do not have one.
    type: str
    default: matrix-synapse-worker@.service
  in_flight_requests:
    description:
      - How many requests can be in flight in each process, at most. Requests that wait for news, such as C(/sync), do
        not count.
      - A failure names the endpoints with the most requests, and whether they wait for the database or for the event
        loop.
      - The number changes all the time, so set it to a number that only a process with a problem reaches.
    type: int
  pending_background_updates:
    description:
      - How many background updates Synapse may still have to run, at most. V(0) means that all must be complete.
      - Synapse runs them after its first start and after an upgrade, which needs some seconds for a new database, and
        up to days for a big one. It works in the meantime, but some requests fail with status 500, such as the
        reactivation of an account on SQLite.
      - They are read from all databases that the configuration sets, with read-only transactions that do not block
        Synapse. It fails if a database cannot be read, after at most 10 seconds of O(wait_timeout).
      - They are not read if no process of this Synapse runs.
    type: int
  working_directory:
    description:
      - The directory that Synapse runs in. Relative paths in the configuration start there, also that of an SQLite
        database.
    type: path
  unit:
    description:
      - The systemd unit of Synapse, for messages and for O(writable_paths). Set it to an empty string if Synapse has
        no unit.
    type: str
    default: matrix-synapse.service
  log_path:
    description:
      - The path of Synapse's log file in messages.
    type: path
  wait_timeout:
    description:
      - How many seconds to wait until the processes and the declared number of O(workers) run, the server at
        O(base_url) answers, not more than O(pending_background_updates) are left, and the caches are resized after a
        reload, all together, before it is a failure. For the caches at most 10.
      - A single request then needs at most the seconds that are left, or 1, and does not wait for a rate limit. The
        requests for O(presence) are made afterwards, within O(timeout) and O(rate_limit_retry_timeout).
    type: int
    default: 0
  option_names:
    description:
      - Other names of the options in messages, for example those of the variables that a playbook uses. The keys are
        names of options.
      - The key C(port) can contain the name of the variable with the port of the server.
    type: dict
    default: {}
  restart_record:
    description:
      - The path of a file that contains RV(matrix_ops.synapse.synapse_runtime_info#module:restart_record) as JSON, from
        right before the last restart of Synapse. The file does not have to exist.
      - If it is set, a file that did not change since the restart never counts as changed, even if the clock of the
        host was set.
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
  - See M(matrix_ops.synapse.synapse_runtime_info) for which processes belong to this Synapse, and for when a file
    counts as changed.
  - If PostgreSQL accepts only the user of Synapse without a password (peer authentication), root cannot read
    O(pending_background_updates). Run a task for them as the user of Synapse, with C(become_user).
requirements:
  - psycopg2 on the host where the module runs, for O(pending_background_updates) with PostgreSQL
seealso:
  - module: matrix_ops.synapse.synapse_runtime_info
  - module: matrix_ops.synapse.synapse_config
  - module: matrix_ops.synapse.synapse_database_info
"""

EXAMPLES = r"""
- name: Check that Synapse runs, with its present files
  matrix_ops.synapse.synapse_runtime_check:

- name: Check everything that is declared of the running processes
  matrix_ops.synapse.synapse_runtime_check:
    open_files: 16384
    jemalloc: true
    cache_factor: 2.0
    caches: true
    user: matrix-synapse
  register: synapse_runtime

- name: Show the proofs
  ansible.builtin.debug:
    var: synapse_runtime.proofs

- name: Wait for Synapse after a restart, and check its version
  matrix_ops.synapse.synapse_runtime_check:
    answers: true
    version: 1.163.2
    wait_timeout: 60

- name: Check that Synapse can write to the directories of its configuration
  matrix_ops.synapse.synapse_runtime_check:
    writable_paths:
      - /var/log/matrix-synapse
    configured_paths: true
    working_directory: /var/lib/matrix-synapse

- name: Check that presence is disabled in all processes, and that the server answers accordingly
  matrix_ops.synapse.synapse_runtime_check:
    presence: disabled
    access_token_path: /etc/matrix-synapse/admin.token
    require_presence_proof: true

- name: Wait until three workers run, and check that no process is overloaded
  matrix_ops.synapse.synapse_runtime_check:
    workers: 3
    in_flight_requests: 50
    wait_timeout: 60

- name: Wait until Synapse has completed the background updates of an upgrade
  matrix_ops.synapse.synapse_runtime_check:
    pending_background_updates: 0
    wait_timeout: 3600

- name: Use the names of your own variables in messages
  matrix_ops.synapse.synapse_runtime_check:
    open_files: "{{ chat_open_files | default(4096) }}"
    option_names:
      open_files: chat_open_files
"""

RETURN = r"""
failures:
  description: What is not as declared. The error message contains all reasons.
  returned: if something is not as declared
  type: list
  elements: dict
  contains:
    declared:
      description:
        - The name of the option.
        - V(config_path) if no process or no main process runs, or if not all processes can be seen.
      returned: always
      type: str
      sample: open_files
    process:
      description: The name of the process, as in RV(processes[].name).
      returned: if a single process is different, and its name is known
      type: str
      sample: main
    pid:
      description: The process ID.
      returned: if a single process is different
      type: int
      sample: 4711
    reason:
      description: What is different, and why, as sentences.
      returned: always
      type: str
      sample: >-
        main (process 4711) can open 2048 files, but open_files is 16384.
        /etc/systemd/system/matrix-synapse.service.d/99-own.conf, line 2, sets LimitNOFILE=2048: remove it there, and
        run systemctl daemon-reload, and restart matrix-synapse.service (systemctl cat matrix-synapse.service shows all
        files of the unit).
proofs:
  description: What was found, a sentence for each topic that was declared and is as declared.
  returned: success
  type: dict
  contains:
    server:
      description: Which server answers.
      returned: if O(answers), O(version) or O(server_name) is set and the server is as declared
      type: str
      sample: "Server: Synapse 1.163.2 answers as example.org at http://127.0.0.1:8008."
    open_files:
      description: How many files the processes can open.
      returned: if O(open_files) is set and the processes are as declared
      type: str
      sample: "Open files: main can open 18000 files. At least 16384 are required."
    jemalloc:
      description: Which library the processes have loaded.
      returned: if O(jemalloc) or O(jemalloc_library) is set and the processes are as declared
      type: str
      sample: "Memory: main has loaded /usr/lib/x86_64-linux-gnu/libjemalloc.so.2."
    caches:
      description: How many caches have the size that the configuration sets, or why that is not proven.
      returned: if O(caches), O(cache_factor), O(require_cache_proof) or O(report_caches) is set and a process runs
      type: str
      sample: "Caches: 42 caches of the running server have the size that global_factor 2.0 sets."
    presence:
      description: The mode of presence, and whether the server answers accordingly or why it was not asked.
      returned: if O(presence) is set and the processes are as declared, or if O(report_presence) is true
      type: str
      sample: >-
        Presence: disabled in the configuration that main started with, and the server at http://127.0.0.1:8008 answers
        accordingly.
    workers:
      description: Which workers run.
      returned: if O(workers) is set and the processes are as declared
      type: str
      sample: "Workers: 2 workers run: federation_sender1, sync1."
    in_flight_requests:
      description: How many requests are in flight.
      returned: if O(in_flight_requests) is set and the processes are as declared
      type: str
      sample: "Requests: 3 in flight in main. At most 50 are allowed."
    pending_background_updates:
      description: Which background updates are left.
      returned: if O(pending_background_updates) is set and the processes are as declared
      type: str
      sample: "Background updates: all are complete."
background_updates:
  description:
    - The background updates that are not finished, in the order in which Synapse runs them. If the configuration has
      several databases, those of the one with the accounts come first.
  returned: if O(pending_background_updates) is set, and the databases can be read, also in a failure
  type: list
  elements: dict
  sample: []
  contains:
    name:
      description: The name of the update.
      returned: always
      type: str
      sample: profiles_full_user_id_key_idx
    progress:
      description: The progress as Synapse has stored it. The keys depend on the update.
      returned: if Synapse has stored a JSON object
      type: dict
      sample: {}
    depends_on:
      description: The update that must be finished before this one.
      returned: if it depends on one
      type: str
      sample: populate_stats_process_rooms
presence_proven:
  description:
    - Whether the server at O(base_url) was asked and has the mode of presence in O(presence), as all processes have.
    - Always V(false) if O(presence) or the access token is not set.
  returned: success
  type: bool
  sample: true
caches_proven:
  description:
    - Whether each process shows at least one cache of the size that the configuration sets, and none of a different
      size. Always V(false) if the caches were not read.
  returned: success
  type: bool
  sample: true
server:
  description: The server that answers at O(base_url).
  returned: if O(answers), O(version) or O(server_name) is set and a server answers
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
    uptime_seconds:
      description: How many seconds ago the process was started.
      returned: always
      type: int
      sample: 86400
    outdated_by:
      description: What was changed after the process was started with it. Empty if nothing was changed.
      returned: if O(fresh) is true or O(presence) is set
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
      returned: if O(fresh) is true or O(presence) is set
      type: list
      elements: str
      sample: []
    restart_required:
      description:
        - Whether RV(processes[].outdated_by) contains a change, so that the process must be restarted.
        - If RV(processes[].unknown) contains C(outdated_by), the module could not check everything, and V(false) is not
          certain.
      returned: if O(fresh) is true or O(presence) is set
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
        memory:
          description:
            - The memory of the process as jemalloc counts it, in bytes. Without jemalloc, Synapse does not
              publish it.
          returned: if it is loaded and the metrics are read
          type: dict
          sample:
            allocated_bytes: 402653184
            active_bytes: 440401920
            resident_bytes: 482344960
            mapped_bytes: 530579456
            metadata_bytes: 8388608
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
      returned: >-
        if O(presence) or O(in_flight_requests) is set or RV(cache_settings) is returned, and the metrics can be read
      type: str
      sample: http://127.0.0.1:9000/_synapse/metrics
    version:
      description: The version of Synapse that the process runs.
      returned: if the metrics are read and contain it
      type: str
      sample: 1.163.2
    presence_settings:
      description:
        - The mode of presence in the configuration of the process, and the file and the key that set it.
        - See M(matrix_ops.synapse.synapse_runtime_info) for the keys.
      returned: if O(presence) is set or O(report_presence) is true, and the configuration of the process can be read
      type: dict
      sample:
        mode: disabled
        key: presence.enabled
        path: /etc/matrix-synapse/conf.d/presence.yaml
        ignored: []
    requests:
      description: The requests in flight. See M(matrix_ops.synapse.synapse_runtime_info) for the keys.
      returned: if O(presence) or O(in_flight_requests) is set and the metrics can be read
      type: dict
      sample:
        in_flight: 3
        long_polls: 12
        endpoints: []
        database_wait_seconds: 0.0
        database_seconds: 0.01
    database:
      description: The use of the database. See M(matrix_ops.synapse.synapse_runtime_info) for the keys.
      returned: if O(presence) or O(in_flight_requests) is set and the metrics can be read
      type: dict
      sample:
        connections:
          working: 1
          open: 5
          max: 10
    event_loop:
      description: The turns of the event loop. See M(matrix_ops.synapse.synapse_runtime_info) for the keys.
      returned: if O(presence) or O(in_flight_requests) is set and the metrics can be read
      type: dict
      sample:
        ticks: 20000
        average_tick_seconds: 0.001
    garbage_collection:
      description: The garbage collection of Python. See M(matrix_ops.synapse.synapse_runtime_info) for the keys.
      returned: if O(presence) or O(in_flight_requests) is set and the metrics can be read
      type: dict
      sample:
        collections: 17
        seconds: 0.4
    federation:
      description: What is sent and received. See M(matrix_ops.synapse.synapse_runtime_info) for the keys.
      returned: if O(presence) or O(in_flight_requests) is set and the metrics can be read
      type: dict
      sample:
        sent_transactions: 12
        pending_pdus: 0
    presence:
      description: The updates of presence. See M(matrix_ops.synapse.synapse_runtime_info) for the keys.
      returned: if O(presence) or O(in_flight_requests) is set and the metrics can be read
      type: dict
      sample:
        updates: 0
    caches:
      description: The caches that the process has used so far.
      returned: together with RV(cache_settings), if the metrics can be read
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
      returned: together with RV(processes[].caches), if the setting is set
      type: dict
      sample:
        max_bytes: 1073741824
        target_bytes: 794820608
        min_ttl_seconds: 300
        in_force: true
        is_evicting: false
    unknown:
      description: What could not be found out about this process, as in RV(unknown).
      returned: always
      type: list
      elements: dict
      sample: []
cache_settings:
  description: The settings of the caches in the configuration on disk.
  returned: if O(caches), O(cache_factor), O(require_cache_proof) or O(report_caches) is set
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

import dataclasses
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    configuration_argument_spec,
    connection_argument_spec,
    progress_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._connection_options import checked_timeout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, connect, run_info
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.check import RuntimeCheck
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.declared import Declared
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.runtime import RuntimeReader

# Except for presence, what is asked is public: a token that cannot be read or is not valid must not matter.
_NO_TOKEN = {"access_token": None, "access_token_path": None}


def check(parameters: Parameters) -> dict[str, t.Any]:
    """Return what was found if everything is as declared."""
    declared = Declared.read(parameters)
    timeout = checked_timeout(parameters["metrics_timeout"], "metrics_timeout")

    def connected(seconds: int | None) -> Client:
        if seconds is None:
            return connect({**parameters, **_NO_TOKEN})
        # A wait for a rate limit could need more time than is left.
        hurried = {"timeout": min(parameters["timeout"], seconds), "rate_limit_retry_timeout": 0}
        return connect({**parameters, **_NO_TOKEN, **hurried})

    def connected_as_user() -> Client:
        # Without the file, what can be proven without a token is still worth it.
        path = parameters["access_token_path"]
        return connect(parameters if not path or os.path.lexists(path) else {**parameters, "access_token_path": None})

    # Options that are not valid are a mistake in the task, whatever the processes do.
    if declared.reads_server:
        connected(None)
    if declared.reads_presence and connected_as_user().has_token:
        # It is asked after a restart too, when it does not answer yet.
        declared = dataclasses.replace(declared, answers=True)
    reader = RuntimeReader(
        declared.config_path,
        declared.wanted,
        restart_record=parameters["restart_record"],
        synapse_python=declared.synapse_python,
        timeout=timeout,
    )
    connecting = connected if declared.reads_server else None
    return RuntimeCheck(
        declared, reader.read, timeout=timeout, connect=connecting, connect_as_user=connected_as_user
    ).run()


def main() -> None:
    """Run the module."""
    own = ArgumentSpec(
        {
            "open_files": {"type": "int"},
            "jemalloc": {"type": "bool", "default": False},
            "jemalloc_library": {"type": "path"},
            "cache_factor": {"type": "float"},
            "caches": {"type": "bool", "default": False},
            "cache_autotuning": {"type": "bool", "default": False},
            "require_cache_proof": {"type": "bool", "default": False},
            "report_caches": {"type": "bool", "default": False},
            "version": {"type": "str"},
            "server_name": {"type": "str"},
            "answers": {"type": "bool", "default": False},
            "user": {"type": "str"},
            "fresh": {"type": "bool", "default": True},
            "writable_paths": {"type": "list", "elements": "path", "default": []},
            "configured_paths": {"type": "bool", "default": False},
            "presence": {"type": "str", "choices": ["enabled", "disabled", "untracked"]},
            "require_presence_proof": {"type": "bool", "default": False},
            "report_presence": {"type": "bool", "default": False},
            "workers": {"type": "int"},
            "worker_unit": {"type": "str", "default": "matrix-synapse-worker@.service"},
            "in_flight_requests": {"type": "int"},
            "pending_background_updates": {"type": "int"},
            "working_directory": {"type": "path"},
            "unit": {"type": "str", "default": "matrix-synapse.service"},
            "log_path": {"type": "path"},
            "wait_timeout": {"type": "int", "default": 0},
            "option_names": {"type": "dict", "default": {}},
            "restart_record": {"type": "path"},
            "synapse_python": {"type": "path", "default": "/opt/venvs/matrix-synapse/bin/python"},
            "metrics_timeout": {"type": "int", "default": 30},
        }
    )
    run_info(
        connection_argument_spec().merge(configuration_argument_spec()).merge(progress_argument_spec()).merge(own),
        check,
    )


if __name__ == "__main__":
    main()

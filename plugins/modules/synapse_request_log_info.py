#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_request_log_info
short_description: Find and count requests in the log of Synapse
version_added: 1.0.0
description:
  - Finds all lines of one request, summarises the processed requests, and finds requests that were not finished and
    signatures that failed.
  - Reads log files, also rotated and compressed ones and those of several workers, or the journal of systemd. Without
    O(path) and O(unit), it reads where Synapse's own log configuration makes Synapse write.
  - Recognises the JSON formatters of Synapse and every text format that contains the message, with the prefixes of
    containers and of the journal. What looks like a request but cannot be read is counted in RV(unread).
  - Only lines of the logger C(synapse.access) count as requests. What a client sends in one line, such as a user agent
    with the text of a whole line, cannot look like a further request. See the notes about texts with line feeds.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._attributes.actiongroup_host
  - matrix_ops.synapse._attributes.info_module
  - matrix_ops.synapse._configuration
  - matrix_ops.synapse._progress
attributes:
  platform:
    support: full
    platforms: posix
options:
  path:
    description:
      - Log files, also as patterns such as C(/var/log/matrix-synapse/*.log*). Files that end with C(.gz), C(.bz2) or
        C(.xz) are decompressed while they are read.
      - The order of the files does not matter. Files whose names differ only by a suffix of a rotation belong together,
        and are read in the order of their content.
      - Cannot be used together with O(unit).
    type: list
    elements: path
  unit:
    description:
      - systemd units whose entries in the journal are read, for example V(matrix-synapse.service). C(.service) can be
        left out.
    type: list
    elements: str
  config_path:
    description:
      - The configuration files and directories of Synapse, on the host where the module runs.
      - List the same paths as the C(--config-path) options that Synapse is started with, in the same order. A top-level
        key in a later file replaces the whole key of an earlier file.
      - Without O(path) and O(unit), the module reads the logs of all running processes that were started with the first
        of these paths, and if none runs, the log that this configuration sets.
      - Otherwise it is only used to find the metrics for O(gather=unfinished), and to see whether clients can choose
        the tags of their requests (C(request_id_header)), so that a line could be read in two ways. Such a line is not
        read (RV(unread)). It does not have to exist then, but without it, only the log shows whether clients do that.
  log_format:
    description:
      - The C(format) of the formatter in Synapse's log configuration.
      - By default, the format is recognised, or taken from the log configuration if that is followed. Set it if the
        module reports that it cannot recognise the format.
    type: str
  log_datefmt:
    description:
      - The C(datefmt) of the formatter in Synapse's log configuration, if it has one, for example V(%d.%m.%Y %H:%M:%S).
      - It is only needed with O(path) or O(unit), if the times of the records are not recognised.
      - O(log_format) must be set too.
    type: str
  request:
    description:
      - The tag of a request, for example V(GET-37), as in the log. Only exactly this tag is found, not V(GET-370).
      - Each process of Synapse counts its requests from zero, so a log can contain several requests with this tag. Each
        of them is a separate element of RV(requests).
    type: str
  gather:
    description:
      - What to find out in addition to O(request).
      - V(summary) returns RV(summary) and RV(unread).
      - V(unfinished) returns RV(unfinished), the requests that were received but not processed. Synapse logs what it
        receives only if the logger C(synapse.access) has the level DEBUG. Without such lines, the module returns how
        many requests are being processed now, from the metrics of the running processes, and RV(unknown) has the
        lines that turn them on.
      - V(signature_failures) returns RV(signature_failures).
      - The default is V(summary) if O(request) is not set, and nothing else if it is.
    type: list
    elements: str
    choices:
      - signature_failures
      - summary
      - unfinished
  since:
    description:
      - Only lines from this time on count.
      - A date or a time in ISO 8601, such as V(2026-01-31) or V(2026-01-31T12:00:00Z), without an offset in the time
        zone of the host; seconds or milliseconds since 1970; a time that is relative to now, such as V(-15min), V(-2h)
        or V(-1d); or V(now), V(today) or V(yesterday).
      - In a file whose lines are in the order of their times, only the part that is needed is read.
    type: str
  until:
    description:
      - Only lines before this time count, in the same form as O(since).
    type: str
  slowest:
    description:
      - How many of the slowest requests to return in RV(summary.slowest), at least V(0).
    type: int
    default: 10
  requesters:
    description:
      - How many users and servers to return in RV(summary.by_requester), those with the most requests, at least V(0).
    type: int
    default: 20
  unfinished_after:
    description:
      - A request counts as unfinished if it was received more than this number of seconds before the end of the log,
        and was not processed. Without O(path), O(unit) and O(until), the log of a running Synapse ends now.
      - Requests that wait on purpose (C(/sync) and C(/events) with a timeout) have their timeout
        in addition. At least V(0).
    type: int
    default: 60
  metrics_timeout:
    description:
      - How many seconds to wait for the metrics of a process, at least V(1).
    type: int
    default: 30
notes:
  - The module must run where the log is, mostly on the host of Synapse, as a user who can read it.
  - Times without an offset are in the time zone of the host. At the end of daylight saving time, when an hour exists
    twice, all its lines count as those of the first time.
  - Synapse's default log configuration writes lines up to five seconds late.
  - Synapse writes some texts of clients into its log with their line feeds, for example the user name of a login that
    failed. In a text format, also in one that a container or the journal gets from the output of Synapse, such a text
    can contain a whole line of the log, which looks exactly like a real one. Do not base decisions such as blocking a
    user on it. Synapse's JSON formatters, and a handler that writes to the journal itself, escape line feeds, so that
    nothing can be forged.
  - In a file of more than 32 MB, O(since) and O(until) read only the parts that can contain such times, and look at the
    order of the lines about every 256 kB. Lines that are more than ten seconds out of order between two such places can
    be missed.
  - Synapse does not log requests for C(/health) and requests with the method OPTIONS, except at the level DEBUG.
seealso:
  - name: Request log format
    description: The documentation of Synapse.
    link: https://element-hq.github.io/synapse/latest/usage/administration/request_log.html
  - plugin: matrix_ops.synapse.processed_request
    plugin_type: filter
  - module: matrix_ops.synapse.synapse_runtime_info
"""

EXAMPLES = r"""
- name: Find all lines of a request
  matrix_ops.synapse.synapse_request_log_info:
    request: GET-37
  register: request_log

- name: Show the lines of the last request with this tag
  ansible.builtin.debug:
    msg: "{{ request_log.requests[-1].lines }}"
  when: request_log.requests | length > 0

- name: Summarise the requests of the last hour
  matrix_ops.synapse.synapse_request_log_info:
    since: "-1h"
  register: request_log

- name: Show the endpoints on which Synapse spends the most time
  ansible.builtin.debug:
    msg: "{{ item.endpoint }}: {{ item.count }} requests, 95 % within {{ item.processing_seconds.p95 }} seconds"
  loop: "{{ request_log.summary.by_endpoint[:5] }}"
  loop_control:
    label: "{{ item.method }}"

- name: Read all log files, also the rotated ones and those of workers
  matrix_ops.synapse.synapse_request_log_info:
    path:
      - /var/log/matrix-synapse/*.log*
    since: yesterday
    until: today
    gather:
      - summary
      - signature_failures
      - unfinished

- name: Find signatures that failed, in the journal
  matrix_ops.synapse.synapse_request_log_info:
    unit:
      - matrix-synapse.service
    since: "-1d"
    gather:
      - signature_failures
  register: request_log

- name: Show the servers whose requests we refused
  ansible.builtin.debug:
    msg: "{{ request_log.signature_failures | selectattr('direction', 'eq', 'inbound') | map(attribute='origin') }}"
"""

RETURN = r"""
sources:
  description: What was read. Empty log files are left out.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The path of the file.
      returned: for a file
      type: str
      sample: /var/log/matrix-synapse/homeserver.log
    stream:
      description: The path without the suffix of a rotation. Files with the same value are one log.
      returned: for a file
      type: str
      sample: /var/log/matrix-synapse/homeserver.log
    size:
      description: The size of the file in bytes.
      returned: for a file
      type: int
      sample: 48213332
    unit:
      description: The systemd unit whose entries in the journal were read.
      returned: for the journal
      type: str
      sample: matrix-synapse.service
    formats:
      description: The formats of its records, the most frequent first. V(JSON) for Synapse's JSON formatters.
      returned: always
      type: list
      elements: str
      sample:
        - "%(asctime)s - %(name)s - %(lineno)d - %(levelname)s - %(request)s - %(message)s"
    first:
      description: The time of the first record, of the journal in the chosen time (ISO 8601, UTC).
      returned: if the records have a time
      type: str
      sample: "2026-11-23T00:00:00Z"
    first_ts:
      description: The same time in milliseconds since 1970.
      returned: if the records have a time
      type: int
      sample: 1795392000412
    last:
      description: The time of the last record (ISO 8601, UTC).
      returned: if the records have a time, but not for a compressed file
      type: str
      sample: "2026-11-23T17:20:11Z"
    last_ts:
      description: The same time in milliseconds since 1970.
      returned: if the records have a time, but not for a compressed file
      type: int
      sample: 1795454411002
not_read:
  description:
    - Files that get the same requests a second time, by Synapse's log configuration. They were not read, so that each
      request counts once.
  returned: success
  type: list
  elements: str
  sample: []
requests:
  description:
    - The requests with the tag O(request), in the order of their beginning. Empty if there is none.
    - Restarts of Synapse, workers and containers are told apart. Only the newest 1000 are returned.
  returned: if O(request) is set
  type: list
  elements: dict
  contains:
    process:
      description:
        - The process that served the request. C(source) is the log file without the suffix of a rotation, or the unit.
          C(site_tag) is the tag or the port of the listener.
        - C(pid) is only known from the journal, C(prefix) is what a container or a journal has put before the lines,
          and
          C(started) and C(started_ts) are the time of the start of Synapse, if the log contains it.
      returned: always
      type: dict
      sample:
        source: /var/log/matrix-synapse/homeserver.log
        site_tag: "8008"
        started: "2026-11-23T03:00:01Z"
        started_ts: 1795402801220
    first:
      description: The time of its first line (ISO 8601, UTC).
      returned: if the records have a time
      type: str
      sample: "2026-11-23T04:14:49Z"
    first_ts:
      description: The same time in milliseconds since 1970.
      returned: if the records have a time
      type: int
      sample: 1795407289512
    last:
      description: The time of its last line (ISO 8601, UTC), which can be after its end, because of its background
        tasks.
      returned: if the records have a time
      type: str
      sample: "2026-11-23T04:14:49Z"
    last_ts:
      description: The same time in milliseconds since 1970.
      returned: if the records have a time
      type: int
      sample: 1795407289786
    received:
      description: Whether the log has the line that it was received, which Synapse writes only at the level DEBUG.
      returned: always
      type: bool
      sample: false
    finished:
      description: Whether the log has the line that it was processed.
      returned: always
      type: bool
      sample: true
    processed:
      description: The values of the line C(Processed request), as the filter
        P(matrix_ops.synapse.processed_request#filter)
        returns them.
      returned: if it is finished
      type: dict
      contains:
        client_address:
          description:
            - The IP address of the client. If C(x_forwarded) is set in the configuration, it is the first address in
              the
              header C(X-Forwarded-For), which can be any text unless the reverse proxy replaces the header.
            - The path of the Unix socket if the client is connected to one, without that header. Empty if the address
              is
              not known.
          returned: always
          type: str
          sample: 127.0.0.1
        site_tag:
          description: The C(tag) of the listener in the configuration. The default is its port, or V(unix).
          returned: always
          type: str
          sample: "8008"
        requester:
          description: The local user, or the server name of the other server, that made the request. Empty without one.
          returned: always
          type: str
          sample: "@alice:example.org"
        authenticated_entity:
          description: The user or server that is authenticated and controls RV(requests[].processed.requester), such
            as a server admin.
          returned: if it is not RV(requests[].processed.requester) itself
          type: str
          sample: "@admin:example.org"
        processing_seconds:
          description:
            - The total time to process the request, from when it was received until its handler was finished.
            - Many requests wait for something on purpose, for example C(/sync) for new events.
          returned: always
          type: float
          sample: 0.214
        response_seconds:
          description:
            - The time to send the response over the network after it was generated.
            - It can be negative if the connection was closed before the response was generated.
          returned: always
          type: float
          sample: 0.0
        user_cpu_seconds:
          description: The CPU time that Synapse used for the request in user mode.
          returned: always
          type: float
          sample: 0.207
        system_cpu_seconds:
          description: The CPU time that the kernel used for the request.
          returned: always
          type: float
          sample: 0.0
        database_wait_seconds:
          description:
            - The total time that the request waited for a free connection to the database.
            - It is a sum over all parallel work in the database, so it can be greater than
              RV(requests[].processed.processing_seconds).
          returned: always
          type: float
          sample: 0.001
        database_seconds:
          description:
            - The total time that the request waited for responses to queries of the database.
            - It is a sum over all parallel work in the database, so it can be greater than
              RV(requests[].processed.processing_seconds).
            - If several identical requests are processed at the same time, only the first one can have times and
              transactions, because the others only wait for its result.
          returned: always
          type: float
          sample: 0.001
        database_transactions:
          description: The number of database transactions that were performed.
          returned: always
          type: int
          sample: 7
        response_bytes:
          description: The size of the body of the response that was sent.
          returned: always
          type: int
          sample: 201
        status:
          description:
            - The HTTP status of the response. V(499) if Synapse cancelled the request because the client went away.
          returned: always
          type: int
          sample: 200
        client_disconnected:
          description:
            - Whether the connection was closed before the whole response was sent. The log has a C(!) next to the
              status.
          returned: always
          type: bool
          sample: false
        method:
          description: The HTTP method.
          returned: always
          type: str
          sample: POST
        uri:
          description:
            - The path and the query of the request. Synapse replaces access tokens and client secrets by C(<redacted>).
          returned: always
          type: str
          sample: /_matrix/client/v3/login
        protocol:
          description: The version of HTTP that the client used, or the reverse proxy.
          returned: always
          type: str
          sample: HTTP/1.1
        user_agent:
          description: The user agent of the client, which can be any text. Empty if the client sent none, or V(-).
          returned: always
          type: str
          sample: python-requests/2.34.2
        database_events:
          description:
            - The number of events that were fetched from the database to process the request. Events from the cache are
              not counted.
          returned: always
          type: int
          sample: 0
    lines:
      description:
        - All its lines, unchanged and ready to be copied into a report of a problem, with the lines that
          continue them, such as tracebacks. A byte that is not UTF-8 is written as an escape such as C(\xff).
      returned: always
      type: list
      elements: str
      sample:
        - "2026-11-23 04:14:49,786 - synapse.access.http.8008 - 643 - INFO - GET-37 - 127.0.0.1 - 8008 - {None}
          Processed
          request: 0.214sec/0.000sec ru=(0.207sec, 0.000sec) db=(0.001sec/0.001sec/7) 201B 200 \"GET
          /_matrix/client/v3/sync HTTP/1.1\" \"Element\" [0 dbevts]"
    omitted_lines:
      description: How many more lines it has. At most 10000 lines are returned.
      returned: always
      type: int
      sample: 0
    files:
      description: The files that contain its lines.
      returned: always
      type: list
      elements: str
      sample:
        - /var/log/matrix-synapse/homeserver.log
omitted_requests:
  description: How many more requests have this tag, all before those in RV(requests).
  returned: if O(request) is set
  type: int
  sample: 0
omitted_lines:
  description: How many lines with this tag are not in RV(requests), in addition to RV(requests[].omitted_lines).
  returned: if O(request) is set
  type: int
  sample: 0
summary:
  description: The processed requests, counted by several properties.
  returned: if O(gather) contains V(summary)
  type: dict
  contains:
    count:
      description: The number of requests.
      type: int
      returned: always
      sample: 1240
    errors:
      description: How many of them were answered with a status of 400 or higher.
      type: int
      returned: always
      sample: 12
    server_errors:
      description: How many of them were answered with a status of 500 or higher.
      type: int
      returned: always
      sample: 0
    disconnected:
      description: From how many of them the client went away before the whole response was sent.
      type: int
      returned: always
      sample: 3
    processing_seconds:
      description:
        - The times to process the requests, from when they were received until their handlers were finished. C(p50),
          C(p95) and C(p99) are the shortest times that so many percent of the requests did not exceed. C(max) is the
          longest time, and C(total) the sum.
        - Percentiles are exact below 10 seconds, else to 10 milliseconds or the fourth digit.
        - Empty without requests.
      type: dict
      returned: always
      sample:
        p50: 0.012
        p95: 0.41
        p99: 1.2
        max: 30.004
        total: 512.903
    cpu_seconds:
      description: The CPU time that Synapse used for them, in user mode and in the kernel.
      type: float
      returned: always
      sample: 31.2
    database_seconds:
      description: The time that they waited for responses to queries of the database, a sum over all parallel work.
      type: float
      returned: always
      sample: 22.41
    database_wait_seconds:
      description: The time that they waited for a free connection to the database, a sum over all parallel work.
      type: float
      returned: always
      sample: 0.9
    database_transactions:
      description: The number of database transactions that were performed.
      type: int
      returned: always
      sample: 10412
    database_events:
      description: The number of events that were fetched from the database.
      type: int
      returned: always
      sample: 377
    response_bytes:
      description: The size of the bodies of the responses.
      type: int
      returned: always
      sample: 1790241
    by_endpoint:
      description:
        - The same values for each endpoint, the one with the longest total time first.
        - The path has a name in braces for each identifier. Paths outside of Synapse's APIs are V((other\)). Of the
          paths below its APIs that Synapse does not serve, at most 500 are counted by themselves.
      returned: always
      type: list
      elements: dict
      contains:
        method:
          description: The HTTP method. V((other\)) for one that Matrix does not use.
          returned: always
          type: str
          sample: PUT
        endpoint:
          description: The path of the endpoint.
          returned: always
          type: str
          sample: /_matrix/client/v3/rooms/{room_id}/send/{event_type}/{txn_id}
        count:
          description: The number of requests. The other values are those of RV(summary), such as RV(summary.errors) and
            RV(summary.processing_seconds), for these requests.
          type: int
          returned: always
          sample: 240
    by_status:
      description: The same values for each HTTP status.
      returned: always
      type: list
      elements: dict
      contains:
        status:
          description: The HTTP status.
          returned: always
          type: int
          sample: 200
        count:
          description: The number of requests. The other values are those of RV(summary), such as RV(summary.errors) and
            RV(summary.processing_seconds), for these requests.
          type: int
          returned: always
          sample: 240
    by_hour:
      description: The same values for each hour in which requests were finished. Times are rounded to three digits.
      returned: always
      type: list
      elements: dict
      contains:
        hour:
          description: The beginning of the hour (ISO 8601, UTC).
          returned: always
          type: str
          sample: "2026-11-23T04:00:00Z"
        hour_ts:
          description: The same time in milliseconds since 1970.
          returned: always
          type: int
          sample: 1795406400000
        count:
          description: The number of requests. The other values are those of RV(summary), such as RV(summary.errors) and
            RV(summary.processing_seconds), for these requests.
          type: int
          returned: always
          sample: 240
    by_requester:
      description: The users and servers with the most requests, as many as O(requesters).
      returned: always
      type: list
      elements: dict
      contains:
        requester:
          description:
            - The user or the server that made the requests. Empty for requests without authentication. If a server
              admin
              or an application service acts for a user, both, with C(|) between them.
          returned: always
          type: str
          sample: "@alice:example.org"
        count:
          description: The number of requests.
          returned: always
          type: int
          sample: 240
        processing_seconds:
          description: The sum of their times to be processed.
          returned: always
          type: float
          sample: 240.114
        cpu_seconds:
          description: The CPU time that Synapse used for them.
          returned: always
          type: float
          sample: 2.41
        database_seconds:
          description: The time that they waited for responses to queries of the database.
          returned: always
          type: float
          sample: 1.02
    requesters:
      description: The number of different requesters.
      returned: if RV(summary.requesters_are_exact) is true
      type: int
      sample: 311
    requesters_are_exact:
      description: Whether all requesters were counted. Of more than 40000, rare ones are dropped.
      returned: always
      type: bool
      sample: true
    slowest:
      description:
        - The slowest requests, as many as O(slowest), with the values of RV(requests[].processed), and C(request),
          C(time), C(time_ts), C(endpoint) and C(path), which is the file or the unit.
        - Requests that wait on purpose (C(/sync) and C(/events)) are left out. RV(summary.by_endpoint) counts them.
      returned: always
      type: list
      elements: dict
      sample:
        - request: PUT-1204
          time: "2026-11-23T04:14:49Z"
          time_ts: 1795407289786
          endpoint: /_matrix/federation/v1/send/{txn_id}
          processing_seconds: 12.803
unread:
  description: Lines that look like a processed request, but cannot be read, so that they are not in RV(summary).
  returned: if O(gather) contains V(summary)
  type: dict
  contains:
    count:
      description: The number of such lines.
      returned: always
      type: int
      sample: 0
    samples:
      description: Up to five of them, each with C(path), C(line) (at most 500 bytes) and C(reason).
      returned: always
      type: list
      elements: dict
      sample: []
unfinished:
  description: The requests that were received and not processed.
  returned: if O(gather) contains V(unfinished)
  type: dict
  contains:
    received_lines:
      description: Whether the log has lines about received requests.
      returned: always
      type: bool
      sample: true
    requests:
      description:
        - The requests that had been pending for longer than O(unfinished_after) at the end of their log, or at
          O(until),
          the longest first.
        - C(request) is the tag, C(seconds) is how long it was pending, and C(source) is the log file without the suffix
          of a rotation, or the unit. C(long_poll) is true if the request waits on purpose.
        - At most 1000 are returned, and of a URI at most 2000 characters.
      returned: if RV(unfinished.received_lines) is true
      type: list
      elements: dict
      sample:
        - request: GET-1204
          received: "2026-11-23T04:14:49Z"
          received_ts: 1795407289786
          seconds: 341.2
          method: GET
          uri: /_matrix/client/v3/rooms/!abc/members
          endpoint: /_matrix/client/v3/rooms/{room_id}/members
          client_address: 192.0.2.7
          site_tag: "8008"
          source: /var/log/matrix-synapse/homeserver.log
          long_poll: false
    omitted_requests:
      description: How many more there are.
      returned: if RV(unfinished.received_lines) is true
      type: int
      sample: 0
    waiting:
      description: How many other requests were pending at the end of the log.
      returned: if RV(unfinished.received_lines) is true
      type: int
      sample: 12
    ended_by_restart:
      description:
        - The requests that were pending when Synapse was started again. C(count) is their number, and C(requests) has
          up
          to 20 of them, in the form of RV(unfinished.requests).
      returned: if RV(unfinished.received_lines) is true
      type: dict
      sample:
        count: 0
        requests: []
    in_flight:
      description:
        - The requests that are being processed now, from the metrics of the running processes, the highest number
          first.
          C(servlet) is the part of Synapse that answers, C(count) the number of requests, and C(worker) the name of the
          worker.
        - Requests such as C(/sync) and joins of large rooms are often in flight for long.
      returned: if RV(unfinished.received_lines) is false
      type: list
      elements: dict
      sample:
        - pid: 1234
          method: GET
          servlet: SyncRestServlet
          count: 12
signature_failures:
  description:
    - Failed signatures and failed authentications between servers, by server, cause and direction, the most frequent
      first. Each failure is counted once, however many lines it has in the log.
    - At most 1000 elements are returned.
  returned: if O(gather) contains V(signature_failures)
  type: list
  elements: dict
  contains:
    origin:
      description: The name of the other server. Empty if the line does not contain it.
      returned: always
      type: str
      sample: matrix.example.com
    direction:
      description:
        - V(inbound) if this server refused what the other server sent, V(outbound) if the other server refused what
          this
          server sent.
      returned: always
      type: str
      sample: inbound
    cause:
      description:
        - V(invalid_signature) - The signature does not match. A reverse proxy may have changed the path of the
          request.
        - V(key_not_found) - The key that signed could not be fetched, or it was no longer valid.
        - V(not_signed) - There is no signature of this server with a supported algorithm.
        - V(banned_key) - Synapse refuses this key, because its private part is known to others.
        - V(missing_authentication) - The request has no X-Matrix header.
        - V(malformed_authentication) - The X-Matrix header of the request cannot be read.
        - V(wrong_destination) - The request was signed for a different server than the one that received it.
        - V(federation_denied) - The server is not in federation_domain_whitelist.
        - V(refused) - The other server answered 401 to a request of this server, and its reason was not logged.
        - V(key_response) - The answer with the keys of the server is not signed as it must be, or cannot be used.
        - V(policy_signature) - The signature of the room's policy server on an event does not match.
        - V(event_invalid_signature) - The signature on an event does not match.
        - V(event_key_not_found) - The key that signed an event could not be fetched, or it was not valid at that
          time.
        - V(event_not_signed) - An event has no signature of the server that must sign it.
        - V(event_banned_key) - An event is signed with a key that Synapse refuses.
        - V(event_hash_mismatch) - The content of an event does not match its hash. Synapse keeps it without this
          content.
        - V(event_other) - The signature on an event could not be checked for another reason, which the line contains.
        - V(other) - The authentication of a request failed for another reason, which the line contains.
      returned: always
      type: str
      sample: invalid_signature
    key_ids:
      description: The keys with which was signed, at most five.
      returned: always
      type: list
      elements: str
      sample:
        - ed25519:a_EqML
    count:
      description: The number of failures.
      returned: always
      type: int
      sample: 4
    first:
      description: The time of the first one (ISO 8601, UTC).
      returned: if the records have a time
      type: str
      sample: "2026-11-23T04:14:49Z"
    first_ts:
      description: The same time in milliseconds since 1970.
      returned: if the records have a time
      type: int
      sample: 1795407289786
    last:
      description: The time of the last one (ISO 8601, UTC).
      returned: if the records have a time
      type: str
      sample: "2026-11-23T09:00:12Z"
    last_ts:
      description: The same time in milliseconds since 1970.
      returned: if the records have a time
      type: int
      sample: 1795424412020
    line:
      description:
        - One of the lines, at most 4000 bytes of it. In JSON and in the journal, its fields with C(-) between them.
      returned: always
      type: str
      sample: "2026-11-23 04:14:49,786 - synapse.federation.transport.server._base - 288 - WARNING - GET-11752 -
        authenticate_request failed: 401: Invalid signature for server matrix.example.com with key ed25519:a_EqML:
          Unable
        to verify signature for matrix.example.com"
    requests:
      description: The tags of up to five of the requests.
      returned: always
      type: list
      elements: str
      sample:
        - GET-11752
    uris:
      description:
        - The paths of up to five of the requests, without the query, at most 300 characters of each. For V(inbound), as
          Synapse received them, which is after the reverse proxy. For V(outbound), as Synapse sent them.
        - Empty if the log does not contain them, such as for an event, or if C(synapse.http.server) does not log at the
          level INFO.
      returned: always
      type: list
      elements: str
      sample:
        - /_matrix/federation/v1/make_join/!abc:example.org/@alice:matrix.example.com
    decoded_uris:
      description:
        - How many of the requests arrived with a path in which one of the characters C(!), C($), C(#), C(@) and C(:)
          was not percent-encoded, after the name of the endpoint.
        - Synapse always encodes these. So if the other server runs Synapse, a proxy on the way has decoded the path,
          and that is why the signature does not match. Some other servers (Conduit and those derived from it, Dendrite)
          send some of these characters as they are.
      returned: always
      type: int
      sample: 4
other_signature_failures:
  description: The number of failures that are in none of the elements of RV(signature_failures).
  returned: if O(gather) contains V(signature_failures)
  type: int
  sample: 0
unknown:
  description: What could not be found out. Each has the C(name) of the answer, the C(reason) and a C(fix).
  returned: success
  type: list
  elements: dict
  sample:
    - name: summary
      reason: The log has no line about a processed request.
      fix: Check that the path or the unit is that of the process that answers the requests.
"""

import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    configuration_argument_spec,
    progress_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._connection_options import checked_timeout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.request_log import Questions, RequestLog
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.sources import Places
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.window import parse_window
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, run_info


def read(parameters: Parameters) -> dict[str, t.Any]:
    """Return what is asked for about the log."""
    for name in ("requesters", "slowest", "unfinished_after"):
        if parameters[name] < 0:
            raise InvalidInput(f"{name} is {parameters[name]}: it must be at least 0.")
    gather = parameters["gather"]
    if gather is None:
        gather = ["summary"] if parameters["request"] is None else []
    questions = Questions(
        request=parameters["request"],
        summary="summary" in gather,
        signature_failures="signature_failures" in gather,
        unfinished_after=parameters["unfinished_after"] if "unfinished" in gather else None,
        most_slow=parameters["slowest"],
        most_requesters=parameters["requesters"],
    )
    places = Places(
        parameters["path"],
        parameters["unit"],
        parameters["config_path"],
        parameters["log_format"],
        parameters["log_datefmt"],
    )
    now = time.time()
    window = parse_window(parameters["since"], parameters["until"], now)
    metrics_timeout = checked_timeout(parameters["metrics_timeout"], "metrics_timeout")
    return RequestLog(places, window, metrics_timeout, now).read(questions)


def main() -> None:
    """Run the module."""
    own = ArgumentSpec(
        {
            "path": {"type": "list", "elements": "path"},
            "unit": {"type": "list", "elements": "str"},
            "log_format": {"type": "str"},
            "log_datefmt": {"type": "str"},
            "request": {"type": "str"},
            "gather": {
                "type": "list",
                "elements": "str",
                "choices": ["signature_failures", "summary", "unfinished"],
            },
            "since": {"type": "str"},
            "until": {"type": "str"},
            "slowest": {"type": "int", "default": 10},
            "requesters": {"type": "int", "default": 20},
            "unfinished_after": {"type": "int", "default": 60},
            "metrics_timeout": {"type": "int", "default": 30},
        },
        mutually_exclusive=[("path", "unit")],
        required_by={"log_datefmt": ["log_format"]},
    )
    run_info(configuration_argument_spec().merge(progress_argument_spec()).merge(own), read)


if __name__ == "__main__":
    main()

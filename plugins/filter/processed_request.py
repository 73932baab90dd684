# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: processed_request
short_description: Read a request from a line of Synapse's log
version_added: 1.0.0
description:
  - Returns the values in a line with C(Processed request) of Synapse's log, each with a name, a type and a unit.
  - Synapse logs such a line when a request is finished, also if the client went away before. It does not log it when
    the request is received.
  - A client chooses its user agent and the path of its requests, and behind a reverse proxy also its address. The
    filter never takes text in them for other values.
author:
  - Matrix Ops maintainers (@matrix-ops)
options:
  _input:
    description:
      - One line of the log.
      - The line can have the format of Synapse's default log configuration, another format that contains at least the
        message, or one of Synapse's JSON formats. A systemd journal, a container or syslog can have put something
        before it.
      - The message alone is enough. It begins with the address of the client.
      - Lines of Synapse 1.150 and of newer and older versions are read.
    type: str
    required: true
notes:
  - The filter fails if the text is not exactly one line about a request that was processed. To find such lines in a
    log, use M(matrix_ops.synapse.synapse_request_log_info).
  - A time without a time zone is taken as the local time of the controller.
seealso:
  - module: matrix_ops.synapse.synapse_request_log_info
  - name: Request log format
    description: Synapse's documentation of the line.
    link: https://element-hq.github.io/synapse/latest/usage/administration/request_log.html
"""

EXAMPLES = r"""
- name: Show the values of a request
  ansible.builtin.debug:
    msg: "{{ line | matrix_ops.synapse.processed_request }}"
  vars:
    line: >-
      2026-11-23 04:14:49,786 - synapse.access.http.8008 - 643 - INFO - POST-112 - 127.0.0.1 - 8008 - {None} Processed
      request: 0.214sec/0.000sec ru=(0.207sec, 0.000sec) db=(0.001sec/0.001sec/7) 201B 200
      "POST /_matrix/client/v3/login HTTP/1.1" "python-requests/2.34.2" [0 dbevts]

- name: Show how long the database was busy with each request, and the path of the request
  ansible.builtin.debug:
    msg: "{{ item.database_seconds }} {{ item.method }} {{ item.uri }}"
  loop: "{{ lines | map('matrix_ops.synapse.processed_request') | sort(attribute='database_seconds', reverse=true) }}"
  loop_control:
    label: "{{ item.uri }}"
  vars:
    lines:
      - >-
        192.0.2.9 - 8008 - {@alice:example.org} Processed request: 0.072sec/-0.000sec (0.016sec, 0.007sec)
        (0.009sec/0.031sec/14) 57B 404 "GET /_matrix/client/v3/devices HTTP/1.1" "curl/7.76.1" [0 dbevts]
      - >-
        192.0.2.9 - 8008 - {@alice:example.org} Processed request: 30.001sec/0.001sec (0.004sec, 0.000sec)
        (0.001sec/0.055sec/3) 230B 200 "GET /_matrix/client/v3/sync HTTP/1.1" "curl/7.76.1" [2 dbevts]
"""

RETURN = r"""
_value:
  description: The request that the line describes. Texts that the line does not contain are empty or left out.
  type: dict
  contains:
    request:
      description:
        - The identifier of the request, which is shared by all lines of the log about this request.
        - It is the method and a number that begins again whenever a process of Synapse is started. Each worker has its
          own numbers. If C(request_id_header) is set in the configuration, the value of that header replaces the
          number.
      returned: if the line contains it
      type: str
      sample: POST-112
    time:
      description: The time when the line was logged, so when the request was finished (ISO 8601, UTC).
      returned: if the line contains it
      type: str
      sample: "2026-11-23T04:14:49Z"
    time_ts:
      description: The same time in milliseconds since 1970.
      returned: if the line contains it
      type: int
      sample: 1795407289786
    logger:
      description: The name of the logger, which ends with RV(_value.site_tag).
      returned: if the line contains it
      type: str
      sample: synapse.access.http.8008
    level:
      description: The level of the line. V(DEBUG) for C(OPTIONS) and for C(/health), V(INFO) for all other requests.
      returned: if the line contains it
      type: str
      sample: INFO
    client_address:
      description:
        - The IP address of the client. If C(x_forwarded) is set in the configuration, it is the first address in the
          header C(X-Forwarded-For), which can be any text unless the reverse proxy replaces the header.
        - The path of the Unix socket if the client is connected to one, without that header. Empty if the address is
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
      description: The user or server that is authenticated and controls RV(_value.requester), such as a server admin.
      returned: if it is not RV(_value.requester) itself
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
        - It is a sum over all parallel work in the database, so it can be greater than RV(_value.processing_seconds).
      returned: always
      type: float
      sample: 0.001
    database_seconds:
      description:
        - The total time that the request waited for responses to queries of the database.
        - It is a sum over all parallel work in the database, so it can be greater than RV(_value.processing_seconds).
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
        - Whether the connection was closed before the whole response was sent. The log has a C(!) next to the status.
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
"""

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.processed_line import processed_line


def processed_request(line: object) -> dict[str, t.Any]:
    """Return the values of the request in one line of the log. Raises AnsibleFilterError if there is none."""
    if not isinstance(line, str):
        raise AnsibleFilterError(
            "The filter processed_request reads one line of a log, but the value is not text. For a list of lines use"
            " map('matrix_ops.synapse.processed_request')."
        )
    try:
        return processed_line(line)
    except InvalidInput as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filters of this file, for Ansible."""

    def filters(self) -> dict[str, t.Callable[[object], dict[str, t.Any]]]:
        """Return each filter by its name."""
        return {"processed_request": processed_request}

#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_federation_destination
short_description: Manage a federation destination of a Synapse homeserver
version_added: 1.0.0
description:
  - After Synapse has failed to reach another server, it waits before the next attempt. This is the backoff. It gets
    longer with each failure, up to several days. This module ends the backoff, for example for a server that is
    available again.
  - If there is no backoff, nothing changes.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
  - matrix_ops.synapse._attributes.actiongroup_synapse
  - matrix_ops.synapse._connection
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
    details:
      - If the other server is still unreachable, and Synapse has something to send to it, Synapse fails again and
        starts a new backoff. The next run resets it again.
  platform:
    support: full
    platforms: posix
options:
  destination:
    description:
      - The server name of the other server, as in the user IDs of that server, with its port if it has one.
      - It must be a known destination. A server becomes one when Synapse tries to send something to it.
    type: str
    required: true
    aliases:
      - name
  state:
    description:
      - With V(reset), Synapse forgets its failures to reach the destination, and can try again at once.
    type: str
    choices:
      - reset
    default: reset
notes:
  - Synapse ends a backoff by itself as soon as the other server sends it something.
  - A reset does not clear the C(.well-known) file of the other server, which each process of Synapse keeps in its
    memory. A valid one is used for as long as its headers say, which is 24 hours by default and at most 48 hours, also
    if it names a wrong server. A file that is missing or invalid is looked up again after about an hour. Only a restart
    makes Synapse look it up at once, that of the main process, or of the federation senders if there are any. If it
    has failed again after the reset, the module warns of that.
seealso:
  - module: matrix_ops.synapse.synapse_federation_info
"""

EXAMPLES = r"""
- name: Reset the backoff of a server that was down for some days
  matrix_ops.synapse.synapse_federation_destination:
    access_token_path: /root/.synapse-token
    destination: matrix.example.net

- name: Find the servers that Synapse fails to reach
  matrix_ops.synapse.synapse_federation_info:
    access_token_path: /root/.synapse-token
    failing: true
  register: federation

- name: Reset all of them, after this server itself was offline
  matrix_ops.synapse.synapse_federation_destination:
    access_token_path: /root/.synapse-token
    destination: "{{ item }}"
    state: reset
  loop: "{{ federation.destinations | map(attribute='destination') }}"
"""

RETURN = r"""
destination:
  description: The destination as it is after the task, or in check mode as it would be.
  returned: success
  type: dict
  contains:
    destination:
      description: The server name of the other server.
      returned: always
      type: str
      sample: matrix.example.net
    retry_state:
      description:
        - V(ok) if the last attempt succeeded, or there was none.
        - V(backing_off) if it failed, and Synapse waits until RV(destination.next_attempt).
        - V(retry_due) if it failed, and Synapse tries again as soon as it has something to send.
      returned: always
      type: str
      sample: ok
    failing_since:
      description: The time of the first of the failed attempts (ISO 8601, UTC).
      returned: if the last attempt failed, and Synapse has stored that time
      type: str
      sample: "2026-01-31T12:00:00Z"
    failing_since_ts:
      description: The same time in milliseconds since 1970.
      returned: if the last attempt failed, and Synapse has stored that time
      type: int
      sample: 1769860800123
    last_attempt:
      description: The time of the last attempt (ISO 8601, UTC).
      returned: if the last attempt failed
      type: str
      sample: "2026-01-31T12:10:00Z"
    last_attempt_ts:
      description: The same time in milliseconds since 1970.
      returned: if the last attempt failed
      type: int
      sample: 1769861400123
    next_attempt:
      description: The end of the backoff (ISO 8601, UTC).
      returned: if the last attempt failed, and the year of the next one is at most 9999
      type: str
      sample: "2026-01-31T12:30:00Z"
    next_attempt_ts:
      description: The same time in milliseconds since 1970.
      returned: if the last attempt failed
      type: int
      sample: 1769862600123
    retry_interval_ms:
      description: How long Synapse waits after RV(destination.last_attempt), in milliseconds.
      returned: if the last attempt failed
      type: int
      sample: 1200000
    last_successful_stream_ordering:
      description: The stream ordering of the last event that Synapse has sent to the destination successfully.
      returned: if Synapse has sent an event to the destination successfully
      type: int
      sample: 4711
failed_again:
  description:
    - Whether Synapse had already tried again, and failed, when the module read the result. The backoff was reset, but
      there is a new one.
    - V(false) does not mean that the destination is reachable, because Synapse only tries if it has something to send.
  returned: success
  type: bool
  sample: false
request:
  description: The request that failed, without its content.
  returned: if a request failed
  type: dict
  contains:
    method:
      description: The HTTP method.
      returned: always
      type: str
      sample: POST
    url:
      description: The URL, without a query.
      returned: always
      type: str
      sample: http://127.0.0.1:8008/_synapse/admin/v1/federation/destinations/matrix.example.net/reset_connection
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
outcome:
  description:
    - The result of the step that failed, as a check afterwards showed it.
    - V(done), V(partly_done), V(not_done), or V(unknown) if the check did not show it.
  returned: if a step failed
  type: str
  sample: not_done
steps:
  description:
    - The steps that were done, or in check mode would be done.
    - If the task fails after its first step has begun, the steps that were done until then. RV(outcome) is the result
      of the step that failed.
  returned: success, or if the task failed after its first step had begun
  type: list
  elements: str
  sample:
    - reset the backoff of matrix.example.net, which has been failing since 2026-01-31T12:00:00Z
"""

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    connection_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._federation.destination import DestinationResource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, connect, run_resource


def declare(parameters: Parameters) -> DestinationResource:
    """Return the destination that the task declares."""
    return DestinationResource(connect(parameters), parameters["destination"])


def main() -> None:
    """Run the module."""
    spec = ArgumentSpec(
        {
            "destination": {"type": "str", "required": True, "aliases": ["name"]},
            "state": {"type": "str", "choices": ["reset"], "default": "reset"},
        }
    )
    run_resource(connection_argument_spec().merge(spec), declare)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_federation_destination
short_description: Let a Synapse homeserver try a destination of its federation again
version_added: 1.0.0
description:
  - When Synapse has failed to reach another server, it waits before it tries again, longer each time, in the end for
    days. This module ends that wait (the backoff), for a server that is known to be back.
  - Nothing happens if Synapse does not wait for that server.
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
      - If the other server still cannot be reached, and there is something to send to it, Synapse fails again and makes
        a new backoff, which the next run resets as well.
  platform:
    support: full
    platforms: posix
options:
  destination:
    description:
      - The name of the other server, as in the user ids there, with its port if it has one.
      - It must be a destination already, so that Synapse has sent something to it or has failed to.
    type: str
    required: true
    aliases:
      - name
  state:
    description:
      - V(reset) means that no failure of the destination is noted, so that Synapse tries it as if there had been none.
    type: str
    choices:
      - reset
    default: reset
notes:
  - Synapse ends a backoff by itself as soon as the other server sends it anything.
seealso:
  - module: matrix_ops.synapse.synapse_federation_info
"""

EXAMPLES = r"""
- name: Try a server again that was down for some days
  matrix_ops.synapse.synapse_federation_destination:
    access_token_path: /root/.synapse-token
    destination: matrix.example.net

- name: Find the servers that Synapse waits for
  matrix_ops.synapse.synapse_federation_info:
    access_token_path: /root/.synapse-token
    failing: true
  register: federation

- name: Try all of them again, after this server itself was cut off
  matrix_ops.synapse.synapse_federation_destination:
    access_token_path: /root/.synapse-token
    destination: "{{ item }}"
    state: reset
  loop: "{{ federation.destinations | map(attribute='destination') }}"
"""

RETURN = r"""
destination:
  description: The destination as it is now, or in check mode as it would be.
  returned: success
  type: dict
  contains:
    destination:
      description: The name of the other server.
      returned: success
      type: str
      sample: matrix.example.net
    state:
      description:
        - V(ok) if the last try went well, or there was none.
        - V(backing_off) if it failed, and Synapse waits until RV(destination.next_attempt).
        - V(retry_due) if it failed, and Synapse tries again as soon as there is something to send.
      returned: success
      type: str
      sample: ok
    failure_ts:
      description: Since when it has been failing, in milliseconds since 1970. Null if the last try went well.
      returned: success
      type: int
    failing_since:
      description: The same in UTC.
      returned: success
      type: str
    retry_last_ts:
      description: When Synapse last tried in vain, in milliseconds since 1970. Null if the last try went well.
      returned: success
      type: int
    last_attempt:
      description: The same in UTC.
      returned: success
      type: str
    retry_interval:
      description: How long Synapse waits after RV(destination.retry_last_ts), in milliseconds.
      returned: success
      type: int
      sample: 0
    next_attempt_ts:
      description: Until when Synapse waits, in milliseconds since 1970. Null if it does not.
      returned: success
      type: int
    next_attempt:
      description: The same in UTC.
      returned: success
      type: str
    last_successful_stream_ordering:
      description: The position of the last event that was delivered. Null if there was none.
      returned: success
      type: int
      sample: 4711
failed_again:
  description:
    - Whether Synapse had already tried again and failed once more when the module looked at the outcome. The backoff
      was reset then, but there is a new one.
    - V(false) does not mean that the destination can be reached. Without anything to send Synapse does not try.
  returned: success
  type: bool
  sample: false
outcome:
  description:
    - What became of the step at which the task failed, as the server showed when it was looked at again.
    - V(done), V(partly_done), V(not_done), or V(unknown) if that cannot be seen.
  returned: if a step failed
  type: str
steps:
  description:
    - What was done, or in check mode would be done.
    - When a task fails in the middle, what was done until then, and the message says what became of the rest.
  returned: success, or if the task failed after it had begun
  type: list
  elements: str
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

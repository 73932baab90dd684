# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    """Where Synapse answers and as whom to speak with it: see `connection_argument_spec` in `_argument_spec`."""

    DOCUMENTATION = r"""
options:
  base_url:
    description:
      - Where Synapse answers, without a path. The main process must be behind it, for it alone serves the whole
        Admin API.
      - The default is Synapse's own listener as seen from its host. The Admin API should not be reachable from
        elsewhere.
      - If not set, the environment variable E(SYNAPSE_BASE_URL) is used.
    type: str
    default: http://127.0.0.1:8008
  access_token:
    description:
      - The access token of a server admin. M(matrix_ops.synapse.synapse_access_token) gets one.
      - If not set, the environment variable E(SYNAPSE_ACCESS_TOKEN) is used.
    type: str
  access_token_path:
    description:
      - A file on the host where the module runs that holds the access token.
      - It takes precedence over O(access_token).
    type: path
  validate_certs:
    description:
      - Whether the certificate of an V(https) address must be valid.
      - With V(false) anybody on the way can read the access token and take the server over.
    type: bool
    default: true
  ca_path:
    description:
      - A file with the certificates of the authorities to trust instead of the system's own.
    type: path
  timeout:
    description:
      - How many seconds to wait for an answer to one request, at least V(1).
      - A change of which no answer comes in time may still be made. So the server is looked at again, for as long a
        time, at least ten seconds, and the task, which fails, says what became of it.
    type: int
    default: 30
  rate_limit_retry_timeout:
    description:
      - For how many seconds in all to wait and try again when Synapse answers that it gets too many requests.
      - With V(0) the task fails at once.
    type: int
    default: 60
requirements:
  - requests on the host where the module runs
"""

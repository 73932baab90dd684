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
      - The URL of the main process of Synapse, without the path of an endpoint. Only the main process serves the whole
        Admin API.
      - The default is Synapse's own listener on its host. Do not make the Admin API reachable from other networks.
      - If it is not set, the environment variable E(SYNAPSE_BASE_URL) is used.
      - With O(unix_socket), it must begin with C(http://), and no connection goes to its host and port. They are only
        sent in the header C(Host). A path in it is used as without O(unix_socket), and Synapse itself serves none.
    type: str
    default: http://127.0.0.1:8008
  unix_socket:
    description:
      - The absolute path of a Unix socket at which Synapse listens, on the host where the module runs. If it is set,
        the module connects to it instead of to the host of O(base_url), as M(ansible.builtin.uri) does.
      - If it is not set, the environment variable E(SYNAPSE_UNIX_SOCKET) is used, unless O(base_url) is set to another
        URL than its default or that of its environment variable.
      - With an empty string, no socket is used, and the environment variable has no effect.
      - The user of the task must be allowed to write to the socket. This requires requests-unixsocket2 in addition to
        requests.
    type: path
  access_token:
    description:
      - The access token of a server admin. The module M(matrix_ops.synapse.synapse_access_token) gets one.
      - If neither it nor O(access_token_path) is set, the environment variable E(SYNAPSE_ACCESS_TOKEN) is used.
    type: str
  access_token_path:
    description:
      - A file that contains the access token, on the host where the module runs.
      - O(access_token) must not be set as well. If one of them comes from C(module_defaults), set it to an empty string
        in a task that uses the other one.
    type: path
  validate_certs:
    description:
      - Whether the TLS certificate of an C(https) URL must be valid.
      - With V(false), an attacker on the network can read the access token and take over the server.
    type: bool
    default: true
  ca_path:
    description:
      - A file with the certificates of the certificate authorities to trust, instead of those of the system.
    type: path
  timeout:
    description:
      - How many seconds to wait for the response to a request, at least V(1) and at most V(86400).
      - If no response to a change arrives in time, the change may still be made. The module then reads the server again
        for the same time, at least ten seconds, and fails with a message that reports the result.
    type: int
    default: 30
  rate_limit_retry_timeout:
    description:
      - How many seconds in total to wait and retry when Synapse responds that there are too many requests.
      - With V(0) the task fails at once.
    type: int
    default: 60
requirements:
  - requests on the host where the module runs
  - requests-unixsocket2 on the host where the module runs, only for O(unix_socket); python3-requests-unixsocket of
    Debian 12 works as well
"""

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    """What stops and starts Synapse on its host: see `service_control_argument_spec` in `_argument_spec`."""

    DOCUMENTATION = r"""
options:
  manager:
    description:
      - What stops and starts Synapse.
      - V(systemd) means a systemd unit. Only root can stop and start it.
      - V(daemon) means that a user starts Synapse with C(--daemonize). The task must run as this user.
    type: str
    choices:
      - systemd
      - daemon
    default: systemd
  unit:
    description:
      - The systemd unit of the main process.
      - The default is the one of Synapse's Debian package.
    type: str
    default: matrix-synapse.service
  worker_unit:
    description:
      - The systemd template unit of the workers. Its running instances are stopped and started with the main process.
        The same applies to other units whose main process is a worker with this configuration.
      - An empty string means that there is no template.
    type: str
    default: matrix-synapse-worker@.service
  synapse_python:
    description:
      - The Python interpreter that Synapse runs with. With O(manager=daemon), Synapse is started with it.
      - The default is the one of Synapse's Debian package.
    type: path
    default: /opt/venvs/matrix-synapse/bin/python
  working_directory:
    description:
      - The working directory of Synapse with O(manager=daemon). Relative paths in its configuration start there.
      - The default is the one of the running process, or that of the first path in O(config_path) if none runs.
    type: path
  start_timeout:
    description:
      - How many seconds to wait until Synapse has ended after it was told to, and until it answers after it was
        started, at least V(1).
    type: int
    default: 120
notes:
  - Only the processes of Synapse on the host of the task are stopped and started. Stop workers on other hosts first.
"""

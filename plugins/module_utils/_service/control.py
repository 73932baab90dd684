# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Stops and starts a Synapse with its workers, for modules that change what a running server must not see change."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.runtime import Host
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.daemon_service import DaemonService
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.managed import (
    Running,
    Service,
    read_managed,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.systemd_service import SystemdService

__all__ = ["Running", "Service", "find_service"]


def find_service(parameters: t.Mapping[str, t.Any], host: Host | None = None) -> Service:
    """Return the service that the options of a module mean; nothing is read yet.

    `parameters`: those of the doc fragments _service_control, _configuration and _connection. `host`: by default this
    one. Raises InvalidInput for options that cannot be meant.
    """
    kind = SystemdService if parameters["manager"] == "systemd" else DaemonService
    return kind(read_managed(parameters), host)

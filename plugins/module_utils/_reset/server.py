# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What a reset needs of the service that runs Synapse, see `_service.managed.Service`."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import Process


class Server(t.Protocol):
    """What a run needs."""

    @property
    def described(self) -> str:
        """The service in a message."""

    def is_running(self) -> bool:
        """Whether it runs."""

    def running(self, before: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """What runs now and what ran by `before`."""

    def stop(self) -> None:
        """End all processes."""

    def start(self, running: dict[str, t.Any] | None = None) -> None:
        """Start what ran, and wait until it answers."""


class ControlledServer(Server, t.Protocol):
    """A server, and whether it can be controlled as it was declared. See `_service.managed.Service`."""

    def processes(self) -> list[Process]:
        """Return its processes."""

    def require_control(self) -> None:
        """Raise SynapseError for the reason why `stop` or `start` would refuse."""

    def require_same_configuration(self) -> None:
        """Raise SynapseError if it runs with other paths of its configuration."""

    def require_answer(self) -> None:
        """Raise SynapseError if it runs, but does not answer."""

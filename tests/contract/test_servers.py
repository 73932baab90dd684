# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What starts the servers of the tests, where many of them start at the same time."""

from __future__ import annotations

import contextlib
import socket

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import servers


def test_a_port_is_kept_for_the_server_that_will_listen_there(monkeypatch: pytest.MonkeyPatch) -> None:
    processes = servers.processes.__wrapped__()
    address = ("127.0.0.1", processes.free_ports(1)[0])
    monkeypatch.setattr(processes.random, "sample", lambda ports, _all: [address[1], *ports])
    with contextlib.closing(socket.socket()) as other, pytest.raises(OSError, match="in use"):
        other.bind(address)
    assert processes.free_ports(1) != [address[1]]
    # Servers ask to use an address again, as this does.
    with socket.create_server(address) as listening:
        assert listening.getsockname() == address
    for kept in processes._kept:
        kept.close()

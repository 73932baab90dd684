# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import socket
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.held_ports import (
    configured_ports,
    held_ports,
)

HOLD = (
    "import socket, sys; s = socket.create_server(('127.0.0.1', 0));"
    " print(s.getsockname()[1], flush=True); sys.stdin.read()"
)


@pytest.fixture
def holder() -> t.Iterator[tuple[int, int]]:
    """Return the number of a process and the port that it holds."""
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        (lambda port: {"listeners": [{"port": port, "bind_addresses": ["127.0.0.1"]}]}, "a listener in listeners"),
        (lambda port: {"listeners": [{"port": port}, {"port": port}]}, "a listener in listeners"),
        (lambda port: {"listeners": [{"port": port, "bind_addresses": ["::", "0.0.0.0"]}]}, "a listener in listeners"),
        (lambda port: {"metrics_port": port}, "metrics_port"),
        (lambda port: {"bind_port": port, "bind_host": "127.0.0.1"}, "bind_port"),
    ],
)
def test_a_port_that_another_process_holds(
    holder: tuple[int, int], settings: t.Callable[[int], dict[str, t.Any]], setting: str
) -> None:
    pid, port = holder
    found = held_ports(settings(port), 0)
    assert found.startswith(f"Port {port}, which {setting} sets, is held by process {pid} (")
    assert found.endswith("): end it, or set another port.")
    assert found.count("Port ") == 1
    # It is Synapse itself.
    assert held_ports(settings(port), pid) == ""


def test_ports_that_no_other_process_holds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as own:
        port = own.getsockname()[1]
        assert held_ports({"metrics_port": port}, os.getpid()) == ""
    assert held_ports({"metrics_port": port}, 0) == ""
    assert held_ports({"metrics_port": port}, 0, "/gone") == ""


def test_settings_that_are_no_ports() -> None:
    odd: list[t.Any] = [None, True, "8008", 0, -1, 65536, 1.5, [], {}]
    assert configured_ports({"listeners": [*odd, *({"port": one} for one in odd)], "metrics_port": "x"}) == []
    assert configured_ports({"listeners": "x", "bind_port": None}) == []
    [port] = configured_ports({"listeners": [{"port": 8008, "bind_addresses": [7, None, "a\0b"]}]})
    assert port.addresses == ("a\0b",)
    assert held_ports({"listeners": [{"port": 8008, "bind_addresses": [7, None, "a\0b", "x:y"]}]}, 0) == ""

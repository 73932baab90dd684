# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ports of other programs are found."""

from __future__ import annotations

import socket
import typing as t

from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files import listening_sockets


def test_a_port_of_another_program_is_found() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        names = {str(port): "synapse_reverse_proxy_https_port"}
        ports = {"https": [port], "http": []}
        question: dict[str, t.Any] = {"addresses": ["::1", "127.0.0.1"], "ports": ports, "port_names": names}
        (sentence,) = listening_sockets.taken_ports(question)
        assert sentence.startswith(f"Port {port} of this host is used by ")
        assert sentence.endswith("set synapse_reverse_proxy_https_port to another port.")
        assert listening_sockets.taken_ports({**question, "addresses": ["0.0.0.0"]})
        assert listening_sockets.taken_ports({**question, "addresses": ["127.0.0.2"]}) == []
    assert listening_sockets.taken_ports(question) == []

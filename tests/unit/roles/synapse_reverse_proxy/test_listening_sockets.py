# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ports of other programs are found."""

from __future__ import annotations

import pathlib
import socket
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files import listening_sockets


def test_a_port_of_another_program_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
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
        assert listening_sockets.taken_ports({**question, "addresses": ["::"]}) == []
        assert listening_sockets.taken_ports({**question, "addresses": ["127.0.0.2"]}) == []
        assert f" is used by {pathlib.Path('/proc/self/comm').read_text(encoding='utf-8').strip()}, so " in sentence
        monkeypatch.setattr(listening_sockets, "owners_of", lambda _inodes: {})
        assert f"Port {port} of this host is used by another program, so " in listening_sockets.taken_ports(question)[0]
        monkeypatch.setattr(listening_sockets, "owners_of", lambda inodes: dict.fromkeys(inodes, "nginx"))
        assert listening_sockets.taken_ports(question) == []
    monkeypatch.undo()
    assert listening_sockets.taken_ports(question) == []


@pytest.mark.parametrize(("has_ipv6", "expected"), [(True, ["0.0.0.0", "::"]), (False, ["0.0.0.0"])])
def test_nginx_listens_on_all_addresses_of_the_host(
    has_ipv6: bool, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening_sockets, "has_ipv6", lambda: has_ipv6)
    assert listening_sockets.addresses_of({"addresses": []}) == expected
    assert listening_sockets.addresses_of({"addresses": ["192.0.2.1"]}) == ["192.0.2.1"]


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.77"), (socket.AF_INET6, "::1")])
def test_addresses_are_those_of_the_kernel(family: socket.AddressFamily, address: str) -> None:
    if family == socket.AF_INET6 and not listening_sockets.has_ipv6():
        pytest.skip("this host has no IPv6")
    with socket.socket(family) as taken, socket.socket(family) as bound:
        bound.bind((address, 0))
        taken.bind((address, 0))
        taken.listen()
        found = {place[:2] for place in listening_sockets.listening()}
        assert (address, taken.getsockname()[1]) in found
        assert (address, bound.getsockname()[1]) not in found

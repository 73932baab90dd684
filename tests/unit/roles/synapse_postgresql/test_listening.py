# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""That Synapse does not reach a server is known before anything is changed."""

from __future__ import annotations

import pathlib
import re
import socket
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files import listening
from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files.listening import DEFAULT, Listening

_NAMES = {"localhost": ["::1", "127.0.0.1"], "old": ["127.0.0.1"]}


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of this host, which has IPv6."""

    def found(host: str, *_others: t.Any, **_more: t.Any) -> list[t.Any]:
        return [(0, 0, 0, "", (address, 0)) for address in _NAMES.get(host, [host])]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    monkeypatch.setattr(listening, "_exists", lambda _address: True)


@pytest.mark.parametrize(
    ("host", "addresses", "reached"),
    [
        ("localhost", ["localhost"], "::1"),
        ("localhost", ["*"], "::1"),
        ("localhost", ["::"], "::1"),
        ("localhost", ["0.0.0.0"], "127.0.0.1"),
        # An administrator may have turned off the others.
        ("localhost", ["127.0.0.1"], "127.0.0.1"),
        ("localhost", ["old", "10.0.0.1"], "127.0.0.1"),
        ("::1", ["0.0.0.0"], ""),
        ("127.0.1.1", ["localhost"], ""),
        ("localhost", [], ""),
    ],
)
def test_the_address_at_which_it_is_reached(host: str, addresses: list[str], reached: str) -> None:
    assert listening.reached_at(host, Listening(addresses, [])) == reached


def test_an_address_that_this_host_does_not_have_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "_exists", lambda address: ":" not in address)
    assert listening.reached_at("localhost", DEFAULT) == "127.0.0.1"


def test_settings_are_lists() -> None:
    settings = {"listen_addresses": "localhost, '10.0.0.1'", "unix_socket_directories": '"/a", /b'}
    assert listening.listening(settings.get) == Listening(["localhost", "10.0.0.1"], ["/a", "/b"])
    assert listening.listening({"listen_addresses": ""}.get) == Listening([], ["/var/run/postgresql"])


def test_a_server_that_is_reached(tmp_path: pathlib.Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    server = Listening(["localhost"], [str(tmp_path)])
    assert listening.refusal("localhost", server, "prefix") == ""
    assert listening.refusal(str(tmp_path / "link"), server, "prefix") == ""
    assert listening.refusal("", DEFAULT, "prefix") == ""


@pytest.mark.parametrize(
    ("host", "server", "said"),
    [
        ("/tmp", DEFAULT, "socket in /var/run/postgresql .*, but prefix_host is /tmp. Set it to /var/run/postgresql."),
        ("", Listening([], ["/tmp"]), "prefix_host is empty, which is /var/run/postgresql. Set it to /tmp."),
        ("/tmp", Listening(["*"], []), "in no directory .* Set it to localhost."),
        ("localhost", Listening([], ["/a"]), "listen_addresses is empty. Set prefix_host to /a, or add localhost to"),
        ("127.0.1.1", DEFAULT, "does not listen at 127.0.1.1, .* is localhost."),
    ],
)
def test_a_server_that_is_not_reached(host: str, server: Listening, said: str) -> None:
    assert re.search(said, listening.refusal(host, server, "prefix"))

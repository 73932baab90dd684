# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics_url import (
    Place,
    place_of,
    tcp_url,
    unix_url,
)


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "fe80::1%eth0", "metrics.example", "a/b@c#d?e", "é"])
def test_an_address_in_a_url(address: str, tls: bool) -> None:
    url = tcp_url(address, 9000, "/m", tls=tls)
    assert url and url.isascii()
    assert place_of(url) == Place(address, 9000, "", "/m", tls)


@pytest.mark.parametrize("address", ["[::1]", "127.0.0.1:9000", "::1/..", "\ud800"])
def test_what_is_no_address(address: str) -> None:
    assert tcp_url(address, 9000, "/m") is None


@pytest.mark.parametrize("path", ["/run/synapse/main.sock", "/a b/%2F?#@:é\n"])
def test_a_unix_socket_in_a_url(path: str) -> None:
    url = unix_url(path, "/m")
    assert url and url.startswith("http+unix://%2F") and url.isascii()
    assert place_of(url) == Place("", 0, path, "/m", False)


@pytest.mark.parametrize("path", ["/a\0b", "/\ud800"])
def test_what_is_no_unix_socket(path: str) -> None:
    assert unix_url(path, "/m") is None

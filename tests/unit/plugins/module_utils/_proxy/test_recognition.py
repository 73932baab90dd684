# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, Place, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.recognition import (
    is_login_page,
    is_synapse_page,
    page,
    proxy_name,
)

Headers = tuple[tuple[str, str], ...]


def made(headers: Headers = (), body: bytes = b"", status: int = 200) -> Answer:
    place = Place("https", "a.example", 443)
    return Answer(place, Request("/"), "", status, headers, body, 0.1, "HTTP/1.1", "127.0.0.1:443", "127.0.0.1")


@pytest.mark.parametrize(
    ("headers", "body", "status", "name"),
    [
        ((("server", "nginx/1.22.1"),), b"", 200, "nginx"),
        ((("Server", "openresty"),), b"", 200, "nginx"),
        ((("Server", "Apache/2.4.71 (Debian)"),), b"", 404, "apache"),
        ((("Server", "Synapse/1.163.2"),), b"{}", 200, ""),
        ((("Server", "Synapse/1.163.2"), ("Via", "1.1 a (Apache/2.4)")), b"{}", 200, "apache"),
        ((("Server", "Caddy"), ("Server", "Synapse/1.163.2")), b"{}", 200, "caddy"),
        ((("Server", "Synapse/1.163.2"), ("Via", "1.1 Caddy")), b"{}", 200, "caddy"),
        ((("Server", "cloudflare"), ("CF-RAY", "1")), b"{}", 200, "cloudflare"),
        ((), b"<html><body><h1>503 Service Unavailable</h1>\nNo server is available", 503, "haproxy"),
        ((), b"404 page not found\n", 404, "traefik"),
        ((("Server", "other"),), b"404 page not found\n", 404, ""),
        ((), b"<html><address>Apache/2.4 Server at a Port 443</address>", 404, "apache"),
        ((), b"", 200, ""),
    ],
)
def test_the_name_of_the_proxy(headers: Headers, body: bytes, status: int, name: str) -> None:
    assert proxy_name([made(), made(headers, body, status), made((("Server", "Synapse/1.163.2"),))]) == name


def test_the_proxy_in_front_counts() -> None:
    assert proxy_name([made((("Server", "nginx"),)), made((("CF-RAY", "1"), ("Server", "cloudflare")))]) == "cloudflare"
    assert proxy_name([]) == ""


def test_a_page_of_synapse() -> None:
    body = b"<html><h1>No Such Resource</h1></html>"
    assert is_synapse_page(made(body=body, status=404))
    assert not is_synapse_page(made(body=body))
    assert not is_synapse_page(made(body=b"No Such Resource", status=404))


def test_a_login_page_has_a_form_with_a_password() -> None:
    assert is_login_page(made(body=b'<html><form action=x><input\n name="p"\n type="password">'))
    assert not is_login_page(made(body=b"<html><form><input type=text> password"))
    assert not is_login_page(made((("Content-Type", "text/plain"),), b'{"<form><input type=password>": 1}'))


def test_the_title_of_a_page() -> None:
    assert page(made(body=b"<html><title>\n Buy &amp; sell\n</title>")) == 'an HTML page with the title "Buy & sell"'


def test_a_page_that_would_take_long_to_search() -> None:
    assert page(made(body=b"<html>" + b"<title " * 40_000)) == "an HTML page"

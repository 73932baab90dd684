# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lines for Apache."""

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.advice import correction
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.advice.apache import corrections

WANTED = correction.Wanted("http", "127.0.0.1:8008", "example.org", "matrix.example.org", 1000)
FOUND = correction.by_finding(corrections(WANTED))
# Apache obeys each RewriteRule before each ProxyPass, wherever they are.
UNTOUCHED = [
    "<IfModule rewrite_module>",
    "    RewriteEngine On",
    "    RewriteRule ^(/_matrix|/_synapse/client)(/|$) - [END]",
    "</IfModule>",
]


@pytest.mark.parametrize("name", [*correction.PATH_CHANGED, *correction.NOT_FORWARDED])
def test_the_path_is_not_changed(name: str) -> None:
    assert FOUND[name].lines.splitlines() == [
        "AllowEncodedSlashes NoDecode",
        "MergeSlashes Off",
        *UNTOUCHED,
        "ProxyPass /_matrix http://127.0.0.1:8008/_matrix nocanon",
        "ProxyPass /_synapse/client http://127.0.0.1:8008/_synapse/client nocanon",
    ]


def test_encoded_slashes_are_not_refused() -> None:
    assert FOUND["path_refused"].lines == "AllowEncodedSlashes NoDecode"


@pytest.mark.parametrize(
    "name", [*correction.WRONG_BACKEND, correction.ACCESS, correction.AUTHENTICATION, correction.CHARACTER_RULE]
)
def test_no_later_rule_gets_the_paths(name: str) -> None:
    assert "\n".join(UNTOUCHED) in FOUND[name].lines
    assert "before any other" in FOUND[name].place


@pytest.mark.parametrize("name", [correction.ACCESS, correction.AUTHENTICATION])
def test_access_is_granted_to_all_that_is_forwarded(name: str) -> None:
    granted = '<LocationMatch "^(/_matrix|/_synapse/client)(/|$)">\n    Require all granted\n</LocationMatch>'
    assert FOUND[name].lines == f"{FOUND['path_not_forwarded'].lines}\n{granted}"
    assert "after every Location" in FOUND[name].place


def test_the_address_of_a_client_is_not_appended_to_what_it_sends() -> None:
    for name in ("forwarded_for_missing", "forwarded_for_spoofable"):
        assert FOUND[name].lines == "ProxyAddHeaders On\nRequestHeader unset X-Forwarded-For"


def test_the_size_of_uploads_is_in_bytes() -> None:
    assert FOUND["body_limit"].lines.splitlines()[-1] == "LimitRequestBody 1000"


def test_a_backend_with_tls_needs_the_engine() -> None:
    found = correction.by_finding(corrections(WANTED._replace(scheme="https", address="synapse:8443")))
    lines = found["path_decoded"].lines.splitlines()
    assert "SSLProxyEngine On" in lines
    assert "ProxyPass /_matrix https://synapse:8443/_matrix nocanon" in lines


def test_a_file_is_served_without_a_file() -> None:
    found = correction.by_finding(corrections(WANTED._replace(files=(correction.SERVER,))))
    lines = [line.strip() for line in found["well_known_invalid"].lines.splitlines()]
    assert lines == [
        # Inside of the Location, it would come after a password.
        "RewriteEngine On",
        "RewriteRule ^/\\.well-known/matrix/server$ - [R=200,L]",
        '<Location "/.well-known/matrix/server">',
        """ErrorDocument 200 '{"m.server": "matrix.example.org:443"}'""",
        "Header always set Content-Type application/json",
        "</Location>",
    ]


def test_port_8448_has_all_lines() -> None:
    lines = [line.strip() for line in FOUND["port_8448_closed"].lines.splitlines()]
    assert lines[:3] == ["Listen 8448", "<VirtualHost *:8448>", "ServerName example.org"]
    assert lines[-1] == "</VirtualHost>"
    assert set(FOUND["path_decoded"].lines.splitlines()) - set(UNTOUCHED) < set(lines)
    assert set(FOUND["forwarded_for_spoofable"].lines.splitlines()) < set(lines)

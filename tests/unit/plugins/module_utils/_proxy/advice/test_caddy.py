# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lines for Caddy."""

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.advice import correction
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.advice.caddy import corrections

WANTED = correction.Wanted("http", "127.0.0.1:8008", "example.org", "matrix.example.org", 1000)
FOUND = correction.by_finding(corrections(WANTED))


@pytest.mark.parametrize("name", [*correction.PATH_CHANGED, *correction.NOT_FORWARDED, *correction.WRONG_BACKEND])
def test_the_path_keeps_its_beginning(name: str) -> None:
    assert FOUND[name].lines == (
        "handle /_matrix/* {\n\treverse_proxy 127.0.0.1:8008\n}\n"
        "handle /_synapse/client/* {\n\treverse_proxy 127.0.0.1:8008\n}"
    )


@pytest.mark.parametrize("name", [*correction.NOT_FORWARDED, *correction.PATH_CHANGED, "well_known_missing"])
def test_what_caddy_runs_before_a_handle_is_moved(name: str) -> None:
    for directive in ("redir", "rewrite", "uri", "try_files", "basicauth", "forward_auth"):
        assert directive in FOUND[name].place
    assert "into a block handle {} at the end." in FOUND[name].place


def test_a_site_with_tls() -> None:
    assert FOUND["tls_failed"].lines.startswith("matrix.example.org:443 {\n\treverse_proxy /_matrix/* ")
    assert FOUND["tls_failed"].instead_of == f"http://{FOUND['tls_failed'].lines}"
    assert FOUND["port_8448_closed"].lines.startswith("example.org:8448 {\n")


def test_a_backend_with_tls_has_its_scheme() -> None:
    found = correction.by_finding(corrections(WANTED._replace(scheme="https", address="synapse:8443")))
    assert "reverse_proxy https://synapse:8443\n" in found["path_decoded"].lines


def test_cors_is_set_last_so_that_it_is_not_added() -> None:
    assert FOUND["cors_doubled"].lines == "header {\n\tAccess-Control-Allow-Origin *\n\tdefer\n}"
    assert FOUND["cors_missing"].lines == "header_down Access-Control-Allow-Origin *"


def test_the_port_of_the_host_is_kept() -> None:
    assert FOUND["host_wrong"].lines == "header_up Host {hostport}"


def test_the_size_of_uploads_is_in_bytes() -> None:
    # Caddy's MB are 1000 times 1000 bytes.
    assert FOUND["body_limit"].lines == "request_body {\n\tmax_size 1000\n}"


def test_the_admin_api_is_refused_in_a_handle() -> None:
    assert FOUND["admin_api_public"].lines == "handle /_synapse/admin* {\n\trespond 404\n}"


@pytest.mark.parametrize("name", sorted(FOUND))
def test_braces_are_balanced(name: str) -> None:
    for text in (FOUND[name].lines, FOUND[name].instead_of):
        assert text.count("{") == text.count("}")

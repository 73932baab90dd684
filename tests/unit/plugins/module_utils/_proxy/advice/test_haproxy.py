# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lines for HAProxy."""

from __future__ import annotations

import re

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.advice import correction
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.advice.haproxy import corrections

WANTED = correction.Wanted("http", "[::1]:8008", "example.org", "matrix.example.org", 1000)
FOUND = correction.by_finding(corrections(WANTED))


@pytest.mark.parametrize("name", correction.PATH_CHANGED)
def test_a_rule_that_changes_the_path_is_removed(name: str) -> None:
    assert FOUND[name].lines == ""
    assert FOUND[name].instead_of.startswith("http-request ")
    assert FOUND[name].place.startswith("Remove ")


@pytest.mark.parametrize("name", [*correction.NOT_FORWARDED, correction.ACCESS, correction.AUTHENTICATION])
def test_the_paths_are_forwarded(name: str) -> None:
    # HAProxy obeys each http-request before each use_backend, wherever they are.
    assert FOUND[name].lines.splitlines() == [
        "acl matrix path_beg /_matrix /_synapse/client",
        "http-request allow if matrix",
        "use_backend synapse if matrix",
    ]
    assert "before every other http-request and use_backend" in FOUND[name].place


def test_the_server_has_its_port() -> None:
    assert FOUND["proxy_error"].lines == "server synapse [::1]:8008"


def test_a_backend_with_tls_is_verified() -> None:
    found = correction.by_finding(corrections(WANTED._replace(scheme="https", address="synapse:8443")))
    assert found["proxy_error"].lines == "server synapse synapse:8443 ssl verify required ca-file @system-ca"


def test_headers_are_set_and_not_added() -> None:
    for name in ("host_wrong", "forwarded_for_spoofable", "forwarded_proto_wrong", "cors_doubled", "cors_missing"):
        assert re.match(r"http-(request|response) set-header ", FOUND[name].lines)


def test_the_admin_api_is_refused_also_if_it_is_encoded() -> None:
    acl, rule = FOUND["admin_api_public"].lines.splitlines()
    assert acl == FOUND["path_not_forwarded"].lines.splitlines()[0]
    assert rule == "http-request deny deny_status 404 if { path,url_dec -m reg ^/+_synapse/+admin }"
    assert FOUND["metrics_public"].lines.splitlines()[1].endswith("^/+_synapse/+metrics }")


def test_a_file_is_returned() -> None:
    server, client = FOUND["well_known_missing"].lines.splitlines()
    assert """string '{"m.server": "matrix.example.org:443"}' if { path /.well-known/matrix/server }""" in server
    assert "Access-Control-Allow-Origin" not in server
    assert " hdr Access-Control-Allow-Origin * string " in client


def test_a_limit_of_uploads_is_removed_because_haproxy_has_none() -> None:
    assert FOUND["body_limit"].lines == ""
    assert "413" in FOUND["body_limit"].instead_of


def test_health_is_forwarded_although_a_later_rule_refuses_it() -> None:
    assert FOUND["health_of_another_server"].lines.splitlines()[0] == "http-request allow if { path /health }"


def test_tls_has_the_certificate_of_the_site_and_no_certificate_of_clients() -> None:
    found = correction.by_finding(corrections(WANTED._replace(site="fed.example.org:8448")))
    bind = "bind :::8448 v4v6 ssl crt /etc/haproxy/certs/fed.example.org.pem"
    assert found["tls_failed"].lines == f"{bind} ssl-min-ver TLSv1.2"
    assert found[correction.CLIENT_CERTIFICATE].lines == bind


def test_http_1_0_is_not_caused_by_it() -> None:
    assert "http_1_0" not in FOUND

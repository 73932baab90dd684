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
FOUND = corrections(WANTED)


@pytest.mark.parametrize("name", correction.PATH_CHANGED)
def test_a_rule_that_changes_the_path_is_removed(name: str) -> None:
    assert FOUND[name].lines == ""
    assert FOUND[name].instead_of.startswith("http-request ")
    assert FOUND[name].place.startswith("Remove ")


def test_the_paths_are_forwarded() -> None:
    lines = FOUND["path_not_forwarded"].lines.splitlines()
    assert lines == ["acl matrix path_beg /_matrix /_synapse/client", "use_backend synapse if matrix"]


def test_the_server_has_its_port() -> None:
    assert FOUND["proxy_error"].lines == "server synapse [::1]:8008"


def test_a_backend_with_tls_is_verified() -> None:
    found = corrections(WANTED._replace(scheme="https", address="synapse:8443"))
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


def test_http_1_0_is_not_caused_by_it() -> None:
    assert "http_1_0" not in FOUND

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lines for nginx."""

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.advice import correction
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.advice.nginx import corrections

WANTED = correction.Wanted("http", "[::1]:8008", "example.org", "matrix.example.org", 10 * 1024 * 1024)
FOUND = correction.by_finding(corrections(WANTED))


@pytest.mark.parametrize("name", [*correction.PATH_CHANGED, *correction.WRONG_BACKEND])
def test_the_path_is_forwarded_without_a_uri(name: str) -> None:
    assert FOUND[name].lines == "proxy_pass http://[::1]:8008;"


@pytest.mark.parametrize("name", correction.NOT_FORWARDED)
def test_a_location_has_everything(name: str) -> None:
    lines = FOUND[name].lines.splitlines()
    assert lines[0] == "location ~ ^(/_matrix|/_synapse/client) {"
    assert lines[-1] == "}"
    inside = {line.strip() for line in lines[1:-1]}
    assert inside == {
        FOUND["path_decoded"].lines,
        FOUND["http_1_0"].lines,
        FOUND["host_wrong"].lines,
        FOUND["forwarded_for_missing"].lines,
        FOUND["forwarded_proto_missing"].lines,
        FOUND["body_limit"].lines,
        FOUND["read_timeout"].lines,
    }


@pytest.mark.parametrize(
    ("name", "line"), [(correction.AUTHENTICATION, "    auth_basic off;"), (correction.ACCESS, "    allow all;")]
)
def test_a_location_is_excepted_from_a_password_and_from_rules(name: str, line: str) -> None:
    first, *rest = FOUND["not_matrix"].lines.splitlines()
    assert FOUND[name].lines.splitlines() == [first, line, *rest]


def test_what_comes_before_each_location_is_moved() -> None:
    for name in (*correction.NOT_FORWARDED, "well_known_missing"):
        assert "return, rewrite and if from the server block into location / {}." in FOUND[name].place


def test_a_limit_of_the_first_location_counts() -> None:
    assert FOUND["body_limit"].place.startswith("In the server block of matrix.example.org.")


def test_a_header_does_not_hide_those_of_the_server_block() -> None:
    for name in ("host_wrong", "forwarded_for_missing", "forwarded_proto_missing", "authorization_removed"):
        assert FOUND[name].place.startswith("Next to the other proxy_set_header: ")


def test_the_address_replaces_what_a_client_sends() -> None:
    assert FOUND["forwarded_for_spoofable"].lines == "proxy_set_header X-Forwarded-For $remote_addr;"
    assert "$proxy_add_x_forwarded_for" in FOUND["forwarded_for_spoofable"].instead_of


def test_the_size_of_uploads() -> None:
    assert FOUND["body_limit"].lines == "client_max_body_size 10M;"


def test_the_admin_api_is_refused_before_any_regular_expression() -> None:
    assert FOUND["admin_api_public"].lines == "location ^~ /_synapse/admin {\n    return 404;\n}"
    assert FOUND["metrics_public"].lines.startswith("location ^~ /_synapse/metrics {")


def test_the_files_of_the_server_name() -> None:
    lines = FOUND["well_known_missing"].lines
    assert """return 200 '{"m.server": "matrix.example.org:443"}';""" in lines
    assert """return 200 '{"m.homeserver": {"base_url": "https://matrix.example.org"}}';""" in lines
    assert lines.count("add_header Access-Control-Allow-Origin *;") == 1
    assert "example.org with port 443" in FOUND["well_known_missing"].place

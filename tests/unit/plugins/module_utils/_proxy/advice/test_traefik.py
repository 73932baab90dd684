# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lines for Traefik."""

from __future__ import annotations

import typing as t

import pytest
import yaml

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.advice import correction
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.advice.traefik import corrections

WANTED = correction.Wanted("http", "127.0.0.1:8008", "example.org", "matrix.example.org", 1000)
FOUND = correction.by_finding(corrections(WANTED))


def parsed(name: str) -> dict[str, t.Any]:
    """Return the lines for a finding as a configuration."""
    content = yaml.safe_load(FOUND[name].lines)
    assert isinstance(content, dict)
    return content


@pytest.mark.parametrize("name", sorted(FOUND))
def test_lines_are_a_whole_configuration(name: str) -> None:
    is_static = FOUND[name].place.startswith("In the static configuration")
    tops = {"entryPoints", "serversTransport"} if is_static else {"http", "tls"}
    assert set(parsed(name)) <= tops


@pytest.mark.parametrize(
    "name", sorted({*correction.PATH_CHANGED, "cors_doubled", "admin_api_public"} - {"path_merged"})
)
def test_the_router_has_no_middleware(name: str) -> None:
    http = parsed(name)["http"]
    assert http["routers"]["synapse"] == {
        "entryPoints": ["websecure"],
        "priority": 1000,
        "rule": "Host(`matrix.example.org`) && (PathPrefix(`/_matrix`) || PathPrefix(`/_synapse/client`))",
        "service": "synapse",
        "tls": {},
    }
    assert http["services"] == {"synapse": {"loadBalancer": {"servers": [{"url": "http://127.0.0.1:8008"}]}}}


def test_encoded_characters_are_allowed() -> None:
    allowed = parsed("path_refused")["entryPoints"]["websecure"]["http"]["encodedCharacters"]
    assert {name for name, value in allowed.items() if value is True} == {
        "allowEncodedSlash",
        "allowEncodedBackSlash",
        "allowEncodedSemicolon",
        "allowEncodedPercent",
        "allowEncodedQuestionMark",
        "allowEncodedHash",
    }


def test_slashes_are_not_merged() -> None:
    assert parsed("path_merged")["entryPoints"]["websecure"]["http"] == {"sanitizePath": False}


def test_synapse_serves_the_files_of_the_server_name() -> None:
    router = parsed("well_known_missing")["http"]["routers"]["well-known"]
    assert router["rule"] == "Host(`example.org`) && (PathPrefix(`/.well-known/matrix/`))"


def test_settings_of_the_service() -> None:
    balancer = parsed("host_wrong")["http"]["services"]["synapse"]["loadBalancer"]
    assert balancer == {"passHostHeader": True, "servers": [{"url": "http://127.0.0.1:8008"}]}
    delayed = parsed("answer_delayed")["http"]["services"]["synapse"]["loadBalancer"]
    assert delayed["responseForwarding"] == {"flushInterval": "1ms"}


def test_the_size_of_uploads_is_in_bytes() -> None:
    limit = parsed("body_limit")["http"]["middlewares"]["upload-size"]["buffering"]
    assert limit == {"maxRequestBodyBytes": 1000}

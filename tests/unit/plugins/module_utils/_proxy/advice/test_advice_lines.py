# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which lines belong to a finding."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.advice.advice_lines import advise
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Place
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import Finding

BACKEND = Place("http", "127.0.0.1", 8008)
PROXIES = {"nginx", "apache", "caddy", "haproxy", "traefik"}
# Those that every proxy can cause.
OF_ALL_PROXIES = [
    "path_decoded",
    "path_encoded_twice",
    "path_refused",
    "path_merged",
    "path_slash_removed",
    "path_slash_added",
    "path_rewritten",
    "path_not_forwarded",
    "errors_replaced",
    "query_changed",
    "query_cut",
    "long_url_refused",
    "signature_broken",
    "authorization_removed",
    "host_wrong",
    "forwarded_for_missing",
    "forwarded_for_spoofable",
    "forwarded_proto_missing",
    "forwarded_proto_wrong",
    "body_limit",
    "read_timeout",
    "answer_delayed",
    "cors_missing",
    "cors_doubled",
    "cors_preflight",
    "admin_api_public",
    "metrics_public",
    "health_of_another_server",
    "port_8448_closed",
    "redirected",
    "redirect_loop",
    "not_matrix",
    "another_server",
    "certificate_wrong_name",
    "certificate_not_trusted",
    "proxy_error",
    "tls_failed",
]
OF_FILES = [
    "well_known_missing",
    "well_known_invalid",
    "well_known_content_type",
    "well_known_cors",
    "well_known_redirect",
]


def finding(name: str, values: dict[str, t.Any] | None = None, **evidence: str) -> Finding:
    """Return a finding as a check makes it."""
    shown = {"request": "GET https://matrix.example.org/_matrix/client/versions", "answer": "200", **evidence}
    return Finding(name, "It is wrong.", "error", "client", shown, (), values or {})


def advised(found: Finding, public_name: str = "matrix.example.org", site: str = "") -> dict[str, dict[str, str]]:
    """Return the advice for a server example.org."""
    return advise(found, BACKEND, "example.org", public_name, site)


@pytest.mark.parametrize("name", OF_ALL_PROXIES)
def test_a_socket_takes_the_place_of_the_address(name: str) -> None:
    found = advise(finding(name), BACKEND._replace(unix_socket="/run/main.sock"), "example.org", "matrix.example.org")
    # It cannot forward to a socket.
    assert found.keys() - {"synapse"} == PROXIES - {"traefik"}
    assert BACKEND.address not in str(found)


@pytest.mark.parametrize(
    ("proxy", "name", "named"),
    [
        ("nginx", "path_not_forwarded", "proxy_pass http://unix:/run/main.sock;"),
        ("apache", "path_not_forwarded", "ProxyPass /_matrix unix:/run/main.sock|http://localhost/_matrix"),
        ("caddy", "path_not_forwarded", "reverse_proxy unix//run/main.sock\n"),
        ("haproxy", "another_server", "server synapse unix@/run/main.sock"),
        ("synapse", "forwarded_for_ignored", "in the entry of listeners with the path /run/main.sock."),
    ],
)
def test_how_a_socket_is_named(proxy: str, name: str, named: str) -> None:
    found = advise(finding(name), BACKEND._replace(unix_socket="/run/main.sock"), "example.org", "matrix.example.org")
    assert any(named in text for text in found[proxy].values()), found[proxy]


@pytest.mark.parametrize("name", OF_ALL_PROXIES)
def test_all_proxies_have_lines(name: str) -> None:
    assert set(advised(finding(name))) == PROXIES


@pytest.mark.parametrize("name", OF_FILES)
def test_the_files_need_settings_of_synapse_too(name: str) -> None:
    assert set(advised(finding(name))) == {*PROXIES, "synapse"}


@pytest.mark.parametrize("name", [*OF_ALL_PROXIES, *OF_FILES, "http_1_0", "forwarded_for_ignored"])
def test_lines_can_be_put_in_by_a_program(name: str) -> None:
    for proxy, advice in advised(finding(name)).items():
        assert set(advice) == {"place", "instead_of", "lines"}
        assert advice["place"].endswith(".")
        assert advice["lines"] or (advice["instead_of"] and "Remove " in advice["place"]), proxy
        assert "..." not in advice["lines"]
        assert "#" not in advice["lines"]
        assert advice["lines"] == advice["lines"].strip()


@pytest.mark.parametrize(
    "name", ["certificate_expired", "certificate_expires_soon", "unreachable", "srv_invalid", "unknown_name"]
)
def test_what_no_configuration_corrects_has_no_lines(name: str) -> None:
    assert advised(finding(name)) == {}


def test_the_setting_of_the_listener() -> None:
    advice = advised(finding("forwarded_for_ignored"))
    assert set(advice) == {"synapse"}
    assert advice["synapse"]["lines"] == "x_forwarded: true"
    assert "with the port 8008" in advice["synapse"]["place"]


def test_the_size_is_that_of_the_server() -> None:
    advice = advised(finding("body_limit", {"max_upload_size": 200 * 1024 * 1024}))
    assert advice["nginx"]["lines"] == "client_max_body_size 200M;"
    assert "209715200" in advice["caddy"]["lines"]


@pytest.mark.parametrize("values", [{}, {"max_upload_size": None}, {"max_upload_size": 0}])
def test_without_a_size_it_is_the_default_of_synapse(values: dict[str, t.Any]) -> None:
    assert advised(finding("body_limit", values))["nginx"]["lines"] == "client_max_body_size 50M;"


@pytest.mark.parametrize(("file", "other"), [("server", "client"), ("client", "server")])
def test_only_the_file_that_is_wrong_has_lines(file: str, other: str) -> None:
    found = finding("well_known_missing", request=f"GET https://example.org/.well-known/matrix/{file}")
    for proxy in ("nginx", "apache", "caddy", "haproxy"):
        lines = advised(found)[proxy]["lines"]
        assert f"/.well-known/matrix/{file}" in lines
        assert f"/.well-known/matrix/{other}" not in lines


def test_synapse_serves_the_file_for_servers_only_if_it_would_be_right() -> None:
    found = finding("well_known_missing", request="GET https://example.org/.well-known/matrix/server")
    assert advised(found, "example.org")["synapse"]["lines"] == "serve_server_wellknown: true"
    # It would name example.org:443.
    assert "synapse" not in advised(found)


def test_a_file_that_names_another_url() -> None:
    advice = advised(finding("public_url_differs"))
    assert advice["synapse"]["lines"] == "public_baseurl: https://matrix.example.org/"
    assert "m.homeserver" in advice["nginx"]["lines"]
    assert "m.server" not in advice["nginx"]["lines"]


@pytest.mark.parametrize(
    ("backend", "url"),
    [
        (BACKEND, "http://127.0.0.1:8008"),
        (Place("http", "synapse", 80), "http://synapse:80"),
        (Place("https", "::1", 443), "https://[::1]:443"),
    ],
)
def test_the_backend_always_has_its_port(backend: Place, url: str) -> None:
    advice = advise(finding("proxy_error"), backend, "example.org", "example.org")
    assert advice["nginx"]["lines"] == f"proxy_pass {url};"


@pytest.mark.parametrize("name", ["not_matrix", "path_not_forwarded"])
@pytest.mark.parametrize(
    ("answer", "line"), [("401 Authorization Required", "auth_basic off;"), ("403 <html>Forbidden", "allow all;")]
)
def test_a_proxy_that_asks_for_a_password_or_refuses(name: str, answer: str, line: str) -> None:
    advice = advised(finding(name, answer=answer))
    assert set(advice) == PROXIES
    assert f"    {line}\n" in advice["nginx"]["lines"]
    assert "Require all granted" in advice["apache"]["lines"]
    assert "http-request allow if matrix" in advice["haproxy"]["lines"]
    other = advised(finding(name, answer="200 Welcome"))
    assert other["nginx"]["lines"].startswith("location ~ ")
    assert line not in other["nginx"]["lines"]
    assert "Require" not in other["apache"]["lines"]


def test_a_proxy_that_wants_a_certificate_of_clients() -> None:
    page = "400 <html><title>400 No required SSL certificate was sent</title>"
    assert advised(finding("not_matrix", answer=page))["nginx"]["lines"] == "ssl_verify_client off;"
    assert advised(finding("not_matrix", answer="400 <html>"))["nginx"]["lines"].startswith("location ~ ")
    for alert in ("tlsv13 alert certificate required", "sslv3 alert bad certificate"):
        advice = advised(finding("tls_failed", answer=f"matrix.example.org:443 ended TLS ({alert})"))
        assert set(advice) == PROXIES
        assert advice["apache"]["lines"] == "SSLVerifyClient none"


def test_a_proxy_that_sends_http_to_a_port_with_tls() -> None:
    page = "400 <html><title>400 The plain HTTP request was sent to HTTPS port</title>"
    assert advised(finding("not_matrix", answer=page)) == advised(finding("proxy_error"))
    direct = advised(finding("not_matrix", answer=page, request="GET http://example.org:443/_matrix/client/versions"))
    assert direct["nginx"]["lines"].startswith("location ~ ")


def test_a_port_without_tls_and_one_that_does_not_agree_on_it() -> None:
    without = advised(finding("tls_failed", answer="matrix.example.org:443 (127.0.0.1:1) does not use TLS"))
    assert without["nginx"]["lines"].splitlines()[:2] == ["listen 443 ssl;", "listen [::]:443 ssl;"]
    refused = advised(finding("tls_failed", answer="matrix.example.org:443 did not agree on TLS (no common version)"))
    # A second listen of the same port would be refused.
    assert refused["nginx"]["lines"] == "ssl_protocols TLSv1.2 TLSv1.3;"
    assert set(without) == set(refused) == PROXIES


@pytest.mark.parametrize(
    ("status", "characters", "is_setting"),
    [
        ("404", ["%2F"], True),
        ("404", ["%40", "%5c"], True),
        ("404", ["%40"], False),
        ("404", None, True),
        ("400", ["%40"], True),
        ("403", ["%2F"], False),
        ("403", None, False),
    ],
)
def test_characters_are_refused_by_a_setting_or_a_rule(
    status: str, characters: list[str] | None, *, is_setting: bool
) -> None:
    given = {"characters": characters} if characters else {}
    advice = advised(finding("path_refused", given, answer=f"{status} <html>"))
    assert ("AllowEncodedSlashes Off" in advice["apache"]["instead_of"]) == is_setting
    assert ("Remove" in advice["apache"]["place"]) == (not is_setting)
    assert ("encodedCharacters" in advice["traefik"]["lines"]) == is_setting
    assert "Remove" in advice["nginx"]["place"]


SERVERS = "example.org:8448"


def test_the_place_is_that_of_the_site() -> None:
    for proxy in ("nginx", "apache", "caddy"):
        text = advised(finding("not_matrix"), site=SERVERS)[proxy]["place"]
        assert "block of example.org with port 8448." in text or "VirtualHost of example.org with port 8448." in text
        assert "of matrix.example.org." not in text
        assert "of matrix.example.org." in advised(finding("not_matrix"))[proxy]["place"]
    for proxy in ("nginx", "apache"):
        lines = advised(finding("certificate_wrong_name"), site="fed.example.org:8448")[proxy]["lines"]
        assert "/live/fed.example.org/fullchain.pem" in lines
    assert advised(finding("not_matrix"), site="matrix.example.org") == advised(finding("not_matrix"))


def test_the_file_for_servers_names_the_public_url_and_not_the_site() -> None:
    for name in ("well_known_invalid", "public_url_differs"):
        assert advised(finding(name), site=SERVERS) == advised(finding(name))
    assert (
        '"m.server": "matrix.example.org:443"' in advised(finding("well_known_invalid"), site=SERVERS)["nginx"]["lines"]
    )


def test_other_servers_can_be_sent_elsewhere() -> None:
    other = 'https://example.org/.well-known/matrix/server answer {"m.server": "matrix.example.org:443"}'
    for name in ("not_matrix", "path_not_forwarded", "tls_failed", "proxy_error"):
        assert other in advised(finding(name), site=SERVERS)["nginx"]["place"]
    assert "well-known" not in advised(finding("path_decoded"), site=SERVERS)["nginx"]["place"]
    assert "well-known" not in advised(finding("not_matrix"), site="fed.example.org")["nginx"]["place"]
    assert "well-known" not in advised(finding("not_matrix"), SERVERS, SERVERS)["nginx"]["place"]
    assert "well-known" not in advised(finding("not_matrix"))["nginx"]["place"]


@pytest.mark.parametrize("host", ["192.0.2.1", "[2001:db8::1]"])
def test_an_address_gets_no_certificate_but_a_name(host: str) -> None:
    lines = advised(finding("certificate_wrong_name"), site=f"{host}:8448")["nginx"]["lines"]
    assert '"m.server": "matrix.example.org:443"' in lines
    assert "m.homeserver" not in lines
    assert "ssl_certificate" not in lines


def test_a_redirect_to_https_is_right() -> None:
    request = "GET http://matrix.example.org/_matrix/client/versions"
    same = "301 Location: https://matrix.example.org/_matrix/client/versions <html>"
    assert advised(finding("redirected", request=request, answer=same)) == {}
    assert advised(finding("redirected", request=request, answer="301 Location: https://other.example.org/")) != {}
    assert advised(finding("redirected", answer=same)) != {}

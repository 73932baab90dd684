# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The lines for nginx."""

from __future__ import annotations

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.advice.correction import (
    ACCESS,
    AUTHENTICATION,
    CHARACTER_RULE,
    CLIENT,
    CLIENT_CERTIFICATE,
    FORWARDED,
    READ_TIMEOUT,
    TLS_REFUSED,
    Correction,
    Wanted,
    size,
)

_LOCATION = "In the location that forwards to Synapse."
# Of each list of the server block, nginx ignores all of it for a location that has one of its own.
_HEADERS = (
    "Next to the other proxy_set_header: in the location that forwards to Synapse if they are there, otherwise in the"
    " server block."
)
_PROTOCOLS = "ssl_protocols TLSv1.2 TLSv1.3;"
_CORS = ("Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers")


def corrections(wanted: Wanted) -> dict[str, Correction]:
    """Return the corrections of what nginx can cause, see `by_finding` for their names."""
    server = f"In the server block of {wanted.named}."
    return {
        **_of_paths(wanted, server),
        **_of_headers(),
        **_of_limits(wanted, server),
        **_of_the_server(wanted, server),
        **_of_tls(wanted, server),
    }


def _backend(wanted: Wanted) -> str:
    return f"http://unix:{wanted.unix_socket}" if wanted.unix_socket else wanted.backend_url


def _of_paths(wanted: Wanted, server: str) -> dict[str, Correction]:
    # With a URI, even a single slash, or after a rewrite, nginx sends the path decoded and normalised.
    untouched = f"proxy_pass {_backend(wanted)};"
    # The first regular expression that matches wins, but not before = and ^~, and all of them come after the server.
    first = (
        f"{server} It must come before every other location. Remove other locations for these paths, and move return,"
        " rewrite and if from the server block into location / {}."
    )
    located = _location(wanted)
    refused = Correction(
        "Remove the rule that refuses encoded characters, of nginx itself or of a filter such as ModSecurity.",
        'if ($request_uri ~* "%2f") {\n    return 403;\n}',
        "",
    )
    return {
        "path_changed": Correction(
            f"{_LOCATION} Remove every rewrite and every variable such as $uri there, and every rewrite in the"
            " server block.",
            f"proxy_pass {_backend(wanted)}{':' if wanted.unix_socket else ''}/;",
            untouched,
        ),
        "path_refused": refused,
        CHARACTER_RULE: refused,
        "errors_replaced": Correction(
            _LOCATION, "proxy_intercept_errors on;\nerror_page 404 /404.html;", "proxy_intercept_errors off;"
        ),
        "not_forwarded": Correction(first, "location /_matrix/client {", located),
        "redirected": Correction(first, "return 301 https://$host$request_uri;", located),
        "wrong_backend": Correction(_LOCATION, "proxy_pass http://127.0.0.1:8009;", untouched),
        AUTHENTICATION: Correction(
            f"{first} If auth_request asks for the password, it must not apply to these paths.",
            'auth_basic "Restricted";',
            _location(wanted, "auth_basic off;"),
        ),
        ACCESS: Correction(
            f"{first} Remove the rule that refuses them, such as deny, return 403 or one of ModSecurity.",
            "deny all;",
            _location(wanted, "allow all;"),
        ),
    }


def _location(wanted: Wanted, more: str = "") -> str:
    line = f"    {more}\n" if more else ""
    return f"""\
location ~ ^({"|".join(FORWARDED)}) {{
{line}    proxy_pass {_backend(wanted)};
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    client_max_body_size {size(wanted.max_upload_size)};
    proxy_read_timeout {READ_TIMEOUT}s;
}}"""


def _of_headers() -> dict[str, Correction]:
    address = "proxy_set_header X-Forwarded-For $remote_addr;"
    scheme = "proxy_set_header X-Forwarded-Proto $scheme;"
    # They let the headers of Synapse pass, also where proxy_hide_header hides them.
    passed = "\n".join(f"proxy_pass_header {name};" for name in _CORS)
    return {
        "authorization_removed": Correction(
            _HEADERS,
            'proxy_set_header Authorization "";',
            "proxy_set_header Authorization $http_authorization;",
        ),
        "host_wrong": Correction(_HEADERS, "proxy_set_header Host $proxy_host;", "proxy_set_header Host $http_host;"),
        "forwarded_for_missing": Correction(_HEADERS, "", address),
        "forwarded_for_spoofable": Correction(
            _HEADERS, "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;", address
        ),
        "forwarded_proto_missing": Correction(_HEADERS, "", scheme),
        "forwarded_proto_wrong": Correction(_HEADERS, "proxy_set_header X-Forwarded-Proto http;", scheme),
        "http_1_0": Correction(_LOCATION, "proxy_http_version 1.0;", "proxy_http_version 1.1;"),
        "cors_missing": Correction(_LOCATION, f"proxy_hide_header {_CORS[0]};", passed),
        "cors_doubled": Correction(
            f"{_LOCATION} Remove every add_header of these names there and in the server block.",
            f"add_header {_CORS[0]} *;",
            passed,
        ),
        "cors_preflight": Correction(
            f"{_LOCATION} Remove the rule that answers requests with the method OPTIONS, there or in the server block.",
            "if ($request_method = OPTIONS) {\n    return 204;\n}",
            passed,
        ),
    }


def _of_limits(wanted: Wanted, server: str) -> dict[str, Correction]:
    return {
        "long_url_refused": Correction(
            "In the http block, outside of all server blocks. Remove it from the server blocks.",
            "large_client_header_buffers 4 2k;",
            "large_client_header_buffers 4 16k;",
        ),
        # Where a request changes the location, as with try_files, the limit of the first one counts.
        "body_limit": Correction(
            f"{server} Remove every smaller client_max_body_size from its locations.",
            "client_max_body_size 1m;",
            f"client_max_body_size {size(wanted.max_upload_size)};",
        ),
        "read_timeout": Correction(_LOCATION, "proxy_read_timeout 10s;", f"proxy_read_timeout {READ_TIMEOUT}s;"),
        "answer_delayed": Correction(_LOCATION, "proxy_buffering on;", "proxy_buffering off;"),
    }


def _of_the_server(wanted: Wanted, server: str) -> dict[str, Correction]:
    return {
        **{
            name: Correction(
                server,
                f"location {path} {{\n    proxy_pass {_backend(wanted)};\n}}",
                f"location ^~ {path} {{\n    return 404;\n}}",
            )
            for name, path in {"admin_api_public": "/_synapse/admin", "metrics_public": "/_synapse/metrics"}.items()
        },
        "health_of_another_server": Correction(
            server, "", f"location = /health {{\n    proxy_pass {_backend(wanted)};\n}}"
        ),
        "well_known": Correction(
            f"In the server block of {wanted.server_host} with port 443. Move return, rewrite and if from the"
            " server block into location / {}.",
            "",
            "\n".join(_well_known(wanted, file) for file in wanted.files),
        ),
        "port_8448_closed": Correction(
            f"In the server block of {wanted.server_host} that has the certificate of this name.",
            "",
            _listen(8448),
        ),
    }


def _listen(port: int) -> str:
    return f"listen {port} ssl;\nlisten [::]:{port} ssl;"


def _of_tls(wanted: Wanted, server: str) -> dict[str, Correction]:
    certificates = f"/etc/letsencrypt/live/{wanted.host}"
    return {
        "tls_failed": Correction(
            f"{server} It also needs ssl_certificate and ssl_certificate_key.",
            f"listen {wanted.port};",
            f"{_listen(wanted.port)}\n{_PROTOCOLS}",
        ),
        TLS_REFUSED: Correction(
            f"{server} Also in the default server of this port, which decides for all. The server also needs"
            " ssl_certificate, ssl_certificate_key and no ssl_reject_handshake.",
            "ssl_protocols TLSv1;",
            _PROTOCOLS,
        ),
        CLIENT_CERTIFICATE: Correction(server, "ssl_verify_client on;", "ssl_verify_client off;"),
        "certificate": Correction(
            f"{server} The file must contain the certificate of the name and all intermediate certificates.",
            f"ssl_certificate {certificates}/cert.pem;\nssl_certificate_key {certificates}/privkey.pem;",
            f"ssl_certificate {certificates}/fullchain.pem;\nssl_certificate_key {certificates}/privkey.pem;",
        ),
    }


def _well_known(wanted: Wanted, file: str) -> str:
    cors = "    add_header Access-Control-Allow-Origin *;\n" if file == CLIENT else ""
    return f"""\
location = /.well-known/matrix/{file} {{
    default_type application/json;
{cors}    return 200 '{wanted.well_known(file)}';
}}"""

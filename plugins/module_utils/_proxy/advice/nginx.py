# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The lines for nginx."""

from __future__ import annotations

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.advice.correction import (
    AUTHENTICATION,
    CERTIFICATE,
    CLIENT,
    FORWARDED,
    NOT_FORWARDED,
    PATH_CHANGED,
    READ_TIMEOUT,
    WELL_KNOWN,
    WRONG_BACKEND,
    Correction,
    Wanted,
    for_all,
    size,
)

_LOCATION = "In the location that forwards to Synapse."
_CORS = ("Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers")


def corrections(wanted: Wanted) -> dict[str, Correction]:
    """Return the correction for each finding that nginx can cause."""
    return {**_of_paths(wanted), **_of_headers(), **_of_limits(wanted), **_of_the_server(wanted)}


def _of_paths(wanted: Wanted) -> dict[str, Correction]:
    server = f"In the server block of {wanted.public_host}."
    # With a URI, even a single slash, or after a rewrite, nginx sends the path decoded and normalised.
    untouched = f"proxy_pass {wanted.backend_url};"
    return {
        **for_all(
            PATH_CHANGED,
            Correction(
                f"{_LOCATION} Remove every rewrite and every variable such as $uri there.",
                f"proxy_pass {wanted.backend_url}/;",
                untouched,
            ),
        ),
        "path_refused": Correction(
            "Remove the rule that refuses encoded characters, of nginx itself or of a filter such as ModSecurity.",
            'if ($request_uri ~* "%2f") {\n    return 403;\n}',
            "",
        ),
        "errors_replaced": Correction(
            _LOCATION, "proxy_intercept_errors on;\nerror_page 404 /404.html;", "proxy_intercept_errors off;"
        ),
        **for_all(NOT_FORWARDED, Correction(server, "location /_matrix/client {", _location(wanted))),
        "redirected": Correction(server, "return 301 https://$host$request_uri;", _location(wanted)),
        **for_all(WRONG_BACKEND, Correction(_LOCATION, "proxy_pass http://127.0.0.1:8009;", untouched)),
        AUTHENTICATION: Correction(_LOCATION, 'auth_basic "Restricted";', "auth_basic off;"),
    }


def _location(wanted: Wanted) -> str:
    return f"""\
location ~ ^({"|".join(FORWARDED)}) {{
    proxy_pass {wanted.backend_url};
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
            _LOCATION,
            'proxy_set_header Authorization "";',
            "proxy_set_header Authorization $http_authorization;",
        ),
        "host_wrong": Correction(_LOCATION, "proxy_set_header Host $proxy_host;", "proxy_set_header Host $http_host;"),
        "forwarded_for_missing": Correction(_LOCATION, "", address),
        "forwarded_for_spoofable": Correction(
            _LOCATION, "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;", address
        ),
        "forwarded_proto_missing": Correction(_LOCATION, "", scheme),
        "forwarded_proto_wrong": Correction(_LOCATION, "proxy_set_header X-Forwarded-Proto http;", scheme),
        "http_1_0": Correction(_LOCATION, "proxy_http_version 1.0;", "proxy_http_version 1.1;"),
        "cors_missing": Correction(_LOCATION, f"proxy_hide_header {_CORS[0]};", passed),
        "cors_doubled": Correction(_LOCATION, f"add_header {_CORS[0]} *;", passed),
        "cors_preflight": Correction(_LOCATION, "if ($request_method = OPTIONS) {\n    return 204;\n}", passed),
    }


def _of_limits(wanted: Wanted) -> dict[str, Correction]:
    return {
        "long_url_refused": Correction(
            "In the http block, outside of all server blocks.",
            "large_client_header_buffers 4 2k;",
            "large_client_header_buffers 4 16k;",
        ),
        "body_limit": Correction(
            _LOCATION, "client_max_body_size 1m;", f"client_max_body_size {size(wanted.max_upload_size)};"
        ),
        "read_timeout": Correction(_LOCATION, "proxy_read_timeout 10s;", f"proxy_read_timeout {READ_TIMEOUT}s;"),
        "answer_delayed": Correction(_LOCATION, "proxy_buffering on;", "proxy_buffering off;"),
    }


def _of_the_server(wanted: Wanted) -> dict[str, Correction]:
    server = f"In the server block of {wanted.public_host}."
    certificates = f"/etc/letsencrypt/live/{wanted.public_host}"
    return {
        **{
            name: Correction(
                server,
                f"location {path} {{\n    proxy_pass {wanted.backend_url};\n}}",
                f"location ^~ {path} {{\n    return 404;\n}}",
            )
            for name, path in {"admin_api_public": "/_synapse/admin", "metrics_public": "/_synapse/metrics"}.items()
        },
        "health_of_another_server": Correction(
            server, "", f"location = /health {{\n    proxy_pass {wanted.backend_url};\n}}"
        ),
        **for_all(
            WELL_KNOWN,
            Correction(
                f"In the server block of {wanted.server_host} with port 443.",
                "",
                "\n".join(_well_known(wanted, file) for file in wanted.files),
            ),
        ),
        "port_8448_closed": Correction(
            f"In the server block of {wanted.server_host} that has the certificate of this name.",
            "",
            "listen 8448 ssl;\nlisten [::]:8448 ssl;",
        ),
        **for_all(
            CERTIFICATE,
            Correction(
                f"{server} The file must contain the certificate of the name and all intermediate certificates.",
                f"ssl_certificate {certificates}/cert.pem;\nssl_certificate_key {certificates}/privkey.pem;",
                f"ssl_certificate {certificates}/fullchain.pem;\nssl_certificate_key {certificates}/privkey.pem;",
            ),
        ),
    }


def _well_known(wanted: Wanted, file: str) -> str:
    cors = "    add_header Access-Control-Allow-Origin *;\n" if file == CLIENT else ""
    return f"""\
location = /.well-known/matrix/{file} {{
    default_type application/json;
{cors}    return 200 '{wanted.well_known(file)}';
}}"""

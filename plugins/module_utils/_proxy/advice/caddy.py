# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The lines for Caddy 2.6 and newer, in a Caddyfile."""

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
)

_PROXY = "In the block of reverse_proxy."
_GLOBAL = "In the block of global options at the beginning of the Caddyfile."
_ORIGIN = "Access-Control-Allow-Origin"


def corrections(wanted: Wanted) -> dict[str, Correction]:
    """Return the correction for each finding that Caddy can cause."""
    site = f"In the site block of {wanted.public_host}."
    return {
        **_of_paths(wanted, site),
        **_of_headers(site, _handled(wanted)),
        **_of_limits(wanted, site),
        **_of_the_site(wanted, site),
    }


def _upstream(wanted: Wanted) -> str:
    return wanted.backend_url if wanted.scheme == "https" else wanted.address


def _handled(wanted: Wanted) -> str:
    """Return the blocks that forward. Unlike a bare reverse_proxy, they also come before a handle without a path."""
    return "\n".join(f"handle {path}/* {{\n\treverse_proxy {_upstream(wanted)}\n}}" for path in FORWARDED)


def _of_paths(wanted: Wanted, site: str) -> dict[str, Correction]:
    handled = _handled(wanted)
    return {
        **for_all(
            PATH_CHANGED,
            Correction(
                f"{site} Remove every uri, rewrite and handle_path for these paths.",
                f"handle_path /_matrix/* {{\n\treverse_proxy {_upstream(wanted)}\n}}",
                handled,
            ),
        ),
        "path_refused": Correction(site, "@encoded path_regexp %2[fF]\nrespond @encoded 400", handled),
        "errors_replaced": Correction(
            f"{_PROXY} Remove the handle_response.",
            "@error status 4xx\nhandle_response @error {\n\trespond 404\n}",
            "",
        ),
        **for_all(NOT_FORWARDED, Correction(site, f"reverse_proxy /_matrix/client/* {_upstream(wanted)}", handled)),
        "redirected": Correction(site, f"redir https://{wanted.public_name}{{uri}}", handled),
        **for_all(WRONG_BACKEND, Correction(site, "reverse_proxy /_matrix/* 127.0.0.1:8009", handled)),
        AUTHENTICATION: Correction(f"{site} Remove the directive.", "basicauth", ""),
        "authorization_removed": Correction(f"{_PROXY} Remove the line.", "header_up -Authorization", ""),
    }


def _of_headers(site: str, handled: str) -> dict[str, Correction]:
    address = "header_up X-Forwarded-For {remote_host}"
    scheme = "header_up X-Forwarded-Proto {scheme}"
    return {
        "host_wrong": Correction(_PROXY, "header_up Host {upstream_hostport}", "header_up Host {hostport}"),
        "forwarded_for_missing": Correction(_PROXY, "header_up -X-Forwarded-For", address),
        "forwarded_for_spoofable": Correction(_PROXY, "trusted_proxies 0.0.0.0/0 ::/0", address),
        "forwarded_proto_missing": Correction(_PROXY, "header_up -X-Forwarded-Proto", scheme),
        "forwarded_proto_wrong": Correction(_PROXY, "header_up X-Forwarded-Proto http", scheme),
        "http_1_0": Correction(_PROXY, "transport http {\n\tkeepalive off\n}", "transport http {\n\tversions 1.1\n}"),
        "cors_missing": Correction(_PROXY, f"header_down -{_ORIGIN}", f"header_down {_ORIGIN} *"),
        # Without defer, the header of Synapse is added to this one.
        "cors_doubled": Correction(site, f"header {_ORIGIN} *", f"header {{\n\t{_ORIGIN} *\n\tdefer\n}}"),
        "cors_preflight": Correction(site, "@options method OPTIONS\nrespond @options 204", handled),
    }


def _of_limits(wanted: Wanted, site: str) -> dict[str, Correction]:
    return {
        "long_url_refused": Correction(
            _GLOBAL, "servers {\n\tmax_header_size 2KB\n}", "servers {\n\tmax_header_size 1MB\n}"
        ),
        "body_limit": Correction(
            site,
            "request_body {\n\tmax_size 1MB\n}",
            f"request_body {{\n\tmax_size {wanted.max_upload_size}\n}}",
        ),
        "read_timeout": Correction(
            _PROXY,
            "transport http {\n\tresponse_header_timeout 10s\n}",
            f"transport http {{\n\tresponse_header_timeout {READ_TIMEOUT}s\n}}",
        ),
        "answer_delayed": Correction(_PROXY, "flush_interval 10s", "flush_interval -1"),
    }


def _of_the_site(wanted: Wanted, site: str) -> dict[str, Correction]:
    certificates = f"/etc/letsencrypt/live/{wanted.public_host}"
    return {
        **{
            name: Correction(
                site,
                f"reverse_proxy {path}/* {_upstream(wanted)}",
                f"handle {path}* {{\n\trespond 404\n}}",
            )
            for name, path in {"admin_api_public": "/_synapse/admin", "metrics_public": "/_synapse/metrics"}.items()
        },
        "health_of_another_server": Correction(site, "", f"handle /health {{\n\treverse_proxy {_upstream(wanted)}\n}}"),
        **for_all(
            WELL_KNOWN,
            Correction(
                f"In the site block of {wanted.server_host}.",
                "",
                "\n".join(_well_known(wanted, file) for file in wanted.files),
            ),
        ),
        "port_8448_closed": Correction(
            "As a site block of its own.",
            "",
            f"{wanted.server_host}:8448 {{\n\treverse_proxy /_matrix/* {_upstream(wanted)}\n}}",
        ),
        **for_all(
            CERTIFICATE,
            Correction(
                f"{site} Caddy then gets the certificate itself.",
                f"tls {certificates}/cert.pem {certificates}/privkey.pem",
                "tls {\n\tissuer acme\n}",
            ),
        ),
    }


def _well_known(wanted: Wanted, file: str) -> str:
    cors = f"\theader {_ORIGIN} *\n" if file == CLIENT else ""
    return f"""\
handle /.well-known/matrix/{file} {{
\theader Content-Type application/json
{cors}\trespond `{wanted.well_known(file)}` 200
}}"""

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The lines for Caddy 2.6 and newer, in a Caddyfile."""

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
)

_PROXY = "In the block of reverse_proxy."
_GLOBAL = "In the block of global options at the beginning of the Caddyfile."
_ORIGIN = "Access-Control-Allow-Origin"
# Wherever they are, Caddy runs most directives before any handle, and only one handle of a block.
_REST = (
    "Move what else is there, such as redir, rewrite, uri, try_files, basicauth, forward_auth and file_server, into a"
    " block handle {} at the end."
)


def corrections(wanted: Wanted) -> dict[str, Correction]:
    """Return the corrections of what Caddy can cause, see `by_finding` for their names."""
    site = f"In the site block of {wanted.named}."
    return {
        **_of_paths(wanted, site),
        **_of_headers(site, _handled(wanted)),
        **_of_limits(wanted, site),
        **_of_the_site(wanted, site),
        **_of_tls(wanted, site),
    }


def _upstream(wanted: Wanted) -> str:
    if wanted.unix_socket:
        return f"unix/{wanted.unix_socket}"
    return wanted.backend_url if wanted.scheme == "https" else wanted.address


def _handled(wanted: Wanted) -> str:
    """Return the blocks that forward. Unlike a bare reverse_proxy, they also come before a handle without a path."""
    return "\n".join(f"handle {path}/* {{\n\treverse_proxy {_upstream(wanted)}\n}}" for path in FORWARDED)


def _of_paths(wanted: Wanted, site: str) -> dict[str, Correction]:
    handled = _handled(wanted)
    rest = f"{site} {_REST}"
    refused = Correction(
        f"{rest} Remove the rule that refuses encoded characters.",
        "@encoded path_regexp %2[fF]\nrespond @encoded 400",
        handled,
    )
    return {
        "path_changed": Correction(
            f"{rest} Remove every uri, rewrite and handle_path for these paths.",
            f"handle_path /_matrix/* {{\n\treverse_proxy {_upstream(wanted)}\n}}",
            handled,
        ),
        "path_refused": refused,
        CHARACTER_RULE: refused,
        "errors_replaced": Correction(
            f"{_PROXY} Remove the handle_response.",
            "@error status 4xx\nhandle_response @error {\n\trespond 404\n}",
            "",
        ),
        "not_forwarded": Correction(rest, f"reverse_proxy /_matrix/client/* {_upstream(wanted)}", handled),
        "redirected": Correction(rest, f"redir https://{wanted.public_name}{{uri}}", handled),
        "wrong_backend": Correction(rest, "reverse_proxy /_matrix/* 127.0.0.1:8009", handled),
        AUTHENTICATION: Correction(rest, "basicauth", handled),
        ACCESS: Correction(
            f"{rest} Remove every respond, error and abort for these paths.",
            "@other not remote_ip private_ranges\nrespond @other 403",
            handled,
        ),
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
        "cors_preflight": Correction(f"{site} {_REST}", "@options method OPTIONS\nrespond @options 204", handled),
    }


def _of_limits(wanted: Wanted, site: str) -> dict[str, Correction]:
    return {
        "long_url_refused": Correction(
            _GLOBAL, "servers {\n\tmax_header_size 2KB\n}", "servers {\n\tmax_header_size 1MB\n}"
        ),
        "body_limit": Correction(
            f"{site} Remove every smaller request_body.",
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
    return {
        **{
            name: Correction(
                site,
                f"reverse_proxy {path}/* {_upstream(wanted)}",
                f"handle {path}* {{\n\trespond 404\n}}",
            )
            for name, path in {"admin_api_public": "/_synapse/admin", "metrics_public": "/_synapse/metrics"}.items()
        },
        "health_of_another_server": Correction(
            f"{site} {_REST}", "", f"handle /health {{\n\treverse_proxy {_upstream(wanted)}\n}}"
        ),
        "well_known": Correction(
            f"In the site block of {wanted.server_host}. {_REST}",
            "",
            "\n".join(_well_known(wanted, file) for file in wanted.files),
        ),
        "port_8448_closed": Correction(
            "As a site block of its own.",
            "",
            _site(wanted, wanted.server_host, 8448),
        ),
    }


def _site(wanted: Wanted, host: str, port: int) -> str:
    forwarded = "\n".join(f"\treverse_proxy {path}/* {_upstream(wanted)}" for path in FORWARDED)
    return f"{host}:{port} {{\n{forwarded}\n}}"


def _of_tls(wanted: Wanted, site: str) -> dict[str, Correction]:
    certificates = f"/etc/letsencrypt/live/{wanted.host}"
    return {
        **dict.fromkeys(
            ("tls_failed", TLS_REFUSED),
            Correction(
                "The address of the site block must have the name, this port and no http://. If its block has other"
                " directives, keep them. Remove the global auto_https off, and client_auth and protocols from tls.",
                f"http://{_site(wanted, wanted.host, wanted.port)}",
                _site(wanted, wanted.host, wanted.port),
            ),
        ),
        CLIENT_CERTIFICATE: Correction(
            f"{site} Remove the client_auth from tls.",
            "tls {\n\tclient_auth {\n\t\tmode require_and_verify\n\t}\n}",
            "",
        ),
        "certificate": Correction(
            f"{site} Caddy then gets the certificate itself.",
            f"tls {certificates}/cert.pem {certificates}/privkey.pem",
            "tls {\n\tissuer acme\n}",
        ),
    }


def _well_known(wanted: Wanted, file: str) -> str:
    cors = f"\theader {_ORIGIN} *\n" if file == CLIENT else ""
    return f"""\
handle /.well-known/matrix/{file} {{
\theader Content-Type application/json
{cors}\trespond `{wanted.well_known(file)}` 200
}}"""

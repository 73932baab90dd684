# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The lines for HAProxy 2.4 and newer."""

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

_FRONTEND = "In the frontend."
_EITHER = "In the frontend or in the backend, in place of the other line."
# Wherever they are, HAProxy obeys each http-request before any use_backend.
_FIRST = (
    "After the lines that set headers, and before every other http-request and use_backend. Move rules that refuse or"
    " redirect from the backend into the frontend."
)
_ORIGIN = "Access-Control-Allow-Origin"


def corrections(wanted: Wanted) -> dict[str, Correction]:
    """Return the corrections of what HAProxy can cause, see `by_finding` for their names.

    HAProxy changes no path by itself, so most of them only remove a line.
    """
    return {
        **_of_paths(wanted),
        **_of_headers(),
        **_of_limits(),
        **_of_the_frontend(wanted),
        **_of_tls(wanted),
    }


def _of_paths(wanted: Wanted) -> dict[str, Correction]:
    usual = {
        "path_decoded": "http-request set-path %[path,url_dec]",
        "path_encoded_twice": "http-request set-path %[path,url_enc]",
        "path_merged": "http-request normalize-uri path-merge-slashes",
        "path_slash_removed": "http-request replace-path (.*)/ \\1",
        "path_slash_added": "http-request replace-path (.*[^/])$ \\1/",
        "path_rewritten": "http-request replace-path /_matrix(/.*) \\1",
        "query_changed": "http-request normalize-uri query-sort-by-name",
        "query_cut": "http-request set-uri %[path]",
        "signature_broken": "http-request set-path %[path,url_dec]",
    }
    # The backend of the other lines may have any name. This one is that of the guide.
    forwarded = f"{_acl()}\nhttp-request allow if matrix\nuse_backend synapse if matrix"
    first = f"{_FRONTEND} {_FIRST}"
    refused = Correction(
        "Remove the rule that refuses encoded characters.", "http-request deny if { path_sub -i %2f }", ""
    )
    return {
        **{
            name: Correction(
                "Remove every http-request with set-path, set-uri, set-query, replace-path, replace-uri and "
                "normalize-uri for these paths, from the frontend and from the backend.",
                line,
                "",
            )
            for name, line in usual.items()
        },
        "path_refused": refused,
        CHARACTER_RULE: refused,
        "errors_replaced": Correction(
            "Remove every http-response return for these paths, from the frontend and from the backend.",
            "http-response return status 404 default-errorfiles if { status 404 }",
            "",
        ),
        "not_forwarded": Correction(first, "acl matrix path_beg /_matrix/client", forwarded),
        "redirected": Correction(first, "http-request redirect scheme https", forwarded),
        "wrong_backend": Correction(
            "In the backend.", "server synapse 127.0.0.1:8009", f"server synapse {_server(wanted)}"
        ),
        AUTHENTICATION: Correction(first, "http-request auth", forwarded),
        ACCESS: Correction(first, "http-request deny unless { src 192.0.2.0/24 }", forwarded),
        "authorization_removed": Correction(
            "Remove this line from the frontend or from the backend.", "http-request del-header Authorization", ""
        ),
    }


def _acl() -> str:
    return f"acl matrix path_beg {' '.join(FORWARDED)}"


def _server(wanted: Wanted) -> str:
    if wanted.unix_socket:
        return f"unix@{wanted.unix_socket}"
    tls = " ssl verify required ca-file @system-ca" if wanted.scheme == "https" else ""
    return f"{wanted.address}{tls}"


def _of_headers() -> dict[str, Correction]:
    address = "http-request set-header X-Forwarded-For %[src]"
    scheme = "http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]"
    origin = f"http-response set-header {_ORIGIN} *"
    return {
        "host_wrong": Correction(
            _EITHER, "http-request set-header Host localhost", "http-request set-header Host %[req.hdr(host)]"
        ),
        "forwarded_for_missing": Correction(_FRONTEND, "", address),
        "forwarded_for_spoofable": Correction(_FRONTEND, "option forwardfor", address),
        "forwarded_proto_missing": Correction(_FRONTEND, "", scheme),
        "forwarded_proto_wrong": Correction(_FRONTEND, "http-request set-header X-Forwarded-Proto http", scheme),
        "cors_missing": Correction(_EITHER, f"http-response del-header {_ORIGIN}", origin),
        "cors_doubled": Correction(_EITHER, f"http-response add-header {_ORIGIN} *", origin),
        "cors_preflight": Correction(
            "Remove the rule that answers requests with the method OPTIONS.",
            "http-request return status 204 if METH_OPTIONS",
            "",
        ),
    }


def _of_limits() -> dict[str, Correction]:
    return {
        "long_url_refused": Correction("In the section global.", "tune.bufsize 4096", "tune.bufsize 32768"),
        # HAProxy has no limit of its own.
        "body_limit": Correction(
            "Remove the rule for these paths, from the frontend or from the backend.",
            "http-request deny deny_status 413 if { req.hdr_val(content-length) gt 1048576 }",
            "",
        ),
        "read_timeout": Correction(
            "In the backend, or in the section defaults.", "timeout server 10s", f"timeout server {READ_TIMEOUT}s"
        ),
        "answer_delayed": Correction(
            "In the frontend, in the backend, or in the section defaults.",
            "option http-buffer-request",
            "no option http-buffer-request",
        ),
    }


def _of_the_frontend(wanted: Wanted) -> dict[str, Correction]:
    return {
        **{
            name: Correction(
                f"{_FRONTEND} Before every http-request allow.",
                f"acl matrix path_beg {' '.join((*FORWARDED, path))}",
                f"{_acl()}\n"
                # Decoded, because Synapse decodes the path too: %61dmin is the same as admin.
                f"http-request deny deny_status 404 if {{ path,url_dec -m reg ^/+_synapse/+{name.partition('_')[0]} }}",
            )
            for name, path in {"admin_api_public": "/_synapse/admin", "metrics_public": "/_synapse/metrics"}.items()
        },
        "health_of_another_server": Correction(
            f"{_FRONTEND} {_FIRST}",
            "",
            "http-request allow if { path /health }\nuse_backend synapse if { path /health }",
        ),
        "well_known": Correction(
            f"In the frontend of {wanted.server_host} with port 443. Before every other http-request.",
            "",
            "\n".join(_well_known(wanted, name) for name in wanted.files),
        ),
        "port_8448_closed": Correction(
            f"{_FRONTEND} The file must contain the certificate of {wanted.server_host}, its chain and the key.",
            "",
            f"bind :::8448 v4v6 ssl crt /etc/haproxy/certs/{wanted.server_host}.pem",
        ),
    }


def _of_tls(wanted: Wanted) -> dict[str, Correction]:
    file = f"/etc/haproxy/certs/{wanted.host}.pem"
    bind = f"bind :::{wanted.port} v4v6"
    secured = f"{bind} ssl crt {file}"
    return {
        **dict.fromkeys(
            ("tls_failed", TLS_REFUSED),
            Correction(
                f"{_FRONTEND} The file must contain the certificate of {wanted.host}, its chain and the key. Keep"
                " neither verify nor ssl-max-ver in the line.",
                bind,
                f"{secured} ssl-min-ver TLSv1.2",
            ),
        ),
        CLIENT_CERTIFICATE: Correction(
            f"{_FRONTEND} Remove verify and ca-file from the line.",
            f"{secured} verify required ca-file /etc/haproxy/clients.pem",
            secured,
        ),
        "certificate": Correction(
            f"{_FRONTEND} The file must contain the certificate of the name, all intermediate certificates and "
            "the key, in this order.",
            secured,
            secured,
        ),
    }


def _well_known(wanted: Wanted, file: str) -> str:
    cors = f"hdr {_ORIGIN} * " if file == CLIENT else ""
    path = f"/.well-known/matrix/{file}"
    return (
        f"http-request return status 200 content-type application/json {cors}"
        f"string '{wanted.well_known(file)}' if {{ path {path} }}"
    )

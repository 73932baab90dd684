# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mistakes in the configuration of Caddy, and what real runs have shown of them."""

from __future__ import annotations

from ansible_collections.matrix_ops.synapse.tests.contract.proxy_configurations import BLOCK
from ansible_collections.matrix_ops.synapse.tests.contract.wrong_configuration import ONE, ORIGIN, TWO, rows

CADDY = rows(
    "caddy",
    (
        "path_rewritten",
        BLOCK,
        "handle_path /_matrix/* {\nreverse_proxy {backend}\n}",
        "/_matrix/client//v3/x arrives as /client/v3/x: Synapse answers with a page, 404",
    ),
    (
        "path_slash_removed",
        ONE,
        "uri strip_suffix /",
        "/_matrix/client/versions/ is answered with 200; // arrives as / too",
        (),
        ("path_merged",),
    ),
    (
        "path_decoded",
        ONE,
        "uri replace %2F /",
        "event/%24a%2Fb arrives as event/%24a/b, the same in a query; // as /",
        (),
        ("query_changed",),
    ),
    ("path_merged", ONE, "uri path_regexp //+ /", "/_matrix/client//versions is answered with 200"),
    (
        "errors_replaced",
        TWO,
        "@error status 401 404\nhandle_response @error {\nrespond error {rp.status_code}\n}",
        "Caddy answers 401 and 404 with this text: the status is that of Synapse",
    ),
    (
        "errors_replaced",
        TWO,
        "@error status 4xx\nhandle_response @error {\nrespond 404\n}",
        "Caddy answers 404 without a body to all errors of Synapse: only the log shows that requests arrive",
    ),
    ("query_cut", ONE, "rewrite * {path}?", "no query arrives"),
    ("authorization_removed", TWO, "header_up -Authorization", "the header Authorization does not arrive"),
    ("forwarded_for_missing", TWO, "header_up -X-Forwarded-For", "no X-Forwarded-For arrives"),
    (
        "forwarded_for_spoofable",
        TWO,
        "trusted_proxies private_ranges",
        "1.2.3.4 of a client in a private network arrives as 1.2.3.4, 127.0.0.77",
    ),
    ("forwarded_proto_wrong", TWO, "header_up X-Forwarded-Proto http", "http arrives as X-Forwarded-Proto"),
    ("host_wrong", TWO, "header_up Host {upstream_hostport}", "the address of Synapse arrives as Host"),
    ("forwarded_proto_missing", TWO, "header_up -X-Forwarded-Proto", "no X-Forwarded-Proto arrives"),
    (
        "body_limit",
        ONE,
        "request_body {\nmax_size 1MB\n}",
        "Caddy 2.6 answers 502 without a body, after it has read as much as it allows",
    ),
    (
        "read_timeout",
        TWO,
        "transport http {\nresponse_header_timeout 1s\n}",
        "Caddy answers 504 without a body after 1 s",
    ),
    ("cors_doubled", ONE, f"header {ORIGIN} *", "the answers of GET and OPTIONS have the header twice"),
    ("cors_missing", TWO, f"header_down -{ORIGIN}", "no answer has the header"),
    (
        "cors_preflight",
        ONE,
        "@options method OPTIONS\nhandle @options {\nrespond 405\n}",
        "Caddy answers 405 to OPTIONS; outside of a handle, respond comes too late",
    ),
    (
        "admin_api_public",
        ONE,
        "handle /_synapse/admin/* {\nreverse_proxy {backend}\n}",
        "Synapse answers 200 to /_synapse/admin/v1/server_version",
    ),
)

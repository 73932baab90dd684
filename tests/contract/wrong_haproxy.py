# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mistakes in the configuration of HAProxy, and what real runs have shown of them."""

from __future__ import annotations

from ansible_collections.matrix_ops.synapse.tests.contract.proxy_configurations import BLOCK
from ansible_collections.matrix_ops.synapse.tests.contract.wrong_configuration import ONE, ORIGIN, TWO, rows

_SET_ADDRESS = "http-request set-header X-Forwarded-For %[src]"

HAPROXY = rows(
    "haproxy",
    (
        "path_decoded",
        TWO,
        "http-request set-path %[path,url_dec]",
        "a%2Fb%3A%21%40%25c arrives as a/b:!@%c: even %25 is decoded. // stays. Synapse answers 400 to a decoded %20",
    ),
    (
        "path_encoded_twice",
        TWO,
        "http-request set-path %[path,regsub(%,%25,g)]",
        "event/%24a%2Fb arrives as event/%2524a%252Fb",
    ),
    (
        "path_merged",
        TWO,
        "http-request normalize-uri path-merge-slashes",
        "/_matrix/client//versions is answered with 200",
    ),
    (
        "path_slash_removed",
        TWO,
        "http-request replace-path (.*)/$ \\1",
        "/_matrix/client/versions/ is answered with 200",
    ),
    (
        "path_rewritten",
        TWO,
        "http-request replace-path /_matrix/(.*) /\\1",
        "/_matrix/client/versions arrives as /client/versions: Synapse answers with a page, 404",
    ),
    ("path_refused", ONE, "http-request deny deny_status 403 if { path -m sub -i %2f }", "HAProxy answers 403"),
    (
        "errors_replaced",
        TWO,
        "http-response return status 404 content-type text/html string <html>404</html> if { status 404 }",
        "HAProxy answers 404 with this page instead of Synapse's JSON",
    ),
    ("path_not_forwarded", BLOCK, "use_backend synapse if { path_beg /_matrix/client }", "404 of HAProxy"),
    ("query_cut", TWO, "http-request set-uri %[path]", "no query arrives"),
    ("query_changed", TWO, "http-request set-query %[query,regsub(%2F,/,g)]", "%2F in a query arrives as /"),
    ("long_url_refused", "# place 3", "tune.bufsize 4096", "HAProxy answers 400 with a page"),
    (
        "authorization_removed",
        TWO,
        "http-request del-header Authorization",
        "the header Authorization does not arrive",
    ),
    (
        "forwarded_for_spoofable",
        _SET_ADDRESS,
        "option forwardfor",
        "1.2.3.4 of the client arrives first, and 127.0.0.77 in a header of its own: Synapse takes the first",
    ),
    ("forwarded_for_missing", _SET_ADDRESS, "http-request del-header X-Forwarded-For", "no X-Forwarded-For arrives"),
    ("host_wrong", TWO, "http-request set-header Host synapse", "synapse arrives as Host"),
    (
        "forwarded_proto_wrong",
        "http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]",
        "http-request set-header X-Forwarded-Proto http",
        "with single sign-on, Synapse redirects to the same URL",
    ),
    (
        "forwarded_proto_missing",
        "http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]",
        "http-request del-header X-Forwarded-Proto",
        "no X-Forwarded-Proto arrives",
    ),
    (
        "body_limit",
        ONE,
        "http-request deny deny_status 413 if { req.hdr_val(content-length) gt 1000000 }",
        "HAProxy answers 413 from the header alone and closes the connection without reading the body",
    ),
    ("read_timeout", "timeout server 600s", "timeout server 1s", "HAProxy answers 504 with a page after 1 s"),
    ("cors_doubled", TWO, f"http-response add-header {ORIGIN} *", "the answers have the header twice"),
    ("cors_missing", TWO, f"http-response del-header {ORIGIN}", "no answer has the header"),
    ("cors_preflight", ONE, "http-request deny deny_status 405 if METH_OPTIONS", "HAProxy answers 405 to OPTIONS"),
    ("admin_api_public", ONE, "use_backend synapse if { path_beg /_synapse/admin }", "Synapse answers 200"),
    (
        "proxy_error",
        "server synapse {backend}",
        "server synapse 127.0.0.1:1",
        "HAProxy answers 503 with a page, after as many seconds as it has retries",
        (("mode http", "mode http\n    retries 0"),),
    ),
)

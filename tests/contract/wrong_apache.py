# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mistakes in the configuration of Apache, and what real runs have shown of them."""

from __future__ import annotations

from ansible_collections.matrix_ops.synapse.tests.contract.proxy_configurations import BLOCK
from ansible_collections.matrix_ops.synapse.tests.contract.wrong_configuration import ONE, ORIGIN, TWO, rows

_NOT_CANONICAL = "AllowEncodedSlashes NoDecode\nMergeSlashes Off\nProxyPass /_matrix http://{backend}/_matrix"
_SET_SCHEME = "RequestHeader set X-Forwarded-Proto expr=%{REQUEST_SCHEME}"
_UNSET_ADDRESS = "RequestHeader unset X-Forwarded-For"

APACHE = rows(
    "apache",
    (
        "path_decoded",
        BLOCK,
        _NOT_CANONICAL,
        "event/%24a%2Fb arrives as event/$a%2Fb; Apache answers 400 with a page to %25c",
    ),
    (
        "path_decoded",
        BLOCK,
        "AllowEncodedSlashes On\nProxyPass /_matrix http://{backend}/_matrix",
        "event/%24a%2Fb arrives as event/$a/b, // as /; %25 stays as it is",
    ),
    (
        "path_decoded",
        ONE,
        "RewriteEngine On\nRewriteRule ^/_matrix/(.*)$ http://{backend}/_matrix/$1 [P]",
        "the same as without nocanon: a rule with P comes before every ProxyPass",
    ),
    (
        "path_refused",
        "AllowEncodedSlashes NoDecode",
        "AllowEncodedSlashes Off",
        "Apache answers 404 with a page to all that has %2F, also with nocanon: it is the default",
    ),
    (
        "path_slash_removed",
        ONE,
        "RewriteEngine On\nRewriteRule ^/(.*)/$ http://{backend}/$1 [P]",
        "/_matrix/client/versions/ is answered with 200; other paths arrive intact",
    ),
    (
        "path_rewritten",
        BLOCK,
        "AllowEncodedSlashes NoDecode\nProxyPass /_matrix http://{backend} nocanon",
        "/_matrix/client/versions arrives as /client/versions: Synapse answers with a page, 404",
    ),
    (
        "path_not_forwarded",
        BLOCK,
        "AllowEncodedSlashes NoDecode\nProxyPass /_matrix/client http://{backend}/_matrix/client nocanon",
        "Apache answers 404 with a page to all other groups",
    ),
    (
        "errors_replaced",
        TWO,
        "ProxyErrorOverride On",
        "Apache answers 401, 404 and 405 with pages of its own: the status is that of Synapse",
    ),
    ("long_url_refused", ONE, "LimitRequestLine 2048", "Apache answers 414 with a page"),
    ("authorization_removed", TWO, "RequestHeader unset Authorization", "the header Authorization does not arrive"),
    (
        "forwarded_for_spoofable",
        _UNSET_ADDRESS,
        "# X-Forwarded-For is not removed",
        "1.2.3.4 of the client arrives as 1.2.3.4, 127.0.0.77: Apache always adds its own",
    ),
    ("forwarded_for_missing", _UNSET_ADDRESS, f"ProxyAddHeaders Off\n{_UNSET_ADDRESS}", "no X-Forwarded-For arrives"),
    (
        "forwarded_proto_wrong",
        _SET_SCHEME,
        "RequestHeader set X-Forwarded-Proto http",
        "with single sign-on, Synapse redirects to the same URL",
    ),
    ("host_wrong", "ProxyPreserveHost On", "ProxyPreserveHost Off", "the address of Synapse arrives as Host"),
    ("forwarded_proto_missing", _SET_SCHEME, "# X-Forwarded-Proto is not set", "no X-Forwarded-Proto arrives"),
    ("http_1_0", TWO, "SetEnv force-proxy-request-1.0 1", "the request arrives as HTTP/1.0"),
    (
        "body_limit",
        ONE,
        'RewriteEngine On\nRewriteCond expr "%{HTTP:Content-Length} -gt 1000000"\nRewriteRule ^ - [R=413,L]',
        "Apache answers 413 with a page; LimitRequestBody has no effect on what is forwarded, tried with 2.4.71",
    ),
    ("read_timeout", "ProxyTimeout 600", "ProxyTimeout 1", "Apache answers 502 with a page after 1 s"),
    ("cors_doubled", TWO, f"Header always set {ORIGIN} *", "the answers of GET and OPTIONS have the header twice"),
    ("cors_missing", TWO, f"Header unset {ORIGIN}", "no answer has the header"),
    (
        "cors_preflight",
        TWO,
        "RewriteEngine On\nRewriteCond %{REQUEST_METHOD} =OPTIONS\nRewriteRule ^ - [R=405,L]",
        "Apache answers 405 to OPTIONS, without the header",
    ),
    ("admin_api_public", ONE, "ProxyPass /_synapse/admin http://{backend}/_synapse/admin", "Synapse answers 200"),
)

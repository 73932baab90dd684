# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mistakes in the configuration of nginx, and what real runs have shown of them."""

from __future__ import annotations

from ansible_collections.matrix_ops.synapse.tests.contract.proxy_configurations import BLOCK
from ansible_collections.matrix_ops.synapse.tests.contract.wrong_configuration import ONE, ORIGIN, TWO, rows

_LOCATION = "location ~ ^(/_matrix|/_synapse/client) {"
# Where the well-known files are forwarded is another proxy_pass.
_PASS = f"{TWO}\n            proxy_pass http://{{backend}};"
_ADDRESS = "proxy_set_header X-Forwarded-For $remote_addr;"
_SCHEME = "proxy_set_header X-Forwarded-Proto $scheme;"
_FILE = "location = /.well-known/matrix"
_JSON = "default_type application/json;"
_ERROR_PAGE = 'location @page { default_type text/html; return 200 "<html>error</html>"; }'

NGINX = rows(
    "nginx",
    (
        "path_decoded",
        _PASS,
        "proxy_pass http://{backend}/;",
        "event/%24a%2Fb arrives as event/$a/b, // as /; %25 stays as it is",
        ((_LOCATION, "location / {"),),
    ),
    (
        "path_decoded",
        _PASS,
        "proxy_pass http://{backend}/_matrix;",
        "the same as with a slash alone",
        ((_LOCATION, "location /_matrix {"),),
    ),
    (
        "path_decoded",
        _PASS,
        "proxy_pass http://{backend}$uri$is_args$args;",
        "a%2Fb%3A%21%40%25c arrives as a/b:!@%c, // as /: even %25 is decoded. Synapse answers 400 to a decoded %20",
    ),
    (
        "path_encoded_twice",
        _PASS,
        "rewrite ^ $request_uri break; proxy_pass http://{backend};",
        "event/%24a%2Fb arrives as event/%2524a%252Fb, and a query a second time, as a part of the path",
        (),
        ("path_rewritten",),
    ),
    (
        "path_slash_removed",
        _PASS,
        "rewrite ^(.*)/$ $1 break; proxy_pass http://{backend};",
        "/_matrix/client/versions/ is answered with 200; other paths arrive intact",
    ),
    (
        "path_rewritten",
        _PASS,
        "proxy_pass http://{backend}/;",
        "/_matrix/client/versions arrives as /client/versions, decoded: Synapse answers with a page, 404",
        ((_LOCATION, "location /_matrix/ {"),),
    ),
    (
        "path_refused",
        TWO,
        'if ($request_uri ~* "^[^?]*%2f") { return 403; }',
        "nginx answers 403 with a page to all paths with %2F",
    ),
    (
        "path_refused",
        TWO,
        'if ($request_uri ~* "%2f") { return 403; }',
        "nginx answers 403 with a page to all paths and queries with %2F",
    ),
    (
        "errors_replaced",
        TWO,
        "proxy_intercept_errors on; error_page 404 /404.html;",
        "nginx answers 404 with a page of its own instead of Synapse's JSON; 401 of the federation passes",
    ),
    (
        "errors_replaced",
        TWO,
        "proxy_intercept_errors on; error_page 400 401 403 404 405 @page;",
        "nginx answers 401, 404 and 405 with this page: the status is that of Synapse, also with return 200",
        ((ONE, _ERROR_PAGE),),
    ),
    (
        "errors_replaced",
        TWO,
        "proxy_intercept_errors on; error_page 404 =200 @page;",
        "nginx answers 200 with this page to what Synapse answers with 404: only the log shows that it arrived",
        ((ONE, _ERROR_PAGE),),
    ),
    (
        "path_not_forwarded",
        BLOCK,
        "location /_matrix/client { proxy_pass http://{backend}; proxy_set_header X-Forwarded-For $remote_addr; }",
        "nginx answers 404 with a page to all other groups",
    ),
    (
        "long_url_refused",
        ONE,
        "large_client_header_buffers 4 2k;",
        "nginx answers 414 with a page to a URL of 6000 characters",
    ),
    (
        "authorization_removed",
        TWO,
        'proxy_set_header Authorization "";',
        "the header Authorization does not arrive",
    ),
    ("forwarded_for_missing", _ADDRESS, 'proxy_set_header X-Forwarded-For "";', "no X-Forwarded-For arrives"),
    (
        "forwarded_for_spoofable",
        _ADDRESS,
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        "1.2.3.4 of the client arrives as 1.2.3.4, 127.0.0.77",
    ),
    (
        "forwarded_for_missing",
        _ADDRESS,
        "# X-Forwarded-For is not set",
        "1.2.3.4 of the client arrives as 1.2.3.4; without one of the client none arrives",
    ),
    (
        "forwarded_proto_wrong",
        _SCHEME,
        "proxy_set_header X-Forwarded-Proto http;",
        "with single sign-on, Synapse redirects to the same URL",
    ),
    (
        "host_wrong",
        "proxy_set_header Host $http_host;",
        "proxy_set_header Host $proxy_host;",
        "the address of Synapse arrives as Host: with single sign-on, Synapse redirects to the same URL",
    ),
    ("forwarded_proto_missing", _SCHEME, 'proxy_set_header X-Forwarded-Proto "";', "no X-Forwarded-Proto arrives"),
    ("http_1_0", "proxy_http_version 1.1;", "proxy_http_version 1.0;", "the request arrives as HTTP/1.0"),
    (
        "body_limit",
        "client_max_body_size 50M;",
        "client_max_body_size 1m;",
        "nginx answers 413 with a page from the header alone",
    ),
    ("read_timeout", "proxy_read_timeout 600s;", "proxy_read_timeout 1s;", "nginx answers 504 after 1 s"),
    ("cors_doubled", TWO, f"add_header {ORIGIN} *;", "the answers of GET and OPTIONS have the header twice"),
    ("cors_missing", TWO, f"proxy_hide_header {ORIGIN};", "no answer has the header"),
    (
        "cors_preflight",
        TWO,
        "if ($request_method = OPTIONS) { return 405; }",
        "nginx answers 405 to OPTIONS, without the header",
    ),
    (
        "admin_api_public",
        ONE,
        "location /_synapse/admin { proxy_pass http://{backend}; }",
        "Synapse answers 200 to /_synapse/admin/v1/server_version",
    ),
    (
        "metrics_public",
        ONE,
        "location /_synapse/metrics { proxy_pass http://{backend}; }",
        "Synapse answers 200 with its metrics",
    ),
    (
        "health_of_another_server",
        ONE,
        "location = /health { return 200 fine; }",
        "nginx answers 200, also if Synapse does not run",
    ),
    (
        "redirect_loop",
        BLOCK,
        "location /_matrix { return 301 $scheme://$http_host$request_uri; }",
        "nginx answers 301 to the same URL",
    ),
    (
        "not_matrix",
        BLOCK,
        'location / { default_type text/html; return 200 "<html>This domain is for sale.</html>"; }',
        "nginx answers 200 with a page to everything",
    ),
    ("proxy_error", _PASS, "proxy_pass http://127.0.0.1:1;", "nginx answers 502 with a page"),
    (
        "well_known_invalid",
        ONE,
        f'{_FILE}/server {{ {_JSON} return 200 \'{{"m.server": "https://{{name}}"}}\'; }}',
        "other servers do not accept a URL as a server name",
    ),
    (
        "well_known_content_type",
        ONE,
        f'{_FILE}/server {{ default_type text/plain; return 200 \'{{"m.server": "{{name}}:443"}}\'; }}',
        "the JSON arrives as text/plain",
    ),
    (
        "well_known_cors",
        ONE,
        f'{_FILE}/client {{ {_JSON} return 200 \'{{"m.homeserver": {{"base_url": "https://{{name}}"}}}}\'; }}',
        "browsers do not give the answer to web clients without the header",
    ),
    (
        "well_known_redirect",
        ONE,
        f"{_FILE}/server {{ return 301 http://{{name}}/; }}",
        "other servers do not follow a redirect to http",
    ),
)

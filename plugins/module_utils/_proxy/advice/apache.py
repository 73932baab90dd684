# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The lines for Apache 2.4, with its modules proxy, proxy_http, headers, rewrite and ssl."""

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

_PROTOCOLS = "SSLProtocol -all +TLSv1.2 +TLSv1.3"
_PROTO = "RequestHeader set X-Forwarded-Proto expr=%{REQUEST_SCHEME}"
# Apache always appends the address of the client to this header, so that nothing may be left in it.
_ADDRESS = "ProxyAddHeaders On\nRequestHeader unset X-Forwarded-For"
_ORIGIN = "Access-Control-Allow-Origin"
_MATRIX = f"^({'|'.join(FORWARDED)})(/|$)"
_FIRST = "These lines must come before any other ProxyPass and any other RewriteRule."


def _untouched(pattern: str) -> str:
    """Return the lines that keep paths from later rules. Wherever they are, rules come before each ProxyPass."""
    return f"<IfModule rewrite_module>\n    RewriteEngine On\n    RewriteRule {pattern} - [END]\n</IfModule>"


_UNTOUCHED = _untouched(_MATRIX)


def corrections(wanted: Wanted) -> dict[str, Correction]:
    """Return the corrections of what Apache can cause, see `by_finding` for their names."""
    host = f"In the VirtualHost of {wanted.named}."
    return {
        **_of_paths(wanted, host),
        **_of_access(wanted, host),
        **_of_headers(host),
        **_of_limits(wanted, host),
        **_of_the_host(wanted, host),
        **_of_tls(wanted, host),
    }


def _backend(wanted: Wanted) -> str:
    return f"unix:{wanted.unix_socket}|http://localhost" if wanted.unix_socket else wanted.backend_url


def _of_paths(wanted: Wanted, host: str) -> dict[str, Correction]:
    example = f"ProxyPass /_matrix {_backend(wanted)}/_matrix"
    forwarded = f"AllowEncodedSlashes NoDecode\nMergeSlashes Off\n{_passed(wanted)}"
    first = f"{host} {_FIRST}"
    return {
        "path_changed": Correction(first, example, forwarded),
        "path_refused": Correction(
            f"{host} A VirtualHost does not inherit it.", "AllowEncodedSlashes Off", "AllowEncodedSlashes NoDecode"
        ),
        CHARACTER_RULE: Correction(
            f"{host} These lines must come before any other RewriteRule. Remove other rules that refuse encoded"
            " characters, such as one of ModSecurity.",
            "RewriteCond %{THE_REQUEST} %2f [NC]\nRewriteRule ^ - [F]",
            f"AllowEncodedSlashes NoDecode\n{_UNTOUCHED}",
        ),
        "errors_replaced": Correction(
            f"{host} Remove it from each Location.", "ProxyErrorOverride On", "ProxyErrorOverride Off"
        ),
        "not_forwarded": Correction(first, f"{example}/client nocanon", forwarded),
        "redirected": Correction(first, f"Redirect permanent / https://{wanted.public_name}/", forwarded),
        "wrong_backend": Correction(first, "ProxyPass /_matrix http://127.0.0.1:8009/_matrix nocanon", _passed(wanted)),
        "answer_delayed": Correction(first, f"{example} nocanon", _passed(wanted, "flushpackets=on")),
    }


def _of_access(wanted: Wanted, host: str) -> dict[str, Correction]:
    place = (
        f"{host} {_FIRST} Only the LocationMatch must come after every Location. Remove other rules that refuse these"
        " paths, such as one of ModSecurity."
    )
    lines = (
        f"AllowEncodedSlashes NoDecode\nMergeSlashes Off\n{_passed(wanted)}\n"
        f'<LocationMatch "{_MATRIX}">\n    Require all granted\n</LocationMatch>'
    )
    return {
        AUTHENTICATION: Correction(
            place, '<Location "/">\n    AuthType Basic\n    Require valid-user\n</Location>', lines
        ),
        ACCESS: Correction(place, '<Location "/_matrix">\n    Require ip 192.0.2.0/24\n</Location>', lines),
    }


def _passed(wanted: Wanted, options: str = "") -> str:
    """Return the lines that forward, also where another RewriteRule follows."""
    return f"{_UNTOUCHED}\n{_proxied(wanted, options)}"


def _proxied(wanted: Wanted, options: str = "") -> str:
    """Return the lines that forward. Without nocanon, Apache decodes the path and encodes it again in its own way."""
    words = f"nocanon {options}".strip()
    passed = [f"ProxyPass {path} {_backend(wanted)}{path} {words}" for path in FORWARDED]
    return "\n".join([*_tls(wanted), *passed])


def _tls(wanted: Wanted) -> list[str]:
    return ["SSLProxyEngine On"] if wanted.scheme == "https" else []


def _of_headers(host: str) -> dict[str, Correction]:
    return {
        "authorization_removed": Correction(
            f"Remove this line. It is {host[:1].lower()}{host[1:]}", "RequestHeader unset Authorization", ""
        ),
        "host_wrong": Correction(host, "ProxyPreserveHost Off", "ProxyPreserveHost On"),
        "forwarded_for_missing": Correction(host, "ProxyAddHeaders Off", _ADDRESS),
        "forwarded_for_spoofable": Correction(host, "", _ADDRESS),
        "forwarded_proto_missing": Correction(host, "", _PROTO),
        "forwarded_proto_wrong": Correction(host, "RequestHeader set X-Forwarded-Proto http", _PROTO),
        "http_1_0": Correction(host, "SetEnv force-proxy-request-1.0 1", "UnsetEnv force-proxy-request-1.0"),
        "cors_missing": Correction(host, f"Header unset {_ORIGIN}", f'Header setifempty {_ORIGIN} "*"'),
        "cors_doubled": Correction(host, f'Header always set {_ORIGIN} "*"', f"Header always unset {_ORIGIN}"),
        "cors_preflight": Correction(
            f"Remove the rule that answers requests with the method OPTIONS. It is {host[:1].lower()}{host[1:]}",
            "RewriteCond %{REQUEST_METHOD} =OPTIONS\nRewriteRule ^ - [R=204,L]",
            "",
        ),
    }


def _of_limits(wanted: Wanted, host: str) -> dict[str, Correction]:
    return {
        "long_url_refused": Correction(
            "In the first VirtualHost of this address and port.", "LimitRequestLine 2048", "LimitRequestLine 16380"
        ),
        # LimitRequestBody does not apply to what is forwarded, but ModSecurity has a limit of 12.5 MB by default.
        "body_limit": Correction(
            host,
            "<IfModule security2_module>\n    SecRequestBodyLimit 13107200\n</IfModule>",
            "<IfModule security2_module>\n    SecRuleEngine Off\n</IfModule>\n"
            f"LimitRequestBody {wanted.max_upload_size}",
        ),
        "read_timeout": Correction(
            f"{host} Remove timeout= from each ProxyPass.", "ProxyTimeout 10", f"ProxyTimeout {READ_TIMEOUT}"
        ),
    }


def _of_the_host(wanted: Wanted, host: str) -> dict[str, Correction]:
    return {
        **{
            name: Correction(
                f"{host} These lines must come after every other Location.",
                f"ProxyPass {path} {_backend(wanted)}{path}",
                f'<Location "{path}">\n    Require all denied\n</Location>',
            )
            for name, path in {"admin_api_public": "/_synapse/admin", "metrics_public": "/_synapse/metrics"}.items()
        },
        "health_of_another_server": Correction(
            f"{host} {_FIRST}",
            "",
            "\n".join([_untouched("^/health$"), *_tls(wanted), f"ProxyPass /health {_backend(wanted)}/health nocanon"]),
        ),
        "well_known": Correction(
            f"In the VirtualHost of {wanted.server_host} with port 443. These lines must come before any other"
            " RewriteRule.",
            "",
            "\n".join(_well_known(wanted, file) for file in wanted.files),
        ),
        "port_8448_closed": Correction("Outside of every VirtualHost.", "", _port_8448(wanted)),
    }


def _of_tls(wanted: Wanted, host: str) -> dict[str, Correction]:
    return {
        "tls_failed": Correction(
            f"{host} It also needs SSLCertificateFile and SSLCertificateKeyFile.",
            "SSLEngine Off",
            f"SSLEngine On\n{_PROTOCOLS}",
        ),
        # With TLS 1.2, a client without a certificate gets the same answer as one without a common version.
        TLS_REFUSED: Correction(
            f"{host} It also needs SSLCertificateFile and SSLCertificateKeyFile.",
            "SSLProtocol TLSv1\nSSLVerifyClient require",
            f"{_PROTOCOLS}\nSSLVerifyClient none",
        ),
        CLIENT_CERTIFICATE: Correction(
            f"{host} Remove it from each Location.", "SSLVerifyClient require", "SSLVerifyClient none"
        ),
        "certificate": Correction(
            f"{host} The file must contain the certificate of the name and all intermediate certificates.",
            _certificate(wanted.host, "cert"),
            _certificate(wanted.host, "fullchain"),
        ),
    }


def _certificate(name: str, file: str) -> str:
    directory = f"/etc/letsencrypt/live/{name}"
    return f"SSLCertificateFile {directory}/{file}.pem\nSSLCertificateKeyFile {directory}/privkey.pem"


def _well_known(wanted: Wanted, file: str) -> str:
    """Return the lines that serve a file without a file: a document for the status 200 of a path.

    Outside of the Location, the rule comes before a password or another one on who has access.
    """
    cors = f'    Header always set {_ORIGIN} "*"\n' if file == CLIENT else ""
    return f"""\
RewriteEngine On
RewriteRule ^/\\.well-known/matrix/{file}$ - [R=200,L]
<Location "/.well-known/matrix/{file}">
    ErrorDocument 200 '{wanted.well_known(file)}'
    Header always set Content-Type application/json
{cors}</Location>"""


def _port_8448(wanted: Wanted) -> str:
    certificate = "\n".join(f"    {line}" for line in _certificate(wanted.server_host, "fullchain").splitlines())
    passed = "\n".join(f"    {line}" for line in _proxied(wanted).splitlines())
    address = "\n".join(f"    {line}" for line in _ADDRESS.splitlines())
    return f"""\
Listen 8448
<VirtualHost *:8448>
    ServerName {wanted.server_host}
    SSLEngine On
{certificate}
    AllowEncodedSlashes NoDecode
    MergeSlashes Off
    ProxyPreserveHost On
{address}
    {_PROTO}
{passed}
</VirtualHost>"""

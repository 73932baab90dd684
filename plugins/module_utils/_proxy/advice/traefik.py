# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The lines for Traefik 3, in YAML: for its static configuration, and for a file of its file provider.

Its entry point for HTTPS is called websecure, as in the documentation of Traefik.
"""

from __future__ import annotations

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.advice.correction import (
    ACCESS,
    AUTHENTICATION,
    CHARACTER_RULE,
    CLIENT_CERTIFICATE,
    FORWARDED,
    READ_TIMEOUT,
    TLS_REFUSED,
    Correction,
    Wanted,
)

_STATIC = "In the static configuration, such as /etc/traefik/traefik.yml. Restart Traefik."
_DYNAMIC = "In a file of the file provider."
# The options exist since Traefik 3.6.4, which began to refuse these characters. Since 3.6.7 it accepts them again.
_ENCODED = ("Slash", "BackSlash", "Semicolon", "Percent", "QuestionMark", "Hash")


def corrections(wanted: Wanted) -> dict[str, Correction]:
    """Return the corrections of what Traefik can cause, see `by_finding` for their names."""
    return {**_of_paths(wanted), **_of_headers(wanted), **_of_limits(wanted), **_of_the_entry_points(wanted)}


def _of_paths(wanted: Wanted) -> dict[str, Correction]:
    routed = _routed(wanted)
    without = (
        f"{_DYNAMIC} The router and its entry point must have no middleware that changes the path or errors, and none"
        " for CORS, a password or addresses."
    )
    encoded = "\n".join(f"        allowEncoded{name}: true" for name in _ENCODED)
    return {
        "path_changed": Correction(without, "middlewares:\n  - strip", routed),
        "path_merged": Correction(
            _STATIC,
            _entry_point("    http:\n      sanitizePath: true"),
            _entry_point("    http:\n      sanitizePath: false"),
        ),
        "path_refused": Correction(
            f"{_STATIC} Traefik has these options since 3.6.4.",
            _entry_point("    http:\n      encodedCharacters:\n        allowEncodedSlash: false"),
            _entry_point(f"    http:\n      encodedCharacters:\n{encoded}"),
        ),
        "errors_replaced": Correction(without, "middlewares:\n  - errors", routed),
        "not_forwarded": Correction(_DYNAMIC, "rule: PathPrefix(`/_matrix/client`)", routed),
        "redirected": Correction(without, "middlewares:\n  - redirect", routed),
        "wrong_backend": Correction(_DYNAMIC, "- url: http://127.0.0.1:8009", _service(wanted)),
        **dict.fromkeys(
            (
                AUTHENTICATION,
                ACCESS,
                CHARACTER_RULE,
                "authorization_removed",
                "cors_missing",
                "cors_doubled",
                "cors_preflight",
            ),
            Correction(without, "middlewares:\n  - headers", routed),
        ),
        **dict.fromkeys(("admin_api_public", "metrics_public"), Correction(_DYNAMIC, "rule: PathPrefix(`/`)", routed)),
        "health_of_another_server": Correction(_DYNAMIC, "", _routed(wanted, name="health", rule="Path(`/health`)")),
        # Traefik serves no content of its own.
        "well_known": Correction(
            f"{_DYNAMIC} Synapse then serves these files: set serve_server_wellknown and public_baseurl.",
            "",
            _routed(wanted, name="well-known", rule="PathPrefix(`/.well-known/matrix/`)", host=wanted.server_host),
        ),
    }


def _entry_point(settings: str) -> str:
    return f"entryPoints:\n  websecure:\n{settings}"


def _routed(wanted: Wanted, name: str = "synapse", rule: str = "", host: str = "") -> str:
    """Return a router and its service. With the priority it comes before routers with longer rules."""
    paths = " || ".join(f"PathPrefix(`{path}`)" for path in FORWARDED)
    return f"""\
http:
  routers:
    {name}:
      entryPoints:
        - websecure
      priority: 1000
      rule: Host(`{host or wanted.host}`) && ({rule or paths})
      service: synapse
      tls: {{}}
{_service(wanted).partition(chr(10))[2]}"""


def _service(wanted: Wanted, setting: str = "") -> str:
    return f"""\
http:
  services:
    synapse:
      loadBalancer:
{setting}        servers:
          - url: {wanted.backend_url}"""


def _of_headers(wanted: Wanted) -> dict[str, Correction]:
    # Traefik then removes these headers of clients, and sets its own ones.
    own = Correction(
        _STATIC,
        _entry_point("    forwardedHeaders:\n      insecure: true"),
        _entry_point("    forwardedHeaders:\n      insecure: false\n      trustedIPs: []"),
    )
    return {
        "host_wrong": Correction(_DYNAMIC, "passHostHeader: false", _service(wanted, "        passHostHeader: true\n")),
        **dict.fromkeys(
            ("forwarded_for_missing", "forwarded_for_spoofable", "forwarded_proto_missing", "forwarded_proto_wrong"),
            own,
        ),
    }


def _of_limits(wanted: Wanted) -> dict[str, Correction]:
    return {
        "long_url_refused": Correction(
            f"{_STATIC} Traefik has this option since 3.2.",
            _entry_point("    http:\n      maxHeaderBytes: 4096"),
            _entry_point("    http:\n      maxHeaderBytes: 1048576"),
        ),
        "body_limit": Correction(
            f"{_DYNAMIC} It is the middleware of the router.",
            "buffering:\n  maxRequestBodyBytes: 1048576",
            "http:\n  middlewares:\n    upload-size:\n      buffering:\n"
            f"        maxRequestBodyBytes: {wanted.max_upload_size}",
        ),
        "read_timeout": Correction(
            _STATIC,
            "serversTransport:\n  forwardingTimeouts:\n    responseHeaderTimeout: 10s",
            f"serversTransport:\n  forwardingTimeouts:\n    responseHeaderTimeout: {READ_TIMEOUT}s",
        ),
        "answer_delayed": Correction(
            _DYNAMIC,
            "responseForwarding:\n  flushInterval: 10s",
            _service(wanted, "        responseForwarding:\n          flushInterval: 1ms\n"),
        ),
    }


def _of_the_entry_points(wanted: Wanted) -> dict[str, Correction]:
    directory = f"/etc/letsencrypt/live/{wanted.host}"
    return {
        "port_8448_closed": Correction(
            f"{_STATIC} Add federation to the entryPoints of the router, too.",
            "",
            'entryPoints:\n  federation:\n    address: ":8448"\n    http:\n      tls: {}',
        ),
        "tls_failed": Correction(
            f"{_STATIC} The router must have tls, and the certificate must be in a file of the file provider.",
            _entry_point(f'    address: ":{wanted.port}"'),
            _entry_point(f'    address: ":{wanted.port}"\n    http:\n      tls: {{}}'),
        ),
        TLS_REFUSED: Correction(
            f"{_DYNAMIC} The router must have no other options of tls. The certificate must be in such a file, too.",
            "minVersion: VersionTLS13",
            "tls:\n  options:\n    default:\n      minVersion: VersionTLS12\n      clientAuth:\n"
            "        clientAuthType: NoClientCert",
        ),
        CLIENT_CERTIFICATE: Correction(
            _DYNAMIC,
            "clientAuthType: RequireAndVerifyClientCert",
            "tls:\n  options:\n    default:\n      clientAuth:\n        clientAuthType: NoClientCert",
        ),
        "certificate": Correction(
            f"{_DYNAMIC} The file must contain the certificate of the name and all intermediate certificates.",
            f"certFile: {directory}/cert.pem",
            f"tls:\n  certificates:\n    - certFile: {directory}/fullchain.pem\n      keyFile: {directory}/privkey.pem",
        ),
    }

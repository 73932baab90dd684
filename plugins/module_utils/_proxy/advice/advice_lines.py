# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The lines of a configuration that correct a finding, for each reverse proxy and for Synapse."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.advice import (
    apache,
    caddy,
    haproxy,
    nginx,
    traefik,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.advice.correction import (
    ACCESS,
    AUTHENTICATION,
    CERTIFICATE,
    CHARACTER_RULE,
    CLIENT,
    CLIENT_CERTIFICATE,
    NOT_FORWARDED,
    SERVER,
    TLS_REFUSED,
    WELL_KNOWN,
    Correction,
    Wanted,
    by_finding,
    without_port,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Place
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import Finding
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.server_names import is_address
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.settings import DEFAULT_MAX_UPLOAD_SIZE

_PROXIES: dict[str, t.Callable[[Wanted], dict[str, Correction]]] = {
    "nginx": nginx.corrections,
    "apache": apache.corrections,
    "caddy": caddy.corrections,
    "haproxy": haproxy.corrections,
    "traefik": traefik.corrections,
}
# They cannot forward to a Unix socket.
_WITHOUT_SOCKETS = {"traefik"}
# With these, Apache (404) and Traefik (400) refuse encoded characters without any rule, but Apache only these ones.
_OF_SETTINGS = (400, 404)
_OF_APACHE = {"%2F", "%5C"}
# What does not matter if servers are told another name and port.
_AVOIDED = (*NOT_FORWARDED, AUTHENTICATION, ACCESS, CLIENT_CERTIFICATE, "proxy_error", "tls_failed", TLS_REFUSED)
_PORT_OF_SERVERS = 8448
# What OpenSSL says of a peer that wants a certificate. This module never sends one.
_ALERT = re.compile(r"alert (bad certificate|certificate required|certificate unknown)")
# What nginx and Apache answer to HTTP at a port with TLS: if the request was one with TLS, a proxy has sent it there.
_PLAIN = re.compile(r"plain HTTP request was sent to HTTPS port|speaking plain HTTP to an SSL-enabled server port")


def advise(
    finding: Finding, backend: Place, server_name: str, public_name: str, site: str = ""
) -> dict[str, dict[str, str]]:
    """Return the lines that correct a finding: `place`, `instead_of` and `lines` for each proxy, and for `synapse`.

    `backend`: where Synapse listens, as the proxy reaches it. `public_name`: the name of the public URL, with a port if
    it is not 443. `site`: in the same way the name of the site that has the finding, "" if it is the public URL. All
    names must be valid, because they become part of a configuration. The result is {} if no configuration of a proxy or
    of Synapse corrects the finding, and a proxy that cannot cause it is left out.
    """
    wanted = Wanted(
        backend.scheme,
        backend.address,
        server_name,
        public_name,
        _max_upload_size(finding),
        _files(finding),
        "" if site == public_name else site,
        backend.unix_socket,
    )
    topic = _topic(finding, wanted)
    if topic in WELL_KNOWN and finding.name in CERTIFICATE:
        wanted = wanted._replace(files=(SERVER,))
    found = {
        proxy: by_finding(corrections(wanted)).get(topic)
        for proxy, corrections in _PROXIES.items()
        if not wanted.unix_socket or proxy not in _WITHOUT_SOCKETS
    }
    found["synapse"] = _of_synapse(topic, wanted, backend)
    return {
        name: {**correction._asdict(), "place": correction.place + _or_else(topic, wanted)}
        for name, correction in found.items()
        if correction is not None
    }


def _max_upload_size(finding: Finding) -> int:
    value = finding.values.get("max_upload_size")
    return value if isinstance(value, int) and value > 0 else DEFAULT_MAX_UPLOAD_SIZE


def _files(finding: Finding) -> tuple[str, ...]:
    """Return which files below /.well-known/matrix a finding is about: both if it does not show that."""
    if finding.name == "public_url_differs":
        return (CLIENT,)
    request = finding.evidence.get("request", "")
    return tuple(file for file in (SERVER, CLIENT) if request.endswith(f"/{file}")) or (SERVER, CLIENT)


def _topic(finding: Finding, wanted: Wanted) -> str:
    """Return the name of the corrections for a finding, "" if no configuration corrects it."""
    name, answer = finding.name, finding.evidence.get("answer", "")
    status = int(answer[:3]) if re.match(r"\d{3}\b", answer) else 0
    if name == "not_matrix" and "SSL certificate was sent" in answer:
        return CLIENT_CERTIFICATE
    if name == "not_matrix" and _PLAIN.search(answer) and "https://" in finding.evidence.get("request", ""):
        return "proxy_error"
    if name == "tls_failed" and "does not use TLS" not in answer:
        return CLIENT_CERTIFICATE if _ALERT.search(answer) else TLS_REFUSED
    if name in ("not_matrix", "path_not_forwarded"):
        return {401: AUTHENTICATION, 403: ACCESS}.get(status, name)
    if name == "path_refused" and status:
        is_setting = status in _OF_SETTINGS and (status != 404 or _OF_APACHE & set(_characters(finding)))
        return name if is_setting else CHARACTER_RULE
    if name == "redirected" and _is_secured(finding):
        return ""
    if name in CERTIFICATE and is_address(without_port(wanted.site).strip("[]")):
        # No authority of the usual ones certifies an IP address: the file must name the public URL.
        return "well_known_invalid"
    return name


def _characters(finding: Finding) -> list[str]:
    given = finding.values.get("characters")
    return [str(text).upper()[:3] for text in given] if given else sorted(_OF_APACHE)


def _is_secured(finding: Finding) -> bool:
    """Whether a redirect leads to the same with https. The public URL is wrong then, and the redirect is right."""
    request, answer = finding.evidence.get("request", ""), finding.evidence.get("answer", "")
    secured = re.search(r"\bhttp://(\S+)", request)
    return bool(secured and f"Location: https://{secured[1]}" in answer)


def _or_else(topic: str, wanted: Wanted) -> str:
    """Return another way to correct a finding that only servers have at port 8448: not to let them come there."""
    if topic not in _AVOIDED or not wanted.site or wanted.port != _PORT_OF_SERVERS:
        return ""
    url, name = f"https://{wanted.server_host}/.well-known/matrix/server", wanted.well_known(SERVER)
    return f" Or let {url} answer {name}, so that other servers do not use this site."


def _of_synapse(topic: str, wanted: Wanted, backend: Place) -> Correction | None:
    """Return the lines of homeserver.yaml.

    Relies on synapse/rest/well_known.py: `m.server` is the server name of Synapse, with the port 443 if it has none,
    and the file for clients is served only with public_baseurl.
    """
    if topic == "forwarded_for_ignored":
        where = f"path {backend.unix_socket}" if backend.unix_socket else f"port {backend.port}"
        return Correction(
            f"In homeserver.yaml, in the entry of listeners with the {where}. Restart Synapse.",
            "x_forwarded: false",
            "x_forwarded: true",
        )
    if topic not in WELL_KNOWN:
        return None
    lines = []
    if SERVER in wanted.files and wanted.well_known(SERVER) == _served(wanted):
        lines.append("serve_server_wellknown: true")
    if CLIENT in wanted.files:
        lines.append(f"public_baseurl: {wanted.client_url}/")
    return Correction("In homeserver.yaml. Restart Synapse.", "", "\n".join(lines)) if lines else None


def _served(wanted: Wanted) -> str:
    """Return what Synapse itself serves with serve_server_wellknown."""
    return wanted._replace(public_name=wanted.server_name).well_known(SERVER)

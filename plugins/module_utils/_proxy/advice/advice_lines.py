# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The lines of a configuration that correct a finding, for each reverse proxy and for Synapse."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.advice import (
    apache,
    caddy,
    haproxy,
    nginx,
    traefik,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.advice.correction import (
    AUTHENTICATION,
    CLIENT,
    SERVER,
    WELL_KNOWN,
    Correction,
    Wanted,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Place
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import Finding
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.settings import DEFAULT_MAX_UPLOAD_SIZE

_PROXIES: dict[str, t.Callable[[Wanted], dict[str, Correction]]] = {
    "nginx": nginx.corrections,
    "apache": apache.corrections,
    "caddy": caddy.corrections,
    "haproxy": haproxy.corrections,
    "traefik": traefik.corrections,
}


def advise(finding: Finding, backend: Place, server_name: str, public_name: str) -> dict[str, dict[str, str]]:
    """Return the lines that correct a finding: `place`, `instead_of` and `lines` for each proxy, and for `synapse`.

    `backend`: where Synapse listens, as the proxy reaches it. `public_name`: the name of the public URL, with a port if
    it is not 443. All names must be valid, because they become part of a configuration. The result is {} if no
    configuration of a proxy or of Synapse corrects the finding, and a proxy that cannot cause it is left out.
    """
    wanted = Wanted(
        backend.scheme, backend.address, server_name, public_name, _max_upload_size(finding), _files(finding)
    )
    topic = _topic(finding)
    found = {proxy: corrections(wanted).get(topic) for proxy, corrections in _PROXIES.items()}
    found["synapse"] = _of_synapse(finding, wanted, backend.port)
    return {name: correction._asdict() for name, correction in found.items() if correction is not None}


def _max_upload_size(finding: Finding) -> int:
    value = finding.values.get("max_upload_size")
    return value if isinstance(value, int) and value > 0 else DEFAULT_MAX_UPLOAD_SIZE


def _files(finding: Finding) -> tuple[str, ...]:
    """Return which files below /.well-known/matrix a finding is about: both if it does not show that."""
    if finding.name == "public_url_differs":
        return (CLIENT,)
    request = finding.evidence.get("request", "")
    return tuple(file for file in (SERVER, CLIENT) if request.endswith(f"/{file}")) or (SERVER, CLIENT)


def _topic(finding: Finding) -> str:
    """Return the name of the corrections for a finding."""
    if finding.name == "not_matrix" and finding.evidence.get("answer", "").startswith("401"):
        return AUTHENTICATION
    return finding.name


def _of_synapse(finding: Finding, wanted: Wanted, port: int) -> Correction | None:
    """Return the lines of homeserver.yaml.

    Relies on synapse/rest/well_known.py: `m.server` is the server name of Synapse, with the port 443 if it has none,
    and the file for clients is served only with public_baseurl.
    """
    if finding.name == "forwarded_for_ignored":
        return Correction(
            f"In homeserver.yaml, in the entry of listeners with the port {port}. Restart Synapse.",
            "x_forwarded: false",
            "x_forwarded: true",
        )
    if _topic(finding) not in WELL_KNOWN:
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

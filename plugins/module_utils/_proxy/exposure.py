# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What the public can reach that is meant for administrators: the Admin API and the metrics.

Relies on synapse/rest/admin/__init__.py (the version needs no token), synapse/app/homeserver.py and
synapse/rest/health.py of Synapse 1.163. Synapse compares the path as it arrives: an encoded letter or a second slash
reaches the Admin API only if a proxy changes the path after it has decided to forward it.
"""

from __future__ import annotations

import ipaddress
import re

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import (
    INFO,
    WARNING,
    Finding,
    Found,
    Unknown,
    evidence,
    fix_of,
    shown_target,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.recognition import is_html
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import Site, Subject

_ADMIN_API = "/_synapse/admin/v1/server_version"
# A filter for the text /_synapse/admin does not see these.
_HIDDEN = ("/_synapse/%61dmin/v1/server_version", "//_synapse/admin/v1/server_version")
_METRICS = ("/_synapse/metrics", "/metrics")
_HEALTH = "/health"
_NO_HEALTH = "/health_matrix_ops_synapse"
_METRICS_TEXT = re.compile(rb"^# (?:HELP|TYPE) [a-zA-Z_:][a-zA-Z0-9_:]* ", re.MULTILINE)
_OF_SYNAPSE = re.compile(rb"^(?:# (?:HELP|TYPE) )?synapse_", re.MULTILINE)


def check_exposure(subject: Subject) -> Found:
    """Send at most seven requests to each site, and return what of Synapse is public but should not be."""
    found = Found()
    for site in subject.sites:
        found += _admin_api(subject, site) + _metrics(subject, site) + _health(subject, site)
    return found


def _admin_api(subject: Subject, site: Site) -> Found:
    unknown: list[Unknown] = []
    for target in (_ADMIN_API, *_HIDDEN):
        got = subject.sender.send(site.place, Request(target))
        if isinstance(got, NoAnswer):
            unknown = [_unknown("admin_api_public", got)]
        elif got.status == 200 and isinstance(got.json.get("server_version"), str):
            what = f"The Admin API of Synapse can be reached through the proxy{_as_hidden(target)}{_from_where(got)}."
            shown = evidence(got, asked_from=got.local_address)
            return Found((Finding("admin_api_public", what, WARNING, site.name, shown, values={"path": target}),))
    return Found((), tuple(unknown))


def _metrics(subject: Subject, site: Site) -> Found:
    unknown: list[Unknown] = []
    for target in _METRICS:
        got = subject.sender.send(site.place, Request(target))
        if isinstance(got, NoAnswer):
            unknown = [_unknown("metrics_public", got)]
        elif got.status == 200 and _METRICS_TEXT.search(got.body):
            whose = "Synapse" if _OF_SYNAPSE.search(got.body) or target == _METRICS[0] else "a program"
            what = f"The metrics of {whose} can be read through the proxy at {target}{_from_where(got)}."
            shown = evidence(got, asked_from=got.local_address)
            return Found((Finding("metrics_public", what, WARNING, site.name, shown, values={"path": target}),))
    return Found((), tuple(unknown))


def _health(subject: Subject, site: Site) -> Found:
    got = subject.sender.send(site.place, Request(_HEALTH))
    if isinstance(got, NoAnswer):
        return Found((), (_unknown("health_of_another_server", got),))
    # Caddy answers with an empty 200 if nothing is configured for a path.
    if got.status != 200 or got.body.strip() in (b"", b"OK"):
        return Found()
    other = subject.sender.send(site.place, Request(_NO_HEALTH))
    if isinstance(other, NoAnswer):
        return Found((), (_unknown("health_of_another_server", other),))
    if other.status == 200 and (other.body == got.body or (is_html(other) and is_html(got))):
        # One page for every path, such as that of a web client, is no health.
        return Found()
    what = (
        f"Another program than Synapse answers to {_HEALTH} at {site.place.url}, so a check of the health at this URL"
        " does not show whether Synapse works."
    )
    return Found((Finding("health_of_another_server", what, INFO, site.name, evidence(got, expected="200 OK")),))


def _unknown(name: str, got: NoAnswer) -> Unknown:
    return Unknown(name, f"{got.place.url}{shown_target(got.request)} had no answer: {got.reason}.", fix_of(got))


def _as_hidden(target: str) -> str:
    return "" if target == _ADMIN_API else f" if the path is written as {target}, which its filter does not see"


def _from_where(got: Answer) -> str:
    """A proxy may allow some addresses only, so what a private one sees need not be public."""
    if not is_private(got.local_address):
        return ""
    return f" (it was asked from the address {got.local_address}, which a proxy may allow on purpose)"


def is_private(address: str) -> bool:
    """Return whether a text is an IP address of loopback or of a private network."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    # The networks for documentation are not private in this sense, although Python says so.
    return any(parsed in network for network in _PRIVATE if network.version == parsed.version)


_PRIVATE = [
    ipaddress.ip_network(network)
    for network in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "100.64.0.0/10",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
]

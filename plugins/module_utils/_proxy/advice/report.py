# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What the module synapse_proxy_info returns."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.advice.advice_lines import advise
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.delegation import Delegation
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Place
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import Finding
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.preparation import Prepared
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.survey import Surveyed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.verdicts import judge_failures

# Where a proxy on the host of Synapse reaches it, if it is not known.
_BACKEND = Place("http", "127.0.0.1", 8008)


def report(prepared: Prepared, surveyed: Surveyed, failures: t.Sequence[t.Any], requests: int) -> dict[str, t.Any]:
    """Return the values. `failures`: signature_failures of synapse_request_log_info. `requests`: how many were sent."""
    subject, delegation = prepared.subject, prepared.delegation
    return {
        "server_name": subject.server_name,
        "public_url": prepared.client.url,
        "delegation": _delegation(delegation),
        "proxy": surveyed.proxy,
        "findings": [_finding(finding, prepared) for finding in surveyed.findings],
        "signature_verdicts": judge_failures(
            failures, surveyed.findings, subject.server_name, prepared.skew_seconds, surveyed.is_examined
        ),
        "certificates": surveyed.certificates,
        "unknown": [dict(unknown._asdict()) for unknown in surveyed.unknown],
        "requests": requests,
    }


def _finding(finding: Finding, prepared: Prepared) -> dict[str, t.Any]:
    subject = prepared.subject
    # The block of the configuration that has to be changed is that of the site where the finding was made.
    place = next((site.place for site in subject.sites if site.name == finding.site), prepared.client)
    return {
        "name": finding.name,
        "what": finding.what,
        "severity": finding.severity,
        "site": finding.site,
        "groups": list(finding.groups),
        "evidence": finding.evidence,
        "fix": advise(finding, subject.direct or _BACKEND, subject.server_name, prepared.client.netloc, place.netloc),
    }


def _delegation(delegation: Delegation) -> dict[str, t.Any]:
    known = {
        "url": delegation.place.url if delegation.place else None,
        "well_known": delegation.well_known,
    }
    return {
        "method": delegation.method,
        "tls_name": delegation.tls_name,
        "host_header": delegation.host_header,
        "targets": list(delegation.targets),
        **{name: value for name, value in known.items() if value is not None},
    }

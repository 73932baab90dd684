# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Puts what paths and signatures show together: one finding for each cause."""

from __future__ import annotations

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import ERROR, INFO, Finding, Found
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_findings import (
    DECODED_PATH,
    PROXY_ERROR,
    decoded_text,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.signed import SIGNATURE

# What is signed is the path and the query, byte for byte.
_OF_PATHS = (DECODED_PATH, "path_encoded_twice", "path_rewritten")
_OF_QUERIES = ("query_cut", "query_changed")
_ONLY_QUERY = "/federation/v1/query/"
_FEDERATION = "federation"


def joined(of_paths: Found, of_signatures: Found) -> Found:
    """Return both without signatures that fail because of a finding on paths: it gets their evidence.

    Its evidence has the refusal of Synapse as `signature`, and its groups have federation.
    """
    findings = list(of_paths.findings)
    kept = []
    for broken in of_signatures.findings:
        at = _cause(findings, broken) if broken.name == SIGNATURE else None
        if at is None:
            kept.append(broken)
        else:
            findings[at] = _proven(findings[at], broken)
    unreached = any(one.name == PROXY_ERROR and _FEDERATION in one.groups for one in findings)
    unknown = [one for one in of_signatures.unknown if not unreached or one.name != SIGNATURE]
    return Found((*findings, *kept), (*of_paths.unknown, *unknown))


def _cause(findings: list[Finding], broken: Finding) -> int | None:
    is_query = _ONLY_QUERY in broken.evidence["request"]
    for name in _OF_QUERIES if is_query else _OF_PATHS:
        for at, one in enumerate(findings):
            # What is only information breaks no signature.
            is_about = one.name == name and one.site == broken.site and one.severity != INFO
            # What affects only clients does not break signatures, except for what no answer shows for other servers.
            if is_about and (_FEDERATION in one.groups or name in (DECODED_PATH, "path_encoded_twice")):
                return at
    return None


def _proven(finding: Finding, broken: Finding) -> Finding:
    evidence = {**finding.evidence, "signature": broken.evidence["answer"]}
    if _FEDERATION in finding.groups and finding.severity == ERROR:
        return finding._replace(evidence=evidence)
    groups = tuple(dict.fromkeys((*finding.groups, _FEDERATION)))
    what = decoded_text(finding.name, finding.values["characters"], groups) if "characters" in finding.values else ""
    return finding._replace(what=what or finding.what, severity=ERROR, groups=groups, evidence=evidence)

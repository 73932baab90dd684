# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import Finding, Found, Unknown
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_causes import joined

_URL = "GET https://example.org/_matrix/federation/v1"
EVENT = {"request": f"{_URL}/event/%24a", "answer": "401 Invalid signature for server"}
QUERY = {**EVENT, "request": f"{_URL}/query/directory?room_alias=%23x"}


def finding(name: str, *groups: str, severity: str = "error", site: str = "client") -> Finding:
    values = {"characters": ["%3A", "%21"]} if name in ("path_decoded", "path_encoded_twice") else {}
    return Finding(name, "The proxy does it.", severity, site, {"request": "a", "answer": "b"}, groups, values)


BROKEN = finding("signature_broken", "federation")._replace(evidence=EVENT)


@pytest.mark.parametrize("name", ["path_decoded", "path_encoded_twice", "path_rewritten"])
def test_signatures_fail_because_of_the_path(name: str) -> None:
    cause = finding(name, "client", "federation")
    (one,) = joined(Found((cause,)), Found((BROKEN,))).findings
    assert one == cause._replace(evidence={**cause.evidence, "signature": EVENT["answer"]})


@pytest.mark.parametrize(("name", "does"), [("path_decoded", "decodes"), ("path_encoded_twice", "encodes")])
def test_only_the_signature_shows_the_group(name: str, does: str) -> None:
    (one,) = joined(Found((finding(name, "media", severity="warning"),)), Found((BROKEN,))).findings
    assert (one.severity, one.groups) == ("error", ("media", "federation"))
    assert one.what.startswith(f"The proxy {does} %3A and %21")
    assert one.what.endswith("of the groups media and federation, so that signatures of other servers fail.")


@pytest.mark.parametrize("name", ["query_changed", "query_cut"])
def test_signatures_fail_because_of_the_query(name: str) -> None:
    cause, broken = finding(name, "federation"), BROKEN._replace(evidence=QUERY)
    assert len(joined(Found((cause,)), Found((broken,))).findings) == 1
    assert len(joined(Found((cause,)), Found((BROKEN,))).findings) == 2
    assert len(joined(Found((finding("path_decoded", "federation"),)), Found((broken,))).findings) == 2


@pytest.mark.parametrize(
    "other",
    [
        finding("path_merged", "federation"),
        finding("path_rewritten", "client"),
        finding("path_decoded", "federation", site="federation"),
        finding("path_decoded", "media", severity="info"),
    ],
)
def test_other_causes(other: Finding) -> None:
    assert joined(Found((other,)), Found((BROKEN,))).findings == (other, BROKEN)


def test_what_is_not_a_signature() -> None:
    removed = BROKEN._replace(name="authorization_removed")
    cause = finding("path_decoded", "federation")
    assert joined(Found((cause,)), Found((removed,))).findings == (cause, removed)
    assert joined(Found(), Found((BROKEN,))).findings == (BROKEN,)


def test_what_is_not_reached_has_no_signature() -> None:
    unknown = Unknown("signature_broken", "The site answered 502 to a signed request.", "Run the task again.")
    cause = finding("proxy_error", "federation")
    assert joined(Found((cause,)), Found((), (unknown,))) == Found((cause,))
    assert joined(Found((finding("proxy_error", "media"),)), Found((), (unknown,))).unknown == (unknown,)

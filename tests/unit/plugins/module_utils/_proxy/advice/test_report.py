# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module returns."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.advice.report import report
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import ERROR, Finding, Unknown
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.survey import Surveyed
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.test_preparation import (
    SYNAPSE,
    prepared,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.web import page

FINDING = Finding(
    "path_decoded",
    "It decodes.",
    ERROR,
    "client",
    {"request": "GET /", "answer": "401"},
    ("federation",),
    {"a": object()},
)


def reported(*failures: t.Any, finding: Finding = FINDING) -> dict[str, t.Any]:
    surveyed = Surveyed((finding,), [], "nginx", (Unknown("direct", "why", "do"),), True)
    return report(prepared(SYNAPSE)[0], surveyed, failures, 7)


def test_everything_is_plain_json() -> None:
    found = reported()
    assert json.loads(json.dumps(found)) == found
    assert "null" not in json.dumps(found)
    assert (found["server_name"], found["public_url"], found["requests"]) == ("example.org", "https://example.org", 7)
    assert found["unknown"] == [{"name": "direct", "reason": "why", "fix": "do"}]
    assert found["delegation"] == {
        "method": "default",
        "tls_name": "example.org",
        "host_header": "example.org",
        "targets": ["example.org:8448"],
        "url": "https://example.org:8448",
    }


def test_a_finding_has_the_lines_for_each_proxy() -> None:
    [finding] = reported()["findings"]
    assert finding["fix"]["nginx"]["lines"] == "proxy_pass http://127.0.0.1:8008;"
    assert "values" not in finding
    assert set(finding["fix"]) >= {"nginx", "apache", "caddy", "haproxy", "traefik"}


def test_the_lines_are_for_the_site_but_the_files_name_the_public_url() -> None:
    [finding] = reported(finding=FINDING._replace(name="not_matrix", site="federation"))["findings"]
    assert "of example.org with port 8448." in finding["fix"]["caddy"]["place"]
    [finding] = reported(finding=FINDING._replace(name="well_known_invalid", site="federation"))["findings"]
    assert '"m.server": "example.org:443"' in finding["fix"]["nginx"]["lines"]


def test_failed_signatures_are_judged_with_the_findings() -> None:
    failure = {"origin": "other.test", "direction": "inbound", "cause": "invalid_signature", "count": 2}
    [verdict] = reported(failure)["signature_verdicts"]
    assert (verdict["origin"], verdict["side"], verdict["reason"]) == ("other.test", "ours", "proxy_changes_path")


@pytest.mark.parametrize(
    ("base_url", "answers", "expected"),
    [("http://127.0.0.1:9000", True, "9000"), ("http://127.0.0.1:9000", False, "8008")],
)
def test_the_lines_lead_to_synapse_itself_or_its_usual_port(base_url: str, answers: bool, expected: str) -> None:
    pages = {f"{base_url}/_matrix/key/v2/server": page({"server_name": "example.org"})} if answers else {}
    surveyed = Surveyed((FINDING,), [], "", (), True)
    found = report(prepared(pages, base_url=base_url, server_name="example.org")[0], surveyed, (), 1)
    [finding] = found["findings"]
    assert finding["fix"]["nginx"]["lines"] == f"proxy_pass http://127.0.0.1:{expected};"

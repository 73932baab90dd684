# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_change import Change, Step, describe_change
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_findings import (
    Mark,
    findings_of,
    listed,
    name_of,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.proxied_synapse import PUBLIC


def mark(sent: str, arrived: str, group: str = "federation", name: str = "") -> Mark:
    change = describe_change(sent, arrived)
    answer = Answer(PUBLIC, Request(sent), "0", 404, (), b"", 0.1, "HTTP/1.1", "a", "b")
    return Mark(name or name_of(change), "client", group, answer, change, change.touched, "404", arrived)


@pytest.mark.parametrize(
    ("sent", "arrived", "group", "severity"),
    [
        ("/%3A", "/:", "federation", "error"),
        ("/%3A", "/:", "media", "error"),
        ("/%3A", "/:", "key", "error"),
        ("/%3A", "/:", "client", "warning"),
        ("/a%2fb", "/a/b", "client", "error"),
        ("/%253A", "/%3A", "client", "error"),
        ("/%3A", "/%253A", "client", "warning"),
        ("/%7E", "/~", "federation", "info"),
        ("/a//b", "/a/b", "federation", "warning"),
        ("/a/", "/a", "federation", "warning"),
        ("/a", "/a/", "client", "error"),
        ("/%2f", "/%2F", "federation", "error"),
        ("/%2f", "/%2F", "media", "warning"),
        ("/!", "/%21", "federation", "error"),
        ("/!", "/%21", "client", "warning"),
        ("/_matrix/a", "/a", "client", "error"),
        ("/a?b=%3A", "/a?b=:", "federation", "error"),
        ("/a?b=%3A", "/a?b=:", "client", "warning"),
        ("/a?b=%3A", "/a", "client", "error"),
    ],
)
def test_severities(sent: str, arrived: str, group: str, severity: str) -> None:
    assert mark(sent, arrived, group).severity == severity


def test_groups_of_one_cause_are_joined() -> None:
    (finding,) = findings_of([mark("/%3A", "/:", "client"), mark("/%2Fa/%21", "//a/!"), mark("/%3A", "/:", "client")])
    assert finding.groups == ("client", "federation")
    assert finding.severity == "error"
    assert finding.values == {"characters": ["%3A", "%2F", "%21"]}
    assert finding.what == (
        "The proxy decodes %3A, %2F and %21 in paths of the groups client and federation, so that signatures of other"
        " servers fail."
    )
    # The worst group is shown.
    assert finding.evidence == {
        "request": "GET https://matrix.example.org/%2Fa/%21",
        "answer": "404",
        "expected": "/%2Fa/%21",
        "arrived": "//a/!",
    }


def test_different_causes_are_not_joined() -> None:
    marks = [
        mark("/%3A", "/:"),
        mark("/%7E", "/~"),
        mark("/a//b", "/a/b"),
        mark("/%3A", "/:")._replace(site="federation"),
    ]
    found = findings_of(marks)
    assert [(finding.name, finding.severity, finding.site) for finding in found] == [
        ("path_decoded", "error", "client"),
        ("path_merged", "warning", "client"),
        ("path_decoded", "error", "federation"),
    ]
    (harmless,) = findings_of(marks[1:2])
    assert "breaks nothing" in harmless.what


@pytest.mark.parametrize(
    "name",
    ["path_refused", "path_not_forwarded", "long_url_refused", "query_cut", "path_encoded_twice", "path_rewritten"],
)
def test_each_finding_is_one_sentence(name: str) -> None:
    change = Change("encoded_twice", "%3A became %253A", (Step("encoded_twice", "%3A", "%253A"),))
    (finding,) = findings_of([mark("/a", "/a", "key", name)._replace(change=change)])
    assert finding.what.startswith("The proxy ")
    assert finding.what.endswith(".")
    assert " key" in finding.what
    assert ". " not in finding.what


def test_evidence_is_short_and_has_no_token() -> None:
    sent = "/a?access_token=secret&pad=" + "x" * 4000
    (finding,) = findings_of([mark(sent, "/a?access_token=<redacted>")])
    assert all(len(text) < 260 and "secret" not in text for text in finding.evidence.values())


def test_lists_in_words() -> None:
    assert [listed(list("abc")[:count]) for count in range(4)] == ["", "a", "a and b", "a, b and c"]

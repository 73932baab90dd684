# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_answers import Probe
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_asked import Asked
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_probes import (
    baseline_of,
    narrower,
    probes_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_verdicts import judge
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.proxied_synapse import (
    NAME,
    PUBLIC,
    Arrived,
    NoLog,
    Page,
    error,
    synapse,
)


class Log:
    """A log with one target for all requests."""

    reason, fix = "", ""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def get(self, tag: str) -> Arrived | None:
        return Arrived(self._uri)


def answered(probe: Probe, page: Page) -> Answer:
    return Answer(PUBLIC, probe.request, "0", page.status, page.headers, page.body, 0.1, "HTTP/1.1", "a", "b")


def event() -> Probe:
    return next(probe for probe in probes_of("federation", NAME) if "/event/" in probe.target)


DECODED = error(404, "M_UNRECOGNIZED")


def test_a_difference_to_synapse_itself() -> None:
    probe = event()
    control = answered(probe, error(401, "M_UNAUTHORIZED", "Missing Authorization headers"))
    found = judge([Asked("federation", probe, answered(probe, DECODED), control)], NoLog(), True)
    (finding,) = found.findings
    assert (finding.name, finding.severity, finding.site) == ("path_decoded", "error", "federation")
    assert finding.evidence["expected"].startswith("401 ")
    assert finding.evidence["answer"].startswith("404 ")
    assert found.unknown == ()


def test_no_difference_to_synapse_itself() -> None:
    probe = event()
    answer = answered(probe, DECODED)
    assert judge([Asked("client", probe, answer, answer)], NoLog(), True) == judge([], NoLog(), True)


@pytest.mark.parametrize(
    "page", [error(429, "M_LIMIT_EXCEEDED"), Page(500), error(403, "M_FORBIDDEN"), Page(200), None]
)
def test_a_comparison_that_failed(page: Page | None) -> None:
    probe = event()
    missing = NoAnswer(PUBLIC, probe.request, "1", "refused", "127.0.0.1:8008 refused the connection")
    control = missing if page is None else answered(probe, page)
    found = judge([Asked("client", probe, answered(probe, DECODED), control)], NoLog(), True)
    assert found.findings == ()
    (unknown,) = found.unknown
    assert unknown.name == "path_decoded"
    assert unknown.reason.startswith("In the paths of federation: Synapse itself was asked for comparison, and ")


def test_the_log_is_the_best_evidence() -> None:
    probe = event()
    # The answer looks like that of a decoded path, but all arrived intact.
    assert judge([Asked("client", probe, answered(probe, DECODED))], Log(probe.target), False) == judge(
        [], NoLog(), True
    )
    # The answer looks intact, but the colon was decoded.
    arrived = probe.target.replace("%3A", ":")
    (finding,) = judge([Asked("client", probe, answered(probe, synapse(probe.target)))], Log(arrived), True).findings
    assert finding.what.startswith("The proxy decodes %3A in paths of the group federation, so that signatures")
    assert (finding.evidence["expected"], finding.evidence["arrived"]) == (probe.target, arrived)


def test_the_log_needs_no_comparison() -> None:
    probe = event()
    rows = [Asked("client", probe, answered(probe, DECODED), answered(probe, Page(500)))]
    assert [finding.name for finding in judge(rows, Log("/_matrix/federation/v1/event/$a/b:c"), True).findings] == [
        "path_decoded"
    ]


def test_a_group_that_fails_is_reported_once() -> None:
    rows = [Asked("client", probe, answered(probe, Page(404))) for probe in probes_of("federation", NAME)]
    baseline = baseline_of("federation")
    found = judge([*rows, Asked("client", baseline, answered(baseline, Page(403)))], NoLog(), True)
    (finding,) = found.findings
    assert (finding.name, finding.groups) == ("path_not_forwarded", ("federation",))
    assert "answers 403 itself" in finding.what


def test_hints_are_not_findings() -> None:
    probe, narrow = event(), narrower("federation", NAME)[0]
    passing = probes_of("media", NAME)[1]
    rows = [
        Asked("client", probe, answered(probe, Page(400))),
        Asked("client", narrow, answered(narrow, Page(404)), is_hint=True),
        Asked("client", passing, answered(passing, synapse(passing.target))),
    ]
    (finding,) = judge(rows, NoLog(), True).findings
    assert (finding.name, finding.values) == ("path_refused", {"characters": ["%24", "%2F", "%3A"]})
    rows[1] = rows[1]._replace(answer=answered(narrow, synapse(narrow.target)))
    (finding,) = judge(rows, NoLog(), True).findings
    assert finding.values == {"characters": ["%2F"]}


def test_sites_are_judged_apart() -> None:
    probe = event()
    rows = [Asked(site, probe, answered(probe, DECODED)) for site in ("client", "federation")]
    assert [finding.site for finding in judge(rows, NoLog(), True).findings] == ["client", "federation"]


def test_equal_reasons_are_joined() -> None:
    rows = [
        Asked("client", probe, answered(probe, Page(502)))
        for group in ("media", "key")
        for probe in probes_of(group, NAME)
        if probe.purpose == "characters"
    ]
    (unknown,) = judge(rows, NoLog(), True).unknown
    assert unknown.reason == "In the paths of media and key: the answer is 502."
    assert unknown.fix == "Run the task again."


def test_what_limits_requests_is_named() -> None:
    probes = [probe for probe in probes_of("federation", NAME) if probe.purpose == "characters"]
    pages = [synapse(probes[0].target), Page(429), Page(503)]
    rows = [Asked("client", probe, answered(probe, page)) for probe, page in zip(probes, pages)]
    found = judge(rows, NoLog(), True)
    assert found.findings == ()
    assert [one.reason.partition(": ")[2] for one in found.unknown] == [
        "the proxy limits the rate of requests (status 429).",
        "the proxy probably limits the rate of requests (status 503).",
    ]
    assert all("limit_req" in one.fix for one in found.unknown)


def test_some_of_the_characters() -> None:
    probe = event()
    passing = probes_of("media", NAME)[1]
    rows = [
        Asked("client", probe, answered(probe, Page(400))),
        Asked("client", passing, answered(passing, synapse(passing.target))),
    ]
    (finding,) = judge(rows, NoLog(), True).findings
    assert "that contain some of %24, %2F and %3A, so" in finding.what


def test_a_log_that_shows_nothing() -> None:
    class Silent(NoLog):
        reason, fix = "The log has none of the requests.", "Set log_path to the log of Synapse."

    static, alias = (
        next(probe for probe in probes_of("client", NAME) if probe.purpose == purpose)
        for purpose in ("query", "characters")
    )
    rows = [
        Asked("client", static, answered(static, Page(200))),
        Asked("client", alias, answered(alias, synapse(alias.target))),
        Asked("client", event(), answered(event(), synapse(event().target))),
    ]
    unknown = {one.name: one for one in judge(rows, Silent(), False).unknown}
    assert unknown["query_changed"].fix == Silent.fix
    assert unknown["signature_broken"].reason.endswith(Silent.reason)
    assert "query_changed" in {one.name for one in judge(rows, NoLog(), False).unknown}

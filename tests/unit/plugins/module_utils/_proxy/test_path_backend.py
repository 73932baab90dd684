# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Place, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import FIX_LIMIT
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_asked import Asked
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_backend import (
    AGAIN,
    is_hopeless,
    is_limit,
    is_slow,
    is_unreached,
    suspected,
    unreached,
    why_busy,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_probes import probes_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.paths import ask_paths, judge_paths
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.asked_paths import (
    FED,
    MODES,
    found_with,
    summary,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.proxied_synapse import (
    NAME,
    PUBLIC,
    NoLog,
    Page,
    Proxy,
    World,
    error,
    intact,
    subject_of,
    synapse,
)

RETRY_AFTER = (("Retry-After", "9"),)
FIRST, SECOND = probes_of("federation", NAME)[:2]
MEDIA = probes_of("media", NAME)[0]


def answered(page: Page, seconds: float = 0.1) -> Answer:
    return Answer(PUBLIC, FIRST.request, "0", page.status, page.headers, page.body, seconds, "HTTP/1.1", "a", "b")


def down(path: str, page: Page | None = None) -> Proxy:
    """Return a proxy that does not reach what serves the paths with a beginning."""
    return lambda target: (page or Page(502)) if target.startswith(path) else target


@pytest.mark.parametrize("status", [502, 503, 504])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("path", "group"),
    [
        (FED, "federation"),
        (f"{FED}/v1/event", "federation"),
        (f"{FED}/v2", "federation"),
        ("/_matrix/media", "media"),
        ("/_matrix/key", "key"),
        ("/_matrix/client/v3", "client"),
    ],
)
def test_nothing_behind_one_path(path: str, group: str, mode: str, status: int) -> None:
    found, _world = found_with(down(path, Page(status)), mode)
    assert summary(found) == {"proxy_error": ("error", (group,))}
    assert found.unknown == ()
    (finding,) = found.findings
    assert finding.what == (
        f"The proxy does not reach Synapse for requests of the group {group} and answers with status {status}: check"
        " that the process to which it sends them runs, and that its address in the proxy is right."
    )
    assert finding.evidence["answer"].startswith(str(status))
    assert mode != "direct" or finding.evidence["expected"] != finding.evidence["answer"]


def test_nothing_behind_two_groups() -> None:
    found, _world = found_with(lambda target: target if "/client" in target or "/static" in target else Page(503))
    assert summary(found)["proxy_error"] == ("error", ("media", "federation", "key"))


@pytest.mark.parametrize("path", [FED, "/_matrix/media"])
def test_no_more_is_asked(path: str) -> None:
    _found, world = found_with(down(path))
    group = [request.target for _place, request in world.sent if request.target.startswith(path)]
    # Two, and the first one again.
    assert len(group) == 3
    assert group[0] == group[2] or group[1] == group[2]


class Slow(World):
    """A proxy that tries for three seconds to reach what does not run."""

    def send(self, place: Place, request: Request, timeout: float | None = None) -> Answer | NoAnswer:
        got = super().send(place, request, timeout)
        return got._replace(seconds=3.0) if isinstance(got, Answer) and got.status == 503 else got


def test_a_slow_refusal_is_not_repeated() -> None:
    world = Slow(down(FED, Page(503)))
    found = judge_paths(ask_paths(subject_of(world)), NoLog())
    assert summary(found) == {"proxy_error": ("error", ("federation",))}
    assert len([request for _place, request in world.sent if request.target.startswith(FED)]) == 2


def test_what_did_not_reach_synapse_is_not_in_its_log() -> None:
    world = World(down(FED))
    asked = ask_paths(subject_of(world))
    assert len(asked.tags) < len(asked.rows)
    assert all(world.get(tag) for tag in asked.tags)


def test_synapse_itself_does_not_answer_either() -> None:
    world = World(intact, lambda target: Page(502) if target.startswith(FED) else synapse(target))
    found = judge_paths(ask_paths(subject_of(world, direct=True)), NoLog())
    assert found.findings == ()
    assert "path_decoded" in {one.name for one in found.unknown}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("page", [Page(503), Page(503, headers=RETRY_AFTER), Page(429), error(429, "M_LIMIT_EXCEEDED")])
@pytest.mark.parametrize("passing", range(1, 14))
def test_a_limit_of_requests(page: Page, passing: int, mode: str) -> None:
    asked: list[str] = []

    def proxy(target: str) -> str | Page:
        asked.append(target)
        return target if len(asked) <= passing else page

    found, _world = found_with(proxy, mode)
    assert found.findings == ()
    fixes = {one.fix for one in found.unknown}
    assert fixes <= ({AGAIN} if "errcode" in page.body.decode() else {FIX_LIMIT})


@pytest.mark.parametrize("first", range(1, 14))
@pytest.mark.parametrize("length", range(1, 6))
def test_a_restart_of_synapse(first: int, length: int) -> None:
    asked: list[str] = []

    def proxy(target: str) -> str | Page:
        asked.append(target)
        return Page(502) if first <= len(asked) < first + length else target

    assert found_with(proxy)[0].findings == ()


def test_another_answer_is_none_of_a_missing_backend() -> None:
    assert [is_unreached(answered(Page(status))) for status in (500, 502, 503, 504, 521)] == [False, *[True] * 4]
    assert not is_unreached(answered(error(503, "M_UNKNOWN")))
    assert not is_unreached(answered(Page(503, headers=RETRY_AFTER)))
    assert not is_unreached(NoAnswer(PUBLIC, FIRST.request, "1", "timeout", "it did not answer"))
    assert not is_unreached(None)


def test_hopeless_groups() -> None:
    rows = [Asked("client", FIRST, answered(Page(502))), Asked("client", MEDIA, answered(Page(502)))]
    assert not is_hopeless(rows, "federation")
    rows.append(Asked("client", SECOND, answered(Page(502), 2.0)))
    assert is_hopeless(rows, "federation")
    assert [row.probe for row in suspected(rows, "federation")] == [FIRST, SECOND]
    assert not is_slow(suspected(rows, "federation"))
    assert is_slow([rows[2], rows[2]])
    assert not is_slow([rows[2]])


def test_both_answers_have_to_fail() -> None:
    bad, good = answered(Page(502)), answered(synapse(MEDIA.target))
    failed = Asked("client", FIRST, bad, again=bad)
    passed = Asked("client", MEDIA, good, again=good)
    assert unreached([failed, passed]) == [failed]
    assert unreached([failed._replace(again=None), passed]) == []
    assert unreached([failed, passed._replace(again=None)]) == []
    assert unreached([failed, passed._replace(again=bad)]) == []
    assert unreached([failed, passed, Asked("client", MEDIA, bad)]) == []
    assert unreached([failed._replace(control=bad), passed]) == []
    assert unreached([failed._replace(control=good), passed]) != []


def test_why_there_is_no_answer() -> None:
    def why(page: Page) -> tuple[str, str]:
        return why_busy(answered(page))

    assert why(Page(429)) == ("the proxy limits the rate of requests (status 429)", FIX_LIMIT)
    assert why(Page(503, headers=RETRY_AFTER)) == ("the proxy limits the rate of requests (status 503)", FIX_LIMIT)
    assert why(Page(503)) == ("the proxy probably limits the rate of requests (status 503)", FIX_LIMIT)
    assert why(Page(502)) == ("the answer is 502", AGAIN)
    assert why(error(429, "M_LIMIT_EXCEEDED")) == ("Synapse limits the rate of requests (status 429)", AGAIN)
    assert why(error(500, "M_UNKNOWN")) == ("the answer is 500 M_UNKNOWN", AGAIN)
    missing = NoAnswer(PUBLIC, FIRST.request, "1", "not_asked", "the limit of 60 requests was reached")
    assert "gather" in why_busy(missing)[1]
    assert [is_limit(answered(Page(status))) for status in (429, 503, 200)] == [True, False, False]

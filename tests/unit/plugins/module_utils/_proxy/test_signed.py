# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import threading
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Place, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import Finding, Found, Unknown
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_logged import Arrivals
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.signed import (
    SignedAsked,
    ask_signed,
    judge_signed,
    targets,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import Signs
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.proxied_synapse import (
    DIRECT,
    NAME,
    NoLog,
    Page,
    Proxy,
    World,
    apache,
    error,
    intact,
    nginx,
    subject_of,
)

EVENT, MAKE_JOIN, QUERY = targets(NAME)
INVALID = error(401, "M_UNAUTHORIZED", f"Invalid signature for server {NAME} with key ed25519:a: Unable to verify")


class Signer:
    """Signs with the URI itself."""

    def sign(self, requests: t.Sequence[tuple[str, str]]) -> list[str]:
        return [f'X-Matrix sig="{uri}"' for _method, uri in requests]


class NoSigner:
    def sign(self, requests: t.Sequence[tuple[str, str]]) -> list[str]:
        raise SynapseError("/opt/python cannot be run: No such file or directory.")


class Verifying(World):
    """A Synapse that verifies signatures behind a proxy. `header`: how the proxy changes the header Authorization."""

    def __init__(self, proxy: Proxy, header: t.Callable[[str], str] = str, refusal: Page | None = None) -> None:
        super().__init__(proxy, self._verify)
        self._header = header
        self._refusal = refusal
        self._authorization = ""
        # Requests come at the same time.
        self._turn = threading.RLock()

    def send(self, place: Place, request: Request, timeout: float | None = None) -> Answer | NoAnswer:
        given = dict(request.headers)["Authorization"]
        with self._turn:
            self._authorization = given if place == DIRECT else self._header(given)
            return super().send(place, request, timeout)

    def _verify(self, target: str) -> Page:
        path = target.partition("?")[0]
        if not re.fullmatch("/_matrix/federation/v1/(event/[^/]*|make_join/[^/]*/[^/]*|query/[^/]*)", path):
            return error(404, "M_UNRECOGNIZED")
        if not self._authorization:
            return error(401, "M_UNAUTHORIZED", "Missing Authorization headers")
        if not self._authorization.startswith("X-Matrix sig="):
            return error(400, "M_UNAUTHORIZED", "Malformed Authorization header")
        if self._refusal is not None:
            return self._refusal
        if self._authorization != f'X-Matrix sig="{target}"':
            return INVALID
        return Page(404, b'""', ()) if "/event/" in path else error(404, "M_NOT_FOUND", "Not found")


def found_with(world: World, mode: str, signer: Signs | None = None) -> Found:
    asked = ask_signed(subject_of(world, direct=mode == "direct", two_sites=True, signer=signer or Signer()))
    assert len(world.sent) <= 6
    assert "X-Matrix" not in repr(asked)
    log: Arrivals = world if mode == "log" else NoLog()
    return judge_signed(asked, log)


def only_finding(found: Found) -> Finding:
    (finding,) = found.findings
    assert found.unknown == ()
    assert "X-Matrix" not in repr(finding)
    assert (finding.severity, finding.site, finding.groups) == ("error", "federation", ("federation",))
    return finding


def only_unknown(found: Found) -> Unknown:
    (unknown,) = found.unknown
    assert found.findings == ()
    assert unknown.name == "signature_broken"
    return unknown


MODES = ["direct", "alone", "log"]


@pytest.mark.parametrize("mode", MODES)
def test_signatures_pass(mode: str) -> None:
    world = Verifying(intact)
    assert found_with(world, mode) == Found()
    # Synapse itself is asked only to find the cause of a failure.
    # They are sent at the same time.
    assert {request.target for _place, request in world.sent} == {EVENT, MAKE_JOIN, QUERY}
    assert len(world.sent) == 3


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("proxy", [nginx, apache])
def test_decoded_paths(mode: str, proxy: Proxy) -> None:
    finding = only_finding(found_with(Verifying(proxy), mode))
    assert finding.name == "signature_broken"
    assert "event" in finding.what and "make_join" in finding.what
    assert finding.what.endswith("get the error Invalid signature for server, while query requests pass.")
    assert f"Invalid signature for server {NAME}" in finding.evidence["answer"]
    if mode == "log":
        assert finding.evidence["arrived"] != finding.evidence["expected"]
        assert "%3A" not in finding.evidence["arrived"]
    else:
        assert "arrived" not in finding.evidence


@pytest.mark.parametrize("mode", MODES)
def test_changed_queries(mode: str) -> None:
    def proxy(target: str) -> str:
        return target.replace("?room_alias=%23", "?room_alias=#")

    finding = only_finding(found_with(Verifying(proxy), mode))
    assert finding.what == (
        "The proxy changes the URIs of query requests, so that other servers get the error Invalid signature for"
        " server, while event and make_join requests pass."
    )


@pytest.mark.parametrize("mode", MODES)
def test_all_change(mode: str) -> None:
    found = found_with(Verifying(lambda target: f"{target}#"), mode)
    if mode == "alone":
        # A wrong key would look like that too.
        assert "or the proxy changes all of them" in only_unknown(found).reason
    else:
        assert only_finding(found).what.endswith("Invalid signature for server.")


@pytest.mark.parametrize("mode", MODES)
def test_a_removed_header(mode: str) -> None:
    finding = only_finding(found_with(Verifying(intact, lambda header: ""), mode))
    assert finding.name == "authorization_removed"
    assert finding.what.startswith("The proxy removes the header Authorization")


@pytest.mark.parametrize("mode", MODES)
def test_a_changed_header(mode: str) -> None:
    finding = only_finding(found_with(Verifying(intact, lambda header: header.replace("sig", "gis")), mode))
    assert finding.name == "authorization_removed"
    assert finding.what.startswith("The proxy changes the header Authorization")


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (error(403, "M_FORBIDDEN", f"Federation denied with {NAME}."), "federation_domain_whitelist"),
        (INVALID, "the signing key is not the one that Synapse uses"),
        (error(401, "M_UNAUTHORIZED", "Failed to find any key to satisfy"), "the signing key is not the one"),
        (error(429, "M_LIMIT_EXCEEDED"), "answered 429"),
        (error(500, "M_UNKNOWN"), "answered 500"),
        (Page(403), "answered 403"),
        (Page(200), "answered 200"),
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_synapse_itself_refuses(refusal: Page, words: str, mode: str) -> None:
    assert words in only_unknown(found_with(Verifying(intact, refusal=refusal), mode)).reason


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("page", "words"),
    [(Page(502), "502"), (Page(429), "429"), (Page(403), "403"), (error(403, "M_FORBIDDEN"), "403"), (None, "did not")],
)
def test_the_proxy_answers(page: Page | None, words: str, mode: str) -> None:
    assert words in only_unknown(found_with(Verifying(lambda target: page), mode)).reason


def test_synapse_itself_cannot_be_asked() -> None:
    class Unreachable(Verifying):
        def send(self, place: Place, request: Request, timeout: float | None = None) -> Answer | NoAnswer:
            if place == DIRECT:
                return NoAnswer(place, request, "f", "refused", "127.0.0.1:8008 refused the connection")
            return super().send(place, request, timeout)

    unknown = only_unknown(found_with(Unreachable(nginx), "direct"))
    assert unknown.reason == "Synapse itself did not answer a signed request: 127.0.0.1:8008 refused the connection."
    assert unknown.fix == "Run the task again."


def test_what_is_not_sent_any_more_needs_fewer_requests() -> None:
    class Exhausted(Verifying):
        def send(self, place: Place, request: Request, timeout: float | None = None) -> Answer | NoAnswer:
            return NoAnswer(place, request, "f", "not_asked", "the limit of requests was reached")

    unknown = only_unknown(found_with(Exhausted(lambda target: target), "direct"))
    assert unknown.fix == "Examine less at a time with gather."


def test_paths_that_synapse_does_not_know_are_no_signatures() -> None:
    world = Verifying(lambda target: target.replace("/v1", ""))
    assert found_with(world, "direct") == Found()


def test_nothing_can_be_signed() -> None:
    world = Verifying(intact)
    unknown = only_unknown(found_with(world, "direct", NoSigner()))
    assert unknown.reason == "/opt/python cannot be run: No such file or directory."
    assert world.sent == []


def test_without_a_signer_or_a_site() -> None:
    world = Verifying(intact)
    assert ask_signed(subject_of(world)) == SignedAsked()
    subject = subject_of(world, two_sites=True, signer=Signer())
    assert ask_signed(subject._replace(sites=subject.sites[:1])) == SignedAsked()
    assert judge_signed(SignedAsked(), NoLog()) == Found()
    assert SignedAsked().tags == ()


def test_tags_are_those_of_the_site() -> None:
    world = Verifying(nginx)
    asked = ask_signed(subject_of(world, direct=True, signer=Signer()))
    assert len(asked.tags) == 3
    assert all(world.get(tag) for tag in asked.tags)
    assert asked.site == "client"


def test_what_is_signed() -> None:
    assert all(character in EVENT for character in ("%24", "%3A", "%21", "%40", "%2B", "%2F"))
    assert targets("[::1]:8448")[1].count("%5B%3A%3A1%5D%3A8448") == 2


def test_requests_are_sent_at_the_same_time() -> None:
    class Together(Verifying):
        barrier = threading.Barrier(3)

        def send(self, place: Place, request: Request, timeout: float | None = None) -> Answer | NoAnswer:
            self.barrier.wait(10)
            return super().send(place, request, timeout)

    asked = ask_signed(subject_of(Together(intact), two_sites=True, signer=Signer()))
    assert [row.target for row in asked.rows] == [EVENT, MAKE_JOIN, QUERY]


@pytest.mark.parametrize("page", [Page(429), Page(503, headers=(("Retry-After", "1"),))])
def test_a_limit_of_requests(page: Page) -> None:
    assert "limit_req" in only_unknown(found_with(Verifying(lambda target: page), "direct")).fix


def test_replaced_errors() -> None:
    unknown = only_unknown(found_with(Verifying(lambda target: Page(200)), "direct"))
    assert unknown.reason.endswith("accepts: the proxy may replace the errors of Synapse.")
    assert "proxy_intercept_errors" in unknown.fix

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The redirect of single sign-on, behind proxies that change Host and X-Forwarded-Proto, with and without a log."""

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.arrivals import Arrivals
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Place, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import Found
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.login_redirect import (
    ask_redirect,
    judge_redirect,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import Settings, Site, Subject

PUBLIC, DIRECT = Place("https", "example.org", 443), Place("http", "127.0.0.1", 8008)
BOTH = ["host_wrong", "forwarded_proto_wrong"]


class Server:
    """Synapse with single sign-on, as SsoRedirectServlet decides, behind a proxy.

    `host`, `proto`: what the proxy sends, None for no header. `forwarded_for`: whether it sends that header.
    """

    def __init__(
        self,
        host: str = "example.org",
        proto: str | None = "https",
        forwarded_for: bool = True,
        x_forwarded: bool = True,
        baseurl: str = "https://example.org/",
    ) -> None:
        self._proxy = (host, proto, forwarded_for)
        self._x_forwarded = x_forwarded
        self._baseurl = baseurl
        self.requested: list[str] = []
        self.sent: list[tuple[Place, Request]] = []

    def send(self, place: Place, request: Request, timeout: float | None = None) -> Answer | NoAnswer:
        self.sent.append((place, request))
        host, proto, forwarded_for = self._proxy
        if place == DIRECT:
            headers = dict(request.headers)
            host, proto, forwarded_for = headers["Host"], headers["X-Forwarded-Proto"], "X-Forwarded-For" in headers
        secure = self._x_forwarded and forwarded_for and proto in ("https", None)
        requested = f"{'https' if secure else 'http'}://{host}{request.target}"
        if requested.startswith(self._baseurl):
            return answer(place, request, 400, b'{"errcode": "M_MISSING_PARAM"}')
        self.requested.append(requested)
        return answer(place, request, 302, b"", ("Location", f"{self._baseurl[:-1]}{request.target}"))


class Fixed:
    """A server with one answer. `location`: %s is the target."""

    def __init__(self, status: int, location: str = "", body: bytes = b"") -> None:
        self._answer = (status, location, body)

    def send(self, place: Place, request: Request, timeout: float | None = None) -> Answer | NoAnswer:
        status, location, body = self._answer
        if not status:
            return NoAnswer(place, request, "", "timeout", "it did not answer")
        headers = [("Location", location.replace("%s", request.target))] if location else []
        return answer(place, request, status, body, *headers)


def answer(place: Place, request: Request, status: int, body: bytes, *headers: tuple[str, str]) -> Answer:
    return Answer(place, request, "", status, headers, body, 0.1, "HTTP/1.1", "192.0.2.1:443", "192.0.2.7")


def judge(
    server: Server | Fixed,
    settings: Settings | None = None,
    *,
    log: bool = False,
    direct: Place | None = DIRECT,
    lacks_address: bool = False,
    place: Place = PUBLIC,
) -> Found:
    site = Site("client", place, ("client", "media"))
    subject = Subject("example.org", (site,), server, direct, settings or Settings())
    asked = ask_redirect(subject, site)
    arrivals = Arrivals(requested_uris=tuple(server.requested)) if log and isinstance(server, Server) else Arrivals()
    return judge_redirect(subject, site, asked, arrivals, lacks_address=lacks_address)


def names(found: Found) -> list[str]:
    assert found.unknown == ()
    return [finding.name for finding in found.findings]


@pytest.mark.parametrize("proto", ["https", None])
def test_right_headers(proto: str | None) -> None:
    server = Server(proto=proto)
    assert judge(server) == ((), ())
    (sent,) = server.sent
    assert "redirectUrl" not in sent[1].target


@pytest.mark.parametrize("host", ["127.0.0.1:8008", "example.org:443", "other.example.org"])
def test_wrong_host_in_the_log(host: str) -> None:
    (finding,) = judge(Server(host), log=True).findings
    assert (finding.name, finding.severity, finding.values) == ("host_wrong", "error", {"host": "example.org"})
    assert f"sends the header Host as {host} instead of example.org," in finding.what
    assert finding.evidence["arrived"] == f"https://{host}"
    assert finding.evidence["expected"] == "https://example.org"


def test_wrong_proto_in_the_log() -> None:
    (finding,) = judge(Server(proto="http"), log=True).findings
    assert (finding.name, finding.severity, finding.values) == ("forwarded_proto_wrong", "error", {"scheme": "https"})
    assert "see http instead of https" in finding.what


def test_both_in_the_log() -> None:
    assert names(judge(Server("localhost", "http"), log=True)) == BOTH


@pytest.mark.parametrize("log", [True, False])
def test_address_that_is_missing_is_the_cause(log: bool) -> None:
    server = Server(forwarded_for=False)
    assert names(judge(server, log=log, lacks_address=True)) == []


def test_wrong_host_besides_a_missing_address() -> None:
    assert names(judge(Server("localhost", forwarded_for=False), log=True, lacks_address=True)) == ["host_wrong"]


@pytest.mark.parametrize("server", [Server("localhost"), Server(proto="http"), Server(forwarded_for=False)])
@pytest.mark.parametrize("direct", [DIRECT, None])
def test_both_are_possible_without_the_log(server: Server, direct: Place | None) -> None:
    found = judge(server, direct=direct)
    assert names(found) == BOTH
    assert found.findings[0].values == {"host": "example.org", "scheme": "https", "or": "forwarded_proto_wrong"}
    assert " or " in found.findings[0].what


@pytest.mark.parametrize("log", [True, False])
def test_synapse_ignores_the_headers(log: bool) -> None:
    found = judge(Server(x_forwarded=False), log=log)
    assert names(found) == ["forwarded_for_ignored"]
    assert "x_forwarded is not true" in found.findings[0].what


def test_configuration_says_that_the_headers_are_ignored() -> None:
    found = judge(Server(x_forwarded=False), Settings(x_forwarded=False), direct=None)
    assert names(found) == ["forwarded_for_ignored"]


def test_direct_request_has_the_right_headers() -> None:
    server = Server("localhost", baseurl="https://example.org:8443/")
    judge(server, place=Place("https", "example.org", 8443))
    place, request = server.sent[1]
    assert place == DIRECT
    assert request.target == server.sent[0][1].target
    assert dict(request.headers)["Host"] == "example.org:8443"
    assert dict(request.headers)["X-Forwarded-Proto"] == "https"


def test_site_without_tls() -> None:
    server = Server(proto="https", baseurl="http://example.org/")
    (finding,) = judge(server, log=True, place=Place("http", "example.org", 80)).findings
    assert (finding.name, finding.values) == ("forwarded_proto_wrong", {"scheme": "http"})


@pytest.mark.parametrize("x_forwarded", [True, False])
def test_wrong_host_of_a_site_without_tls(x_forwarded: bool) -> None:
    # Here, a missing X-Forwarded-For does not change the scheme.
    server = Server("localhost", forwarded_for=False, x_forwarded=x_forwarded, baseurl="http://example.org/")
    settings = Settings(x_forwarded=x_forwarded)
    found = judge(server, settings, lacks_address=True, place=Place("http", "example.org", 80))
    assert names(found) == BOTH


def test_redirect_to_another_public_url_is_no_loop() -> None:
    assert judge(Server(baseurl="https://other.example.org/")) == ((), ())


@pytest.mark.parametrize(
    "location",
    [
        "https://example.org/login",
        "http://example.org%s",
        "https://example.org:8443%s",
        "https://sub.example.org%s",
        "https://example.org/matrix%s",
        "https://[example.org%s",
        "https://example.org:port%s",
        "https://\x1bc@example.org%s",
        "%s",
    ],
)
def test_redirects_that_are_no_loop(location: str) -> None:
    assert judge(Fixed(302, location)) == ((), ())


@pytest.mark.parametrize("location", ["https://example.org:443%s", "https://EXAMPLE.org%s", "https://example.org%s"])
def test_the_same_url_in_other_words(location: str) -> None:
    assert names(judge(Fixed(302, location), direct=None)) == BOTH


def test_redirect_of_the_proxy_itself() -> None:
    settings = Settings(public_baseurl="https://matrix.example.org/")
    assert judge(Fixed(302, "https://example.org%s"), settings) == ((), ())
    settings = Settings(public_baseurl="https://example.org/")
    assert names(judge(Fixed(302, "https://example.org%s"), settings, direct=None)) == BOTH


@pytest.mark.parametrize("status", [200, 400, 401, 404])
def test_no_single_sign_on(status: int) -> None:
    assert judge(Fixed(status, body=b'{"errcode": "M_UNRECOGNIZED"}')) == ((), ())


@pytest.mark.parametrize(("status", "words"), [(0, "did not answer"), (429, "429"), (502, "502")])
def test_what_cannot_be_judged(status: int, words: str) -> None:
    found = judge(Fixed(status))
    assert found.findings == ()
    (unknown,) = found.unknown
    assert unknown.name == "host_wrong"
    assert words in unknown.reason


@pytest.mark.parametrize(
    ("status", "location"),
    [
        (200, "https://example.org%s"),
        (400, "https://example.org%s"),
        (302, "https://example.org/sso"),
        (302, "https://example.org%s&more"),
        (302, "https://example.org/prefix%s"),
        (302, "https://other.example.org%s"),
        (302, "https://user@example.org%s"),
        (302, "https://example.org:x%s"),
        (302, "http://example.org%s"),
    ],
)
def test_what_is_no_circle(status: int, location: str) -> None:
    assert judge(Fixed(status, location)) == ((), ())
    assert judge(Fixed(status, location), Settings(public_baseurl="https://example.org/")) == ((), ())


@pytest.mark.parametrize("status", [300, 302, 399])
@pytest.mark.parametrize("location", ["https://example.org%s", "https://example.org:443%s", "https://EXAMPLE.org%s"])
def test_a_circle_has_no_end(status: int, location: str) -> None:
    assert names(judge(Fixed(status, location), direct=None)) == BOTH

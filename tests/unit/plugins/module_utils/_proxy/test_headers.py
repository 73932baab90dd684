# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The headers that a proxy adds, as the log shows them: addresses, forged ones, X-Forwarded-Proto, HTTP/1.0."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.arrivals import Arrival, Arrivals
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Place, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import Finding, Found
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.headers import (
    HeadersAsked,
    ask_headers,
    judge_headers,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import GROUPS, Settings, Site, Subject

PUBLIC, FEDERATION = Place("https", "example.org", 443), Place("https", "example.org", 8448)
DIRECT = Place("http", "127.0.0.1", 8008)
CLIENT_SITE = Site("client", PUBLIC, GROUPS["client"])
FEDERATION_SITE = Site("federation", FEDERATION, GROUPS["federation"])
OURS = "192.0.2.7"
# As Synapse does it: what the proxy sends as X-Forwarded-For, by what it was sent; "" for no header.
Forwards = t.Callable[[str], str]


class Server:
    """A proxy and Synapse, and the log of Synapse. `peer`: the address of the proxy. `fails`: nothing answers."""

    def __init__(
        self,
        forwards: Forwards,
        peer: str = "127.0.0.1",
        ours: str = OURS,
        x_forwarded: bool = True,
        version: str = "HTTP/1.1",
        address: str = "198.51.100.1:443",
        lacks_proto: bool = False,
        fails: bool = False,
        single_sign_on: bool = False,
    ) -> None:
        self._forwards = forwards
        self._peer = peer
        self._ours = ours
        self._x_forwarded = x_forwarded
        self._version = version
        self._address = address
        self._lacks_proto = lacks_proto
        self._fails = fails
        self._single_sign_on = single_sign_on
        self.sent: list[tuple[Place, Request]] = []
        self.found: dict[str, Arrival] = {}

    def send(self, place: Place, request: Request, timeout: float | None = None) -> Answer | NoAnswer:
        tag = f"{len(self.sent):012x}"
        self.sent.append((place, request))
        if self._fails:
            return NoAnswer(place, request, tag, "timeout", "it did not answer")
        sent = dict(request.headers).get("X-Forwarded-For", "")
        header, peer = (sent, self._ours) if place == DIRECT else (self._forwards(sent), self._peer)
        address = header.partition(",")[0].strip() if self._x_forwarded and header else peer
        self.found[tag] = Arrival(request.target, address, self._version, "GET", self._lacks_proto)
        status, headers = 200, []
        if "/sso/" in request.target:
            status = 302 if self._single_sign_on else 404
            headers = [("Location", f"https://example.org{request.target}")] if self._single_sign_on else []
        return Answer(place, request, tag, status, tuple(headers), b"{}", 0.1, "HTTP/1.1", self._address, self._ours)

    def arrivals(self) -> Arrivals:
        return Arrivals(self.found)


def replaces(sent: str) -> str:
    return OURS


def appends(sent: str) -> str:
    return f"{sent}, {OURS}" if sent else OURS


def nothing(sent: str) -> str:
    return ""


def passes_on(sent: str) -> str:
    return sent


def ask(server: Server, *sites: Site, settings: Settings | None = None, direct: Place | None = DIRECT) -> HeadersAsked:
    return ask_headers(Subject("example.org", sites or (CLIENT_SITE,), server, direct, settings or Settings()))


def judge(server: Server, *sites: Site, settings: Settings | None = None, direct: Place | None = DIRECT) -> Found:
    return judge_headers(ask(server, *sites, settings=settings, direct=direct), server.arrivals())


def only(found: Found) -> Finding:
    assert found.unknown == ()
    (finding,) = found.findings
    return finding


def test_right_proxy() -> None:
    assert judge(Server(replaces)) == ((), ())


def test_requests_of_a_client_site() -> None:
    server = Server(replaces)
    asked = ask(server, direct=None)
    targets = [request.target.partition("?")[0] for _place, request in server.sent]
    assert targets == [*["/_matrix/client/versions"] * 2, "/_matrix/client/v3/login/sso/redirect"]
    assert server.sent[0][1].headers == ()
    assert dict(server.sent[1][1].headers)["X-Forwarded-For"] == asked.forged_address
    assert asked.forged_address.startswith("203.0.113.")
    assert set(asked.tags) == server.found.keys()


@pytest.mark.parametrize(
    ("groups", "target"),
    [
        (("federation", "key"), "/_matrix/federation/v1/version"),
        (("key",), "/_matrix/key/v2/server"),
        (("media",), "/_matrix/client/versions"),
    ],
)
def test_requests_of_other_sites(groups: tuple[str, ...], target: str) -> None:
    server = Server(replaces)
    ask(server, Site("federation", FEDERATION, groups), direct=None)
    assert [request.target for _place, request in server.sent] == [target] * 2


def test_what_is_known_is_not_asked() -> None:
    server = Server(replaces)
    ask(server, settings=Settings(x_forwarded=True, single_sign_on=False))
    assert [place for place, _request in server.sent] == [PUBLIC] * 2


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "", "/run/synapse.sock", "unknown"])
def test_no_forwarded_for(peer: str) -> None:
    finding = only(judge(Server(nothing, peer)))
    assert (finding.name, finding.severity, finding.site) == ("forwarded_for_missing", "error", "client")
    assert "the proxy (or the last of several) does not send X-Forwarded-For, or not with the address" in finding.what
    assert finding.evidence["expected"] == f"client address {OURS}"
    assert finding.evidence["arrived"] == f"client address {peer or 'unknown'}, HTTP/1.1"


def test_header_of_the_client_is_passed_on() -> None:
    finding = only(judge(Server(passes_on)))
    assert (finding.name, finding.severity) == ("forwarded_for_missing", "error")
    assert "passes on what a client claims" in finding.what


def test_private_address_may_be_all_that_the_proxy_sees() -> None:
    finding = only(judge(Server(lambda sent: "172.18.0.1", "172.18.0.2")))
    assert (finding.name, finding.severity) == ("forwarded_for_missing", "warning")
    assert "as behind NAT" in finding.what


@pytest.mark.parametrize(("peer", "address"), [("10.0.0.2", "10.0.0.2:443"), ("fd00::2", "[fd00::2]:443")])
def test_address_of_the_site_is_that_of_the_proxy(peer: str, address: str) -> None:
    finding = only(judge(Server(nothing, peer, address=address)))
    assert (finding.name, finding.severity) == ("forwarded_for_missing", "error")


@pytest.mark.parametrize("address", ["198.51.100.20", "2001:db8::5", f"::ffff:{OURS}", f"{OURS}:50000", f"[{OURS}]:1"])
def test_other_public_address_and_other_notations(address: str) -> None:
    assert judge(Server(lambda sent: address)) == ((), ())


@pytest.mark.parametrize("settings", [Settings(x_forwarded=False), Settings()])
def test_synapse_ignores_the_header(settings: Settings) -> None:
    finding = only(judge(Server(replaces, x_forwarded=False), settings=settings))
    assert (finding.name, finding.severity) == ("forwarded_for_ignored", "error")
    assert "x_forwarded is not true for its listener" in finding.what


def test_who_ignores_the_header_is_not_known() -> None:
    finding = only(judge(Server(replaces, x_forwarded=False), direct=None))
    assert finding.name == "forwarded_for_missing"
    assert "or x_forwarded is not true" in finding.what


def test_synapse_shows_that_it_obeys_the_header() -> None:
    finding = only(judge(Server(nothing), settings=Settings()))
    assert finding.name == "forwarded_for_missing"
    assert "x_forwarded" not in finding.what


def test_forged_address() -> None:
    server = Server(appends)
    asked = ask(server)
    finding = only(judge_headers(asked, server.arrivals()))
    assert (finding.name, finding.severity) == ("forwarded_for_spoofable", "warning")
    assert finding.evidence["sent"] == f"X-Forwarded-For: {asked.forged_address}"
    assert finding.evidence["arrived"] == f"client address {asked.forged_address}"
    assert "trust on purpose" not in finding.what


def test_forged_address_from_a_private_one() -> None:
    server = Server(lambda sent: appends(sent).replace(OURS, "127.0.0.77"), ours="127.0.0.77")
    finding = only(judge(server))
    assert finding.name == "forwarded_for_spoofable"
    assert "asked from the address 127.0.0.77, which a proxy may trust on purpose" in finding.what


def test_own_address_on_the_same_host_shows_nothing() -> None:
    found = judge(Server(nothing, ours="127.0.0.1"))
    assert found.findings == ()
    assert [unknown.name for unknown in found.unknown] == ["forwarded_for_missing"]


def test_own_address_on_the_same_host_is_told_from_the_proxy() -> None:
    assert only(judge(Server(nothing, ours="127.0.0.77"))).name == "forwarded_for_missing"
    assert judge(Server(lambda sent: "127.0.0.77", ours="127.0.0.77")) == ((), ())


def test_no_forwarded_proto() -> None:
    finding = only(judge(Server(replaces, lacks_proto=True)))
    assert (finding.name, finding.severity) == ("forwarded_proto_missing", "warning")


def test_warnings_about_requests_of_others() -> None:
    server = Server(replaces)
    asked = ask(server)
    first = asked.sites[0].plain.tag
    server.found[first] = server.found[first]._replace(lacks_proto=True)
    assert judge_headers(asked, server.arrivals()) == ((), ())


def test_old_http() -> None:
    finding = only(judge(Server(replaces, version="HTTP/1.0")))
    assert (finding.name, finding.severity) == ("http_1_0", "warning")
    assert finding.evidence["expected"] == "HTTP/1.1"


def test_two_sites_with_several_faults() -> None:
    found = judge(Server(nothing, version="HTTP/1.0"), CLIENT_SITE, FEDERATION_SITE)
    assert [(finding.site, finding.name) for finding in found.findings] == [
        (site, name) for site in ("client", "federation") for name in ("forwarded_for_missing", "http_1_0")
    ]


def test_without_a_log() -> None:
    found = judge_headers(ask(Server(nothing), CLIENT_SITE, FEDERATION_SITE), Arrivals())
    assert found.findings == ()
    (unknown,) = found.unknown
    assert unknown.name == "headers"
    assert "https://example.org and https://example.org:8448" in unknown.reason
    assert "log_path" in unknown.fix


def test_reason_of_the_log() -> None:
    found = judge_headers(ask(Server(nothing)), Arrivals(reason="The log is silent."))
    assert found.unknown[0].reason.endswith(" The log is silent.")


def test_no_answers() -> None:
    found = judge(Server(replaces, fails=True))
    assert found.findings == ()
    assert [unknown.name for unknown in found.unknown] == ["host_wrong"]


def test_endless_redirect_has_one_cause() -> None:
    # Without X-Forwarded-For, Synapse takes each request for one without TLS.
    found = judge(Server(nothing, single_sign_on=True), settings=Settings(x_forwarded=True))
    assert [finding.name for finding in found.findings] == ["forwarded_for_missing"]


def test_endless_redirect_without_the_log() -> None:
    asked = ask(Server(replaces, single_sign_on=True), direct=None)
    found = judge_headers(asked, Arrivals())
    assert [finding.name for finding in found.findings] == ["host_wrong", "forwarded_proto_wrong"]


def test_endless_redirect_behind_two_proxies() -> None:
    # The second one replaces the address, so Synapse obeys the scheme, which it replaces too.
    found = judge(Server(lambda _sent: "127.0.0.1", single_sign_on=True), settings=Settings(x_forwarded=True))
    assert [finding.name for finding in found.findings] == ["forwarded_for_missing"]
    [unknown] = found.unknown
    assert unknown.name == "forwarded_proto_wrong"
    assert "it replaces X-Forwarded-Proto as well" in unknown.reason and "each proxy" in unknown.fix


def test_endless_redirect_if_the_header_of_the_client_is_passed_on() -> None:
    found = judge(Server(passes_on, single_sign_on=True), settings=Settings(x_forwarded=True))
    assert [finding.name for finding in found.findings] == ["forwarded_for_missing"]
    assert found.unknown == ()


@pytest.mark.parametrize("status", [429, 503])
def test_a_limit_of_requests(status: int) -> None:
    class Limited(Server):
        def send(self, place: Place, request: Request, timeout: float | None = None) -> Answer | NoAnswer:
            got = super().send(place, request, timeout)
            self.found.clear()
            return got._replace(status=status) if isinstance(got, Answer) else got

    found = judge(Limited(replaces), settings=Settings(x_forwarded=True, single_sign_on=False))
    assert found.findings == ()
    (unknown,) = found.unknown
    assert f"answered {status}, so the request did not reach Synapse" in unknown.reason
    assert "limit_req" in unknown.fix

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The headers of CORS: lost, doubled, a preflight that the proxy answers itself, and what is not the proxy's fault."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.cors import check_cors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Place, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import Finding
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import GROUPS, Site, Subject

PUBLIC, DIRECT = Place("https", "matrix.example.org", 443), Place("http", "127.0.0.1", 8008)
ORIGIN = ("Access-Control-Allow-Origin", "*")
METHODS = ("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE, OPTIONS")
HEADERS = ("Access-Control-Allow-Headers", "X-Requested-With, Content-Type, Authorization, Date")

Headers = tuple[tuple[str, str], ...]
Change = t.Callable[[Request, int, Headers], tuple[int, Headers]]


class Server:
    """Synapse, behind a proxy that makes `change` of its status and headers. `direct`: what the direct way changes."""

    def __init__(self, change: Change | None = None, direct: Change | None = None, body: bytes | None = None) -> None:
        self._changes = {PUBLIC: change, DIRECT: direct}
        self._body = body
        self.sent: list[tuple[Place, Request]] = []

    def send(self, place: Place, request: Request, timeout: float | None = None) -> Answer | NoAnswer:
        self.sent.append((place, request))
        status, body = 404, b'{"errcode": "M_UNRECOGNIZED"}'
        if request.method == "OPTIONS":
            status, body = 204, b""
        elif request.target == "/_matrix/client/versions":
            status, body = 200, b'{"versions": []}'
        elif "/media/" in request.target:
            status, body = 401, b'{"errcode": "M_MISSING_TOKEN"}'
        headers: Headers = (ORIGIN, METHODS, HEADERS)
        change = self._changes[place]
        if change is not None:
            status, headers = change(request, status, headers)
        if place == PUBLIC and self._body is not None and request.method != "OPTIONS":
            body = self._body
        if not headers:
            body = b"<html>refused</html>"
        if status == 0:
            return NoAnswer(place, request, "", "closed", "it closed the connection")
        return Answer(place, request, "", status, headers, body, 0.1, "HTTP/1.1", "192.0.2.1:443", "192.0.2.7")


def subject(server: Server, groups: tuple[str, ...] = GROUPS["client"], direct: Place | None = DIRECT) -> Subject:
    return Subject("example.org", (Site("client", PUBLIC, groups),), server, direct)


def only(server: Server) -> Finding:
    found = check_cors(subject(server))
    assert found.unknown == ()
    (finding,) = found.findings
    return finding


def without_origin(request: Request, status: int, headers: Headers) -> tuple[int, Headers]:
    return status, headers[1:]


def doubled(request: Request, status: int, headers: Headers) -> tuple[int, Headers]:
    return status, (*headers, ORIGIN)


def preflight(status: int | None = None, *headers: tuple[str, str]) -> Change:
    def change(request: Request, before: int, all_headers: Headers) -> tuple[int, Headers]:
        if request.method != "OPTIONS":
            return before, all_headers
        return status or before, headers

    return change


def test_synapse_itself() -> None:
    server = Server()
    assert check_cors(subject(server)) == ((), ())
    assert [place for place, _request in server.sent] == [PUBLIC] * 5
    assert [request.method for _place, request in server.sent].count("OPTIONS") == 2
    assert all(("Origin", "https://web-client.invalid") in request.headers for _place, request in server.sent)


def test_own_origin_instead_of_any() -> None:
    def echo(request: Request, status: int, headers: Headers) -> tuple[int, Headers]:
        return status, (("access-control-allow-origin", "https://web-client.invalid"), *headers[1:])

    assert check_cors(subject(Server(echo))) == ((), ())


def test_header_is_lost_everywhere() -> None:
    finding = only(Server(without_origin))
    assert (finding.name, finding.severity, finding.site) == ("cors_missing", "error", "client")
    assert finding.groups == ("client", "media")
    assert "its answers and errors and the answers to OPTIONS" in finding.what
    assert "Access-Control-Allow-Origin: *" in finding.evidence["expected"]
    assert "Origin" not in finding.evidence["arrived"]


def test_header_is_lost_on_errors() -> None:
    def change(request: Request, status: int, headers: Headers) -> tuple[int, Headers]:
        return status, headers if status < 400 else headers[1:]

    finding = only(Server(change))
    assert finding.name == "cors_missing"
    assert " in errors of the groups client and media " in finding.what


def test_another_origin() -> None:
    def change(request: Request, status: int, headers: Headers) -> tuple[int, Headers]:
        return status, (("Access-Control-Allow-Origin", "https://app.example.org"), *headers[1:])

    finding = only(Server(change))
    assert finding.name == "cors_missing"
    assert "with another origin" in finding.what


@pytest.mark.parametrize("value", ["*, *", "*,https://web-client.invalid"])
def test_two_values_in_one_header(value: str) -> None:
    def change(request: Request, status: int, headers: Headers) -> tuple[int, Headers]:
        return status, (("Access-Control-Allow-Origin", value), *headers[1:])

    assert only(Server(change)).name == "cors_doubled"


def test_evidence_is_printable() -> None:
    def colored(request: Request, status: int, headers: Headers) -> tuple[int, Headers]:
        return status, (("Access-Control-Allow-Origin", f"\x1b[31mhttps://other.example {'x' * 1000}"), *headers[1:])

    arrived = only(Server(colored)).evidence["arrived"]
    assert arrived.isprintable() and len(arrived) < 500


def test_two_headers_for_media_only() -> None:
    def change(request: Request, status: int, headers: Headers) -> tuple[int, Headers]:
        return doubled(request, status, headers) if "/media/" in request.target else (status, headers)

    finding = only(Server(change))
    assert (finding.name, finding.groups) == ("cors_doubled", ("media",))
    assert "of the group media" in finding.what
    assert finding.evidence["arrived"].count("Access-Control-Allow-Origin: *") == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (preflight(405), "the status is 405"),
        (preflight(401, ORIGIN, METHODS, HEADERS), "the status is 401"),
        (preflight(200), "without it"),
        (preflight(204, ORIGIN), "Access-Control-Allow-Methods does not contain PUT"),
        (preflight(204, ORIGIN, ("Access-Control-Allow-Methods", "GET, POST"), HEADERS), "does not contain PUT"),
        (preflight(204, ORIGIN, METHODS), "does not contain authorization and content-type"),
        (preflight(204, ORIGIN, METHODS, ("Access-Control-Allow-Headers", "*")), "does not contain authorization"),
    ],
)
def test_preflight(change: Change, words: str) -> None:
    finding = only(Server(change))
    assert (finding.name, finding.groups) == ("cors_preflight", ("client", "media"))
    assert words in finding.what
    assert finding.evidence["request"].startswith("OPTIONS ")


@pytest.mark.parametrize(
    "headers",
    [
        (ORIGIN, ("Access-Control-Allow-Methods", "*"), ("Access-Control-Allow-Headers", "authorization, *")),
        (ORIGIN, ("Access-Control-Allow-Methods", "put"), HEADERS),
        (
            ORIGIN,
            ("Access-Control-Allow-Methods", "GET"),
            ("Access-Control-Allow-Methods", "PUT"),
            ("Access-Control-Allow-Headers", "Authorization"),
            ("Access-Control-Allow-Headers", "Content-Type"),
        ),
    ],
)
def test_preflight_that_a_proxy_may_answer(headers: Headers) -> None:
    assert check_cors(subject(Server(preflight(200, *headers)))) == ((), ())


def test_the_same_directly_is_not_the_proxy() -> None:
    found = check_cors(subject(Server(without_origin, without_origin)))
    assert found.findings == ()
    assert [unknown.name for unknown in found.unknown] == ["cors_missing"]
    assert "base_url" in found.unknown[0].fix


def test_without_a_direct_way() -> None:
    server = Server(doubled)
    assert [finding.name for finding in check_cors(subject(server, direct=None)).findings] == ["cors_doubled"]
    assert len(server.sent) == 5


def test_page_of_the_proxy_is_another_finding() -> None:
    assert check_cors(subject(Server(without_origin, body=b"<html>Not found</html>"))) == ((), ())


@pytest.mark.parametrize("status", [0, 429, 502, 503])
def test_what_cannot_be_judged(status: int) -> None:
    def change(request: Request, before: int, headers: Headers) -> tuple[int, Headers]:
        return status, ()

    found = check_cors(subject(Server(change)))
    assert found.findings == ()
    (unknown,) = found.unknown
    assert ("closed" if status == 0 else str(status)) in unknown.reason


def test_failure_of_the_preflight_only() -> None:
    found = check_cors(subject(Server(preflight(503))))
    assert found.findings == ()
    assert "503" in found.unknown[0].reason


def after(count: int, status: int, until: int = 100) -> Change:
    """A proxy that refuses everything after so many requests, as a limit does, until it has refused some."""
    seen = [0]

    def change(request: Request, before: int, headers: Headers) -> tuple[int, Headers]:
        seen[0] += 1
        return (status, ()) if count < seen[0] <= until else (before, headers)

    return change


@pytest.mark.parametrize("until", [100, 5])
@pytest.mark.parametrize("status", [401, 403, 444])
@pytest.mark.parametrize("count", [2, 4])
def test_a_limit_that_begins_in_the_middle_is_not_a_refused_preflight(count: int, status: int, until: int) -> None:
    server = Server(after(count, status, until))
    found = check_cors(subject(server))
    assert found.findings == ()
    (unknown,) = found.unknown
    assert unknown.name == "cors_preflight"
    assert f"answered OPTIONS with {status}, probably because of a limit" in unknown.reason
    assert "limit_req" in unknown.fix
    assert len(server.sent) == 7


def test_a_limit_in_json_is_no_answer_of_synapse() -> None:
    assert check_cors(subject(Server(without_origin, body=b'{"error": "rate limit"}'))) == ((), ())


@pytest.mark.parametrize("status", [0, 502])
@pytest.mark.parametrize("change", [without_origin, doubled, preflight(405)])
def test_without_an_answer_of_synapse_itself_the_proxy_is_not_blamed(change: Change, status: int) -> None:
    def fails(request: Request, before: int, headers: Headers) -> tuple[int, Headers]:
        return status, ()

    found = check_cors(subject(Server(change, fails)))
    assert found.findings == ()
    (unknown,) = found.unknown
    assert "Synapse itself did not answer, so it is not known" in unknown.reason


def test_site_of_servers_only() -> None:
    server = Server(without_origin)
    assert check_cors(subject(server, ("federation", "key"))) == ((), ())
    assert server.sent == []


@pytest.mark.parametrize("target", ["/_matrix/client/versions", "/_matrix/client/v3/directory/list/room/x"])
def test_a_refused_preflight_is_not_judged_if_nothing_answers_any_more(target: str) -> None:
    seen: list[str] = []

    def change(request: Request, before: int, headers: Headers) -> tuple[int, Headers]:
        seen.append(request.target)
        if request.target == target and seen.count(target) == 2:
            return 0, ()
        return (403, ()) if request.method == "OPTIONS" else (before, headers)

    found = check_cors(subject(Server(change)))
    assert found.findings == ()
    assert [unknown.name for unknown in found.unknown] == ["cors_preflight"]

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with the files below /.well-known/matrix."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.delegation import resolve
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Place
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import Finding, Found
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.service_records import Record
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import Settings, Site, Subject
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.well_known import check_well_known
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.well_known_file import fetch_client_file
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.web import (
    CORS,
    JSON,
    Dns,
    Page,
    Web,
    page,
    redirect,
)

SERVER = "https://example.org/.well-known/matrix/server"
CLIENT = "https://example.org/.well-known/matrix/client"
PUBLIC = Place("https", "matrix.example.org", 443)
BASE_URL = "https://matrix.example.org"
GOOD_SERVER = page({"m.server": "matrix.example.org:443"})
GOOD_CLIENT = page({"m.homeserver": {"base_url": BASE_URL}})
SRV = {"_matrix-fed._tcp.example.org": [Record(0, 0, "m.example.org", 8448)]}


def check(
    server: Page = GOOD_SERVER,
    client: Page = GOOD_CLIENT,
    *,
    place: Place | None = PUBLIC,
    name: str = "example.org",
    public_baseurl: str | None = None,
    records: t.Mapping[str, list[Record] | None] | None = None,
    more: t.Mapping[str, Page] | None = None,
) -> Found:
    web = Web({SERVER: server, CLIENT: client, **(more or {})})
    sites = (Site("client", place, ("client", "media", "well_known")),) if place else ()
    subject = Subject(name, sites, web, settings=Settings(public_baseurl=public_baseurl))
    return check_well_known(resolve(name, web, Dns(records)), None, subject)


def only(found: Found) -> Finding:
    [finding] = found.findings
    assert found.unknown == ()
    assert finding.groups == ("well_known",)
    assert {"request", "answer"} <= set(finding.evidence)
    assert finding.what.endswith(".")
    assert "\n" not in finding.what
    return finding


def summary(finding: Finding) -> tuple[str, str, str]:
    return finding.name, finding.severity, finding.site


@pytest.mark.parametrize("base_url", [BASE_URL, f"{BASE_URL}/", f"{BASE_URL}:443", "https://Matrix.Example.org"])
def test_files_as_they_must_be(base_url: str) -> None:
    found = check(client=page({"m.homeserver": {"base_url": base_url}}), public_baseurl=f"{BASE_URL}/")
    assert (found.findings, found.unknown) == ((), ())


class TestServerFile:
    @pytest.mark.parametrize("answer", [page(b"", 404), page(b"<html>", 404), Page(kind="refused")])
    def test_one_that_does_not_exist_is_not_a_finding(self, answer: Page) -> None:
        assert check(server=answer).findings == ()

    @pytest.mark.parametrize(
        ("answer", "problem"),
        [
            (page({"m.server": "https://m.example.org"}), "because it contains https://: remove that"),
            (page({}), "has no m.server"),
            (page(b"{'m.server': 'a'}"), "is not JSON (line 1, column 2: "),
            (page(b"", 500), "is answered with the status 500, not 200"),
        ],
    )
    def test_one_that_is_not_valid(self, answer: Page, problem: str) -> None:
        finding = only(check(server=answer))
        assert summary(finding) == ("well_known_invalid", "error", "federation")
        assert finding.what.startswith(f"Other servers ignore {SERVER} and connect to example.org:8448, because it ")
        assert problem in finding.what
        assert finding.evidence["request"] == f"GET {SERVER}"

    @pytest.mark.parametrize(
        ("own", "severity"),
        [
            (page({"server_name": "example.org"}), "warning"),
            (page({"server_name": "other.example"}), "error"),
            (page({"server_name": "example.org"}, 502), "error"),
            (page(b"<html>"), "error"),
            (Page(kind="silent"), "error"),
        ],
    )
    @pytest.mark.parametrize("answer", [page({}), page(b"", 403), redirect("https://closed.example/")])
    def test_one_that_is_not_valid_where_the_server_answers(self, answer: Page, own: Page, severity: str) -> None:
        finding = only(check(server=answer, more={"https://example.org:8448/_matrix/key/v2/server": own}))
        assert finding.severity == severity

    def test_a_redirect_to_where_nothing_answers(self) -> None:
        finding = only(check(server=redirect("https://closed.example/")))
        assert summary(finding) == ("well_known_redirect", "error", "federation")
        assert finding.what == (
            f"Other servers ignore {SERVER} and connect to example.org:8448, because it redirects to"
            " 'https://closed.example/', where nothing answers (closed.example:443 refused the connection)."
        )

    @pytest.mark.parametrize(("status", "words"), [(429, "limit_req"), (503, "limit_req"), (502, "Synapse runs")])
    def test_a_limit_of_requests_says_nothing_about_the_files(self, status: int, words: str) -> None:
        found = check(server=page(b"", status), client=page(b"", status))
        assert found.findings == ()
        assert [unknown.name for unknown in found.unknown] == ["well_known_invalid"] * 2
        for unknown, url in zip(found.unknown, (SERVER, CLIENT)):
            assert unknown.reason.startswith(f"{url} was not read, because the proxy ")
            assert str(status) in unknown.reason and words in unknown.fix

    def test_an_empty_answer_is_no_file(self) -> None:
        found = check(server=page(b"", headers=()), client=page(b"", headers=()))
        assert [finding.name for finding in found.findings] == ["well_known_missing"]

    def test_a_page_for_every_path_only_warns(self) -> None:
        finding = only(check(server=page(b"<html><title>Welcome</title>")))
        assert summary(finding) == ("well_known_invalid", "warning", "federation")
        assert 'is answered with an HTML page with the title "Welcome", not with JSON' in finding.what

    def test_one_that_is_not_needed_only_warns(self) -> None:
        assert only(check(server=page({}), records=SRV)).severity == "warning"

    def test_a_service_that_is_excluded(self) -> None:
        records: dict[str, list[Record] | None] = {"_matrix-fed._tcp.example.org": [Record(0, 0, ".", 0)]}
        assert (
            f"Other servers ignore {SERVER} and do not connect at all, because it has no m.server."
            == only(check(server=page({}), records=records)).what
        )

    @pytest.mark.parametrize(
        ("headers", "what"),
        [
            ((CORS,), "is served without a content type instead of application/json"),
            ((("Content-Type", "text/html"), CORS), "is served with the content type 'text/html' instead of"),
        ],
    )
    def test_its_content_type(self, headers: tuple[tuple[str, str], ...], what: str) -> None:
        finding = only(check(server=page({"m.server": "a.example:1"}, headers=headers)))
        assert summary(finding) == ("well_known_content_type", "warning", "federation")
        assert what in finding.what

    def test_it_needs_no_cors(self) -> None:
        assert check(server=page({"m.server": "a.example:1"}, headers=(JSON,))).findings == ()

    def test_a_redirect_to_http(self) -> None:
        finding = only(check(server=redirect("http://example.org/x")))
        assert summary(finding) == ("well_known_redirect", "error", "federation")
        assert finding.what == (
            f"{SERVER} redirects to 'http://example.org/x', which is not https; other servers that do not follow this"
            " connect to example.org:8448."
        )

    @pytest.mark.parametrize(("count", "names"), [(1, []), (2, ["well_known_redirect"])])
    def test_redirects(self, count: int, names: list[str]) -> None:
        more = {f"https://example.org/{number}": redirect(f"/{number + 1}") for number in range(1, count)}
        found = check(server=redirect("/1"), more={**more, f"https://example.org/{count}": GOOD_SERVER})
        assert [finding.name for finding in found.findings] == names
        for finding in found.findings:
            assert (finding.severity, finding.evidence["request"]) == ("warning", f"GET {SERVER}")
            assert "is redirected 2 times" in finding.what

    def test_a_name_with_a_port_has_none(self) -> None:
        assert check(server=page({}), name="example.org:8448").findings == ()


class TestClientFile:
    def test_it_is_fetched_once(self) -> None:
        web = Web({SERVER: GOOD_SERVER, CLIENT: GOOD_CLIENT})
        subject = Subject("example.org", (Site("client", PUBLIC, ("client",)),), web)
        delegation = resolve("example.org", web, Dns())
        assert check_well_known(delegation, fetch_client_file(web, "example.org"), subject).findings == ()
        assert web.asked == [SERVER, CLIENT]

    def test_it_is_not_judged_without_a_client_site(self) -> None:
        assert check(client=page(b"<html>"), place=None).findings == ()

    @pytest.mark.parametrize("answer", [page(b"", 404), Page(kind="refused")])
    def test_one_that_does_not_exist(self, answer: Page) -> None:
        finding = only(check(client=answer))
        assert summary(finding) == ("well_known_missing", "warning", "client")
        assert f"users have to type {BASE_URL} into their clients, which only know example.org." in finding.what
        assert finding.values == {"server_name": "example.org", "base_url": BASE_URL}

    def test_one_that_is_not_needed(self) -> None:
        finding = only(check(client=page(b"", 404), place=Place("https", "example.org", 443)))
        assert summary(finding) == ("well_known_missing", "info", "client")
        assert "does not exist, so that clients use https://example.org itself." in finding.what

    def test_one_that_synapse_does_not_serve(self) -> None:
        answer = page({"errcode": "M_NOT_FOUND", "error": ".well-known not available"}, 404)
        assert only(check(client=answer)).what.endswith(
            "; Synapse itself answers there, but its setting public_baseurl is not set."
        )

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            ({}, "has no base_url in m.homeserver"),
            ({"m.homeserver": BASE_URL}, "has no base_url in m.homeserver"),
            ({"m.homeserver": {"base_url": None}}, "has the base_url None in m.homeserver, which is not a text"),
            ({"m.homeserver": {"base_url": "a.example"}}, "which is not a URL: it must begin with https://"),
            ({"m.homeserver": {"base_url": "https://"}}, "which is not a URL"),
            ({"m.homeserver": {"base_url": "https://a.example:x"}}, "which is not a URL"),
            ({"m.homeserver": {"base_url": "https://a.example:0"}}, "which is not a URL"),
            ({"m.homeserver": {"base_url": "https://a.example/ "}}, "which is not a URL"),
            ({"m.homeserver": {"base_url": "https://a.example/\ud800"}}, "which is not a URL"),
            ({"m.homeserver": {"base_url": "http://a.example"}}, "which is not https"),
            ({"m.homeserver": {"base_url": "https://a.example/_matrix"}}, "which contains /_matrix: clients add that"),
            ({"m.homeserver": {"base_url": "https://a.example/?x"}}, "which has more than a host, a port and a path"),
            ({"m.homeserver": {"base_url": "https://u@a.example"}}, "which has more than a host, a port and a path"),
            (
                {"m.homeserver": {"base_url": BASE_URL}, "m.identity_server": {}},
                "has the base_url None in m.identity_server, which is not a text",
            ),
            (
                {"m.homeserver": {"base_url": BASE_URL}, "m.identity_server": "x"},
                "has the base_url None in m.identity_server, which is not a text",
            ),
        ],
    )
    def test_one_that_is_not_valid(self, content: dict[str, t.Any], problem: str) -> None:
        finding = only(check(client=page(content)))
        assert summary(finding) == ("well_known_invalid", "error", "client")
        assert problem in finding.what
        assert finding.what.startswith(f"Clients do not find the server, because {CLIENT} has ")
        assert finding.what.isprintable()

    def test_a_page(self) -> None:
        finding = only(check(client=page(b"<html><form><input type=password>", headers=())))
        assert summary(finding) == ("well_known_invalid", "error", "client")
        assert "is answered with a login page, not with JSON" in finding.what

    def test_a_redirect_to_http(self) -> None:
        # One cause is one finding: that it also has no CORS does not matter.
        finding = only(check(client=Page(b"", 302, (("Location", "http://example.org/x"),))))
        assert summary(finding) == ("well_known_redirect", "error", "client")

    def test_a_redirect_to_where_nothing_answers(self) -> None:
        finding = only(check(client=redirect("https://closed.example/")))
        assert summary(finding) == ("well_known_redirect", "error", "client")
        assert finding.what.startswith(f"Clients do not find the server, because {CLIENT} redirects to 'https://closed")

    @pytest.mark.parametrize(
        ("values", "problem"),
        [
            ([], "has no header Access-Control-Allow-Origin"),
            (["*", "*"], "has the header Access-Control-Allow-Origin more than once ('*, *')"),
            (["*, *"], "has the header Access-Control-Allow-Origin more than once ('*, *')"),
            (["https://element.example"], "allows only 'https://element.example' in the header"),
        ],
    )
    def test_what_a_browser_refuses(self, values: list[str], problem: str) -> None:
        headers = (JSON, *(("access-control-allow-origin", value) for value in values))
        finding = only(check(client=page({"m.homeserver": {"base_url": BASE_URL}}, headers=headers)))
        assert summary(finding) == ("well_known_cors", "error", "client")
        assert f"{CLIENT} {problem}" in finding.what
        shown = f"Access-Control-Allow-Origin: {', '.join(values)}" if values else "no such header"
        assert finding.evidence["arrived"] == shown

    def test_a_browser_also_wants_it_in_a_redirect(self) -> None:
        answer = Page(b"", 301, (("Location", "/c"),))
        finding = only(check(client=answer, more={"https://example.org/c": GOOD_CLIENT}))
        assert finding.name == "well_known_cors"
        assert f"{CLIENT}, in the answer that redirects, has no header" in finding.what
        assert finding.evidence["answer"] == "301 Location: /c"

    def test_a_server_that_allows_every_origin_by_its_name(self) -> None:
        headers = (JSON, ("Access-Control-Allow-Origin", "https://client.invalid"))
        assert check(client=page({"m.homeserver": {"base_url": BASE_URL}}, headers=headers)).findings == ()

    def test_its_content_type(self) -> None:
        finding = only(check(client=page({"m.homeserver": {"base_url": BASE_URL}}, headers=(CORS,))))
        assert summary(finding) == ("well_known_content_type", "warning", "client")


class TestPublicUrl:
    @pytest.mark.parametrize(
        "base_url", ["https://other.example.org", f"{BASE_URL}:8443", f"{BASE_URL}/path", "https://example.org"]
    )
    def test_another_one_in_the_file(self, base_url: str) -> None:
        finding = only(check(client=page({"m.homeserver": {"base_url": base_url}})))
        assert summary(finding) == ("public_url_differs", "warning", "client")
        assert finding.what == (
            f"{CLIENT} sends clients to {base_url!r}, but {BASE_URL} is examined: all of them must be the same URL."
        )

    def test_another_one_in_both(self) -> None:
        client = page({"m.homeserver": {"base_url": "https://a.example"}})
        assert only(check(client=client, public_baseurl="https://b.example/")).what == (
            f"{CLIENT} sends clients to 'https://a.example' and public_baseurl in homeserver.yaml is"
            f" 'https://b.example/', but {BASE_URL} is examined: all of them must be the same URL."
        )

    @pytest.mark.parametrize("public_baseurl", ["http://matrix.example.org/", "https://[", "https://a:x"])
    def test_another_one_in_the_configuration(self, public_baseurl: str) -> None:
        finding = only(check(public_baseurl=public_baseurl))
        assert summary(finding) == ("public_url_differs", "warning", "client")
        assert f"public_baseurl in homeserver.yaml is {public_baseurl!r}" in finding.what

    def test_a_missing_file_and_another_one_in_the_configuration(self) -> None:
        found = check(client=page(b"", 404), public_baseurl="https://b.example/")
        assert [finding.name for finding in found.findings] == ["well_known_missing", "public_url_differs"]


def test_what_was_not_asked_is_unknown() -> None:
    found = check(server=Page(kind="not_asked"), client=Page(kind="not_asked"))
    assert found.findings == ()
    assert [(unknown.name, unknown.reason.split()[0]) for unknown in found.unknown] == [
        ("well_known_missing", SERVER),
        ("well_known_missing", CLIENT),
    ]

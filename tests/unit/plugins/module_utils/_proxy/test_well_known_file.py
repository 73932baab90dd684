# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the files below /.well-known/matrix are fetched and read."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Place, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.well_known_file import (
    INVALID,
    LIMITED,
    MISSING,
    NO_BACKEND,
    NOT_ASKED,
    PAGE,
    READ,
    REDIRECT,
    Fetched,
    delegated_server,
    fetch_client_file,
    fetch_server_file,
    is_json_type,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.web import Page, Web, page, redirect

URL = "https://example.org/.well-known/matrix/server"
GOOD = {"m.server": "matrix.example.org:443"}


def fetch(first: Page, **others: Page) -> Fetched:
    return fetch_server_file(Web({URL: first, **others}), "example.org")


def test_a_file() -> None:
    found = fetch(page(GOOD))
    assert (found.state, found.content, found.problem, len(found.answers)) == (READ, GOOD, "", 1)


@pytest.mark.parametrize(
    ("answer", "state", "problem"),
    [
        (page(b"<html>", 404), MISSING, "does not exist"),
        (page(GOOD, 410), MISSING, "does not exist"),
        (Page(kind="refused"), MISSING, "cannot be read (example.org:443 refused the connection)"),
        (Page(kind="not_asked"), NOT_ASKED, "was not read (example.org:443 not_asked the connection)"),
        (page(GOOD, 401), INVALID, "is refused with the status 401, by a rule or an authentication of the proxy"),
        (page(GOOD, 500), INVALID, "is answered with the status 500, not 200"),
        (page(b"", 429), LIMITED, "was not read, because the proxy answered 429 twice"),
        (page(b"", 503), LIMITED, "was not read, because the proxy answered 503 twice"),
        (page(GOOD, 502), NO_BACKEND, "was not read, because the proxy does not reach what serves it (status 502)"),
        (page(b"", 522), NO_BACKEND, "was not read, because the proxy does not reach what serves it (status 522)"),
        (page(b"", 530), NO_BACKEND, "was not read, because the proxy does not reach what serves it (status 530)"),
        # As Caddy answers to a path for which nothing is configured.
        (page(b"", headers=()), MISSING, "does not exist, as the answer is empty"),
        (page(b" ", headers=(("Content-Type", "text/plain"),)), MISSING, "does not exist, as the answer is empty"),
        # Synapse wants exactly this status.
        (page(GOOD, 203), INVALID, "is answered with the status 203, not 200"),
        (page(b""), INVALID, "is empty"),
        (page(b"\n"), INVALID, "is empty"),
        (page(b"\xef\xbb\xbf{}"), INVALID, "begins with a byte order mark: save it as UTF-8 without one"),
        (page(b'{"a": "\xff"}'), INVALID, "is not UTF-8"),
        (page(b'{"m.server": "a",}'), INVALID, "is not JSON (line 1, column 1"),
        (page(b'{"m.server": NaN}'), INVALID, "is not JSON"),
        (page(b"[" * 40_000), INVALID, "is not JSON"),
        (page(b"[]"), INVALID, "is not a JSON object"),
        (page(b"matrix.example.org"), INVALID, "is not JSON (line 1, column 1: "),
        (page(b"<!doctype html><p>x"), PAGE, "is answered with an HTML page, not with JSON"),
        (
            page(b"<html><head><title>Welcome to nginx!</title>"),
            PAGE,
            "is answered with the default page of nginx, not with JSON",
        ),
        (
            page(b"\r\n <html><head><TITLE>\n Buy &amp; sell\nx</TITLE>"),
            PAGE,
            'is answered with an HTML page with the title "Buy & sell x", not with JSON',
        ),
        (page(b"<html><form><input name=a type='password'>"), PAGE, "is answered with a login page, not with JSON: "),
        (page(b"\xef\xbb\xbf<html>"), PAGE, "is answered with an HTML page, not with JSON"),
        (page(b"<?xml version='1.0'?><a/>"), PAGE, "is answered with a page of the web server, not with JSON"),
    ],
)
def test_what_is_not_a_file(answer: Page, state: str, problem: str) -> None:
    found = fetch(answer)
    assert (found.state, found.content) == (state, {})
    assert found.problem.startswith(problem)


def test_the_largest_file() -> None:
    largest = b'{"m.server": "a.example"}'.ljust(50 * 1024 - 1)
    assert fetch(page(largest)).state == READ
    assert fetch(page(largest + b" ")).problem == "is too large: Synapse reads less than 50 KiB"
    client = Web({"https://example.org/.well-known/matrix/client": page(largest + b" ")})
    assert fetch_client_file(client, "example.org").state == READ
    assert client.requests[0].headers == (("Origin", "https://client.invalid"),)


@pytest.mark.parametrize(
    ("location", "goes_to"),
    [
        ("https://www.example.org/w?x=1#y", "https://www.example.org/w?x=1"),
        ("https://WWW.example.org:8443", "https://www.example.org:8443/"),
        ("//www.example.org/w", "https://www.example.org/w"),
        ("/w", "https://example.org/w"),
        ("w", "https://example.org/.well-known/matrix/w"),
        ("https://example.org:443/w%2F ü", "https://example.org/w%2F%20%C3%BC"),
        ("https://[2001:db8::1]/w", "https://[2001:db8::1]/w"),
        ("https://user:secret@example.org/w", "https://example.org/w"),
    ],
)
def test_a_redirect(location: str, goes_to: str) -> None:
    found = fetch(redirect(location), **{goes_to: page(GOOD)})
    assert (found.state, found.content, len(found.answers)) == (READ, GOOD, 2)


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("", "redirects without the header Location"),
        ("http://example.org/w", "'http://example.org/w', which is not https"),
        ("ftp://example.org/w", "which is not https"),
        ("http://", "which is not a URL"),
        ("https://example.org:port/", "which is not a URL"),
        ("https://[::1/", "which is not a URL"),
        ("https://a_b.example/", "which is not a URL"),
    ],
)
def test_a_redirect_that_cannot_be_followed(location: str, reason: str) -> None:
    web = Web({URL: redirect(location)})
    found = fetch_server_file(web, "example.org")
    assert (found.state, len(web.asked)) == (REDIRECT, 1)
    assert reason in found.problem


def test_redirects_in_a_circle() -> None:
    found = fetch(redirect("/a"), **{"https://example.org/a": redirect(URL)})
    assert (found.state, len(found.answers)) == (REDIRECT, 2)
    assert found.problem == f"redirects in a circle, to {URL!r} again"


@pytest.mark.parametrize(("redirects", "state"), [(5, READ), (6, REDIRECT)])
def test_many_redirects(redirects: int, state: str) -> None:
    pages = {f"https://example.org/{number}": redirect(f"/{number + 1}") for number in range(1, redirects)}
    found = fetch(redirect("/1"), **pages, **{f"https://example.org/{redirects}": page(GOOD)})
    assert found.state == state
    assert len(found.answers) == 6


@pytest.mark.parametrize(
    ("content", "result"),
    [
        ({"m.server": "Matrix.Example.org"}, "Matrix.Example.org"),
        ({"m.server": "[2001:db8::1]:8448"}, "[2001:db8::1]:8448"),
        ({}, "has no m.server"),
        ({"m.homeserver": {}}, "has no m.server"),
        ({"m.server": 8448}, "has an m.server that is not a text: 8448"),
        ({"m.server": None}, "has an m.server that is not a text: None"),
        ({"m.server": ""}, "has the m.server '', which is not a server name, because it is empty"),
        (
            {"m.server": "https://matrix.example.org"},
            "has the m.server 'https://matrix.example.org', which is not a server name, because it contains https://:"
            " remove that",
        ),
        (
            {"m.server": "matrix.example.org:443/"},
            "has the m.server 'matrix.example.org:443/', which is not a server name, because it contains a path: remove"
            " everything after the name and the port",
        ),
    ],
)
def test_the_server_in_a_file(content: dict[str, t.Any], result: str) -> None:
    file = fetch(page(content))
    try:
        assert delegated_server(file).text == result
    except ValueError as error:
        assert str(error) == result


@pytest.mark.parametrize(
    ("kind", "is_json"),
    [("application/json", True), ("Application/JSON; charset=utf-8", True), ("text/json", False), ("", False)],
)
def test_content_types(kind: str, is_json: bool) -> None:
    last = fetch(page(GOOD, headers=(("content-type", kind),))).last
    assert isinstance(last, Answer)
    assert is_json_type(last) == is_json


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_status_that_passes(status: int) -> None:
    web = Web({URL: page(b"", status)})

    class Passing:
        def send(self, place: Place, request: Request, timeout: float | None = None) -> Answer | NoAnswer:
            got = web.send(place, request)
            web.pages[URL] = page(GOOD)
            return got

    found = fetch_server_file(Passing(), "example.org")
    assert (found.state, len(found.answers), len(web.asked)) == (READ, 1, 2)


@pytest.mark.parametrize("kind", ["refused", "unresolved", "certificate"])
def test_a_redirect_to_where_nothing_answers(kind: str) -> None:
    found = fetch(
        redirect("https://www.example.org/w?x=secret"), **{"https://www.example.org/w?x=secret": Page(kind=kind)}
    )
    assert found.state == REDIRECT
    assert found.problem == (
        f"redirects to 'https://www.example.org/w', where nothing answers (www.example.org:443 {kind} the connection)"
    )
    found = fetch(redirect("/w"), **{"https://example.org/w": Page(kind="not_asked")})
    assert found.state == NOT_ASKED

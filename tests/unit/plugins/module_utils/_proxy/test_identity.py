# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import json
import pathlib
import socket

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Place, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import Finding, Found
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.identity import Identity, check_site
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import Site, Subject
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.transport import Sender
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.made_certificates import Workshop
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.raw_server import (
    Handler,
    RawServer,
    answer,
    by_target,
    fixed,
)

VERSIONS, KEY = "/_matrix/client/versions", "/_matrix/key/v2/server"
CLIENT, FEDERATION = ("client", "media", "well_known"), ("federation", "key")
HTML = {"Content_Type": "text/html"}


def as_json(value: object, status: int = 200) -> bytes:
    return answer(status, json.dumps(value).encode(), Content_Type="application/json", Server="Synapse/1.163.0")


def keys(name: str = "example.org", key: str = "one") -> bytes:
    return as_json({"server_name": name, "verify_keys": {"ed25519:a": {"key": key}}, "valid_until_ts": 1})


def moved(location: str, status: int = 302) -> bytes:
    return answer(status, Location=location)


RIGHT = {VERSIONS: as_json({"versions": ["v1.1"]}), KEY: keys()}


def asked(place: Place, groups: tuple[str, ...], sender: Sender, direct: Place | None = None) -> Identity:
    site = Site("client" if "client" in groups else "federation", place, groups)
    return check_site(Subject("example.org", (site,), sender, direct), site)


def checked(handler: Handler, groups: tuple[str, ...] = CLIENT, direct: Handler | None = None) -> Identity:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(RawServer(handler))
        sender = stack.enter_context(Sender(timeout=5))
        own = stack.enter_context(RawServer(direct)).place if direct else None
        return asked(server.place, groups, sender, own)


def finding_of(handler: Handler, groups: tuple[str, ...] = CLIENT, direct: Handler | None = None) -> Finding:
    found = checked(handler, groups, direct).found
    (finding,) = found.findings
    assert not found.unknown
    assert finding.what.endswith(".") and "\n" not in finding.what and "127.0.0.1:" in finding.what
    assert finding.site == ("client" if "client" in groups else "federation")
    assert finding.evidence["request"].startswith("GET http") and finding.evidence["answer"]
    assert set(finding.groups) <= set(groups)
    return finding


def test_a_site_that_is_right() -> None:
    with RawServer(by_target(RIGHT)) as server, Sender() as sender:
        for groups, count in ((CLIENT, 1), (FEDERATION, 2), (CLIENT + FEDERATION, 4)):
            assert asked(server.place, groups, sender) == Identity(Found(), "")
            assert sender.sent == count
        assert [head.split(b" ")[1].decode() for head in server.heads] == [VERSIONS, KEY, VERSIONS, KEY]


def test_a_site_with_the_same_keys_as_synapse_itself() -> None:
    assert not checked(by_target(RIGHT), FEDERATION, by_target(RIGHT)).found.findings
    # A listener for clients only does not show keys.
    assert not checked(by_target(RIGHT), FEDERATION, fixed(as_json({"errcode": "M_UNRECOGNIZED"}, 404))).found.findings


def test_another_server_by_its_name() -> None:
    finding = finding_of(fixed(keys("other.example")), FEDERATION)
    assert (finding.name, finding.severity, finding.groups) == ("another_server", "error", FEDERATION)
    assert "the server other.example answers, not example.org" in finding.what
    assert finding.evidence["expected"] == "example.org"


def test_another_server_by_its_keys() -> None:
    finding = finding_of(by_target(RIGHT), FEDERATION, fixed(keys(key="two")))
    assert finding.name == "another_server"
    assert "because the signing keys differ" in finding.what
    finding = finding_of(by_target(RIGHT), FEDERATION, fixed(keys("third.example")))
    assert "because that server is third.example" in finding.what


def test_the_group_that_is_not_forwarded() -> None:
    page = answer(404, b"<html><center>nginx</center></html>", Server="nginx", **HTML)
    identity = checked(by_target({VERSIONS: RIGHT[VERSIONS]}, page), CLIENT + FEDERATION)
    (finding,) = identity.found.findings
    assert (finding.name, finding.groups, identity.proxy) == ("path_not_forwarded", FEDERATION, "nginx")
    assert f"{KEY} to Synapse, and answers itself with an HTML page and status 404" in finding.what
    (finding,) = checked(fixed(page), CLIENT + FEDERATION).found.findings
    assert finding.groups == ("client", "media", "federation", "key")


def test_an_empty_answer_of_a_proxy_without_a_rule_for_the_path() -> None:
    finding = finding_of(fixed(answer(200, Server="Caddy")))
    assert finding.name == "path_not_forwarded"
    assert "answers itself with an empty answer and status 200" in finding.what


@pytest.mark.parametrize(
    "content",
    [
        as_json({"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"}, 404),
        answer(404, b"<html><head><title>404 - No Such Resource</title></head></html>", **HTML),
    ],
)
def test_the_404_of_synapse_itself(content: bytes) -> None:
    finding = finding_of(fixed(content))
    assert finding.name == "path_rewritten"
    assert "Synapse does not know the path that arrives" in finding.what


@pytest.mark.parametrize("status", [502, 503, 504, 522])
def test_a_proxy_that_does_not_reach_synapse(status: int) -> None:
    finding = finding_of(fixed(answer(status, b"<h1>Bad Gateway</h1>", Server="nginx/1.22", **HTML)))
    assert finding.name == "proxy_error"
    assert f"does not reach Synapse, and answers with status {status}" in finding.what
    assert finding.evidence["answer"] == f"{status} <h1>Bad Gateway</h1>"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<!DOCTYPE html><title>Welcome to nginx!</title>", "the default page of nginx"),
        (b"<html><title>Apache2 Debian Default Page: It works</title>", "the default page of Apache"),
        (b"<html><title>Caddy works!</title>", "the default page of Caddy"),
        (b"<html><p>This <b>domain</b> is\n for sale!", "the page of a parked domain"),
        (b"<html><title>Sign in</title><FORM><input name=p type='password'>", 'a login page with the title "Sign in"'),
        (b"<html><title>\x1b[31mMy\xff blog</title>", "an HTML page with the title"),
        (b"<html>\xff\xfe", "but an HTML page with status 200"),
        (b" ", "an empty answer"),
        (b"hello", "a text that is not JSON"),
        (b'{"ok": true}', "JSON of another program"),
        (b'{"versions": "v1"}', "JSON of another program"),
        (b"[" * 100_000, "a text that is not JSON"),
    ],
)
def test_what_answers_in_place_of_synapse(body: bytes, words: str) -> None:
    finding = finding_of(fixed(answer(200, body)))
    assert (finding.name, finding.severity) == ("not_matrix", "error")
    assert words in finding.what
    assert finding.what.isprintable()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (answer(401, b"no", WWW_Authenticate='Basic realm="x"'), "asks for a password"),
        (answer(403, b"<html>Forbidden</html>", **HTML), "refuses the request with status 403"),
    ],
)
def test_an_authentication_of_the_proxy(content: bytes, words: str) -> None:
    finding = finding_of(fixed(content))
    assert finding.name == "not_matrix"
    assert words in finding.what and "exclude the paths of Matrix" in finding.what


def test_too_many_requests() -> None:
    found = checked(fixed(as_json({"errcode": "M_LIMIT_EXCEEDED"}, 429))).found
    assert not found.findings
    assert [unknown.name for unknown in found.unknown] == ["not_matrix"]


def test_an_error_of_matrix_that_is_not_expected() -> None:
    assert (
        "but the error M_FORBIDDEN with status 403" in finding_of(fixed(as_json({"errcode": "M_FORBIDDEN"}, 403))).what
    )


def test_a_redirect_in_a_circle() -> None:
    finding = finding_of(by_target({VERSIONS: moved("/a"), "/a": moved("b", 308), "/b": moved(VERSIONS)}))
    assert (finding.name, finding.severity) == ("redirect_loop", "error")
    assert "redirects in a circle, at last to http://127.0.0.1:" in finding.what
    finding = finding_of(by_target({VERSIONS: moved(VERSIONS, 301)}))
    assert finding.name == "redirect_loop"
    assert finding.evidence["answer"] == f"301 Location: {VERSIONS}"


def test_redirects_without_end() -> None:
    count = iter(range(1000))

    def handler(connection: socket.socket, _head: bytes) -> bool:
        connection.sendall(moved(f"/{next(count)}"))
        return True

    assert finding_of(handler).name == "redirect_loop"
    assert next(count) == 6


def test_a_redirect_to_a_login_page() -> None:
    page = answer(200, b"<html><title>Log in</title><form><input type=password></form>", **HTML)
    finding = finding_of(by_target({VERSIONS: moved("/portal?x=a b"), "/portal?x=a%20b": page}))
    assert (finding.name, finding.severity) == ("redirected", "error")
    assert "/portal, a login page: exclude" in finding.what
    assert finding.evidence["arrived"].startswith("200 <html>")


def test_a_redirect_that_clients_can_follow() -> None:
    finding = finding_of(by_target({VERSIONS: moved("/x"), "/x": RIGHT[VERSIONS]}))
    assert (finding.name, finding.severity) == ("redirected", "warning")
    finding = finding_of(by_target({KEY: moved("/x"), "/x": RIGHT[KEY]}), FEDERATION)
    assert (finding.name, finding.severity) == ("redirected", "error")


def test_a_redirect_to_another_page_or_to_nothing() -> None:
    finding = finding_of(by_target({VERSIONS: moved("/x")}))
    assert "where a Matrix server does not answer, but an HTML page with status 404" in finding.what
    finding = finding_of(by_target({VERSIONS: moved("https://127.0.0.1:1/x")}))
    assert "to https://127.0.0.1:1/x, where nothing answers: 127.0.0.1:1 refused the connection" in finding.what


def test_a_redirect_to_https(tmp_path: pathlib.Path) -> None:
    leaf = Workshop(tmp_path).leaf("IP:127.0.0.1")
    with contextlib.ExitStack() as stack:
        secure = stack.enter_context(RawServer(by_target(RIGHT), leaf.both))
        plain = stack.enter_context(RawServer(fixed(moved(f"{secure.place.url}{VERSIONS}", 301))))
        sender = stack.enter_context(Sender(leaf.certificate))
        (finding,) = asked(plain.place, CLIENT, sender).found.findings
    assert (finding.name, finding.severity) == ("redirected", "warning")
    assert finding.what.endswith(f"to {secure.place.url}{VERSIONS}, the same with https: use https in the public URL.")


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("https://other.invalid/x", "https://other.invalid/x, which is another host"),
        ("//auth.invalid/?rd=x", "http://auth.invalid/, probably a login page"),
        ("ftp://127.0.0.1/x", "ftp://127.0.0.1/x, which is not a URL that can be followed"),
        ("http://[::1", "http://[::1, which is not a URL that can be followed"),
        ("http://127.0.0.1:99999/", "http://127.0.0.1:99999/, which is not a URL"),
        ("", "an empty Location, which is not a URL"),
        ("\x1b[31m//\x00other", "//other, which is not a URL|127.0.0.1"),
    ],
)
def test_redirects_that_are_not_followed(location: str, words: str) -> None:
    finding = finding_of(by_target({VERSIONS: moved(location)}))
    assert finding.name == "redirected"
    assert any(word in finding.what for word in words.split("|"))
    assert finding.what.isprintable() and finding.evidence["answer"].isprintable()


def test_another_host_is_not_asked() -> None:
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(RawServer(by_target(RIGHT)))
        server = stack.enter_context(RawServer(fixed(moved(f"http://127.0.0.2:{other.port}/"))))
        sender = stack.enter_context(Sender())
        (finding,) = asked(server.place, CLIENT, sender).found.findings
        assert (other.connections, sender.sent) == (0, 1)
    assert "which is another host" in finding.what


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("refused", "unreachable", "Clients and other servers cannot reach https://a.example: REASON; check that the"),
        ("timeout", "unreachable", "check that a firewall does not block the port"),
        ("silent", "unreachable", "check that the proxy listens on this port and no other program"),
        ("unreachable", "unreachable", "check the network"),
        ("closed", "unreachable", "look into the log of the proxy"),
        ("unresolved", "name_not_found", "do not find a.example: REASON; create its DNS records"),
        (
            "tls",
            "tls_failed",
            "Clients and other servers cannot use https://a.example: REASON; check that the proxy has",
        ),
        ("certificate", "certificate_not_trusted", "The certificate of a.example:443 is not accepted: REASON."),
        ("not_http", "not_matrix", "Another program than a web server answers at https://a.example: REASON"),
    ],
)
def test_sites_that_do_not_answer(kind: str, name: str, words: str) -> None:
    class Stub:
        asked = 0

        def send(self, place: Place, request: Request, timeout: float | None = None) -> Answer | NoAnswer:
            self.asked += 1
            return NoAnswer(place, request, "", kind, "REASON")

    stub = Stub()
    site = Site("client", Place("https", "a.example", 443), CLIENT + FEDERATION)
    identity = check_site(Subject("a.example", (site,), stub), site)
    (finding,) = identity.found.findings
    assert (finding.name, finding.severity, finding.groups) == (name, "error", site.groups)
    assert words in finding.what
    assert finding.evidence == {"request": f"GET https://a.example{VERSIONS}", "answer": "REASON"}
    assert (identity.proxy, stub.asked) == ("", 1)


def test_a_site_that_was_not_asked() -> None:
    with RawServer(by_target(RIGHT)) as server, Sender(most_requests=0) as sender:
        found = asked(server.place, CLIENT, sender).found
    assert not found.findings
    assert [unknown.name for unknown in found.unknown] == ["unreachable"]


def test_a_certificate_that_is_not_accepted(tmp_path: pathlib.Path) -> None:
    leaf = Workshop(tmp_path).leaf("DNS:a.example")
    with RawServer(by_target(RIGHT), leaf.both) as server, Sender(leaf.certificate) as sender:
        (finding,) = asked(server.place, FEDERATION, sender).found.findings
    assert finding.name == "certificate_wrong_name"
    assert finding.what == (
        f"The certificate of {server.place.address} is for a.example, but it must be for 127.0.0.1: let the well-known"
        " file or the SRV record name a host that has a certificate."
    )


@pytest.mark.parametrize("versions", [[], [1], {}, "v1.1"])
def test_versions_that_no_matrix_server_has(versions: object) -> None:
    finding = finding_of(fixed(as_json({"versions": versions})))
    assert (finding.name, finding.groups) == ("not_matrix", ("client", "media"))


def test_a_port_that_accepts_connections_and_says_nothing() -> None:
    with RawServer(fixed(b"")) as server, Sender(timeout=0.2) as sender:
        (finding,) = asked(server.place._replace(scheme="https"), FEDERATION, sender).found.findings
        assert (finding.name, sender.sent) == ("unreachable", 1)
        assert "accepted the connection, but did not answer the TLS handshake" in finding.what


def test_a_limit_of_requests_is_not_a_proxy_without_synapse() -> None:
    found = checked(fixed(answer(503, b"<h1>Busy</h1>", Retry_After="1"))).found
    assert found.findings == ()
    (unknown,) = found.unknown
    assert "answered twice with status 503" in unknown.reason and "limit_req" in unknown.fix


@pytest.mark.parametrize("status", [429, 503])
def test_a_status_that_passes(status: int) -> None:
    refused = [answer(status)]

    def passing(connection: socket.socket, head: bytes) -> bool:
        if refused:
            connection.sendall(refused.pop())
            return True
        return by_target(RIGHT)(connection, head)

    assert checked(passing, CLIENT + FEDERATION).found == Found()


def test_a_backend_that_expects_tls() -> None:
    content = answer(400, b"<center>The plain HTTP request was sent to HTTPS port</center>", **HTML)
    (got,) = checked(fixed(content)).found.findings
    # Without TLS, the public URL itself is wrong.
    assert got.name == "not_matrix"
    place = Place("https", "a.example", 443)

    class Stub:
        def send(self, _place: Place, request: Request, timeout: float | None = None) -> Answer | NoAnswer:
            body = b"Client sent an HTTP request to an HTTPS server.\n"
            return Answer(place, request, "", 400, (), body, 0.1, "HTTP/1.1", "192.0.2.1:443", "192.0.2.2")

    site = Site("client", place, CLIENT)
    (got,) = check_site(Subject("a.example", (site,), Stub()), site).found.findings
    assert got.name == "proxy_error"
    assert "sends plain HTTP to a port that expects TLS" in got.what

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What should not be public: the Admin API, also behind a filter, the metrics, and the health of another program."""

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Place, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exposure import check_exposure, is_private
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import Found
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import Site, Subject

PUBLIC = Place("https", "matrix.example.org", 443)
VERSION = b'{"server_version": "1.163.2"}'
ADMIN = "/_synapse/admin/v1/server_version"
ENCODED = "/_synapse/%61dmin/v1/server_version"
DOUBLED = "//_synapse/admin/v1/server_version"
METRICS = b"# HELP python_info x\n# TYPE python_info gauge\npython_info 1\n"


class Server:
    """A site where `answers` are the bodies of some paths, with the status 200; all others are 404."""

    def __init__(self, answers: dict[str, bytes], local_address: str = "192.0.2.7", fails: str = "") -> None:
        self._answers = answers
        self._local_address = local_address
        self._fails = fails
        self.sent: list[str] = []

    def send(self, place: Place, request: Request, timeout: float | None = None) -> Answer | NoAnswer:
        self.sent.append(request.target)
        if self._fails:
            return NoAnswer(place, request, "", self._fails, "it did not answer")
        body = self._answers.get(request.target)
        status, body = (404, b'{"errcode": "M_UNRECOGNIZED"}') if body is None else (200, body)
        return Answer(place, request, "", status, (), body, 0.1, "HTTP/1.1", "198.51.100.1:443", self._local_address)


def check(server: Server) -> Found:
    return check_exposure(Subject("example.org", (Site("client", PUBLIC, ("client", "media")),), server))


def test_nothing_is_public() -> None:
    server = Server({"/health": b"OK"})
    assert check(server) == ((), ())
    assert server.sent == [ADMIN, ENCODED, DOUBLED, "/_synapse/metrics", "/metrics", "/health"]


def test_admin_api() -> None:
    server = Server({ADMIN: VERSION})
    (finding,) = check(server).findings
    assert (finding.name, finding.severity, finding.site) == ("admin_api_public", "warning", "client")
    assert finding.evidence["asked_from"] == "192.0.2.7"
    assert finding.values == {"path": ADMIN}
    assert finding.what == "The Admin API of Synapse can be reached through the proxy."
    assert ENCODED not in server.sent


@pytest.mark.parametrize("path", [ENCODED, DOUBLED])
def test_admin_api_behind_a_filter(path: str) -> None:
    (finding,) = check(Server({path: VERSION})).findings
    assert (finding.name, finding.values) == ("admin_api_public", {"path": path})
    assert f"if the path is written as {path}" in finding.what


@pytest.mark.parametrize("address", ["127.0.0.77", "10.1.2.3", "fd00::1", "fe80::1%eth0"])
def test_asked_from_a_private_address(address: str) -> None:
    found = check(Server({ADMIN: VERSION, "/metrics": METRICS}, address))
    assert [finding.name for finding in found.findings] == ["admin_api_public", "metrics_public"]
    for finding in found.findings:
        assert f"it was asked from the address {address}, which a proxy may allow" in finding.what


@pytest.mark.parametrize("body", [b"<html>1.0</html>", b'{"server_version": 1}', b'{"version": "1"}', b"[]"])
def test_other_answers_than_of_the_admin_api(body: bytes) -> None:
    assert check(Server({ADMIN: body, ENCODED: body, DOUBLED: body})) == ((), ())


@pytest.mark.parametrize(
    ("path", "body", "whose"),
    [
        ("/_synapse/metrics", METRICS, "Synapse"),
        ("/metrics", METRICS, "a program"),
        ("/metrics", METRICS + b"# HELP synapse_x y\nsynapse_x 1\n", "Synapse"),
    ],
)
def test_metrics(path: str, body: bytes, whose: str) -> None:
    (finding,) = check(Server({path: body})).findings
    assert (finding.name, finding.severity) == ("metrics_public", "warning")
    assert finding.what == f"The metrics of {whose} can be read through the proxy at {path}."


def test_page_instead_of_metrics() -> None:
    page = b"<html># HELP on the page of a web client</html>"
    assert check(Server({"/metrics": page, "/_synapse/metrics": page})) == ((), ())


def test_health_of_another_program() -> None:
    (finding,) = check(Server({"/health": b'{"status": "UP"}'})).findings
    assert (finding.name, finding.severity) == ("health_of_another_server", "info")
    assert "UP" in finding.evidence["answer"]


@pytest.mark.parametrize("body", [b"", b"\n", b"OK\n"])
def test_health_without_content(body: bytes) -> None:
    # As Caddy answers to every path for which nothing is configured.
    server = Server({"/health": body})
    assert check(server) == ((), ())
    assert server.sent.count("/health") == 1


@pytest.mark.parametrize(
    ("of_health", "of_others", "names"),
    [
        (b"fine", b"fine", []),
        (b"<html>one</html>", b"<!doctype html><html>two</html>", []),
        (b"fine", b"nothing", ["health_of_another_server"]),
        (b'{"status": "UP"}', b"<html>page</html>", ["health_of_another_server"]),
    ],
)
def test_one_page_for_every_path(of_health: bytes, of_others: bytes, names: list[str]) -> None:
    found = check(Server({"/health": of_health, "/health_matrix_ops_synapse": of_others}))
    assert [finding.name for finding in found.findings] == names


def test_no_answer() -> None:
    found = check(Server({}, fails="timeout"))
    assert found.findings == ()
    names = [unknown.name for unknown in found.unknown]
    assert names == ["admin_api_public", "metrics_public", "health_of_another_server"]
    assert "it did not answer" in found.unknown[0].reason
    assert found.unknown[0].fix == "Run the task again."


def test_requests_that_were_not_sent() -> None:
    found = check(Server({}, fails="not_asked"))
    assert {unknown.fix for unknown in found.unknown} == {"Examine less at a time with gather."}


@pytest.mark.parametrize("address", ["203.0.113.9", "8.8.8.8", "2001:db8::1", "", "host", "172.32.0.1"])
def test_addresses_that_are_not_private(address: str) -> None:
    assert not is_private(address)


def test_health_that_cannot_be_compared() -> None:
    class Breaks(Server):
        """A site that no longer answers to the second request for the health."""

        def send(self, place: Place, request: Request, timeout: float | None = None) -> Answer | NoAnswer:
            if request.target.startswith("/health_"):
                return NoAnswer(place, request, "", "closed", "it closed the connection")
            return super().send(place, request, timeout)

    found = check(Breaks({"/health": b"fine"}))
    assert found.findings == ()
    assert [unknown.name for unknown in found.unknown] == ["health_of_another_server"]


def test_what_the_proxy_refuses_is_not_public() -> None:
    class Refuses(Server):
        """A site that refuses everything, whatever it says."""

        def send(self, place: Place, request: Request, timeout: float | None = None) -> Answer | NoAnswer:
            got = super().send(place, request, timeout)
            return got._replace(status=403) if isinstance(got, Answer) else got

    answers = {ADMIN: VERSION, ENCODED: VERSION, "/_synapse/metrics": METRICS, "/metrics": METRICS, "/health": b"fine"}
    assert check(Refuses(answers)) == ((), ())

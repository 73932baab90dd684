# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import threading
import time

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Place, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import Found
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.long_poll import check_long_poll
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import Site, Subject
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.transport import Sender

PUBLIC, DIRECT = Place("https", "example.org", 443), Place("http", "127.0.0.1", 8008)
TOKEN = "secret-token"
EMPTY, EVENTS = b'{"chunk":[],"start":"s1","end":"s1"}', b'{"chunk":[{}],"start":"s1","end":"s2"}'

# The status or the kind of a NoAnswer, the body, and after how many seconds.
Reply = tuple[object, bytes, float]


class Poller:
    """Answers with replies by place. Each thread has a clock of its own, so that nothing waits in truth."""

    def __init__(self, public: Reply, direct: Reply = (200, EMPTY, 60.0)) -> None:
        self.asked: list[tuple[Place, Request, float | None]] = []
        self._replies = {PUBLIC: public, DIRECT: direct}
        self._clock = threading.local()

    def monotonic(self) -> float:
        return float(getattr(self._clock, "now", 1000.0))

    def send(self, place: Place, request: Request, timeout: float | None = None) -> Answer | NoAnswer:
        self.asked.append((place, request, timeout))
        status, body, seconds = self._replies.get(place, (200, EMPTY, 60.0))
        self._clock.now = self.monotonic() + seconds
        if isinstance(status, int):
            return Answer(place, request, "tag", status, (), body, seconds, "HTTP/1.1", "", "")
        return NoAnswer(place, request, "tag", str(status), f"{place.address} was {status}")


def check(
    monkeypatch: pytest.MonkeyPatch,
    poller: Poller,
    seconds: float = 60.0,
    public: Place = PUBLIC,
    direct: Place | None = DIRECT,
    token: str = TOKEN,
) -> Found:
    monkeypatch.setattr(time, "monotonic", poller.monotonic)
    subject = Subject("example.org", (Site("client", public, ("client",)),), poller, direct, token=token)
    found = check_long_poll(subject, seconds)
    assert TOKEN not in str(found)
    return found


def names(found: Found) -> tuple[list[str], list[str]]:
    return [each.name for each in found.findings], [each.name for each in found.unknown]


def test_the_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    poller = Poller((200, EMPTY, 62.5))
    assert check(monkeypatch, poller) == Found()
    assert {place for place, _request, _timeout in poller.asked} == {PUBLIC, DIRECT}
    for _place, request, timeout in poller.asked:
        assert (request.method, request.target) == ("GET", "/_matrix/client/v3/events?timeout=60000")
        assert request.headers == (("Authorization", f"Bearer {TOKEN}"),)
        assert timeout == pytest.approx(76.0)


def test_no_site_for_clients() -> None:
    poller = Poller((200, EMPTY, 60.0))
    subject = Subject("example.org", (Site("federation", PUBLIC, ("federation", "key")),), poller, token=TOKEN)
    assert check_long_poll(subject, 60.0) == Found()
    assert poller.asked == []


def test_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    poller = Poller((200, EMPTY, 60.0))
    found = check(monkeypatch, poller, token="")
    assert names(found) == ([], ["read_timeout"])
    assert "access_token" in found.unknown[0].fix and "long_poll_seconds" in found.unknown[0].fix
    assert poller.asked == []


@pytest.mark.parametrize("host", ["example.org", "192.0.2.1", "127.0.0.1.example.org", "2001:db8::1", "127.0.0.256"])
def test_a_token_is_never_sent_in_clear_text(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    poller = Poller((200, EMPTY, 60.0))
    place = Place("http", host, 80)
    assert names(check(monkeypatch, poller, public=place)) == ([], ["read_timeout"])
    assert poller.asked == []
    assert check(monkeypatch, poller, direct=place) == Found()
    assert [asked[0] for asked in poller.asked] == [PUBLIC]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.9.9.9"])
def test_loopback_is_private(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    poller = Poller((200, EMPTY, 60.0))
    assert check(monkeypatch, poller, public=Place("http", host, 80)) == Found()
    assert len(poller.asked) == 2


def test_a_connection_that_leaves_this_host_is_not_private() -> None:
    with Sender(connect_to={"127.0.0.1:80": "192.0.2.1:80"}) as sender:
        site = Site("client", Place("http", "127.0.0.1", 80), ("client",))
        subject = Subject("example.org", (site,), sender, token=TOKEN)
        found = check_long_poll(subject, 60.0)
        assert sender.sent == 0
    assert "in clear text" in found.unknown[0].reason


@pytest.mark.parametrize(
    ("reply", "how"),
    [
        ((504, b"<html>", 30.0), "answered 504 after 30 seconds"),
        ((502, b"", 59.96), "answered 502 after 60 seconds"),
        ((408, b"", 20.0), "answered 408 after 20 seconds"),
        (("closed", b"", 30.04), "closed the connection after 30 seconds"),
    ],
)
@pytest.mark.parametrize("direct", [None, DIRECT])
def test_a_proxy_that_gives_up(reply: Reply, how: str, direct: Place | None, monkeypatch: pytest.MonkeyPatch) -> None:
    found = check(monkeypatch, Poller(reply), direct=direct)
    [finding] = found.findings
    assert finding.name == "read_timeout"
    assert finding.what == f"The proxy {how}, before Synapse answered a long poll of 60 seconds."
    assert finding.severity == "error"
    assert finding.values == {"seconds": round(reply[2], 1)}
    assert ("direct" in finding.evidence) is (direct is not None)
    assert found.unknown == ()


@pytest.mark.parametrize(
    "reply",
    [
        (502, b"", 0.2),
        ("refused", b"", 0.1),
        ("not_asked", b"", 0.0),
        ("closed", b"", 0.5),
        # The connection was not accepted.
        ("timeout", b"", 5.0),
        (401, b'{"errcode":"M_UNKNOWN_TOKEN"}', 0.1),
        (504, b'{"errcode":"M_UNKNOWN"}', 30.0),
        (200, b"<html>", 60.0),
        (404, b"", 30.0),
    ],
)
def test_what_is_no_answer_to_a_long_poll(reply: Reply, monkeypatch: pytest.MonkeyPatch) -> None:
    assert names(check(monkeypatch, Poller(reply))) == ([], ["read_timeout"])


@pytest.mark.parametrize("direct", [(401, b"{}", 0.1), ("refused", b"", 0.1), (504, b"", 30.0)])
def test_synapse_itself_does_not_answer(direct: Reply, monkeypatch: pytest.MonkeyPatch) -> None:
    found = check(monkeypatch, Poller((504, b"", 30.0), direct))
    assert names(found) == ([], ["read_timeout"])
    assert found.unknown[0].reason.startswith("Synapse itself did not answer")


@pytest.mark.parametrize(
    ("public", "direct"),
    [
        ((200, EVENTS, 20.0), (200, EVENTS, 20.0)),
        ((200, EVENTS, 20.0), (200, EMPTY, 60.0)),
        ((200, EMPTY, 60.0), (200, EVENTS, 20.0)),
        ((200, EMPTY, 20.0), (200, EMPTY, 60.0)),
    ],
)
def test_events_end_a_long_poll(public: Reply, direct: Reply, monkeypatch: pytest.MonkeyPatch) -> None:
    found = check(monkeypatch, Poller(public, direct))
    assert names(found) == ([], ["read_timeout"])
    assert "got events" in found.unknown[0].reason


@pytest.mark.parametrize("seconds", [54.0, 60.0, 66.0, 67.5])
def test_the_time_differs_at_random(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check(monkeypatch, Poller((200, EMPTY, seconds))) == Found()
    assert check(monkeypatch, Poller((200, EMPTY, seconds)), direct=None) == Found()


def test_the_shortest_time_of_synapse(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check(monkeypatch, Poller((200, EMPTY, 0.55), (200, EMPTY, 0.46)), seconds=0.1) == Found()


@pytest.mark.parametrize("reply", [(200, EMPTY, 68.0), (200, EVENTS, 68.0), ("silent", b"", 76.0)])
def test_an_answer_that_is_late(reply: Reply, monkeypatch: pytest.MonkeyPatch) -> None:
    [finding] = check(monkeypatch, Poller(reply)).findings
    late = reply[2] - 66.0
    assert (finding.name, finding.severity) == ("answer_delayed", "warning")
    assert f"{late:.1f} seconds after Synapse must have sent it" in finding.what
    assert finding.values == {"seconds": pytest.approx(late)}
    # Without an answer of Synapse itself, nobody knows who is late.
    assert names(check(monkeypatch, Poller(reply), direct=None)) == ([], ["answer_delayed"])
    assert names(check(monkeypatch, Poller(reply, (200, EMPTY, 68.0)))) == ([], ["answer_delayed"])


class OnlineNow(Poller):
    """The first request through the proxy ends early, because the other one makes the account online."""

    def send(self, place: Place, request: Request, timeout: float | None = None) -> Answer | NoAnswer:
        is_first = place == PUBLIC and PUBLIC not in [asked for asked, _request, _timeout in self.asked]
        self._replies[PUBLIC] = (200, EVENTS, 0.2) if is_first else (200, EMPTY, 60.0)
        return super().send(place, request, timeout)


def test_the_account_becomes_online(monkeypatch: pytest.MonkeyPatch) -> None:
    poller = OnlineNow((200, EMPTY, 60.0))
    assert check(monkeypatch, poller) == Found()
    assert len(poller.asked) == 4


def test_an_account_with_events_is_asked_twice_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    poller = Poller((200, EVENTS, 0.2))
    assert names(check(monkeypatch, poller)) == ([], ["read_timeout"])
    assert len(poller.asked) == 4

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import socket

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_asked import Asked
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_probes import baseline_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.paths import ask_paths, judge_paths
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import Site, Subject
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.transport import Sender
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.asked_paths import found_with
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.proxied_synapse import (
    ALL,
    NAME,
    PUBLIC,
    NoLog,
    Page,
    error,
    synapse,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.raw_server import RawServer, fixed

PROBE = baseline_of("client")
INTACT = synapse(PROBE.target)
RETRY_AFTER = ("Retry-After", "60")
BUSY = [
    Page(429, headers=(RETRY_AFTER,)),
    Page(503, headers=(RETRY_AFTER,)),
    error(429, "M_LIMIT_EXCEEDED"),
    Page(403),
    Page(404),
    Page(200),
]


def answered(page: Page) -> Answer:
    return Answer(PUBLIC, PROBE.request, "0", page.status, page.headers, page.body, 0.1, "HTTP/1.1", "a", "b")


def asked(page: Page, control: Page | None = None, again: Page | None = None) -> Asked:
    row = Asked("client", PROBE, answered(page))
    if control:
        row = row._replace(control=answered(control))
    return row._replace(again=answered(again)) if again else row


def test_the_same_answer_as_synapse_itself() -> None:
    assert asked(Page(404), Page(404)).is_same
    assert not asked(Page(404)).is_same
    assert not asked(Page(404), INTACT).is_same
    assert not asked(Page(404), error(404, "M_NOT_FOUND")).is_same
    assert not asked(error(404, "M_NOT_FOUND", "a"), error(404, "M_NOT_FOUND", "b")).is_same


def test_another_answer_later() -> None:
    assert asked(Page(403), again=INTACT).is_unstable
    assert asked(INTACT, again=Page(503)).is_unstable
    assert not asked(INTACT, again=INTACT).is_unstable
    # Another page of the proxy is still one.
    assert not asked(Page(403), again=Page(404)).is_unstable
    assert not asked(INTACT).is_unstable


def test_a_busy_server() -> None:
    assert [asked(Page(status)).is_busy for status in (200, 404, 429, 500, 503)] == [False, False, True, True, True]
    missing = NoAnswer(PUBLIC, PROBE.request, "1", "timeout", "it did not answer")
    assert asked(INTACT)._replace(answer=missing).is_busy


class Between:
    """A proxy that answers itself from one request to another one. The first request is 1. `hit`: these requests."""

    def __init__(self, page: Page, first: int, last: int) -> None:
        self._page = page
        self._numbers = range(first, last + 1)
        self._asked = 0
        self.hit: list[str] = []

    def __call__(self, target: str) -> str | Page:
        self._asked += 1
        if self._asked not in self._numbers:
            return target
        self.hit.append(target)
        return self._page


@pytest.mark.parametrize("page", BUSY)
@pytest.mark.parametrize("first", range(1, 14))
@pytest.mark.parametrize("length", [1, 3])
def test_maintenance_for_a_while(page: Page, first: int, length: int) -> None:
    proxy = Between(page, first, first + length - 1)
    found, _world = found_with(proxy)
    assert found.findings == ()
    # A refused path with // is no finding, and nothing is missed by it. Others are sent again.
    assert found.unknown or all(re.search("//|/[?]pad=|/static|/room/", target) for target in proxy.hit)


@pytest.mark.parametrize("page", BUSY)
@pytest.mark.parametrize("first", range(2, 14))
def test_a_limit_of_requests(page: Page, first: int) -> None:
    found, world = found_with(Between(page, first, 99))
    assert found.findings == ()
    assert len(world.sent) >= 13


def _subject(server: RawServer, sender: Sender) -> Subject:
    return Subject(NAME, (Site("client", server.place, ALL),), sender)


def test_answers_in_chunks() -> None:
    def handler(connection: socket.socket, head: bytes) -> bool:
        status, body, headers = synapse(head.split(b" ", 2)[1].decode())
        lines = [f"HTTP/1.1 {status} x", "Transfer-Encoding: chunked", *(f"{key}: {value}" for key, value in headers)]
        chunks = b"".join(b"%x\r\n%s\r\n" % (1, body[at : at + 1]) for at in range(len(body)))
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + chunks + b"0\r\n\r\n")
        return True

    with RawServer(handler) as server, Sender(timeout=5) as sender:
        found = judge_paths(ask_paths(_subject(server, sender)), NoLog())
    assert found.findings == ()
    assert [one.name for one in found.unknown] == ["signature_broken"]


def test_a_server_that_only_knows_http_2() -> None:
    settings, goodbye = b"\0\0\0\4\0\0\0\0\0", b"\0\0\x08\7\0\0\0\0\0" + b"\0\0\0\0\0\0\0\1"
    with RawServer(fixed(settings + goodbye, stays_open=False)) as server, Sender(timeout=5) as sender:
        asked = ask_paths(_subject(server, sender))
    found = judge_paths(asked, NoLog())
    assert found.findings == ()
    assert {one.name for one in found.unknown} >= {"path_decoded", "path_merged", "query_changed"}

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log import cells
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.cells import CellKeys, Endpoint
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.endpoint import _all_paths, endpoint_of, takes_any

SEGMENTS = (
    b"",
    b"a",
    b"!a",
    b"!",
    b"%21b:x",
    b"%40c",
    b"$d",
    b"#e",
    b"v3",
    b"m123.4",
    b"messages",
    b"sync",
    b"3pid",
    b"3",
    b"%2",
    b"@",
)


def endpoint(request: bytes) -> Endpoint:
    method, _space, path = request.partition(b" ")
    return Endpoint(method.decode(), endpoint_of(path))


def random_request(chance: random.Random, paths: list[str]) -> bytes:
    segments = [segment.encode() for segment in chance.choice(paths).split("/")]
    found = [
        chance.choice(SEGMENTS) if segment.startswith(b"{") or chance.random() < 0.05 else segment
        for segment in segments
    ]
    found += [chance.choice(SEGMENTS)] * (chance.random() < 0.1)
    return chance.choice((b"GET ", b"PUT ")) + b"/".join(found)


@pytest.mark.parametrize("seed", range(10))
def test_remembered_paths_change_nothing(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "_REMEMBERED", 100 if seed % 2 else 20_000)
    chance, paths, keys = random.Random(seed), list(_all_paths()), CellKeys(endpoint)
    some = chance.sample(paths, 100)
    for _block in range(30):
        requests = [random_request(chance, chance.choice((paths, some))) for _number in range(200)]
        statuses = [chance.choice((b"200", b"404", b"499!")) for _request in requests]
        found = keys.cells(keys.of(requests, statuses))
        assert found == [(endpoint(request), status) for request, status in zip(requests, statuses)]


def test_an_endpoint_is_asked_for_once() -> None:
    asked: list[bytes] = []

    def ask(request: bytes) -> Endpoint:
        asked.append(request)
        return endpoint(request)

    keys = CellKeys(ask)
    for number in range(100):
        requests = [b"PUT /_matrix/federation/v1/send/%d" % number, b"GET /_matrix/client/v3/sync"]
        requests += [b"PUT /_matrix/client/v3/rooms/!%d/send/m.room.message/%d" % (number, number)]
        requests += [b"GET /_matrix/client/v3/rooms/%%21%d/messages" % number]
        keys.of(requests, [b"200"] * 4)
    assert len(asked) == 4


def test_long_paths_are_not_remembered() -> None:
    keys = CellKeys(endpoint)
    for number in range(100):
        keys.of([b"GET /x/%s%d" % (b"a" * 5000, number), b"GET /"], [b"200"] * 2)
    assert list(keys._remembered) == [b"GET /"]


@pytest.mark.parametrize(
    ("path", "is_so"),
    [
        (b"/_matrix/federation/v1/send", True),
        (b"/_matrix/client/v3/rooms/!a/typing", True),
        (b"/_matrix/client/v3/rooms/!a", False),
        (b"/_matrix/client/v3", False),
        (b"/_matrix/client/v3/sync", False),
        (b"/x", False),
        (b"", False),
    ],
)
def test_paths_that_take_any_identifier(path: bytes, is_so: bool) -> None:
    assert takes_any(path) is is_so


def test_long_polls() -> None:
    assert Endpoint("GET", "/_matrix/client/v3/sync").is_long_poll
    assert not Endpoint("GET", "/_matrix/client/v3/login").is_long_poll


def test_few_paths_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "_REMEMBERED", 10)
    known: dict[bytes, int] = {}
    for number in range(100):
        cells._remember(known, b"%d" % number, number)
        assert len(known) <= 10 and known[b"%d" % number] == number

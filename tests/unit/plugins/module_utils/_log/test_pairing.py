# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import random
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.files import open_files
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.layout import CANONICAL, Layout, canonical_line
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_format import SYNAPSE_FORMAT
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.pairing import Pairing
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.processed import parse_processed, parse_received
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.unfinished import Unfinished
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.window import Window
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._log.made_log import (
    BEGIN,
    FORGED,
    as_json,
    line,
    processed,
    received,
    started,
    write,
)

LAYOUT = Layout(SYNAPSE_FORMAT)
ALWAYS = Window()
RECEIVED = "6.6.6.6 - 8008 - Received request: GET /forged"


def pair(*paths: str, window: Window = ALWAYS, after: float = 60) -> Pairing:
    pairing = Pairing(after, window)
    for file in open_files(paths):
        pairing.read(file)
    return pairing


def found(*paths: str, window: Window = ALWAYS) -> tuple[list[str], int, list[str]]:
    """The tags of unfinished requests, how many others are pending, and the tags of those that a restart ended."""
    result = pair(*paths, window=window).returned()
    ended = result["ended_by_restart"]["requests"]
    return (
        [request["request"] for request in result["requests"]],
        result["waiting"],
        sorted(request["request"] for request in ended),
    )


def test_one_request(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        received(0, "GET-1")
        + received(1, "PUT-2", uri="/_matrix/client/v3/rooms/!a/send/m.x/1?a=b")
        + received(2, "GET-3")
        + processed(3, "GET-1")
        + received(99, "GET-4")
        + line(100, "main", "the end"),
    )
    pairing = pair(path)
    assert (pairing.has_received, pairing.without_tag) == (True, 0)
    result = pairing.returned()
    assert result["waiting"] == 1
    first, second = result["requests"]
    assert first == {
        "request": "PUT-2",
        "received": first["received"],
        "received_ts": (BEGIN + 1) * 1000,
        "seconds": 99.0,
        "method": "PUT",
        "uri": "/_matrix/client/v3/rooms/!a/send/m.x/1?a=b",
        "endpoint": "/_matrix/client/v3/rooms/{room_id}/send/{event_type}/{txn_id}",
        "client_address": "192.0.2.9",
        "site_tag": "8008",
        "source": path,
        "long_poll": False,
    }
    assert second["request"] == "GET-3"


def test_a_log_at_the_level_info(tmp_path: Path) -> None:
    assert not pair(write(tmp_path, processed(0) + line(1, "main", " - Received request: x y"))).has_received


def test_over_a_rotation(tmp_path: Path) -> None:
    old = write(tmp_path, received(0, "GET-1") + received(1, "GET-2"), "homeserver.log.1.gz")
    new = write(tmp_path, processed(2, "GET-1") + line(200, "main", "x"))
    assert found(new, old) == (["GET-2"], 0, [])
    (request,) = pair(old, new).returned()["requests"]
    assert (request["source"], request["seconds"]) == (new, 199.0)


def test_a_restart(tmp_path: Path) -> None:
    text = received(0, "GET-1") + received(1, "GET-2") + processed(2, "GET-1") + started(3) + received(4, "GET-1")
    assert found(write(tmp_path, text + line(100, "main", "x"))) == (["GET-1"], 0, ["GET-2"])


def test_the_start_in_another_message_is_none(tmp_path: Path) -> None:
    text = received(0, "GET-1") + line(1, "GET-3", "***** STARTING SERVER *****") + received(90, "GET-4")
    assert found(write(tmp_path, text)) == (["GET-1"], 1, [])


def test_two_workers_in_one_file(tmp_path: Path) -> None:
    text = received(0, "GET-1", site_tag="8083") + received(1, "GET-1") + processed(2, "GET-1")
    assert found(write(tmp_path, text + line(100, "main", "x"))) == (["GET-1"], 0, [])
    (request,) = pair(str(tmp_path / "homeserver.log")).returned()["requests"]
    assert request["site_tag"] == "8083"


def test_two_workers_in_two_files(tmp_path: Path) -> None:
    one = write(tmp_path, received(0, "GET-1") + line(100, "main", "x"), "a.log")
    two = write(tmp_path, received(1, "GET-1") + processed(2, "GET-1") + line(300, "main", "x"), "b.log")
    (request,) = pair(one, two).returned()["requests"]
    assert (request["source"], request["seconds"]) == (one, 100.0)


def test_containers_in_one_file(tmp_path: Path) -> None:
    main, worker = "main-1    | ", "worker-1  | "
    text = (
        received(0, "GET-1", prefix=main)
        + received(1, "GET-1", prefix=worker)
        + received(1, "GET-2", prefix=worker)
        + processed(2, "GET-1", prefix=main)
        + received(3, "GET-2", prefix=main)
    )
    path = write(tmp_path, text + started(4, main) + line(100, "main", "x", prefix=main))
    # The worker writes nothing more, and the log goes on.
    assert found(path) == (["GET-1", "GET-2"], 0, ["GET-2"])
    result = pair(path).returned()
    assert [(each["source"], each["seconds"]) for each in result["requests"]] == [
        (f"{path} (worker-1 |)", 99.0),
        (f"{path} (worker-1 |)", 99.0),
    ]
    assert [each["source"] for each in result["ended_by_restart"]["requests"]] == [f"{path} (main-1 |)"]


def syslog(pid: int) -> str:
    return f"Nov 15 12:26:40 host synapse[{pid}]: "


def test_a_restart_with_another_number_of_the_process(tmp_path: Path) -> None:
    text = received(0, "GET-1", prefix=syslog(100)) + started(5, syslog(200)) + received(6, "GET-1", prefix=syslog(200))
    path = write(tmp_path, text + line(100, "main", "x", prefix=syslog(200)))
    assert found(path) == (["GET-1"], 0, ["GET-1"])
    result = pair(path).returned()
    assert result["requests"][0]["source"] == f"{path} (host synapse[200]:)"
    (ended,) = result["ended_by_restart"]["requests"]
    assert (ended["source"], ended["seconds"]) == (f"{path} (host synapse[100]:)", 5.0)


def test_the_start_of_a_worker_with_the_same_name(tmp_path: Path) -> None:
    text = received(0, "GET-1", prefix=syslog(100)) + started(5, syslog(200)) + received(6, "GET-2", prefix=syslog(100))
    path = write(
        tmp_path, text + processed(7, "GET-1", prefix=syslog(100)) + line(100, "main", "x", prefix=syslog(200))
    )
    assert found(path) == (["GET-2"], 0, [])


def test_json(tmp_path: Path) -> None:
    text = received(0, "GET-1") + received(1, "GET-2") + processed(2, "GET-2", agent=FORGED)
    path = write(tmp_path, as_json(text + started(3) + received(4, "GET-3") + line(100, "main", "x")))
    assert found(path) == (["GET-3"], 0, ["GET-1"])


def test_the_journal() -> None:
    pairing = Pairing(60, ALWAYS)
    records = [LAYOUT.record(each.strip().encode()) for each in (received(0, "GET-1"), received(1, "GET-2"))]
    block = b"\n" + b"".join(canonical_line(record) for record in records if record)
    pairing.add(CANONICAL, block, "a.service", [CANONICAL])
    pairing.add(CANONICAL, b"\n", "b.service", [CANONICAL])
    assert pairing.returned()["waiting"] == 2
    pairing.reaches("a.service", BEGIN + 60.5)
    pairing.reaches("a.service", BEGIN + 10.0)
    pairing.reaches("a.service", None)
    result = pairing.returned()
    assert ([each["request"] for each in result["requests"]], result["waiting"]) == (["GET-1"], 1)


def test_a_window(tmp_path: Path) -> None:
    text = (
        received(0, "GET-1")
        + received(20, "GET-2")
        + processed(30, "GET-1")
        + received(95, "GET-3")
        + started(100)
        + processed(101, "GET-2")
        + processed(102, "GET-3")
    )
    path = write(tmp_path, text + line(1000, "main", "x"))
    # At its end, GET-2 and GET-3 were pending, and Synapse was started later.
    assert found(path, window=Window(BEGIN + 10.0, BEGIN + 99.0)) == (["GET-2"], 1, [])
    (request,) = pair(path, window=Window(BEGIN + 10.0, BEGIN + 99.0)).returned()["requests"]
    assert request["seconds"] == 79.0
    assert found(path, window=Window(BEGIN + 21.0, BEGIN + 99.0)) == ([], 1, [])
    assert found(path, window=Window(BEGIN + 21.0, BEGIN + 101.0)) == ([], 0, ["GET-3"])
    assert not pair(path, window=Window(BEGIN + 300.0, None)).has_received


def test_requests_that_clients_make_up(tmp_path: Path) -> None:
    text = (
        received(0, "GET-1", address="x - y - Received request: GET /z")
        + received(1, "GET-2")
        + processed(2, "GET-2", agent=f"{RECEIVED} {FORGED}")
        + line(3, "GET-9", RECEIVED)
        + line(3, "GET-9", f"{RECEIVED}\n{FORGED}")
        + processed(4, "GET-3", address="x - y - {a", requester="None", uri="/Received")
        + received(5, "GET-4", address="x - 8008 - {None} Processed request: 0.001sec")
    )
    path = write(tmp_path, text + line(100, "main", "x"))
    assert found(path) == (["GET-1", "GET-4"], 0, [])
    first = pair(path).returned()["requests"][0]
    assert (first["site_tag"], first["client_address"]) == ("8008", "x - y - Received request: GET /z")


def reference(text: str) -> dict[str, t.Any]:
    """Each line by itself."""
    unfinished = Unfinished(60)
    streams: dict[str, float | None] = {}
    for each in text.encode().split(b"\n"):
        record = LAYOUT.record(each)
        if record is None or not record.logger.startswith("synapse.access."):
            continue
        ended, began = parse_processed(record.message), parse_received(record.message)
        if ended is not None:
            streams[ended.site_tag] = None
            unfinished.processed(ended.site_tag, record.time, record.request, ended.processing_seconds)
        elif began is not None:
            streams[began.site_tag] = None
            unfinished.received(began.site_tag, record.time, record.request, began)
    return unfinished.returned(dict.fromkeys(streams, BEGIN + 1000.0))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("hostile", [False, True])
def test_blocks_are_read_like_lines(seed: int, hostile: bool) -> None:
    chance = random.Random(seed)
    lines = []
    for number in range(200):
        site_tag = chance.choice(("8008", "8083"))
        tag = f"{chance.choice(('GET', 'PUT'))}-{chance.randrange(number // 4 + 1)}"
        chosen = chance.choice(("x - y - {a", "a b", RECEIVED, "-")) if hostile else "192.0.2.1"
        if chance.random() < 0.6:
            lines.append(received(number, tag, site_tag=site_tag, address=chosen))
        else:
            agent = chance.choice((FORGED, RECEIVED)) if hostile else "x"
            lines.append(processed(number, tag, site_tag=site_tag, address=chosen, agent=agent))
    pairing = Pairing(60, ALWAYS)
    for start in range(0, 200, 50):
        pairing.add(LAYOUT, b"\n" + "".join(lines[start : start + 50]).encode(), "a.log", [LAYOUT])
    pairing.reaches("a.log", BEGIN + 1000.0)
    result = pairing.returned()
    for request in [*result["requests"], *result["ended_by_restart"]["requests"]]:
        assert (request.pop("source"), request.pop("endpoint")) == ("a.log", "/_matrix/client/v3/profile/{user_id}")
    expected = reference("".join(lines))
    for request in [*expected["requests"], *expected["ended_by_restart"]["requests"]]:
        del request["source"]
    assert sorted(result["requests"], key=str) == sorted(expected["requests"], key=str)
    assert result["waiting"] == expected["waiting"]
    assert result["ended_by_restart"]["count"] == expected["ended_by_restart"]["count"]


@pytest.mark.parametrize("free_tags", [False, True])
@pytest.mark.parametrize("agent", [FORGED, RECEIVED, "x Received request: y"])
def test_a_line_that_can_be_read_in_two_ways(agent: str, free_tags: bool) -> None:
    layout = Layout(SYNAPSE_FORMAT, free_tags=free_tags)
    lines = received(0, "GET-1") + received(1, "GET-2") + processed(2, "GET-1") + processed(3, "GET-2", agent=agent)
    pairing = Pairing(60, ALWAYS)
    pairing.add(layout, b"\n" + lines.encode(), "a.log", [layout])
    pairing.reaches("a.log", BEGIN + 1000.0)
    # Only if clients choose the tags, the tag in such a line may be another one.
    assert [one["request"] for one in pairing.returned()["requests"]] == (["GET-2"] if free_tags else [])


def test_a_format_without_the_tag(tmp_path: Path) -> None:
    path = write(tmp_path, received(0, "GET-1").replace(" - GET-1 - ", " - "))
    with pytest.raises(SynapseError, match=rf"in {path}, because .* add %\(request\)s to the format"):
        pair(path)


def test_json_without_the_tag(tmp_path: Path) -> None:
    event = {"severity": "INFO", "message": RECEIVED, "logger": "synapse.access.http.8008"}
    with pytest.raises(SynapseError, match="use TerseJsonFormatter instead"):
        pair(write(tmp_path, json.dumps(event) + "\n"))


def test_an_entry_of_the_journal_without_the_tag() -> None:
    pairing = Pairing(60, ALWAYS)
    record = LAYOUT.record(received(0, "GET-1").strip().encode())
    assert record is not None
    pairing.add(CANONICAL, b"\n" + canonical_line(record._replace(request="")), "a.service", [CANONICAL])
    assert (pairing.has_received, pairing.without_tag, pairing.returned()["requests"]) == (True, 1, [])

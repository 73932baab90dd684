# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pickle
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log import parts as parts_module
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.counting import Counts, Wanted, count_files
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.files import open_files
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.layout import CANONICAL
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.summary import returned_summary
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.window import Window
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._log.made_log import (
    BEGIN,
    FORGED,
    as_json,
    line,
    processed,
    write,
)

BASE = "synapse.federation.transport.server._base"
CLIENT = "synapse.federation.federation_client"
EVENT = "event id $e: unable to verify signature for sender domain b.c: 400: Not signed by b.c"
RETRIEVED = (
    "Signature on retrieved event $e was invalid (unable to verify signature for sender domain b.c: 400: "
    "Not signed by b.c). Checking local store/origin server"
)
EVER = Window()


def failed(second: float, origin: str = "b.c") -> str:
    text = f"authenticate_request failed: 401: Invalid signature for server {origin} with key ed25519:a: Unable"
    return line(second, f"PUT-{second}", text, BASE, "WARNING")


def counts(paths: t.Sequence[str], window: Window = EVER, *, summary: bool = True, signatures: bool = True) -> Counts:
    wanted = Wanted(window, 5, summary=summary, signatures=signatures)
    return count_files(open_files(paths), wanted)


def answers(found: Counts, paths: t.Sequence[str]) -> dict[str, t.Any]:
    layouts = {file.path: (CANONICAL, *file.layouts) for file in open_files(paths)}
    return {
        "summary": returned_summary(found.tally, layouts.__getitem__, 100),
        "unread": (found.unread.count, found.unread.samples),
        "signatures": found.signatures.returned(),
    }


@pytest.fixture
def mixed(tmp_path: Path) -> list[str]:
    """A compressed file, a plain one after it, and one in JSON, with a line in each that cannot be read."""
    texts = []
    for start in (0, 1000, 500):
        lines = [processed(start + number, f"GET-{number}", processing=f"{number % 7}.000") for number in range(60)]
        lines[10:10] = [failed(start + 10), processed(start + 10, agent=FORGED), line(start, "GET-1", FORGED)]
        lines[20:20] = [failed(start + 20, f"{start}.example")]
        texts.append("".join(lines))
    bad = line(30, "GET-1", "x Processed request: y", "synapse.access.http.8008")
    return [
        write(tmp_path, texts[0] + bad, "homeserver.log.1.gz"),
        write(tmp_path, texts[1] + bad + "Traceback:\n" + failed(2000), "homeserver.log"),
        write(tmp_path, as_json(texts[2] + bad), "worker.log"),
    ]


def test_all_kinds_of_files(mixed: list[str]) -> None:
    result = answers(counts(mixed), mixed)
    assert result["summary"]["count"] == 3 * 61
    assert result["unread"][0] == 3
    assert {sample["path"] for sample in result["unread"][1]} == set(mixed)
    assert [(each["origin"], each["count"]) for each in result["signatures"]] == [
        ("b.c", 4),
        ("0.example", 1),
        ("1000.example", 1),
        ("500.example", 1),
    ]
    # Of equally slow ones those with the earliest texts.
    assert [each["processing_seconds"] for each in result["summary"]["slowest"]] == [6.0] * 5
    assert not any("\x1f" in each["line"] for each in result["signatures"])


@pytest.mark.parametrize("size", [100, 1000, 10_000])
def test_parts_are_added_up(mixed: list[str], size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = answers(counts(mixed), mixed)
    monkeypatch.setattr(parts_module, "_LARGEST_PART", size)
    monkeypatch.setattr(parts_module, "_WORTH_A_PROCESS", 1)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1})
    assert answers(counts(mixed), mixed) == expected


@pytest.mark.parametrize("between", [0, 5])
def test_a_failure_with_a_line_in_each_of_two_parts(
    tmp_path: Path, between: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [line(0, "PUT-1", EVENT, CLIENT, "WARNING"), line(1, "PUT-1", RETRIEVED, CLIENT, "INFO")]
    text = lines[0] + "".join(map(processed, range(between))) + lines[1]
    path = write(tmp_path, text)
    monkeypatch.setattr(parts_module, "_WORTH_A_PROCESS", 1)
    monkeypatch.setattr(parts_module, "_LARGEST_PART", len(lines[0]))
    (failure,) = counts([path]).signatures.returned()
    assert (failure["origin"], failure["count"]) == ("b.c", 1)


def test_a_window(mixed: list[str]) -> None:
    result = answers(counts(mixed, Window(BEGIN + 505.0, BEGIN + 1010.0)), mixed)
    # Without the one that is at the end of the window.
    assert result["summary"]["count"] == (60 - 5 + 1) + 10
    assert {each["origin"]: each["count"] for each in result["signatures"]} == {"b.c": 1, "500.example": 1}
    assert answers(counts(mixed, Window(None, BEGIN - 100.0)), mixed)["summary"]["count"] == 0


def test_only_what_is_wanted(mixed: list[str]) -> None:
    found = counts(mixed, summary=False)
    assert (found.tally.cells, found.unread.count, len(found.signatures.returned())) == ({}, 0, 4)
    found = counts(mixed, signatures=False)
    assert (len(found.tally.hours), found.signatures.returned()) == (len(counts(mixed).tally.hours), [])


def test_a_line_with_several_needles_counts_once(tmp_path: Path) -> None:
    text = failed(1).replace(": Unable", ": unable to verify signature for  content has been tampered")
    (failure,) = counts([write(tmp_path, text)]).signatures.returned()
    assert failure["count"] == 1


def test_failures_come_in_the_order_of_the_log(tmp_path: Path) -> None:
    request = (
        "{GET-O-4} [b.c] Request failed: GET matrix-federation://b.c/x: HttpResponseException('401: Unauthorized')"
    )
    answer = "<SynapseRequest at 0x7f method='POST' uri='/x' clientproto='HTTP/1.1' site='8008'> SynapseError: 401 - "
    answer += "Invalid signature for server us.example with key ed25519:u: Unable to verify"
    # They are found by different texts, and the answer before the request belongs to another one.
    refused = line(1, "POST-1", request, "synapse.http.matrixfederationclient", "WARNING")
    told = line(0, "POST-1", answer, "synapse.http.server")
    (failure,) = counts([write(tmp_path, told + refused)]).signatures.returned()
    assert failure["cause"] == "refused"
    (failure,) = counts([write(tmp_path, refused + told)]).signatures.returned()
    assert failure["cause"] == "invalid_signature"


def test_what_was_prepared_for_a_layout_is_not_kept_for_another_process(mixed: list[str]) -> None:
    # There, another layout may be in its place in memory.
    found = Counts(Wanted(EVER, 5))
    for file in open_files(mixed):
        for layout, block in file.counted():
            found.count(layout, block, file.path, file.stream, file.layouts)
    assert found._scanners
    assert not pickle.loads(pickle.dumps(found))._scanners


def test_a_file_that_cannot_be_read_to_its_end(tmp_path: Path) -> None:
    path = write(tmp_path, "".join(map(processed, range(5000))), "homeserver.log.1.gz")
    files = open_files([path])
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[: len(content) // 2].ljust(len(content), b"\0"))
    with pytest.raises(Exception, match=path):
        count_files(files, Wanted(EVER, 5))

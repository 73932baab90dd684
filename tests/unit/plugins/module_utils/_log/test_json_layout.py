# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The JSON formatters."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.json_layout import JsonLayout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.prefix import prefixes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import Record

MESSAGE = "192.0.2.9 - 8008 - {None} Processed request: 0.001sec/0.001sec ru=(0.002sec, 0.000sec)"
JSON = {"log": MESSAGE, "namespace": "synapse.access.http.8008", "level": "INFO"}
TERSE = {**JSON, "time": 1779274891.27, "server_name": "x.org", "request": "GET-37", "method": "GET"}
GCP = {
    "severity": "INFO",
    "message": MESSAGE + "\nTraceback",
    "logger": "synapse.access.http.8008",
    "time": "2026-05-20T11:01:31.265Z",
}


def encoded(event: t.Mapping[str, object]) -> bytes:
    return json.dumps(event, ensure_ascii=False).encode("utf-8", "surrogatepass")


def read(line: bytes) -> Record:
    record = JsonLayout().record(line)
    assert record is not None
    return record


@pytest.mark.parametrize(
    ("event", "time", "request_tag", "message"),
    [
        (JSON, None, "", MESSAGE),
        (TERSE, 1779274891.27, "GET-37", MESSAGE),
        (GCP, 1779274891.265, "", MESSAGE + "\nTraceback"),
    ],
)
def test_the_three_formatters(event: dict[str, object], time: float | None, request_tag: str, message: str) -> None:
    found = read(encoded(event))
    assert found.time == (None if time is None else pytest.approx(time, abs=1e-5))
    assert found[1:] == ("synapse.access.http.8008", "INFO", request_tag, message.encode(), b"")


def test_a_prefix_of_a_container_and_its_time() -> None:
    for prefix in prefixes():
        found = JsonLayout(prefix).record(b"synapse-1  | 2026-11-29T09:52:14.5Z " + encoded(JSON))
        if found is not None:
            assert found.time == 1795945934.5
            assert found.prefix == b"synapse-1  | 2026-11-29T09:52:14.5Z "
            break
    else:
        pytest.fail("no prefix fits")
    assert JsonLayout().record(b"text " + encoded(JSON)) is None


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b"{" * 100_000 + b"}",
        b'{"log":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"log":"x","namespace":"y"}',
        b'{"log":1,"namespace":"y","level":"z"}',
        b'{"log":"x","namespace":["y"],"level":"z"}',
        b'{"log":"x","namespace":"y","level":null}',
        b'{"log":"x","namespace":"y","level":"z"',
        b'{"log":"x","namespace":"y","level":"z"} trailing',
        b'{"log":"x","namespace":"y","level":"z","time":' + b"9" * 10_000 + b"0x}",
        b"\xff{}",
    ],
)
def test_what_is_not_a_record(line: bytes) -> None:
    assert JsonLayout().record(line) is None


@pytest.mark.parametrize(
    "time", [b"NaN", b"-Infinity", b"1e999", b"true", b"null", b'"yesterday"', b"[1]", b"9" * 400, b'"\\ud800"']
)
def test_a_strange_time_is_none(time: bytes) -> None:
    found = JsonLayout().record(b'{"log":"x","namespace":"y","level":"z","time":' + time + b"}")
    assert found is not None and found.time is None


def test_bytes_that_are_not_utf_8_survive() -> None:
    found = read(b'{"log":"\xff\xc3\xa9","namespace":"y","level":"z","request":"\xff"}')
    assert found.message == b"\xff\xc3\xa9"
    assert found.request == "\\xff"


def test_half_a_surrogate_pair_does_not_raise() -> None:
    found = read(b'{"log":"a\\ud83d","namespace":"y","level":"z","request":"\\udfff"}')
    assert found.message == b"a\\ud83d"
    found.request.encode()


def test_a_key_that_occurs_twice_counts_once() -> None:
    line = b'{"log":"x","log":"z","namespace":"synapse.a","namespace":"synapse.b","level":"z"}'
    assert read(line).message == b"z"


def test_text_inside_a_message_is_not_a_record() -> None:
    forged = json.dumps(TERSE)
    assert read(encoded({**TERSE, "namespace": "synapse.handlers.x", "log": forged})).logger == "synapse.handlers.x"
    assert JsonLayout().record(b"2026-05-20 11:01:31,265 - synapse.x - 1 - INFO - GET-1 - " + forged.encode()) is None

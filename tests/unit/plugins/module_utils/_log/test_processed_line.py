# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines as users copy them, from every place where Synapse's log can be, and what else they could copy."""

from __future__ import annotations

import datetime
import json
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.processed_line import processed_line

MESSAGE = (
    "127.0.0.1 - 8008 - {None} Processed request: 0.214sec/0.000sec ru=(0.207sec, 0.000sec) db=(0.001sec/0.001sec/7)"
    ' 201B 200 "POST /_matrix/client/v3/login HTTP/1.1" "python-requests/2.34.2" [0 dbevts]'
)
FIELDS = {
    "client_address": "127.0.0.1",
    "site_tag": "8008",
    "requester": "",
    "processing_seconds": 0.214,
    "response_seconds": 0.0,
    "user_cpu_seconds": 0.207,
    "system_cpu_seconds": 0.0,
    "database_wait_seconds": 0.001,
    "database_seconds": 0.001,
    "database_transactions": 7,
    "response_bytes": 201,
    "status": 200,
    "client_disconnected": False,
    "method": "POST",
    "uri": "/_matrix/client/v3/login",
    "protocol": "HTTP/1.1",
    "user_agent": "python-requests/2.34.2",
    "database_events": 0,
}
LOGGED = {"logger": "synapse.access.http.8008", "level": "INFO"}
TAGGED = {**LOGGED, "request": "POST-112"}
LOCAL = datetime.datetime(2026, 11, 23, 4, 14, 49, 786000)
LOCAL_TIME = {
    "time": LOCAL.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
    "time_ts": round(LOCAL.timestamp() * 1000),
}
UTC_TIME = {"time": "2026-11-23T04:14:49Z", "time_ts": 1_795_407_289_786}

HEAD = "2026-11-23 04:14:49,786 - synapse.access.http.8008 - 643 - INFO - POST-112 - "
JSON = {"log": MESSAGE, "namespace": "synapse.access.http.8008", "level": "INFO"}
GCP = {"severity": "INFO", "message": MESSAGE, "logger": "synapse.access.http.8008"}


@pytest.mark.parametrize(
    ("line", "further"),
    [
        (MESSAGE, {}),
        (f"  {MESSAGE} \t\r\n\n", {}),
        (HEAD + MESSAGE, {**TAGGED, **LOCAL_TIME}),
        (f"\n    {HEAD}{MESSAGE}\r\n", {**TAGGED, **LOCAL_TIME}),
        (f"{HEAD[:-2]} {MESSAGE}".replace("POST-112  ", "POST-112- "), {**TAGGED, **LOCAL_TIME}),
        (f"INFO:synapse.access.http.8008:{MESSAGE}", LOGGED),
        (
            f"synapse.access.http.8008: [POST-112] {MESSAGE}",
            {"logger": "synapse.access.http.8008", "request": "POST-112"},
        ),
        (HEAD.replace("POST-112", "example.org - POST-112") + MESSAGE, {**TAGGED, **LOCAL_TIME}),
        (HEAD.replace("POST-112", "{POST-112}") + MESSAGE, {**TAGGED, **LOCAL_TIME}),
        (HEAD.replace("POST-112", "    POST-112") + MESSAGE, {**TAGGED, **LOCAL_TIME}),
        (f"/var/log/matrix-synapse/homeserver.log.1:17:{HEAD}{MESSAGE}", {**TAGGED, **LOCAL_TIME}),
        (
            f"maj 23 04:14:49 host synapse[643]: synapse.access.http.8008: [POST-112] {MESSAGE}",
            {"logger": "synapse.access.http.8008", "request": "POST-112"},
        ),
        (json.dumps({**JSON, "request": "POST-112"}), TAGGED),
        (json.dumps({**JSON, "request": "POST-112", "time": 1_795_407_289.786}), {**TAGGED, **UTC_TIME}),
        (json.dumps({**GCP, "time": "2026-11-23T04:14:49.786Z"}), {**LOGGED, **UTC_TIME}),
        (json.dumps({**JSON, "time": 10**400}), LOGGED),
        (json.dumps({**JSON, "time": 1e18}), LOGGED),
    ],
)
def test_a_line_from_every_place(line: str, further: dict[str, t.Any]) -> None:
    assert processed_line(line) == {**FIELDS, **further}


@pytest.mark.parametrize("head", ["", "[worker1] ", "worker1 - "])
@pytest.mark.parametrize(
    "address",
    ["192.0.2.9:50123", "[2001:db8::1]:50123", "fe80::1%enp0s31f6.100", "unix:", "unix:/run/nginx.sock", "/run/x.sock"],
)
def test_addresses_of_reverse_proxies(head: str, address: str) -> None:
    line = f"{head}{HEAD}{address}{MESSAGE[9:]}" if head else f"{address}{MESSAGE[9:]}"
    assert processed_line(line)["client_address"] == address


@pytest.mark.parametrize("address", ["", "::1", "203.0.113.9 - 8008", "/run/matrix synapse/main.sock", "\x1c1\x85"])
def test_an_address_that_can_be_any_text(address: str) -> None:
    message = MESSAGE.replace("127.0.0.1", address)
    assert processed_line(HEAD + message)["client_address"] == address
    assert processed_line(json.dumps({**JSON, "log": message}))["client_address"] == address


@pytest.mark.parametrize(
    "address",
    ["", "-", "::1", "::ffff:127.0.0.1", "fe80::1%eth0", "[::1]:443", "192.0.2.9:443", "unknown", "/run/a:b.sock"],
)
def test_the_address_of_a_message_alone(address: str) -> None:
    message = MESSAGE.replace("127.0.0.1", address)
    assert processed_line(message)["client_address"] == address.strip("-")


def test_text_that_is_not_unicode() -> None:
    agent = processed_line(HEAD + MESSAGE.replace("python-requests", "\udcff\udcc3"))["user_agent"]
    assert agent == "\\xff\\xc3/2.34.2"
    # It cannot have come from bytes.
    assert processed_line(MESSAGE.replace("python-requests", "\ud800"))["user_agent"] == "\\ud800/2.34.2"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "There is no line of a log: the text is empty."),
        (" \t\r\n\n", "There is no line of a log: the text is empty."),
        ("hello", "This is not a line of Synapse's log about a request that was processed: hello"),
        (
            f"{MESSAGE}\n{MESSAGE}\n",
            "These are 2 lines, and a request that was processed is one: split the text, and give one line at a time."
            " The first one is: 127.0.0.1 - 8008 - ",
        ),
        (
            f"{HEAD}127.0.0.1 - 8008 - Received request: POST /_matrix/client/v3/login".replace("INFO", "DEBUG"),
            "This line reports only that a request was received: give the line of POST-112 with 'Processed request': "
            "2026-11-23 04:14:49,786",
        ),
        (
            "127.0.0.1 - 8008 - Received request: GET /x",
            "This line reports only that a request was received: give the line of the same request with"
            " 'Processed request': 127.0.0.1 - 8008 - Received request: GET /x",
        ),
        (
            (HEAD + MESSAGE).replace("synapse.access.http.8008", "synapse.handlers.room"),
            "This line comes from the logger synapse.handlers.room, but only loggers such as synapse.access.http.8008"
            " report requests that were processed: 2026",
        ),
        (
            json.dumps({**JSON, "namespace": "synapse.accessible"}),
            "This line comes from the logger synapse.accessible, but ",
        ),
        (
            HEAD + MESSAGE[:-1],
            "This line contains 'Processed request:', but it is not whole, has an unknown format or can be read in"
            " several ways: 2026",
        ),
        (f"what is this {MESSAGE}", "This line contains 'Processed request:', but it is not whole, "),
        (f"INFO:root:{MESSAGE}", "This line contains 'Processed request:', but it is not whole, "),
        (f"[x]{MESSAGE} ", "This line contains 'Processed request:', but it is not whole, "),
        (f"203.0.113.9 - {MESSAGE}", "This line contains 'Processed request:', but it is not whole, "),
    ],
)
def test_what_is_not_the_line_of_a_processed_request(text: str, error: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        processed_line(text)
    assert str(raised.value).startswith(error)


def test_an_error_quotes_no_more_than_200_printable_characters() -> None:
    with pytest.raises(InvalidInput) as raised:
        processed_line("\x1b[31m\r\u202e\udcff" + "x" * 10_000)
    said = str(raised.value).partition(": ")[2]
    assert said == r"\x1b[31m\r\u202e\xff".ljust(199, "x") + "…"
    with pytest.raises(InvalidInput) as raised:
        processed_line("x" * 200)
    assert str(raised.value).endswith(": " + "x" * 200)

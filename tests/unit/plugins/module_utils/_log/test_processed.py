# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The messages of the access logger: as Synapse writes them, and as clients would like to have them read."""

from __future__ import annotations

import importlib
import sys
import types
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log import processed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.processed import (
    Processed,
    Received,
    parse_processed,
    parse_received,
    returned_fields,
)

NEW = "0.214sec/0.001sec ru=(0.207sec, 0.002sec) db=(0.003sec/0.004sec/7) 201B 200"
OLD = "0.214sec/0.001sec (0.207sec, 0.002sec) (0.003sec/0.004sec/7) 201B 200"
LOGIN = Processed(
    client_address="127.0.0.1",
    site_tag="8008",
    requester="",
    authenticated_entity="",
    processing_seconds=0.214,
    response_seconds=0.001,
    user_cpu_seconds=0.207,
    system_cpu_seconds=0.002,
    database_wait_seconds=0.003,
    database_seconds=0.004,
    database_transactions=7,
    response_bytes=201,
    status=200,
    client_disconnected=False,
    method="POST",
    uri="/_matrix/client/v3/login",
    protocol="HTTP/1.1",
    user_agent="python-requests/2.34.2",
    database_events=5,
)


def message(
    *,
    address: str = "127.0.0.1",
    tag: str = "8008",
    requester: str = "None",
    numbers: str = NEW,
    request: str = "POST /_matrix/client/v3/login HTTP/1.1",
    agent: str = "python-requests/2.34.2",
    end: str = " [5 dbevts]",
) -> bytes:
    text = f'{address} - {tag} - {{{requester}}} Processed request: {numbers} "{request}" "{agent}"{end}'
    return text.encode("utf-8", "surrogateescape")


# What an attacker wants to be taken for: a request of the server admin that never was made.
FORGED = message(address="203.0.113.9", requester="@admin:example.org", agent="forged").decode()
RECEIVED = "127.0.0.1 - 8008 - Received request: GET /_matrix/client/v3/sync"


@pytest.mark.parametrize("numbers", [NEW, OLD])
@pytest.mark.parametrize("end", ["", '"', "\r", '"\r'])
def test_a_request_of_every_version(numbers: str, end: str) -> None:
    assert parse_processed(message(numbers=numbers, end=f" [5 dbevts]{end}")) == LOGIN


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"address": "-"}, {"client_address": ""}),
        ({"address": "None"}, {"client_address": ""}),
        ({"address": ""}, {"client_address": ""}),
        ({"address": "2001:db8:10:1:4a28:988f:56f9:5df"}, {"client_address": "2001:db8:10:1:4a28:988f:56f9:5df"}),
        ({"address": "::ffff:127.0.0.1"}, {"client_address": "::ffff:127.0.0.1"}),
        (
            {"address": "/run/matrix synapse/main,1.sock", "tag": "unix"},
            {"client_address": "/run/matrix synapse/main,1.sock", "site_tag": "unix"},
        ),
        ({"tag": "client api"}, {"site_tag": "client api"}),
        ({"tag": ""}, {"site_tag": ""}),
        ({"requester": "@alice:example.org"}, {"requester": "@alice:example.org"}),
        ({"requester": "[2001:db8::1]:8448"}, {"requester": "[2001:db8::1]:8448"}),
        (
            {"requester": "@admin:example.org|@alice:example.org"},
            {"requester": "@alice:example.org", "authenticated_entity": "@admin:example.org"},
        ),
        (
            {"requester": "example.org|@alice:example.org"},
            {"requester": "@alice:example.org", "authenticated_entity": "example.org"},
        ),
        ({"requester": "@a|b{c}:example.org"}, {"requester": "@a|b{c}:example.org"}),
        ({"numbers": NEW.replace("200", "499!")}, {"status": 499, "client_disconnected": True}),
        ({"numbers": OLD.replace(" 200", " !200")}, {"status": 200, "client_disconnected": True}),
        ({"numbers": NEW.replace("0.001", "-12.500")}, {"response_seconds": -12.5}),
        ({"numbers": NEW.replace("0.214", "-1.000")}, {"processing_seconds": -1.0}),
        ({"numbers": NEW.replace("/7)", "/123456789012345678)")}, {"database_transactions": 123456789012345678}),
        ({"numbers": NEW.replace("201B", "-1B")}, {"response_bytes": -1}),
        ({"request": "GET / HTTP/1.0"}, {"method": "GET", "uri": "/", "protocol": "HTTP/1.0"}),
        ({"request": "GET-37 / HTTP/2"}, {"method": "GET-37", "uri": "/", "protocol": "HTTP/2"}),
        (
            {"request": 'GET /"?x="&y={}[0\x1c\x0b\ufffd HTTP/1.1'},
            {"method": "GET", "uri": '/"?x="&y={}[0\x1c\x0b\ufffd'},
        ),
        ({"request": 'GET /" " HTTP/1.1'}, None),
        ({"agent": "-"}, {"user_agent": ""}),
        ({"agent": "None"}, {"user_agent": "None"}),
        ({"agent": '"'}, {"user_agent": '"'}),
        ({"agent": 'a" [0 dbevts]'}, {"user_agent": 'a" [0 dbevts]'}),
        ({"agent": 'a" [0 dbevts]"'}, {"user_agent": 'a" [0 dbevts]"'}),
        ({"agent": 'a - b - {c} "d" \x1b[31m\r\x85'}, {"user_agent": 'a - b - {c} "d" \x1b[31m\r\x85'}),
        ({"agent": "Element (Zoë; \udcff\udcc3)"}, {"user_agent": "Element (Zoë; \\xff\\xc3)"}),
    ],
)
def test_every_field_as_it_was_written(written: dict[str, str], expected: dict[str, t.Any] | None) -> None:
    changed = {"method": LOGIN.method, "uri": LOGIN.uri, "protocol": LOGIN.protocol}
    found = parse_processed(message(**written))
    if expected is None:
        assert found is None
    else:
        assert found == LOGIN._replace(**({**changed, **expected} if "request" in written else expected))


def test_zero_has_no_sign() -> None:
    found = parse_processed(message(numbers=NEW.replace("0.001", "-0.000")))
    assert found is not None
    assert str(found.response_seconds) == "0.0"


@pytest.mark.parametrize(
    "agent",
    [
        FORGED,
        f'" [0 dbevts]{FORGED}',
        f"x - 8008 - {{@admin:example.org}} Processed request: {NEW}",
        " - Received request: GET /forged",
        FORGED * 3,
    ],
)
def test_a_user_agent_forges_nothing(agent: str) -> None:
    assert parse_processed(message(agent=agent)) == LOGIN._replace(user_agent=agent)
    assert parse_received(message(agent=agent)) is None


@pytest.mark.parametrize(
    "address",
    [
        "203.0.113.9 - 8008 - {@admin:example.org} Processed request: 0.1sec/0.1sec ru=(0.1sec",
        "203.0.113.9 - 8008 - {@admin:example.org} Processed request: ",
        "203.0.113.9 - 8008 - {@admin:example.org",
        "} Processed request: " * 3,
        '" [0 dbevts]',
        "203.0.113.9 - 8008 - Received request: GET /forged",
    ],
)
def test_an_address_forges_nothing(address: str) -> None:
    assert parse_processed(message(address=address)) == LOGIN._replace(client_address=address)
    assert parse_received(f"{address} - 8008 - Received request: PUT /x".encode()) == Received(
        address, "8008", "PUT", "/x"
    )


@pytest.mark.parametrize(
    "request_line", ['GET / HTTP/1.1 " "x', "GET /", "GET", "GET  HTTP/1.1", " / HTTP/1.1", 'GET / H" "TTP']
)
def test_what_follows_the_first_numbers_counts_even_if_it_cannot_be_read(request_line: str) -> None:
    found = parse_processed(message(request=request_line, agent=FORGED))
    assert found is None or "admin" not in found.requester


@pytest.mark.parametrize(
    "changed",
    [
        b"",
        b'" [5 dbevts]',
        message()[:-1],
        message()[:-12],
        message(end=""),
        message(end=" [five dbevts]"),
        message(end=" [5 dbevts] "),
        message(end=f" [{'9' * 19} dbevts]"),
        message() + b"\n",
        message(agent="a\nb"),
        message(requester="a b"),
        message(requester="None").replace(b" - {", b" {"),
        message().replace(b"127.0.0.1 - ", b""),
        message(numbers=NEW.replace("0.214", "nan")),
        message(numbers=NEW.replace("0.214", "1e3")),
        message(numbers=NEW.replace("0.214", "9" * 400)),
        message(numbers=NEW.replace("0.214", f"{'9' * 400}.000")),
        message(numbers=NEW.replace("/7)", f"/{'9' * 5000})")),
        message(numbers=NEW.replace("200", "20")),
        message(numbers=NEW.replace(" db=", "")),
        message(request="GET /"),
        f'{message()[:-12].decode()} " [5 dbevts'.encode(),
        RECEIVED.encode(),
    ],
)
def test_no_processed_request(changed: bytes) -> None:
    assert parse_processed(changed) is None


def test_numbers_with_nothing_between_them_and_the_end() -> None:
    assert parse_processed(f'a - b - {{c}} Processed request: {NEW} " [0 dbevts]'.encode()) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (RECEIVED, ("127.0.0.1", "8008", "GET", "/_matrix/client/v3/sync")),
        (f"{RECEIVED}\r", ("127.0.0.1", "8008", "GET", "/_matrix/client/v3/sync")),
        ("- - unix - Received request: GET-37 /\x0b\ufffd", ("", "unix", "GET-37", "/\x0b\ufffd")),
        ("None - client api - Received request: PUT /", ("", "client api", "PUT", "/")),
        ("::1 - 8008 - Received request: GET /\udcff", ("::1", "8008", "GET", "/\\xff")),
        ("Received request: GET /", None),
        ("8008 - Received request: GET /", None),
        ("a - 8008 - Received request: GET", None),
        ("a - 8008 - Received request: GET ", None),
        ("a - 8008 - Received request:  /", None),
        ("a - 8008 - Received request: GET / x", None),
        ("a - 8008 - Received request: GET /\n", None),
        ("a - 8008 - {None} Processed request: 1sec", None),
        ("", None),
    ],
)
def test_a_received_request(text: str, expected: tuple[str, str, str, str] | None) -> None:
    assert parse_received(text.encode("utf-8", "surrogateescape")) == expected


def test_a_processed_request_that_was_cut_off_is_not_received() -> None:
    whole = message(agent="x - 8008 - Received request: GET /forged").decode()
    assert parse_received(whole.partition("forged")[0].encode()) is None


def test_fields_for_users() -> None:
    fields = returned_fields(LOGIN)
    assert fields == {name: value for name, value in LOGIN._asdict().items() if name != "authenticated_entity"}
    acting = returned_fields(LOGIN._replace(requester="@a:b", authenticated_entity="@c:d"))
    assert acting["authenticated_entity"] == "@c:d"


MARK = "} Processed request: "


@pytest.mark.parametrize(
    "piece",
    [
        MARK,
        f" - {{None{MARK}",
        f"{MARK}{NEW}",
        f"{MARK}{NEW[:-4]}",
        f'{MARK}{NEW} "',
        f'{MARK}{NEW} "x" "',
        '" [',
        '" [5 dbevts]',
        " - Received request: GET /",
        " - ",
        " - {",
        '"',
        " ",
        "9",
        "|@",
    ],
)
@pytest.mark.parametrize("parse", [parse_processed, parse_received])
def test_work_does_not_grow_faster_than_the_message(parse: t.Callable[[bytes], object], piece: str) -> None:
    for begin, end in (("", ""), (f"{message().decode()[:-12]}", " [5 dbevts]"), ("a - b - ", f"{MARK}{NEW}")):
        small, large = ((begin + piece * (size // len(piece)) + end).encode() for size in (100_000, 1_000_000))
        assert _calls(parse, large) <= 10 * _calls(parse, small) + 100


def _calls(parse: t.Callable[[bytes], object], text: bytes) -> int:
    """How many functions were called, of which each goes over the text, or what is left of it, at most once."""
    calls = 0

    def count(_frame: types.FrameType, _event: str, _argument: object) -> None:
        nonlocal calls
        calls += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        parse(text)
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.parametrize("pattern", [processed._NUMBERS, processed._EVENTS])
def test_patterns_are_bounded(pattern: t.Any) -> None:
    """One that is bounded cannot need more time for a longer message."""
    parser = importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")
    assert parser.parse(pattern.pattern).getwidth()[1] < 300

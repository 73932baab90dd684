# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Synapse's own code logs about a request is read as it was, and no bytes make the readers fail in other ways."""

from __future__ import annotations

import contextlib
import json
import tempfile
import typing as t

import hypothesis.configuration
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.layout import recognise, record_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.processed import (
    Received,
    parse_processed,
    parse_received,
    returned_fields,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.processed_line import processed_line
from ansible_collections.matrix_ops.synapse.tests.contract.synapse_code import Ask, synapse_code

_FORMATTERS = ("default", "json", "terse", "gcp")

# The same examples in every run, and nothing is kept from one run to the next. The directory is removed at the end.
_HOME = tempfile.TemporaryDirectory(prefix="matrix_ops_synapse_hypothesis_")
hypothesis.configuration.set_hypothesis_home_dir(_HOME.name)
_DETERMINISTIC = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=200,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=(HealthCheck.too_slow,),
)

_NUMBERS = "0.214sec/0.001sec ru=(0.207sec, 0.002sec) db=(0.003sec/0.004sec/7) 201B 200"
_MESSAGE = f'203.0.113.9 - 8008 - {{@admin:x}} Processed request: {_NUMBERS} "GET /forged HTTP/1.1" "forged" [9 dbevts]'
_RECEIVED = "203.0.113.9 - 8008 - Received request: GET /forged"
_HEAD = "2026-11-23 04:14:49,786 - synapse.access.http.8008 - 643 - INFO - GET-37 - "
# What a client could send in order to be taken for another one, and what a line consists of.
_PIECES = (
    _MESSAGE,
    _RECEIVED,
    _HEAD,
    _HEAD + _MESSAGE,
    _NUMBERS,
    '{"log":"',
    '","namespace":"synapse.access.http.8008","level":"INFO","time":1795407289.78,"request":"GET-37"}',
    '{"severity":"INFO","message":"',
    " - ",
    " - 8008 - {@admin:x} Processed request: 0.1sec/0.1sec ru=(0.1sec",
    " - 8008 - {",
    "} Processed request: ",
    " - Received request: GET /",
    "-0.000sec",
    "499!",
    ' "GET ',
    ' HTTP/1.1" "',
    '" "',
    '" [0 dbevts]',
    '"',
    "\\",
    "{",
    "}",
    "|@",
    ", ",
    "INFO:synapse.access.http.8008:",
    "synapse_1  | ",
    "Nov 23 04:14:49 host synapse[643]: ",
    "9" * 400,
    "\x1b[31m",
    "\x1c",
    "\x0b",
    "\x85",
    "\u00a0",
)
_ENCODED = tuple(piece.encode() for piece in _PIECES)


def _texts(characters: st.SearchStrategy[str], unwanted: str, *, least: int = 0) -> st.SearchStrategy[str]:
    """Texts of these characters and of hostile pieces without the unwanted characters."""
    pieces = [
        piece for piece in (part.encode().decode("latin-1") for part in _PIECES) if not set(piece) & set(unwanted)
    ]
    return st.lists(st.one_of(characters, st.sampled_from(pieces)), min_size=least, max_size=5).map("".join)


def _bytes_without(*codes: int, last: int = 255) -> st.SearchStrategy[str]:
    """Texts in which each character is one byte."""
    return st.text(st.sampled_from([chr(code) for code in range(last + 1) if code not in codes]), max_size=12)


_TOKEN = "!#$%&'*+-.^_`|~09azAZ"
_METHODS = st.one_of(
    st.sampled_from(["GET", "PUT", "POST", "OPTIONS", "GET-37"]), st.text(_TOKEN, min_size=1, max_size=9)
)
_LAST_OF_A_URI = 176
_URIS = st.builds(
    "{}{}".format,
    st.sampled_from(["/_matrix/client/v3/sync?since=s1&access_token=secret", "/health", "/", "*", '"']),
    _texts(_bytes_without(9, 10, 13, 32, last=_LAST_OF_A_URI), " \n\xc2\xa0\x85"),
)
_AGENTS = st.none() | _texts(_bytes_without(10, 13), "\n")
_FORWARDED = (
    st.none() | st.sampled_from(["", "-", "None", "2001:db8::1"]) | _texts(_bytes_without(10, 13, last=127), "\n\xc2")
)
_PEERS = st.sampled_from(["192.0.2.9", "2001:db8:10:1:4a28:988f:56f9:5df", "::ffff:127.0.0.1", "/run/a b,1.sock"])
_TAGS = st.sampled_from(["8008", "unix", "client-api", "client api"])
_SERVERS = st.text("az09.-", min_size=1, max_size=20) | st.just("[2001:db8::1]:8448")
_USERS = st.builds("@{}:{}".format, st.text("az09._=-/+", min_size=1, max_size=9), _SERVERS)
# Names that nobody can choose any more.
_OLD_USERS = st.builds(
    "@{}:{}".format,
    st.text([chr(code) for code in range(0x21, 0x7F) if chr(code) not in ":@"], min_size=1, max_size=9),
    _SERVERS,
)
_REQUESTERS = st.one_of(
    st.just((None, None)),
    st.tuples(st.one_of(_SERVERS, _USERS, _OLD_USERS), st.none()),
    st.tuples(_USERS, st.one_of(_USERS, _SERVERS)),
)
_SECONDS = st.floats(-1e6, 1e9)
_COUNTS = st.integers(0, 10**15)
_USAGES = st.fixed_dictionaries(
    {
        **dict.fromkeys(("ru_utime", "ru_stime", "db_sched_duration_sec", "db_txn_duration_sec"), _SECONDS),
        **dict.fromkeys(("db_txn_count", "evt_db_fetch_count"), _COUNTS),
    }
)
_CASES = st.fixed_dictionaries(
    {
        "method": _METHODS,
        "uri": _URIS,
        "protocol": st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/2"]),
        "user_agent": _AGENTS,
        "forwarded_for": _FORWARDED,
        "peer": _PEERS,
        "site_tag": _TAGS,
        "requesters": _REQUESTERS,
        "processing_seconds": _SECONDS,
        "response_seconds": _SECONDS,
        "usage": _USAGES,
        "response_bytes": _COUNTS,
        "status": st.sampled_from([200, 302, 401, 404, 499, 500]),
        "finished": st.booleans(),
    }
)


@pytest.fixture(scope="module")
def log_as_synapse() -> t.Iterator[Ask]:
    """Start Synapse's own code that logs requests."""
    with synapse_code("log_as_synapse.py") as ask:
        yield ask


def _expected(case: dict[str, t.Any], values: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the fields that the line of a request must contain."""
    usage = case["usage"]
    seconds = {
        "processing_seconds": case["processing_seconds"],
        "response_seconds": values["response_seconds"],
        "user_cpu_seconds": usage["ru_utime"],
        "system_cpu_seconds": usage["ru_stime"],
        "database_wait_seconds": usage["db_sched_duration_sec"],
        "database_seconds": usage["db_txn_duration_sec"],
    }
    address = values["client_address"]
    return {
        "client_address": "" if address in ("-", "None") else address,
        "site_tag": case["site_tag"],
        "requester": values["requester"] or "",
        **({"authenticated_entity": values["authenticated_entity"]} if values["authenticated_entity"] else {}),
        **{name: float(f"{value:.3f}") for name, value in seconds.items()},
        "database_transactions": usage["db_txn_count"],
        "response_bytes": case["response_bytes"],
        "status": case["status"],
        "client_disconnected": not case["finished"],
        "method": values["method"],
        "uri": values["uri"],
        "protocol": case["protocol"],
        "user_agent": "" if values["user_agent"] == "-" else values["user_agent"],
        "database_events": usage["evt_db_fetch_count"],
    }


@_DETERMINISTIC
@given(case=_CASES)
def test_what_synapse_logs_is_read_as_it_was(log_as_synapse: Ask, case: dict[str, t.Any]) -> None:
    case["requester"], case["authenticated_entity"] = case.pop("requesters")
    answer = log_as_synapse(case)
    values, processed, received = answer["expected"], answer["processed"], answer["received"]
    expected = _expected(case, values)

    message = processed["message"].encode()
    found = parse_processed(message)
    assert found is not None
    assert returned_fields(found) == expected
    assert parse_received(message) is None

    message = received["message"].encode()
    assert parse_processed(message) is None
    assert parse_received(message) == Received(*(expected[name] for name in Received._fields))

    times = []
    for name in _FORMATTERS:
        # A name with a space cannot be told from what follows it, unless it is in JSON.
        if name == "default" and " " in case["site_tag"]:
            continue
        line = processed_line(processed[name])
        times += [line.pop("time_ts")] if line.pop("time", None) else []
        assert line.pop("request", values["request"]) == values["request"]
        assert (line.pop("logger"), line.pop("level")) == (processed["logger"], processed["level"])
        assert line == expected
        with pytest.raises(InvalidInput, match="received"):
            processed_line(received[name])
    # One of them has hundredths of a second.
    assert len(times) >= 2
    assert max(times) - min(times) <= 10


@_DETERMINISTIC
@given(
    text=_texts(_bytes_without(10), "\n"), logger=st.sampled_from(["synapse.handlers.directory", "synapse.http.site"])
)
def test_the_text_of_another_logger_is_not_a_request(text: str, logger: str) -> None:
    for line in (
        f"2026-11-23 04:14:49,786 - {logger} - 12 - INFO - GET-37 - {text}",
        json.dumps({"log": text, "namespace": logger, "level": "INFO", "request": "GET-37"}, ensure_ascii=False),
        json.dumps({"severity": "INFO", "message": text, "logger": logger}, ensure_ascii=False),
    ):
        with pytest.raises(InvalidInput):
            processed_line(line)


_HOSTILE = st.lists(st.one_of(st.binary(max_size=9), st.sampled_from(_ENCODED)), max_size=8).map(b"".join)


@_DETERMINISTIC
@given(content=_HOSTILE)
def test_no_bytes_make_the_readers_fail(content: bytes) -> None:
    parse_processed(content)
    parse_received(content)
    record_of(content, recognise(content))
    with contextlib.suppress(InvalidInput):
        processed_line(content.decode("utf-8", "surrogateescape"))


@_DETERMINISTIC
@given(text=st.text() | st.lists(st.one_of(st.text(max_size=9), st.sampled_from(_PIECES)), max_size=8).map("".join))
def test_no_text_makes_the_filter_fail(text: str) -> None:
    try:
        found = processed_line(text)
    except InvalidInput as error:
        assert len(str(error)) < 500
        assert str(error).isprintable()
    else:
        json.dumps(found, allow_nan=False).encode()


@_DETERMINISTIC
@given(start=st.integers(0, 400), length=st.integers(0, 9), added=st.sampled_from((b"", *_ENCODED)))
def test_a_changed_line_is_read_in_another_way_or_not_at_all(start: int, length: int, added: bytes) -> None:
    line = (_HEAD + _MESSAGE).encode()
    changed = line[:start] + added + line[start + length :]
    record_of(changed, recognise(changed))
    with contextlib.suppress(InvalidInput):
        processed_line(changed.decode())

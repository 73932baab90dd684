# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One format of plain text lines."""

from __future__ import annotations

import time

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.plain_layout import (
    Layout,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.prefix import prefixes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import Record

DEFAULT = "%(asctime)s - %(name)s - %(lineno)d - %(levelname)s - %(request)s - %(message)s"
TIME = "2026-05-20 11:01:31,265"
SECONDS = time.mktime((2026, 5, 20, 11, 1, 31, 0, 0, -1)) + 0.265
HEAD = f"{TIME} - synapse.access.http.8008 - 643 - INFO - GET-37 - "
OTHER = f"{TIME} - synapse.handlers.directory - 12 - INFO - GET-37 - "
NUMBERS = "Processed request: 0.001sec/-0.001sec ru=(0.002sec, 0.000sec) db=(0.000sec/0.000sec/0) 27B 200 "
MESSAGE = "192.0.2.9 - 8008 - {None} " + NUMBERS + '"GET /x HTTP/1.1" "curl/7" [0 dbevts]'
RECEIVED = "192.0.2.9 - 8008 - Received request: GET /x"


def record_of(layout: Layout, line: str) -> Record:
    record = layout.record(line.encode())
    assert record is not None
    return record


def read(text: str, line: str, style: str = "%", *, free_tags: bool = False) -> Record:
    return record_of(Layout(text, style, free_tags=free_tags), line)


def is_record(text: str, line: str, *, free_tags: bool = False) -> bool:
    return Layout(text, free_tags=free_tags).record(line.encode()) is not None


# shared/cases.md 10 to 12.
def test_there_is_no_space_behind_the_tag() -> None:
    record = read(
        "%(asctime)s - %(name)s - %(lineno)d - %(levelname)s - %(request)s- %(message)s",
        f"{TIME} - synapse.access.http.8008 - 643 - INFO - GET-167- 2001:db8:10:1:4a28:988f:56f9:5df - 8008 - {{@a:x}}",
    )
    message = b"2001:db8:10:1:4a28:988f:56f9:5df - 8008 - {@a:x}"
    assert record == (SECONDS, "synapse.access.http.8008", "INFO", "GET-167", message, b"")


def test_the_journal_of_debian() -> None:
    record = read(
        "%(name)s: [%(request)s] %(message)s",
        "synapse.access.http.8080: [POST-199343] ::ffff:127.0.0.1 - 8080 - {@a:example.org} Processed request: x",
    )
    message = b"::ffff:127.0.0.1 - 8080 - {@a:example.org} Processed request: x"
    assert record == (None, "synapse.access.http.8080", "", "POST-199343", message, b"")


def test_there_is_no_tag_at_all() -> None:
    layout = Layout("%(levelname)s:%(name)s:%(message)s")
    record = layout.record(b"INFO:synapse.access.https.8443:192.0.2.9 - 8443 - {@a:example.org} Processed request: x")
    message = b"192.0.2.9 - 8443 - {@a:example.org} Processed request: x"
    assert record == (None, "synapse.access.https.8443", "INFO", "", message, b"")
    assert (layout.has_time, layout.has_logger, layout.has_request) == (False, True, False)


@pytest.mark.parametrize("address", ["-", "None", "::1", "::ffff:192.0.2.9", "/run/synapse/main.sock", ""])
def test_addresses(address: str) -> None:
    line = f"{TIME} - synapse.access.http./run/synapse/main.sock - 1 - DEBUG - PUT-1 - {address} - /run/x - Received"
    record = read(DEFAULT, line)
    assert record.logger == "synapse.access.http./run/synapse/main.sock"
    assert record.message == f"{address} - /run/x - Received".encode()


@pytest.mark.parametrize(
    ("style", "text", "line"),
    [
        ("{", "{asctime} [{levelname:<8}] {name} {request}: {message}", "[INFO    ] synapse.x GET-1: text"),
        ("{", "{asctime} [{levelname:>8}] {name} {request}: {message}", "[    INFO] synapse.x GET-1: text"),
        ("$", "$asctime [$levelname] ${name} $request: $message", "[INFO] synapse.x GET-1: text"),
        (
            "%",
            "%(asctime)s [%(levelname)-5.5s] %(name)-12s %(request)s: %(message)s",
            "[INFO ] synapse.x    GET-1: text",
        ),
        ("%", "%(asctime)s [%(levelname)s] %(name)12s %(request)s: %(message)s", "[INFO]    synapse.x GET-1: text"),
        (
            "%",
            "%(asctime)s [%(levelname)s] %(threadName)s/%(foo)s %(process)d %(pathname)s:%(lineno)4d %(funcName)s() "
            "%(name)s %(request)s: %(message)s",
            "[INFO] Pool Thread 1/any text 99 /a/b.py:  12 <lambda>() synapse.x GET-1: text",
        ),
        (
            "%",
            "%(asctime)s.%(msecs)03d [%(levelname)s] %(name)s|%(request)s|%(message)s",
            ".265 [INFO] synapse.x|GET-1|text",
        ),
    ],
)
def test_styles_and_widths(style: str, text: str, line: str) -> None:
    space = "" if line.startswith(".") else " "
    record = read(text, f"{TIME}{space}{line}", style=style)
    assert record == (SECONDS, "synapse.x", "INFO", "GET-1", b"text", b"")


@pytest.mark.parametrize(
    ("text", "datefmt", "line", "seconds"),
    [
        ("%(created)f %(name)s %(message)s", None, "1779274891.265 synapse.x text", 1779274891.265),
        (
            "%(asctime)s %(name)s %(message)s",
            "%d/%b/%Y:%H:%M:%S %z",
            "20/May/2026:11:01:31 +0000 synapse.x text",
            1779274891,
        ),
        ("%(asctime)s %(name)s %(message)s", "%b %d %H:%M:%S", "May 20 11:01:31 synapse.x text", SECONDS - 0.265),
        ("%(asctime)s %(name)s %(message)s", "%H:%M:%S", "11:01:31 synapse.x text", None),
        ("%(asctime)s (%(created)f) %(name)s %(message)s", "%H:%M:%S", "11:01:31 (7.5) synapse.x text", 7.5),
        ("%(asctime)s %(name)s %(message)s [%(asctime)s]", None, f"{TIME} synapse.x text [{TIME}]", SECONDS),
    ],
)
def test_times(text: str, datefmt: str | None, line: str, seconds: float | None) -> None:
    layout = Layout(text, datefmt=datefmt, written=1779300000.0)
    assert layout.has_time == (seconds is not None)
    record = record_of(layout, line)
    assert record.time == pytest.approx(seconds)
    assert (record.logger, record.message) == ("synapse.x", b"text")


def test_a_time_that_there_cannot_be_is_not_the_beginning_of_a_record() -> None:
    assert not is_record(DEFAULT, HEAD.replace("05-20", "13-20") + MESSAGE)
    assert Layout(DEFAULT).moment(b"2026-13-20 11:01:31,265") is None


@pytest.mark.parametrize("inner", [DEFAULT, DEFAULT.replace("%(asctime)s - ", "")])
def test_a_prefix_gives_the_time_if_the_format_has_none(inner: str) -> None:
    prefix = "2026-11-29T09:52:14.5Z stdout F "
    kind = prefixes()[0]
    line = prefix + (HEAD if "asctime" in inner else HEAD[len(TIME) + 3 :]) + MESSAGE
    layout = Layout(inner, prefix=kind)
    record = record_of(layout, line)
    assert record.time == (SECONDS if "asctime" in inner else 1795945934.5)
    assert (record.prefix, record.message) == (prefix.encode(), MESSAGE.encode())
    pattern = layout.pattern(rb"([^\n]*)(?=\n)", capture=("prefix", "time", "request"))
    moment = TIME if "asctime" in inner else "2026-11-29T09:52:14.5Z"
    found = pattern.findall(f"\n{line}\n".encode())
    assert found == [(prefix.encode(), moment.encode(), b"GET-37", MESSAGE.encode())]
    assert layout.moment(moment.encode()) == record.time


def test_the_pattern_finds_whole_records() -> None:
    block = f"\n{HEAD}{MESSAGE}\ntext {HEAD}{MESSAGE}\n{OTHER}{HEAD}{MESSAGE}\n{HEAD}{RECEIVED}\n".encode()
    layout = Layout(DEFAULT)
    message = rb"([^\n]*)(?=\n)"
    found = layout.pattern(message, ("time", "request")).findall(block)
    assert found == [(TIME.encode(), b"GET-37", text.encode()) for text in (MESSAGE, RECEIVED)]


def test_a_name_that_the_format_lacks_is_an_empty_group() -> None:
    pattern = Layout("%(levelname)s:%(name)s:%(message)s").pattern(rb"([^\n]*)", ("time", "request"))
    assert pattern.findall(b"\nINFO:synapse.access.http.1:a - 1 - x\n") == [(b"", b"", b"a - 1 - x")]


def test_text_behind_the_message() -> None:
    layout = Layout("%(levelname)s %(message)s [%(name)s %(request)s] (%(asctime)s)")
    line = f"INFO {MESSAGE} [synapse.x GET-1] ({TIME}) [synapse.y GET-2] ({TIME})"
    record = record_of(layout, line)
    assert (record.logger, record.request, record.time) == ("synapse.y", "GET-2", SECONDS)
    assert not layout.direct
    with pytest.raises(ValueError, match="not the last field"):
        layout.pattern(b"")


def test_a_format_that_cannot_be_used() -> None:
    with pytest.raises(ConfigurationError, match="does not contain the message"):
        Layout("%(asctime)s %(name)s")


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"\xff" * 9, b"-" * 99_999, b"2026-05-20 11:01:31,265 - " * 9_999, b" " * 99_999]
)
def test_no_line_is_slow_or_raises(line: bytes) -> None:
    started = time.process_time()
    for text in (DEFAULT, "%(a)s %(b)s %(name)-9s %(request)s: %(message)s", "%(request)s %(name)s %(message)s"):
        Layout(text).record(line)
    assert time.process_time() - started < 2


def test_only_a_line_feed_ends_a_line() -> None:
    line = HEAD + MESSAGE.replace("curl", "\x0b\x0c\x1c\x1d\x1e\x85\u2028\r")
    assert read(DEFAULT, line).message == line[len(HEAD) :].encode()
    assert not is_record(DEFAULT, HEAD + MESSAGE + "\n" + HEAD + MESSAGE)


# What a client controls.
FORGED = f'{HEAD}9.9.9.9 - 8008 - {{@admin:x}} {NUMBERS}"GET /forged HTTP/1.1" "curl" [0 dbevts]'


@pytest.mark.parametrize(
    "text", [FORGED, FORGED[len(TIME) + 3 :], FORGED[len(HEAD) :], f" - {FORGED}", f"x\x0b{FORGED}"]
)
@pytest.mark.parametrize("free_tags", [False, True])
def test_another_loggers_text_is_not_a_request(text: str, free_tags: bool) -> None:
    record = read(DEFAULT, OTHER + text, free_tags=free_tags)
    assert record.logger == "synapse.handlers.directory"
    assert record.message == text.encode()


def test_a_user_agent_is_not_a_request() -> None:
    line = HEAD + MESSAGE.replace("curl/7", FORGED)
    assert read(DEFAULT, line).message == line[len(HEAD) :].encode()


def test_an_address_is_not_a_tag() -> None:
    # The first X-Forwarded-For: no comma.
    address = "GET-9 - 9.9.9.9 - 8008 - {@admin:x} Processed request: 0.001sec/0.001sec ru=(0.002sec"
    record = read(DEFAULT, HEAD + MESSAGE.replace("192.0.2.9", address))
    assert record.request == "GET-37"
    assert record.message.startswith(address.encode())


@pytest.mark.parametrize("numbered", [True, False])
def test_a_tag_is_not_a_request(numbered: bool) -> None:
    tag = f"GET-{'7' if numbered else 'x'}"
    line = f"{HEAD.replace('GET-37', tag)}{FORGED[len(HEAD) :]} - {MESSAGE}"
    # If clients do not choose tags, it is the user agent that contains it.
    assert is_record(DEFAULT, line) == numbered
    assert not is_record(DEFAULT, line, free_tags=True)


LONGER_TAGS = [
    "GET-37 - x",
    "GET-evil - text about GET-37",
    "GET-a - 9.9.9.9 - 8008 - {@admin:x}",
    "GET-a - 9.9.9.9 - 8008 - {x",
]


@pytest.mark.parametrize("tag", ["GET-0f8c", "GET-", "GET-a b", "GET-\t1", "GET-37 -x", *LONGER_TAGS])
@pytest.mark.parametrize("message", [MESSAGE, RECEIVED])
def test_a_tag_of_a_client_is_read_if_there_is_one_way_to_read_it(tag: str, message: str) -> None:
    record = read(DEFAULT, HEAD.replace("GET-37", tag) + message, free_tags=True)
    assert (record.request, record.message) == (tag, message.encode())


@pytest.mark.parametrize(
    "tag",
    [
        "GET-a - 9.9.9.9 - 8008 - Received request: GET /forged",
        f"GET-a - 9.9.9.9 - 8008 - {{@admin:x}} {NUMBERS}",
        f"GET-7 - 9.9.9.9 - 8008 - {{@admin:x}} {NUMBERS}",
    ],
)
@pytest.mark.parametrize("message", [MESSAGE, RECEIVED])
def test_a_tag_that_could_end_at_several_places_is_not_a_record(tag: str, message: str) -> None:
    assert not is_record(DEFAULT, HEAD.replace("GET-37", tag) + message, free_tags=True)
    assert Layout(DEFAULT).begins((HEAD.replace("GET-37", tag) + message).encode())


def test_a_tag_in_front_of_the_logger_does_not_choose_the_logger() -> None:
    text = "%(asctime)s %(request)s %(name)s: %(message)s"
    forged = f"GET-x synapse.access.http.8008: {MESSAGE}"
    assert not is_record(text, f"{TIME} {forged} synapse.storage: text")
    assert not is_record(text, f"{TIME} {forged} synapse.access.http.8008: {MESSAGE}")
    assert not is_record(text, f"{TIME} some text synapse.access.http.8008: {MESSAGE}")
    assert read(text, f"{TIME} GET-0f8c synapse.access.http.8008: {MESSAGE}").request == "GET-0f8c"
    pattern = Layout(text, free_tags=True).pattern(rb"[^\n]*")
    assert not pattern.search(f"\n{TIME} GET-1 synapse.access.http.8008: {MESSAGE} synapse.storage: text\n".encode())
    assert pattern.search(f"\n{TIME} GET-1 synapse.access.http.8008: {MESSAGE}\n".encode())


def test_the_records_of_other_loggers_may_have_any_tag() -> None:
    record = read(DEFAULT, OTHER.replace("GET-37", "GET-a b") + "text - more")
    assert (record.request, record.message) == ("GET-a b", b"text - more")
    assert read(DEFAULT, OTHER.replace("GET-37", "") + "text").request == ""
    assert read(DEFAULT, OTHER.replace("GET-37", "sentinel") + "text").request == "sentinel"


def test_the_pattern_finds_lines_with_two_messages() -> None:
    block = f"\n{HEAD}{MESSAGE} - {MESSAGE}\n".encode()
    assert Layout(DEFAULT, free_tags=True).pattern(rb"[^\n]*").search(block)


@pytest.mark.parametrize("text", ["%(asctime)s %(message)s", "%(asctime)s - %(request)s - %(message)s"])
@pytest.mark.parametrize("free_tags", [True, False])
@pytest.mark.parametrize(
    ("before", "is_request"),
    [
        ("SynapseError: 400 - Unknown session ID: ", False),
        ("SynapseError: 400 - ", False),
        ("Unknown - ", False),
        ("SynapseError:", False),
        ("", True),
    ],
)
def test_another_logger_does_not_log_a_request_in_a_format_without_the_logger(
    text: str, free_tags: bool, before: str, is_request: bool
) -> None:
    head = TIME + (" - GET-37 - " if "request" in text else " ")
    layout = Layout(text, free_tags=free_tags)
    for message in (MESSAGE, RECEIVED):
        line = f"{head}{before}{message}".encode()
        assert (layout.record(line) is not None) == is_request
        assert layout.begins(line)
        pattern = layout.pattern(rb"[^ \n]* - [^ \n]+ - [^\n]*")
        assert bool(pattern.search(b"\n" + line + b"\n")) == is_request
    assert layout.record(f"{head}SynapseError: 400 - Unknown session".encode()) is not None


@pytest.mark.parametrize(
    "address",
    ["192.0.2.9", "192.0.2.9:4711", "::1", "fe80::1%eth0", "[2001::1]:80", "-", "None", "/run/s.sock", ""],
)
def test_an_address_in_a_format_without_the_logger(address: str) -> None:
    line = f"{TIME} {MESSAGE.replace('192.0.2.9', address)}"
    assert is_record("%(asctime)s %(message)s", line)
    pattern = Layout("%(asctime)s %(message)s").pattern(rb"[^ \n]* - 8008")
    assert pattern.search(f"\n{line}\n".encode())


def test_the_tag_of_the_listener_is_that_of_the_logger() -> None:
    head = f"{TIME} - synapse.access.http.8008 - 1 - INFO - GET-x - 1.2.3.4 - "
    layout = Layout(DEFAULT, free_tags=True)
    assert layout.record(f"{head}8008 - Received request: GET /".encode()) is not None
    assert layout.record(f"{head}9000 - Received request: GET /".encode()) is None

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The format of a log, recognised from its lines."""

from __future__ import annotations

import json
import time
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.canonical import canonical_line
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.layout import (
    AnyLayout,
    Layout,
    recognise,
    record_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_format import Format, given_format
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import Record

NAME = "synapse.access.http.8008"
DEFAULT = "%(asctime)s - %(name)s - %(lineno)d - %(levelname)s - %(request)s - %(message)s"
TIME = "2026-05-20 11:01:31,265"
MESSAGE = (
    "192.0.2.9 - 8008 - {None} Processed request: 0.001sec/-0.001sec ru=(0.002sec, 0.000sec) db=(0.000sec/0.000sec/0) "
    '27B 200 "GET /x HTTP/1.1" "curl/7" [0 dbevts]'
)
RECEIVED = "192.0.2.9 - 8008 - Received request: GET /x"
HEADS = [
    (f"{TIME} - NAME - 643 - INFO - GET-167 - ", DEFAULT),
    (f"{TIME} - NAME - 643 - INFO - GET-167- ", DEFAULT.replace("%(request)s - ", "%(request)s- ")),
    (f"{TIME} - NAME - 643 - INFO - ", DEFAULT.replace("%(request)s - ", "")),
    ("NAME - 643 - INFO - GET-167 - ", DEFAULT.replace("%(asctime)s - ", "")),
    (f"{TIME} - NAME - INFO - GET-167 - ", DEFAULT.replace("%(lineno)d - ", "")),
    ("NAME: [GET-167] ", "%(name)s: [%(request)s] %(message)s"),
    ("INFO:NAME:", "%(levelname)s:%(name)s:%(message)s"),
    (
        f"[{TIME}] INFO     {{NAME:643}} <GET-167> ",
        "[%(asctime)s] %(levelname)-8s {%(name)s:%(lineno)d} <%(request)s> %(message)s",
    ),
    (f"{TIME} INFO NAME ", "%(asctime)s %(levelname)s %(name)s %(message)s"),
    ("May 20 11:01:31 INFO NAME: GET-167 ", "%(asctime)s %(levelname)s %(name)s: %(request)s %(message)s"),
]
PREFIXES = [
    "",
    "synapse-1  | ",
    "Nov 29 09:52:14 host matrix-synapse[123]: ",
    "2026-11-29T09:52:14.123456+00:00 host ident[1]: ",
    "2026-11-29T09:52:14.123456789Z ",
    "2026-11-29T09:52:14.123456789Z stdout F ",
    "synapse-1  | 2026-11-29T09:52:14.123456789Z ",
]


SERVER_NAME = "%(asctime)s - %(name)s - %(lineno)d - %(levelname)s - my-server.org - %(request)s - %(message)s"


def lines(*texts: str) -> bytes:
    return "\n".join(texts).replace("NAME", NAME).encode() + b"\n"


def read(line: bytes, layouts: t.Sequence[AnyLayout]) -> Record:
    record = record_of(line, layouts)
    assert record is not None
    return record


def free_tags_of(layouts: t.Sequence[AnyLayout]) -> list[bool]:
    found = []
    for layout in layouts:
        assert isinstance(layout, Layout)
        found.append(layout.free_tags)
    return found


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(("head", "text"), HEADS)
def test_formats_and_prefixes(head: str, text: str, prefix: str) -> None:
    sample = lines(*[prefix + head + MESSAGE] * 3, *[prefix + head + RECEIVED] * 3, prefix + "Traceback:")
    layouts = recognise(sample)
    assert [layout.text for layout in layouts] == [text]
    for message, line in ((MESSAGE, sample.partition(b"\n")[0]), (RECEIVED, sample.split(b"\n")[3])):
        record = read(line, layouts)
        assert (record.logger, record.message, record.prefix) == (NAME, message.encode(), prefix.encode())
        assert record.request == ("GET-167" if "request" in text else "")
        assert (record.time is None) == (not layouts[0].has_time) == (not prefix[15:] and "asctime" not in text)
    assert record_of(sample.split(b"\n")[-2], layouts) is None


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(("head", "text"), HEADS[:7])
def test_without_a_request_the_other_loggers_tell_the_format(head: str, text: str, prefix: str) -> None:
    sample = lines(
        *[
            (prefix + head + f"Message {number} - about it").replace("NAME", "synapse.storage.txn")
            for number in range(9)
        ],
        *[(prefix + head + "Starting").replace("NAME", "twisted").replace("GET-167", "sentinel")] * 9,
    )
    layouts = recognise(sample)
    record = read(sample.split(b"\n")[1], layouts)
    assert record.logger == "synapse.storage.txn"
    assert record.message == b"Message 1 - about it"


@pytest.mark.parametrize(
    "event",
    [
        {"log": MESSAGE, "namespace": NAME, "level": "INFO"},
        {"log": MESSAGE, "namespace": NAME, "level": "INFO", "time": 1779274891.27, "request": "GET-1"},
        {"severity": "INFO", "message": MESSAGE, "logger": NAME, "time": "2026-05-20T11:01:31.265Z"},
    ],
)
@pytest.mark.parametrize("prefix", ["", "synapse-1  | ", "2026-11-29T09:52:14.123456789Z stdout F "])
def test_json(event: dict[str, object], prefix: str) -> None:
    sample = lines(*[prefix + json.dumps(event)] * 3, "Traceback")
    layouts = recognise(sample)
    assert [(layout.text, layout.is_json, layout.direct) for layout in layouts] == [("JSON", True, False)]
    assert layouts[0].has_time == ("time" in event or len(prefix) > 20)
    record = read(sample.partition(b"\n")[0], layouts)
    assert (record.logger, record.message, record.prefix) == (NAME, MESSAGE.encode(), prefix.encode())
    assert recognise(lines(prefix + json.dumps({**event, "namespace": "synapse.x", "logger": "synapse.x"})))


@pytest.mark.parametrize(
    "program", [HEADS[0][0] + MESSAGE, json.dumps({"log": MESSAGE, "namespace": NAME, "level": "INFO"})]
)
def test_the_files_of_docker(program: str) -> None:
    stored = {"log": program.replace("NAME", NAME) + "\n", "stream": "stdout", "time": "2026-11-29T09:52:14.1Z"}
    sample = lines(json.dumps(stored))
    layouts = recognise(sample)
    record = read(sample[:-1], layouts)
    assert (record.logger, record.message) == (NAME, MESSAGE.encode())
    assert layouts[0].is_json and canonical_line(record)


@pytest.mark.parametrize(
    ("text", "datefmt", "head"),
    [
        ("{asctime} {levelname:<8} {name} [{request}] {message}", None, f"{TIME} INFO     NAME [GET-1] "),
        ("$asctime $name $request $message", None, f"{TIME} NAME GET-1 "),
        ("%(asctime)s %(message)s", "%d/%m/%Y %H:%M:%S", "20/05/2026 11:01:31 "),
        ("%(message)s", None, ""),
        (
            "%(asctime)s one two three four five six %(name)s %(message)s",
            None,
            f"{TIME} one two three four five six NAME ",
        ),
    ],
)
@pytest.mark.parametrize("prefix", ["", "synapse-1  | "])
def test_a_given_format(text: str, datefmt: str | None, head: str, prefix: str) -> None:
    sample = lines(*[prefix + head + MESSAGE] * 3, prefix + head.replace("NAME", "synapse.x") + "other")
    layouts = recognise(sample, given_format(text, datefmt))
    assert [layout.text for layout in layouts] == [text]
    record = read(sample.partition(b"\n")[0], layouts)
    assert (record.message, record.prefix) == (MESSAGE.encode(), prefix.encode())
    assert (record.time is None) == (head == "")


def test_the_field_before_a_tag_does_not_belong_to_it() -> None:
    line = f"{TIME} - {NAME} - 643 - INFO - my-server.org - GET-167 - {MESSAGE}".encode()
    layouts = recognise(line)
    assert [layout.text for layout in layouts] == [SERVER_NAME]
    assert read(line, layouts).request == "GET-167"


def test_a_given_format_that_does_not_fit_is_not_used() -> None:
    assert [layout.text for layout in recognise(lines(HEADS[0][0] + MESSAGE), Format("%(levelname)s %(message)s"))] == [
        DEFAULT
    ]
    assert recognise(b"text\n", Format(DEFAULT)) == ()
    assert [layout.text for layout in recognise(b"text\n", Format("%(message)s"))] == ["%(message)s"]
    with pytest.raises(ConfigurationError, match="does not contain the message"):
        recognise(b"text\n", Format("%(asctime)s"))


def test_a_format_that_was_changed() -> None:
    sample = lines(*[HEADS[0][0] + MESSAGE] * 50, *[HEADS[6][0] + MESSAGE] * 20)
    assert [layout.text for layout in recognise(sample)] == [HEADS[0][1], HEADS[6][1]]
    sample = lines(*[HEADS[0][0] + MESSAGE] * 20, *[HEADS[6][0] + MESSAGE] * 50)
    assert [layout.text for layout in recognise(sample)] == [HEADS[6][1], HEADS[0][1]]


def test_received_and_processed_have_one_format() -> None:
    head = f"{TIME} INFO  [NAME] GET-1 "
    sample = lines(*[head + MESSAGE] * 5, *[head.replace("INFO ", "DEBUG") + RECEIVED] * 9)
    layouts = recognise(sample)
    assert [layout.text for layout in layouts] == ["%(asctime)s %(levelname)-5s [%(name)s] %(request)s %(message)s"]


@pytest.mark.parametrize(
    ("tag", "free"), [("GET-37", False), ("G-ET-7", False), ("GET-0f8c-11ee", True), ("GET-", True), ("PUT-a/b", True)]
)
def test_the_tags_show_whether_clients_choose_them(tag: str, free: bool) -> None:
    sample = lines(HEADS[0][0].replace("GET-167", tag) + MESSAGE, HEADS[0][0] + MESSAGE)
    assert free_tags_of(recognise(sample)) == [free]
    assert free_tags_of(recognise(sample, free_tags=True)) == [True]


def test_a_forged_line_does_not_choose_the_format() -> None:
    custom = f"[{TIME}] INFO {{LOGGER:643}} <GET-1> "
    forged = custom.replace("LOGGER", "synapse.handlers.x") + f"#x {HEADS[0][0]}{MESSAGE}"
    sample = lines(
        *[custom.replace("LOGGER", NAME) + MESSAGE] * 30, *[forged] * 30, *[HEADS[0][0] + MESSAGE + " not found"] * 2
    )
    layouts = recognise(sample)
    assert [layout.text for layout in layouts] == [
        "[%(asctime)s] %(levelname)s {%(name)s:%(lineno)d} <%(request)s> %(message)s"
    ]
    assert read(lines(forged)[:-1], layouts).logger == "synapse.handlers.x"


def test_what_follows_a_line_feed_in_a_text_does_not_choose_the_format() -> None:
    object_of_docker = json.dumps({"log": HEADS[0][0] + MESSAGE, "stream": "stdout"})
    sample = lines(*[HEADS[0][0] + MESSAGE, object_of_docker] * 20, HEADS[0][0] + MESSAGE.replace("curl", "\0"))
    assert [layout.text for layout in recognise(sample)] == [DEFAULT]
    sample = lines(*[HEADS[0][0] + MESSAGE] * 20, *[HEADS[6][0] + MESSAGE + " not found"] * 20)
    assert [layout.text for layout in recognise(sample)] == [DEFAULT]


def test_a_strange_tag_does_not_hide_the_tags() -> None:
    head = HEADS[0][0].replace("NAME", "synapse.x")
    sample = lines(*[head.replace("GET-167", "strange") + "text"] * 2, *[head + "text"] * 30)
    assert [layout.text for layout in recognise(sample)] == [DEFAULT]


def test_most_requests_at_the_level_debug() -> None:
    head = f"{TIME} DEBUG [NAME] GET-1 "
    sample = lines(*[head + RECEIVED] * 99, *[head.replace("DEBUG", "INFO ") + MESSAGE] * 2)
    layouts = recognise(sample)
    assert read(sample.split(b"\n")[-2], layouts).message == MESSAGE.encode()


def test_only_forged_lines_are_not_a_log() -> None:
    custom = f"[{TIME}] INFO {{synapse.handlers.x:643}} <GET-1> "
    assert recognise(lines(*[f"{custom}#x {HEADS[0][0]}{MESSAGE}"] * 30)) == ()
    known = HEADS[0][0].replace("NAME", "synapse.handlers.x")
    layouts = recognise(lines(*[f"{known}#x {HEADS[7][0]}{MESSAGE}"] * 30))
    assert [layout.text for layout in layouts] == [DEFAULT]


@pytest.mark.parametrize(
    "sample",
    [
        b"",
        b"\n",
        b"\n" * 9999,
        b'192.0.2.9 - - [20/May/2026:11:01:31 +0000] "GET /_matrix HTTP/1.1" 200 5 "-" "Synapse/1.2"\n' * 99,
        b"2026-05-20 11:01:31 status installed matrix-synapse-py3:amd64 1.163\n" * 99,
        b"2026-05-20 11:01:31,265 - gunicorn.access - 643 - INFO - GET-1 - 192.0.2.9 - text\n" * 99,
        b"May 20 11:01:31 host sshd[1]: Accepted publickey\n" * 99,
        b'{"level":"info","msg":"text","time":1}\n' * 99,
        b"\x7fELF\0\0\0synapse.access\0\n" * 99,
        bytes(range(256)) * 999,
        b"\xff" * 300_000,
        b"synapse. " * 60_000,
        b" Processed request: " * 30_000,
    ],
)
def test_files_of_other_programs(sample: bytes) -> None:
    started = time.process_time()
    assert recognise(sample) == ()
    assert time.process_time() - started < 2


def test_bytes_that_are_zero_after_a_crash_do_not_make_it_binary() -> None:
    line = lines(HEADS[0][0] + MESSAGE)
    assert len(recognise(line * 20 + b"\0" * 4096 + line * 20)) == 1


def test_the_sample_is_not_read_as_lines_by_other_bytes_than_the_line_feed() -> None:
    sample = lines(f"{HEADS[0][0]}{MESSAGE}\x1c{HEADS[6][0]}{MESSAGE}\x85\x0b") * 9
    assert [layout.text for layout in recognise(sample)] == [DEFAULT]


def test_a_log_without_requests_has_names_of_other_work_in_place_of_tags() -> None:
    names = ["main"] * 5 + ["call_when_running"] * 30 + ["background_updates-0"] * 3
    text = "".join(
        f"2026-11-29 11:07:11,{number:03} - synapse.app._base - 512 - INFO - {name} - Synapse now listening\n"
        for number, name in enumerate(names)
    )
    (layout,) = recognise(text.encode())
    assert layout.has_request

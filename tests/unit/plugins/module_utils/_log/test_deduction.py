# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The deduction of a format from a record of the access logger."""

from __future__ import annotations

import time

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.deduction import Deduced, deduce

NAME = "synapse.access.http.8008"
MESSAGE = '192.0.2.9 - 8008 - {@a:x} Processed request: 0.001sec/0.001sec ru=(0.002sec, 0.000sec) 200 "GET /x" "curl"'


def deduced(line: str) -> Deduced:
    found = deduce(line.encode())
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("head", "text", "datefmt"),
    [
        (
            "[2026-05-20 11:01:31,265] INFO     {NAME:643} <GET-1> ",
            "[%(asctime)s] %(levelname)-8s {%(name)s:%(lineno)d} <%(request)s> %(message)s",
            None,
        ),
        (
            "[2026-05-20 11:01:31,265]     INFO {NAME:643} <GET-1> ",
            "[%(asctime)s] %(levelname)8s {%(name)s:%(lineno)d} <%(request)s> %(message)s",
            None,
        ),
        ("2026-05-20T11:01:31.2Z INFO NAME ", "%(asctime)s %(levelname)s %(name)s %(message)s", None),
        ("2026-05-20 11:01:31,265:NAME:", "%(asctime)s:%(name)s:%(message)s", None),
        (
            "20.05.2026 11:01:31 (NAME) [GET-3] ",
            "%(asctime)s (%(name)s) [%(request)s] %(message)s",
            "%d.%m.%Y %H:%M:%S",
        ),
        ("May 20 11:01:31 NAME: GET-1 ", "%(asctime)s %(name)s: %(request)s %(message)s", "%b %e %H:%M:%S"),
        ("11:01:31 | NAME | GET-0a-b | ", "%(asctime)s | %(name)s | %(request)s | %(message)s", "%H:%M:%S"),
        ("1779267691.265 NAME - ", "%(created)s %(name)s - %(message)s", None),
        (
            "NAME site.py:12 _finished_processing MainThread 100% GET-1: ",
            "%(name)s %(filename)s:%(lineno)d %(funcName)s %(threadName)s %(lineno)d%% %(request)s: %(message)s",
            None,
        ),
        ("site NAME            GET-1 ", "%(module)s %(name)-35s %(request)s %(message)s", None),
        (
            "2026-05-20 11:01:31 NAME 2026-05-20 11:01:31 ",
            "%(asctime)s %(name)s %(repeated_asctime)s %(message)s",
            None,
        ),
    ],
)
def test_a_format_is_deduced(head: str, text: str, datefmt: str | None) -> None:
    assert deduce((head.replace("NAME", NAME) + MESSAGE).encode()) == (text, datefmt)


@pytest.mark.parametrize(
    "address",
    [
        "192.0.2.9",
        "192.0.2.9:50123",
        "2001:db8::1",
        "2001:db8:10:1:4a28:988f:56f9:5df",
        "[2001:db8::1]:50123",
        "::1",
        "::",
        "fe80::1%eth0",
        "fe80::1%enp0s31f6.100",
        "::ffff:192.0.2.9",
        "None",
        "-",
        "/run/synapse.sock",
        "unix:",
        "unix:/run/synapse.sock",
    ],
)
@pytest.mark.parametrize("separator", [":", "|", " - ", "] ", ",", "\t"])
def test_the_address_is_not_part_of_the_format(address: str, separator: str) -> None:
    line = f"{NAME}{separator}{address}{MESSAGE[9:]}"
    assert deduced(line).text == f"%(name)s{separator}%(message)s"


@pytest.mark.parametrize("address", ["2001:db8::1", "192.0.2.9", "192.0.2.9:50123", "::1"])
@pytest.mark.parametrize("separator", [":", "-", "- "])
def test_the_number_of_a_tag_is_not_part_of_the_address(address: str, separator: str) -> None:
    line = f"{NAME} GET-37{separator}{address}{MESSAGE[9:]}"
    assert deduced(line).text == f"%(name)s %(request)s{separator}%(message)s"


@pytest.mark.parametrize("month", ["maj", "Mai", "Okt"])
def test_the_name_of_a_month_in_another_language_is_not_a_time(month: str) -> None:
    found = deduced(f"{month} 20 11:01:31 host synapse[7]: {NAME}: {MESSAGE}")
    assert found.datefmt == "%H:%M:%S"
    assert found.text == f"{month} %(lineno)d %(asctime)s host synapse[%(lineno)d]: %(name)s: %(message)s"


@pytest.mark.parametrize(
    "line",
    [
        "",
        MESSAGE,
        f"synapse.handlers.x INFO {NAME} {MESSAGE}",
        f"twisted.web INFO {NAME} {MESSAGE}",
        f"INFO synapse.access.http.8448 {MESSAGE}",
        f"INFO synapse.access.http.80081 {MESSAGE}",
        f"INFO my{NAME} {MESSAGE}",
        f"my proxy wrote a long text about {NAME} {MESSAGE}",
        f"{'x' * 700} {NAME} {MESSAGE}",
        f"{NAME} text without a request",
    ],
)
def test_nothing_is_deduced_from_other_lines(line: str) -> None:
    assert deduce(line.encode()) is None


def test_a_user_agent_does_not_count() -> None:
    line = f'INFO {NAME} GET-1 {MESSAGE} "synapse.access.http.1 {MESSAGE}"'
    assert deduced(line).text == "%(levelname)s %(name)s %(request)s %(message)s"


@pytest.mark.parametrize("text", [b"x", b" - ", b"a.", b"/", b"synapse.", b"GET-1", b":0", b"{", b"\xff"])
def test_no_line_is_slow_or_raises(text: bytes) -> None:
    started = time.process_time()
    deduce(text * 50_000)
    deduce(text * 50 + NAME.encode() + text * 50 + MESSAGE.encode())
    deduce(NAME.encode() + b" " + text * 500 + MESSAGE.encode())
    assert time.process_time() - started < 1

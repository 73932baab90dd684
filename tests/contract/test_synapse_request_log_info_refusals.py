# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_request_log_info cannot read, and what it is told that cannot be meant: one sentence each."""

from __future__ import annotations

import gzip
import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.configuration import look_at_files, unstarted
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Parameters, Refusal, named, prove_refusal

_MODULE = "synapse_request_log_info"
_LINE = (
    "2026-11-23 04:14:49,786 - synapse.access.http.8008 - 643 - INFO - GET-{number} - 127.0.0.1 - 8008 - {{None}}"
    " Processed request: 0.214sec/0.000sec ru=(0.207sec, 0.000sec) db=(0.001sec/0.001sec/7) 201B 200"
    ' "GET /_matrix/client/versions HTTP/1.1" "curl" [0 dbevts]\n'
)
_OF_NGINX = '127.0.0.1 - - [23/Nov/2026:04:14:49 +0000] "GET / HTTP/1.1" 200 612 "-" "curl"\n'
_LOG = "".join(_LINE.format(number=number) for number in range(2000))


def _prepare(place: Place) -> None:
    """Make everything that is no log, and one that is."""
    directory = place.directory
    (directory / "good.log").write_text(_LOG)
    (directory / "empty.log").touch()
    (directory / "binary.log").write_bytes(bytes(range(256)) * 500)
    (directory / "nginx.log").write_text(
        '127.0.0.1 - - [23/Nov/2026:04:14:49 +0000] "GET / HTTP/1.1" 200 612 "-" "curl"\n' * 50
    )
    packed = gzip.compress(os.urandom(2_000_000).hex().encode() + _LOG.encode())
    (directory / "cut.log.gz").write_bytes(gzip.compress((_LOG * 20).encode())[:-500])
    (directory / "noise.log.gz").write_bytes(packed[: len(packed) // 2])
    (directory / "directory").mkdir()
    (directory / "loop.log").symlink_to("loop.log")
    os.mkfifo(directory / "pipe.log")
    (directory / "timeless.log").write_text(
        "".join(line.partition(" - ")[2] + "\n" for line in _LOG.split("\n") if line)
    )


def _with(name: str, **more: t.Any) -> t.Callable[[Place], Parameters]:
    return lambda place: {"base_url": None, "path": [str(place.directory / name)], **more}


def _only(**more: t.Any) -> t.Callable[[Place], Parameters]:
    return lambda place: {"base_url": None, "config_path": place.server.config_path, **more}


_CASES = [
    Refusal(name, _MODULE, parameters, message, prepare=_prepare, state=look_at_files, token=False)
    for name, parameters, message in (
        ("no file", _with("absent.log"), r"absent\.log does not exist"),
        ("a pattern without a match", _with("absent*.log"), r"absent\*\.log .*(no file|nothing)"),
        ("a directory", _with("directory"), r"directory is a directory: .*\.log"),
        ("an empty file", _with("empty.log"), r"empty\.log is empty: see in Synapse's log configuration"),
        ("a binary file", _with("binary.log"), r"binary\.log is a binary file, not a log of Synapse"),
        ("the log of another program", _with("nginx.log"), r"nginx\.log contains no record as Synapse writes them"),
        ("a compressed file that ends too early", _with("cut.log.gz"), r"cut\.log\.gz .*(cut|truncated|ends)"),
        ("compressed noise that ends too early", _with("noise.log.gz"), r"noise\.log\.gz "),
        ("a link to itself", _with("loop.log"), r"loop\.log.*: [Tt]oo many levels of symbolic links"),
        ("a pipe", _with("pipe.log"), r"pipe\.log is (not a regular file|a )"),
        (
            "several files, one of which is of another program",
            _with("n*.log"),
            r"nginx\.log contains no record as Synapse writes them",
        ),
        ("an empty list", _only(path=[]), "path is empty"),
        ("an empty list of units", _only(unit=[]), "unit is empty"),
        ("a unit with an option", _only(unit=["--all"]), "'--all', which is not the name of a systemd unit"),
        ("both a path and a unit", _with("good.log", unit=["x"]), "mutually exclusive: path\\|unit"),
        ("a number instead of a tag", _with("good.log", request="37"), "'37' is not the tag of a request: .*GET-37"),
        ("a tag without a hyphen", _with("good.log", request="GET37"), "'GET37' is not the tag of a request"),
        ("an empty tag", _with("good.log", request=""), "'' is not the tag of a request"),
        ("a time that is none", _with("good.log", since="yesteryear"), "since .*yesteryear.*-15min"),
        ("an end before the beginning", _with("good.log", since="2026-11-24", until="2026-11-23"), "since .* until"),
        ("a format without the message", _with("good.log", log_format="%(asctime)s"), r"%\(message\)s"),
        (
            "times of a log without times",
            _with("timeless.log", since="-1h"),
            r"since and until cannot be used with .*timeless\.log",
        ),
        ("fewer than no requests", _with("good.log", slowest=-1), "slowest is -1: it must be at least 0"),
        ("a configuration that does not exist", _only(), r"homeserver\.yaml"),
    )
]


@pytest.mark.parametrize("case", named(_CASES))
def test_what_cannot_be_read_is_named(case: Refusal, tmp_path: Path) -> None:
    sentence = prove_refusal(unstarted(tmp_path), case)
    assert "Traceback" not in sentence
    assert sentence.count(". ") <= 2, sentence

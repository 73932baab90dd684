# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_format import Format
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.logging_settings import LoggingSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.sink import Sink, read_place

READ = LoggingSettings({"place": "/a/log"}, "/etc/log.yaml")


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"class": "logging.FileHandler", "filename": "/a/log"}, ("file", "/a/log")),
        ({"class": "logging.handlers.RotatingFileHandler", "filename": "log"}, ("file", "/data/log")),
        ({"class": "logging.handlers.TimedRotatingFileHandler", "filename": "./x/../log"}, ("file", "/data/log")),
        ({"class": "logging.handlers.WatchedFileHandler", "filename": "cfg://place"}, ("file", "/a/log")),
        ({"class": "concurrent_log_handler.ConcurrentRotatingFileHandler", "filename": "/a"}, ("file", "/a")),
        ({"()": "their.factory", "filename": "/a"}, ("file", "/a")),
        ({"class": "logging.FileHandler", "filename": "ext://their.PATH"}, ("other", "logging.FileHandler")),
        ({"class": "systemd.journal.JournalHandler", "SYSLOG_IDENTIFIER": "synapse"}, ("journal", "")),
        ({"class": "systemd.journal.JournaldLogHandler"}, ("journal", "")),
        ({"class": "cysystemd.journal.JournaldLogHandler"}, ("journal", "")),
        ({"class": "logging.StreamHandler"}, ("stream", "stderr")),
        ({"class": "logging.StreamHandler", "stream": None}, ("stream", "stderr")),
        ({"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}, ("stream", "stdout")),
        ({"class": "logging.StreamHandler", "stream": "ext://sys.__stderr__"}, ("stream", "stderr")),
        ({"class": "logging.StreamHandler", "stream": "ext://their.stream"}, ("other", "logging.StreamHandler")),
        ({"class": "logging.handlers.SysLogHandler"}, ("syslog", "localhost:514")),
        ({"class": "logging.handlers.SysLogHandler", "address": "/dev/log"}, ("syslog", "/dev/log")),
        ({"class": "logging.handlers.SysLogHandler", "address": ["a", 1]}, ("syslog", "a:1")),
        ({"class": "synapse.logging.RemoteHandler", "host": "10.0.0.1", "port": 9000}, ("remote", "10.0.0.1:9000")),
        ({"class": "logging.handlers.SocketHandler", "host": "a", "port": None}, ("remote", "a")),
        ({"class": "their.Handler", "host": "a", "port": 1}, ("remote", "a:1")),
        ({"class": "logging.NullHandler"}, ("none", "")),
        ({"class": "logging.handlers.MemoryHandler", "capacity": 10}, ("none", "")),
        ({"class": "their.Handler"}, ("other", "their.Handler")),
    ],
)
def test_where_a_handler_writes(settings: dict[str, t.Any], found: tuple[str, str]) -> None:
    assert read_place("a", settings, READ, "/data") == found


def test_a_relative_path_without_a_directory() -> None:
    assert read_place("a", {"class": "logging.FileHandler", "filename": "x/log"}, READ, None) == ("file", "x/log")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "handlers.a in .* has no class"),
        ({"class": 3}, "handlers.a in .* has no class"),
        ({"class": "logging.FileHandler"}, "handlers.a.filename in .* is not the path of a file"),
        ({"class": "logging.FileHandler", "filename": ""}, "handlers.a.filename in .* is not the path of a file"),
        ({"class": "logging.FileHandler", "filename": "a\0b"}, "handlers.a.filename in .* is not the path of a file"),
        ({"class": "their.Handler", "filename": 3}, "handlers.a.filename in .* is not the path of a file"),
    ],
)
def test_a_handler_with_wrong_types(settings: dict[str, t.Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{message}"):
        read_place("a", settings, READ, "/data")


@pytest.mark.parametrize(
    ("kind", "path", "in_journal", "readable"),
    [
        ("file", "/a", False, True),
        ("journal", "", True, True),
        ("stream", "stdout", True, True),
        ("syslog", "/dev/log", True, True),
        ("syslog", "localhost:514", False, False),
        ("remote", "a:1", False, False),
        ("none", "", False, False),
        ("other", "a.B", False, False),
    ],
)
def test_where_it_can_be_read(kind: str, path: str, in_journal: bool, readable: bool) -> None:
    sink = Sink(kind, path, "a", 0, Format())
    assert (sink.is_in_journal, sink.is_readable) == (in_journal, readable)

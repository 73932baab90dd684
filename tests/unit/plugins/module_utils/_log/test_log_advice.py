# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.dict_configuration import DictConfiguration, Level
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_advice import (
    Advice,
    how_to_keep_received,
    keeps_received,
    stopped_by_reload,
    why_nothing,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_configuration import LogSinks
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_format import Format
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.sink import Sink

PATH = "/etc/log.yaml"
APPLY = "A reload of the unit applies it (systemctl reload, or SIGHUP to each process of Synapse)."
INFO, DEBUG = Level(20, "root"), Level(10, "synapse.access")


def sink(kind: str, path: str = "", level: int = 0, handler: str = "h") -> Sink:
    return Sink(kind, path, handler, level, Format(), f"{handler}_entry")


def log(*sinks: Sink, level: Level = INFO, path: str = PATH, **more: t.Any) -> LogSinks:
    return LogSinks(sinks, level, path, **more)


@pytest.fixture
def there(tmp_path: pathlib.Path) -> str:
    """The path of a log file that exists."""
    path = tmp_path / "homeserver.log"
    path.write_text("")
    return str(path)


def test_requests_that_can_be_read(there: str) -> None:
    assert why_nothing(log(sink("file", there))) == ""
    assert why_nothing(log(sink("journal"))) == ""
    assert why_nothing(log(sink("stream", "stderr"), path="")) == ""
    assert why_nothing(log(sink("syslog", "/dev/log"), sink("file", "/lost"))) == ""
    assert why_nothing(log(sink("file", "/lost"), sink("file", there))) == ""


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (log(refused="The log configuration x is empty."), "The log configuration x is empty."),
        (
            log(sink("journal"), level=Level(30, "root")),
            "Synapse does not log requests, which have the level INFO: in /etc/log.yaml, the root logger (root) is at"
            f" WARNING. Set its level to INFO. {APPLY}",
        ),
        (
            log(sink("journal"), level=Level(25, "synapse")),
            "Synapse does not log requests, which have the level INFO: in /etc/log.yaml, the logger synapse is at 25."
            f" Set its level to INFO. {APPLY}",
        ),
        (
            log(sink("file", "/a", 40)),
            "Synapse does not write requests, which have the level INFO: in /etc/log.yaml, the handler h_entry is at"
            f" ERROR. Set its level to INFO. {APPLY}",
        ),
        (
            log(kept_back="the logger synapse has propagate: false. Set it to true."),
            "Synapse writes its requests nowhere: in /etc/log.yaml, the logger synapse has propagate: false. Set it to"
            f" true. {APPLY}",
        ),
        (
            log(sink("file", "/a", 40), kept_back="the logger synapse has propagate: false. Set it to true."),
            "Synapse does not write requests, which have the level INFO: in /etc/log.yaml, the handler h_entry is at"
            f" ERROR. Set its level to INFO. {APPLY}",
        ),
        (
            log(unused=(sink("stream"), sink("file", "/a.log", handler="file"))),
            "Synapse writes its requests nowhere: in /etc/log.yaml, no handler gets them. Add one without a filter"
            " to the handlers of root. No logger uses the handler file (/a.log), so that its file stays empty: add it"
            " to the handlers of root.",
        ),
        (
            log(sink("remote", "10.0.0.1:9000"), sink("syslog", "localhost:514")),
            "Synapse sends its requests to 10.0.0.1:9000, localhost:514 only (in /etc/log.yaml): read them there, or"
            " add a handler that writes a file.",
        ),
        (
            log(sink("none", "stderr"), path=""),
            "Synapse runs as a daemon (-D or daemonize), which discards stderr, where its requests are written (without"
            " a log configuration): add a handler that writes a file.",
        ),
        (
            log(sink("other", "their.Handler")),
            "Synapse hands its requests to their.Handler (in /etc/log.yaml), and where that writes them is not known:"
            " set the option path or unit.",
        ),
        (
            log(sink("none")),
            "Synapse discards its requests (in /etc/log.yaml): add a handler that writes a file to the handlers of"
            " root.",
        ),
        (
            log(sink("file", "/lost/a.log"), sink("file", "b.log")),
            "The log that /etc/log.yaml sets cannot be read: /lost/a.log does not exist on this host; b.log is relative"
            " to the directory that Synapse is started in, which is not known (set the option path).",
        ),
    ],
)
def test_why_there_are_no_requests(found: LogSinks, reason: str) -> None:
    assert why_nothing(found) == reason


def test_a_file_that_this_user_cannot_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "stat", refused)
    found = why_nothing(log(sink("file", "/a.log")))
    assert found.endswith("/a.log cannot be reached by this user (Permission denied; run the task with become).")


def test_whether_a_reload_ends_the_log() -> None:
    assert stopped_by_reload(log()) == ""
    assert "because /etc/log.yaml does not set disable_existing_loggers to false" in stopped_by_reload(
        log(reload_silences=True)
    )


def test_received_requests_are_kept() -> None:
    found = log(sink("file", "/a"), level=DEBUG)
    assert keeps_received(found)
    assert how_to_keep_received(found) == Advice("", "")


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        (log(sink("file", "/a")), "loggers:\n    synapse.access:\n        level: DEBUG\n"),
        (
            log(sink("file", "/a"), raised=("synapse.access.http.1", "synapse.access")),
            "loggers:\n    synapse.access.http.1:\n        level: DEBUG\n    synapse.access:\n        level: DEBUG\n",
        ),
        (
            log(sink("remote", "a:1"), sink("file", "/a", 20), level=DEBUG, disables_existing=True),
            "disable_existing_loggers: false\nloggers:\n    synapse.access:\n        level: DEBUG\nhandlers:\n"
            "    h_entry:\n        level: DEBUG\n",
        ),
    ],
)
def test_the_lines_that_keep_received_requests(found: LogSinks, lines: str) -> None:
    advice = how_to_keep_received(found)
    assert advice.lines == lines
    assert f"set it in {PATH} with the lines below" in advice.text
    assert APPLY in advice.text
    assert ("Without disable_existing_loggers: false" in advice.text) == found.disables_existing


def test_advice_without_a_log_configuration() -> None:
    advice = how_to_keep_received(log(sink("stream", "stderr"), path="", setting="worker_log_config"))
    assert "create one, set worker_log_config to its path, and restart Synapse" in advice.text
    assert advice.lines.startswith("loggers:\n")


def test_advice_where_nothing_can_be_read() -> None:
    assert how_to_keep_received(log(refused="It is empty.")) == Advice("It is empty.", "")
    assert "sends its requests to a:1 only" in how_to_keep_received(log(sink("remote", "a:1"))).text


def test_the_lines_have_the_effect() -> None:
    yaml = pytest.importorskip("yaml")
    before = {
        "version": 1,
        "handlers": {"file": {"class": "logging.FileHandler", "filename": "/a"}},
        "root": {"level": "INFO", "handlers": ["file"]},
    }
    lines = how_to_keep_received(log(sink("file", "/a"), disables_existing=True)).lines
    after = DictConfiguration({**before, **yaml.safe_load(lines)}, PATH, None)
    assert after.level("synapse.access.http.8008").level == 10
    assert not after.disables_existing

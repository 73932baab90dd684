# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.log_end import (
    LogEnd,
    log_paths,
    read_log_end,
)

HEAD = "2026-11-29 21:18:16,2{} - twisted - 273 - ERROR - sentinel - "
BEGINNING = "2026-11-29 21:18:16,248 - synapse.config.logger - 377 - WARNING - main - ***** STARTING SERVER *****"
TRACEBACK = ["Traceback (most recent call last):", '  File "/x.py", line 35, in run', "    f()", "TypeError: wrong"]
OTHER = "2026-11-29 21:18:16,264 - synapse.server - 640 - INFO - main - Finished setting up."


@pytest.fixture
def log(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "homeserver.log"


def end(log: pathlib.Path, *lines: str, starting: bool = False) -> LogEnd | None:
    log.write_text("".join(f"{line}\n" for line in lines))
    return read_log_end([str(log)], since=0, starting=starting)


def twisted(*lines: str) -> list[str]:
    """Return lines as Twisted logs what is written to the standard error, each with a time of its own."""
    return [HEAD.format(60 + number) + line for number, line in enumerate(lines)]


@pytest.mark.parametrize(
    "lines",
    [
        twisted(*TRACEBACK),
        TRACEBACK,
        # As `logger.exception` writes it.
        [HEAD.format(60) + "Failed", *TRACEBACK],
        [*twisted(*TRACEBACK), OTHER, OTHER],
        [*twisted("Traceback (most recent call last):", "  x", "KeyError: 1"), OTHER, *twisted(*TRACEBACK)],
        [f"synapse-1 {line}" for line in TRACEBACK],
    ],
)
def test_a_traceback_at_the_end(log: pathlib.Path, lines: list[str]) -> None:
    found = end(log, OTHER, BEGINNING, OTHER, *lines)
    assert found is not None
    assert (found.path, found.words) == (str(log), ["TypeError: wrong"])


def test_the_exception_that_came_first(log: pathlib.Path) -> None:
    chained = ["", "The above exception was the direct cause of the following exception:", "", *TRACEBACK]
    found = end(log, BEGINNING, *twisted("Traceback (most recent call last):", "  x", "OSError: full", *chained))
    assert found == LogEnd(str(log), ["TypeError: wrong"], ["OSError: full"])


def test_what_twisted_reports_at_the_end(log: pathlib.Path) -> None:
    found = end(log, BEGINNING, OTHER, *twisted("Unable to create the pidfile."))
    assert found == LogEnd(str(log), ["Unable to create the pidfile."], [])


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [BEGINNING],
        [BEGINNING, OTHER],
        # It is not known of which start they are.
        twisted(*TRACEBACK),
        # Synapse went on after it.
        [BEGINNING, *twisted(*TRACEBACK), *[OTHER] * 20],
        [BEGINNING, *twisted(*TRACEBACK), BEGINNING, OTHER],
        [BEGINNING, "synapse.access.http.8008 - GET-1 - 192.0.2.9 - 8008 - {None} Processed request: x"],
        [BEGINNING, *twisted("")],
    ],
)
def test_a_log_without_a_reason(log: pathlib.Path, lines: list[str]) -> None:
    assert end(log, *lines) is None


def test_the_start_before_one_in_progress(log: pathlib.Path) -> None:
    lines = [BEGINNING, *twisted(*TRACEBACK), BEGINNING, OTHER]
    assert end(log, *lines, starting=True) is not None
    assert end(log, *lines, BEGINNING, OTHER, starting=True) is None


def test_only_regular_files_of_the_start_are_read(log: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert end(log, BEGINNING, *twisted(*TRACEBACK)) is not None
    assert read_log_end([str(log)], since=log.stat().st_mtime + 1, starting=False) is None
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(log)
    os.mkfifo(pipe)
    for path in (link, pipe, tmp_path, tmp_path / "missing", tmp_path / "a\0b"):
        assert read_log_end([str(path)], since=0, starting=False) is None
    assert read_log_end([str(link), str(log)], since=0, starting=False) is not None


def test_the_end_of_a_long_log(log: pathlib.Path) -> None:
    assert end(log, *[OTHER] * 9000, BEGINNING, *twisted(*TRACEBACK)) is not None


def test_the_files_of_a_log_configuration(tmp_path: pathlib.Path) -> None:
    handlers = {"a": {"filename": "/var/a.log"}, "b": {"filename": "b.log"}, "c": {}, "d": 1, "e": {"filename": 2}}
    path = tmp_path / "log.yaml"
    path.write_text(json.dumps({"handlers": handlers}))
    assert log_paths({"log_config": str(path)}, "/work") == ["/var/a.log", "/work/b.log"]
    assert log_paths({"log_config": "log.yaml"}, str(tmp_path)) == ["/var/a.log", f"{tmp_path}/b.log"]
    path.write_text("[")
    assert log_paths({"log_config": str(path)}, None) == []
    path.write_text("handlers: 1")
    for settings in ({"log_config": str(path)}, {}, {"log_config": 1}, {"log_config": "/nonexistent"}):
        assert log_paths(settings, None) == []

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import multiprocessing
import os
import pty
import sys
import typing as t

import pytest

# Where only what a module finds on a managed host is there, nothing of the controller can run.
pytest.importorskip("ansible.utils.display")

from ansible.utils.display import Display

from ansible_collections.matrix_ops.synapse.plugins.plugin_utils import _progress_display
from ansible_collections.matrix_ops.synapse.plugins.plugin_utils._progress_display import (
    copied_standard_error,
    display_nothing,
    is_watched,
    write_line,
)


def test_nothing_is_displayed_and_nothing_asked(monkeypatch: pytest.MonkeyPatch, capfd: t.Any) -> None:
    display: t.Any = Display()
    monkeypatch.setattr(display, "_final_q", None)
    display_nothing()
    display.debug("a")
    display.display("b")
    display.warning("c")
    with pytest.raises(RuntimeError):
        display._final_q.send_prompt(prompt="Password: ")
    assert capfd.readouterr() == ("", "")


def test_a_line_is_written_to_the_copied_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    try:
        monkeypatch.setattr(_progress_display, "STANDARD_ERROR", writing)
        write_line("media 3 of 4 on h\u00f6st")
        assert os.read(reading, 100).decode() == "media 3 of 4 on h\u00f6st\n"
    finally:
        os.close(reading)
        os.close(writing)


def test_without_a_standard_error_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert copied_standard_error() is None
    monkeypatch.setattr(_progress_display, "STANDARD_ERROR", None)
    write_line("not shown")


def test_the_copy_is_another_descriptor_which_programs_do_not_inherit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: t.Any
) -> None:
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: None)
    with open(tmp_path / "error", "w", encoding="utf-8") as error:
        monkeypatch.setattr(sys, "stderr", error)
        copied = copied_standard_error()
        assert copied is not None and copied != error.fileno()
        assert not os.get_inheritable(copied)
    os.write(copied, b"still open\n")
    os.close(copied)
    assert (tmp_path / "error").read_text() == "still open\n"


def test_a_forked_process_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: "the main process")
    assert copied_standard_error() is None


@pytest.mark.parametrize(
    ("opens", "ci", "watched"),
    [
        (pty.openpty, "", True),
        (pty.openpty, "false", True),
        (pty.openpty, "0", True),
        (pty.openpty, "true", False),
        (pty.openpty, "1", False),
        (os.pipe, "", False),
    ],
)
def test_somebody_watches_a_terminal_outside_of_ci(
    opens: t.Callable[[], tuple[int, int]], ci: str, watched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    ends = opens()
    try:
        monkeypatch.setattr(_progress_display, "STANDARD_ERROR", ends[1])
        assert is_watched() is watched
    finally:
        for end in ends:
            os.close(end)


def test_nobody_watches_without_a_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "")
    monkeypatch.setattr(_progress_display, "STANDARD_ERROR", None)
    assert not is_watched()

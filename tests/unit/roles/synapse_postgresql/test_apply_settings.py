# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""If PostgreSQL does not start with the settings, it runs with those from before."""

from __future__ import annotations

import subprocess
import types
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files import (
    apply_settings,
    child_process,
    look_at_postgresql,
    write_file,
)

Row = dict[str, t.Any]

_SETTINGS = {
    "text": "new",
    "present": "old",
    "restarts": True,
    "path": "/x.conf",
    "owner": "postgres",
    "unit": "unit",
    "runs": True,
}


class _Host:
    """A host that does not start PostgreSQL with these contents of the file."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, bad: str = "", left: int = 0) -> None:
        self.text, self.actions, self._bad, self._left = "old", list[str](), bad, left
        monkeypatch.setattr(child_process, "require", self._require)
        monkeypatch.setattr(child_process, "ask", self._ask)
        monkeypatch.setattr(child_process, "run", self._run)
        monkeypatch.setattr(look_at_postgresql, "look", self._look)
        monkeypatch.setattr(apply_settings, "_PAUSE", 0)

    def _require(self, command: list[str]) -> str:
        self.actions.append(f"{command[1]} {self.text}")
        if self.text == self._bad:
            raise OSError("it does not start")
        return ""

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        said = "x [1] FATAL:  could not map shared memory\n"
        return subprocess.CompletedProcess(command, 0, said, "")

    def _ask(self, _question: Row, script: str, asked: Row, user: str, _python: str) -> Row:
        assert (script, asked["path"], user) == ("write_file.py", "/x.conf", "postgres")
        self.text = asked["text"]
        return {}

    def _look(self, _question: Row) -> types.SimpleNamespace:
        self._left -= 1
        settings = _SETTINGS if self._left >= 0 else {}
        return types.SimpleNamespace(wrong=[], settings=settings, shown=lambda: {"done": True})


def test_the_settings_are_written_and_put_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    host = _Host(monkeypatch, left=3)
    assert apply_settings.answer({"settings": _SETTINGS}) == {"done": True}
    assert (host.text, host.actions) == ("new", ["restart new"])


def test_a_postgresql_that_does_not_run_stays_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    host = _Host(monkeypatch)
    assert apply_settings.answer({"settings": {**_SETTINGS, "text": "", "runs": False}}) == {"done": True}
    assert (host.text, host.actions) == ("", [])


def test_settings_that_do_not_start_are_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    host = _Host(monkeypatch, bad="new")
    with pytest.raises(
        OSError, match=r"it does not start[.] .*map shared memory[.] /x.conf is as before,.*memory_share"
    ):
        apply_settings.answer({"settings": _SETTINGS})
    assert (host.text, host.actions) == ("old", ["restart new", "restart old"])


def test_a_file_that_was_not_there_is_removed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    host = _Host(monkeypatch, bad="new")
    with pytest.raises(OSError, match="as before"):
        apply_settings.answer({"settings": {**_SETTINGS, "present": None}})
    assert host.text == ""


def test_a_file_that_an_interrupted_run_left_is_removed_if_postgresql_does_not_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = _Host(monkeypatch, bad="new")
    with pytest.raises(OSError, match=r"/x.conf is removed, and PostgreSQL runs again[.]"):
        apply_settings.answer({"settings": {**_SETTINGS, "present": "new"}})
    assert (host.text, host.actions) == ("", ["restart new", "restart "])


def test_a_postgresql_that_does_not_start_at_all_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    _Host(monkeypatch, bad="")
    monkeypatch.setattr(apply_settings, "_put_in_force", _fail)
    with pytest.raises(OSError, match="does not start without these settings either: no[.] Correct that first"):
        apply_settings.answer({"settings": _SETTINGS})


def _fail(_settings: Row) -> None:
    raise OSError("no")


def test_settings_that_are_never_in_force_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    _Host(monkeypatch, left=1000)
    with pytest.raises(OSError, match=r"does not use all of /x.conf"):
        apply_settings.answer({"settings": {**_SETTINGS, "restarts": False}})


def test_a_file_is_written_and_removed_and_no_link_is_followed(tmp_path: t.Any) -> None:
    path, other = tmp_path / "x.conf", tmp_path / "other"
    other.write_text("of others")
    path.symlink_to(other)
    (tmp_path / "x.conf.new").symlink_to(other)
    write_file.answer({"path": str(path), "text": "a\n"})
    assert (path.read_text(), path.is_symlink(), other.read_text()) == ("a\n", False, "of others")
    write_file.answer({"path": str(path), "text": ""})
    write_file.answer({"path": str(path), "text": ""})
    assert sorted(each.name for each in tmp_path.iterdir()) == ["other"]

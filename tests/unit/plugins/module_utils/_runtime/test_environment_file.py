# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.environment_file import (
    parse_environment,
    read_bytes,
    read_environment_file,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A=1\nB=2\nA=3\n", [("A", "1"), ("B", "2"), ("A", "3")]),
        ("A=1", [("A", "1")]),
        ("A=\n", [("A", "")]),
        ("  A = one two \t\r\n", [("A", "one two")]),
        ("# A=1\n;B=2\n  # C=3\nD=4 # no comment\n", [("D", "4 # no comment")]),
        ("# a comment ends at its line \\\nA=1\n", [("A", "1")]),
        ("no assignment\nA=1\n", [("A", "1")]),
        # systemd does not know the word: the name is not valid.
        ("export A=1\nB=2\n", [("B", "2")]),
        ("1A=1\nA-B=2\n=3\nÄ=4\n", []),
        ("A='one  two' \n", [("A", "one  two")]),
        ("A= \"one\"  'two' \n", [("A", "onetwo")]),
        ("A='one'two\n", [("A", "onetwo")]),
        ("A=one'two'\n", [("A", "one'two'")]),
        ("A='two\nlines'\nB=1\n", [("A", "two\nlines"), ("B", "1")]),
        ("A='no \\' escape\n", [("A", "no \\escape")]),
        ('A="a\\"b\\\\c\\$d\\`e\\nf"\n', [("A", 'a"b\\c$d`e\\nf')]),
        ('A="one\\\ntwo"\n', [("A", "onetwo")]),
        ("A=one\\\n  two\nB=1\n", [("A", "one  two"), ("B", "1")]),
        ("A=a\\ \\b\\\\\n", [("A", "a b\\")]),
        ("A=a\\", [("A", "a")]),
        ('A="a\\', [("A", "a")]),
        ('A="not closed\nB=1\n', [("A", "not closed\nB=1\n")]),
        ("A=1\0B=2\n", [("A", "1")]),
        ("", []),
    ],
)
def test_the_rules_of_systemd(text: str, found: list[tuple[str, str]]) -> None:
    assert [(variable.name, variable.value) for variable in parse_environment(text)] == found


def test_a_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("A=ä\n")
    assert [(variable.name, variable.value) for variable in read_environment_file(str(tmp_path / "file"))] == [
        ("A", "ä")
    ]


@pytest.mark.parametrize("name", ["missing", "file/below"])
def test_a_missing_file(tmp_path: pathlib.Path, name: str) -> None:
    (tmp_path / "file").touch()
    assert read_environment_file(str(tmp_path / name)) == []


def test_what_is_not_text(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_bytes(b"A=\xff\n")
    with pytest.raises(SynapseError, match=r"file is not text in UTF-8"):
        read_environment_file(str(tmp_path / "file"))


def test_a_pipe_does_not_wait_for_a_writer(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SynapseError, match=r"pipe is not a regular file"):
        read_bytes(str(tmp_path / "pipe"))


def test_a_directory(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SynapseError, match="is not a regular file"):
        read_bytes(str(tmp_path))


def test_a_loop_of_links(tmp_path: pathlib.Path) -> None:
    os.symlink("loop", tmp_path / "loop")
    with pytest.raises(SynapseError, match=r"loop cannot be read: Too many levels"):
        read_bytes(str(tmp_path / "loop"))


def test_what_is_not_a_path() -> None:
    with pytest.raises(SynapseError, match=r"cannot be read: it is not a path"):
        read_bytes("a\0b")


def test_a_large_file_is_cut(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100)
    assert read_bytes(str(tmp_path / "file"), 10) == b"x" * 10

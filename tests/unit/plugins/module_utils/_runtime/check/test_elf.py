# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import sys

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.elf import (
    Architecture,
    read_architecture,
    wrong_library,
)


def header(machine: int, bits: int = 2, order: int = 1) -> bytes:
    number = machine.to_bytes(2, "big" if order == 2 else "little")
    return b"\x7fELF" + bytes((bits, order)) + bytes(12) + number


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (header(62), "x86_64 (64 bits)"),
        (header(3, bits=1), "i686 (32 bits)"),
        (header(62, bits=1), "x86_64 (32 bits)"),
        (header(22, order=2), "s390x (64 bits)"),
        (header(9999), "machine 9999 (64 bits)"),
    ],
)
def test_an_architecture(tmp_path: pathlib.Path, content: bytes, name: str) -> None:
    path = tmp_path / "library"
    path.write_bytes(content)
    assert str(read_architecture(str(path))) == name


@pytest.mark.parametrize(
    "content", [b"", b"\x7fELF", header(62)[:19], header(62, bits=0), b"#!" + bytes(40), b"#!lf" + header(62)[4:]]
)
def test_no_program(tmp_path: pathlib.Path, content: bytes) -> None:
    path = tmp_path / "library"
    path.write_bytes(content)
    assert read_architecture(str(path)) is None
    assert wrong_library(str(path), sys.executable) == "which is not a library"


def test_this_program_and_what_cannot_be_read(tmp_path: pathlib.Path) -> None:
    own = os.path.realpath(sys.executable)
    assert isinstance(read_architecture(own), Architecture)
    assert wrong_library(own, own) == ""
    assert read_architecture(str(tmp_path / "gone")) is None
    # Neither is a reason.
    assert wrong_library(own, str(tmp_path / "gone")) == ""
    os.mkfifo(tmp_path / "pipe")
    assert wrong_library(str(tmp_path / "pipe"), own) == ""


def test_another_architecture(tmp_path: pathlib.Path) -> None:
    for name, machine in (("library", 183), ("program", 62)):
        (tmp_path / name).write_bytes(header(machine))
    (tmp_path / "small").write_bytes(header(62, bits=1))
    reason = wrong_library(str(tmp_path / "small"), str(tmp_path / "program"))
    assert reason == "which is a library for x86_64 (32 bits), but Synapse runs on x86_64 (64 bits)"
    reason = wrong_library(str(tmp_path / "library"), str(tmp_path / "program"))
    assert reason == "which is a library for aarch64 (64 bits), but Synapse runs on x86_64 (64 bits)"

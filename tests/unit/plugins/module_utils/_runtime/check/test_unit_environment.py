# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.unit_environment import (
    Preload,
    libraries,
    missing_files,
    read_preload,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.unit_files import UnitNow


def preload(directory: pathlib.Path, *texts: str, name: str = "chat@one.service") -> Preload:
    paths = []
    for number, text in enumerate(texts):
        path = directory / f"{number}.conf"
        path.write_text(text.replace("DIRECTORY", str(directory)))
        paths.append(str(path))
    return read_preload(UnitNow(name, None, tuple(paths), True))


@pytest.mark.parametrize(
    ("texts", "value", "place"),
    [
        (("[Service]\nEnvironment=A=b LD_PRELOAD=/a\n",), "/a", ("0.conf", 2)),
        (('[Service]\nEnvironment="LD_PRELOAD=/a /b" "C=d"\n',), "/a /b", ("0.conf", 2)),
        (("[Service]\nEnvironment=LD_PRELOAD=/a\nEnvironment=LD_PRELOAD=/b\n",), "/b", ("0.conf", 3)),
        (("[Service]\nEnvironment=LD_PRELOAD=/a\n", "[Service]\nEnvironment=LD_PRELOAD=\n"), "", ("1.conf", 2)),
        (("[Service]\nEnvironment=LD_PRELOAD=/a\n", "[Service]\nEnvironment=\n"), "", None),
        (("[Service]\nEnvironment=LD_PRELOAD=/a\nEnvironment='open LD_PRELOAD=/b\n",), "/a", ("0.conf", 2)),
        (("[Service]\nEnvironment=MY_LD_PRELOAD=/a\n",), "", None),
        (("[Unit]\nEnvironment=LD_PRELOAD=/a\n",), "", None),
        ((), "", None),
    ],
)
def test_variables_of_the_unit(
    tmp_path: pathlib.Path, texts: tuple[str, ...], value: str, place: tuple[str, int] | None
) -> None:
    found = preload(tmp_path, *texts)
    line = found.line
    assert (found.value, line and (pathlib.Path(line.path).name, line.number)) == (value, place)
    assert not found.removed


@pytest.mark.parametrize("path", ["chat-one", "-chat-one", "chat-%i", "%p-%i", "chat-[no]*"])
def test_files_of_variables_are_read_last(tmp_path: pathlib.Path, path: str) -> None:
    (tmp_path / "chat-one").write_text("X=1\nLD_PRELOAD='/a'\n")
    dash, name = ("-", path[1:]) if path.startswith("-") else ("", path)
    found = preload(
        tmp_path, f"[Service]\nEnvironmentFile={dash}DIRECTORY/{name}\n", "[Service]\nEnvironment=LD_PRELOAD=/later\n"
    )
    assert found.value == "/a"
    assert found.line is not None
    assert found.line.place == f"{tmp_path}/chat-one, line 2,"


def test_a_quoted_value_of_several_lines(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text('LD_PRELOAD="/a\n/b"\nNOTE="\nLD_PRELOAD=/other\n"\n')
    found = preload(tmp_path, "[Service]\nEnvironmentFile=DIRECTORY/file\n")
    assert libraries(found.value) == ["/a", "/b"]
    assert found.line is not None
    assert found.line.number == 1


def test_a_list_of_files_can_be_emptied(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("LD_PRELOAD=/a\n")
    assert preload(tmp_path, "[Service]\nEnvironmentFile=DIRECTORY/file\nEnvironmentFile=\n") == Preload()


@pytest.mark.parametrize("value", ["LD_PRELOAD", "A LD_PRELOAD B", "LD_PRELOAD=/a", "'LD_PRELOAD=/a'"])
def test_a_removed_variable(tmp_path: pathlib.Path, value: str) -> None:
    found = preload(tmp_path, f"[Service]\nUnsetEnvironment={value}\n", "[Service]\nEnvironment=LD_PRELOAD=/a\n")
    assert found.removed
    assert (found.value, found.line and found.line.number) == ("", 2)


@pytest.mark.parametrize("value", ["LD_PRELOAD=/b", "LD", "LD_PRELOAD\nUnsetEnvironment="])
def test_a_variable_that_is_not_removed(tmp_path: pathlib.Path, value: str) -> None:
    found = preload(tmp_path, f"[Service]\nUnsetEnvironment={value}\n", "[Service]\nEnvironment=LD_PRELOAD=/a\n")
    assert (found.value, found.removed) == ("/a", False)


def test_the_libraries_of_a_value() -> None:
    assert libraries("/a:/b  /c") == ["/a", "/b", "/c"]
    assert libraries("'/a' \"/b\"") == ["/a", "/b"]
    assert libraries("") == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("EnvironmentFile=/gone", ["/gone"]),
        ("EnvironmentFile=-/gone", []),
        ("EnvironmentFile=DIRECTORY/0.conf", []),
        ("EnvironmentFile=/gone\nEnvironmentFile=", []),
        ("EnvironmentFile=/gone/%i", ["/gone/one"]),
        ("EnvironmentFile=%t/gone", []),
        ("EnvironmentFile=/gone/*.conf", ["/gone/*.conf"]),
        ("EnvironmentFile=DIRECTORY/*.conf", []),
    ],
)
def test_missing_files(tmp_path: pathlib.Path, text: str, missing: list[str]) -> None:
    path = tmp_path / "0.conf"
    path.write_text(f"[Service]\n{text}\n".replace("DIRECTORY", str(tmp_path)))
    found = missing_files(UnitNow("chat@one.service", None, (str(path),), True))
    assert [gone for _line, gone in found] == missing
    assert [line.number for line, _gone in found] == [2] * len(missing)

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
import yaml

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.dropin_file import (
    DropinFile,
    header,
    read_dropin,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import same
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError

OWN = Attributes(0o640, os.geteuid(), os.getegid())


@pytest.mark.parametrize(
    "value",
    [
        1,
        1.0,
        1e30,
        0.1,
        True,
        None,
        "",
        "yes",
        "no",
        "on",
        "null",
        "~",
        "1",
        "1.0",
        "1e3",
        "0640",
        "0x10",
        "12:30:45",
        "2026-01-01",
        "<<",
        "=",
        "- a",
        "a: b",
        "a #b",
        "#a",
        "&a",
        "*a",
        "%a",
        "@a",
        "`a",
        "'",
        '"',
        "\\",
        "line\nline",
        "line\r\nline\n\n",
        "\ttab",
        " space ",
        "\x07bell",
        "\u2028",
        "näme ☃ 🐘",
        "x" * 500 + " " + "y" * 500,
        [],
        {},
        [[1], {"a": []}],
        {"*stateGroupCache*": 2.0, "": 1, "1": 2, "yes": 3},
    ],
)
def test_every_value_is_read_back_exactly(tmp_path: pathlib.Path, value: t.Any) -> None:
    path = tmp_path / "a.yaml"
    text = DropinFile(header(()), {"key": value, "list": [value], "deep": {"key": value}}, OWN).text()
    path.write_bytes(text.encode())
    found = read_dropin(str(path))
    assert found is not None
    assert same(found.settings, {"key": value, "list": [value], "deep": {"key": value}})
    # Synapse reads it with safe_load.
    assert same(yaml.safe_load(text)["key"], value)


def test_a_value_that_yaml_does_not_give_back_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"a\.b cannot be written as YAML"):
        DropinFile(header(()), {"a": {"b": float("nan")}, "c": 1}, OWN).text()


def test_settings_keep_their_order() -> None:
    text = DropinFile(header(()), {"z": 1, "a": 2}, OWN).text()
    assert text.index("z:") < text.index("a:")


def test_secrets_are_remembered_but_not_written_twice(tmp_path: pathlib.Path) -> None:
    secret = {("database", "args", "password"), ("a.b",)}
    path = tmp_path / "a.yaml"
    path.write_text(DropinFile(header(secret), {"database": {"args": {"password": "hush"}}}, OWN).text())
    found = read_dropin(str(path))
    assert found is not None
    assert found.secret == secret
    assert path.read_text().count("hush") == 1


@pytest.mark.parametrize("line", ["# Secrets: not json", "# Secrets: 5", "# Secrets: [[1], [[2]]]"])
def test_a_changed_list_of_secrets_hides_everything(tmp_path: pathlib.Path, line: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"{header(())}{line}\na: {{b: 1}}\nc: 2\n")
    found = read_dropin(str(path))
    assert found is not None
    assert found.secret == {("a",), ("c",)}


def test_whose_a_file_is(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.yaml"
    expected = {
        header(()) + "a: 1\n": True,
        header(()) + "a: {broken\n": True,
        header({("a",)}): True,
        "": True,
        " \n\n": True,
        "a: 1\n": False,
        "# a comment that somebody needs\n": False,
        "{broken": False,
        "\n" + header(()) + "a: 1\n": False,
    }
    for text, ours in expected.items():
        path.write_text(text)
        found = read_dropin(str(path))
        assert found is not None
        assert found.ours is ours, text


def test_has_same_content_as_compares_header_and_settings() -> None:
    file = DropinFile(header(()), {"a": 1}, OWN)
    assert file.has_same_content_as(DropinFile(header(()), {"a": 1}, Attributes(0, 0, 0)))
    assert not file.has_same_content_as(DropinFile(header(()), {"a": 1.0}, OWN))
    assert not file.has_same_content_as(DropinFile(header({("a",)}), {"a": 1}, OWN))


def test_no_file_and_one_that_cannot_be_read(tmp_path: pathlib.Path) -> None:
    assert read_dropin(str(tmp_path / "none.yaml")) is None
    with pytest.raises(SynapseError, match="is a directory: name a file in it"):
        read_dropin(str(tmp_path))
    (tmp_path / "link.yaml").symlink_to("/etc/passwd")
    with pytest.raises(SynapseError, match="is a symbolic link, which is not followed"):
        read_dropin(str(tmp_path / "link.yaml"))


@pytest.mark.parametrize("broken", ["a: 2001-13-45", "a: 0x_", 'a: !!bool "abc"', "a: &b [*b]", "a: &b {c: *b}"])
def test_a_broken_file_of_ours_can_be_written_again(tmp_path: pathlib.Path, broken: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"{header(())}{broken}\n")
    found = read_dropin(str(path))
    assert found is not None
    assert (found.ours, found.settings) == (True, {})

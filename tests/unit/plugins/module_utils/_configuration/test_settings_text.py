# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings_text import (
    Repeated,
    parse_settings,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("max_upload_size:50M\n", "text"),
        ("- a\n", "a list"),
        ("[]\n", "a list"),
        ("hello", "text"),
        ("7", "a number"),
        ("false", "a boolean"),
        ("2026-01-01", "a date"),
    ],
)
def test_no_mapping(text: str, instead: str) -> None:
    assert parse_settings(text, "/a") == ({}, instead, ())


@pytest.mark.parametrize(
    "text", ["", "# a comment\n", "---\n", "null\n", "~", "{}", "\ufeff", "\ufeffa: 1", "a: 1\r\n"]
)
def test_right_content(text: str) -> None:
    found = parse_settings(text, "/a")
    assert (found.settings, found.instead, found.repeated) == ({"a": 1} if "a: 1" in text else {}, "", ())


@pytest.mark.parametrize(
    ("text", "repeated"),
    [
        ("caches: {a: 1}\nserver_name: a\ncaches: {b: 1}\n", [(("caches",), (1, 3))]),
        ("a: 1\n'a': 2\na: 3\n", [(("a",), (1, 2, 3))]),
        # Not the same value, even if YAML reads both as the same number.
        ("a: 1\na: '1'\n", [(("a",), (1, 2))]),
        ("a:\n  b: 1\n  b: 2\n", [(("a", "b"), (2, 3))]),
        ("a:\n- b: 1\n- c: 1\n  c: 2\n", [(("a", "1", "c"), (3, 4))]),
        ("a: {1: 1, 1: 2}\n", [(("a", "1"), (1, 1))]),
        # The first block has no effect as a whole.
        ("a: {b: 1, b: 2}\na: {c: 1}\n", [(("a",), (1, 2))]),
        ("x: &x {b: 1, b: 2}\n", [(("x", "b"), (1, 1))]),
    ],
    ids=range(8),
)
def test_keys_that_are_repeated(text: str, repeated: list[t.Any]) -> None:
    assert parse_settings(text, "/a").repeated == tuple(Repeated(*one) for one in repeated)


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\na: 1\n",
        "a: {b: 1}\nc: {b: 2}\n",
        "a: [{b: 1}, {b: 2}]\n",
        "a: {1: 1, '1': 2}\n",
        "a: &a {b: 1}\nc: &c {b: 2}\nd: {<<: *a, b: 3}\ne: {<<: [*a, *c]}\nf: {<<: *a, <<: *c}\n",
        "a: &a {b: 1}\nc: *a\n",
        "a:\na:\n",
    ],
)
def test_keys_that_are_not_repeated(text: str) -> None:
    assert parse_settings(text, "/a").repeated == ()


def test_aliases_are_followed_once() -> None:
    lines = ["a0: &a0 {b: 1, b: 2}"]
    lines += [f"a{number}: &a{number} [*a{number - 1}, *a{number - 1}]" for number in range(1, 15)]
    assert len(parse_settings("\n".join(lines), "/a").repeated) == 1


def test_a_mapping_that_contains_itself() -> None:
    with pytest.raises(ConfigurationError, match="contains itself"):
        parse_settings("&a {x: *a, y: 1, y: 2}", "/a")

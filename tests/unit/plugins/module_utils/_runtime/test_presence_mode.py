# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.presence_mode import presence_settings


def read(*files: dict[str, t.Any]) -> dict[str, t.Any]:
    """Read the settings of files that are named /1, /2 and so on."""
    return presence_settings(
        Configuration(tuple(ConfigurationFile(f"/{number}", each) for number, each in enumerate(files, 1)))
    )


@pytest.mark.parametrize(
    ("value", "mode"),
    [(True, "enabled"), (1, "enabled"), (False, "disabled"), (0, "disabled"), ("", "disabled"), ([], "disabled")]
    + [("untracked", "untracked"), ("true", "enabled"), ("On", "enabled")],
)
def test_the_values_of_each_key(value: t.Any, mode: str) -> None:
    assert read({"presence": {"enabled": value}}) == {
        "mode": mode,
        "key": "presence.enabled",
        "path": "/1",
        "ignored": [],
    }
    assert read({"use_presence": value}) == {"mode": mode, "key": "use_presence", "path": "/1", "ignored": []}


@pytest.mark.parametrize("block", [None, {}, [], "", {"enabled": None}, {"idle_timeout": "5m"}])
def test_the_default(block: t.Any) -> None:
    default = {"mode": "enabled", "key": "default", "ignored": []}
    assert read({"presence": block}) == read({}) == read() == default


def test_an_old_key_without_a_value() -> None:
    # Synapse takes it for false.
    assert read({"use_presence": None})["mode"] == "disabled"


@pytest.mark.parametrize("block", ["false", [1], 1, True])
def test_a_block_that_is_not_a_mapping(block: t.Any) -> None:
    with pytest.raises(ConfigurationError, match="^/2 sets presence to a value that is not a mapping"):
        read({}, {"presence": block})


def test_an_old_key_that_has_no_effect() -> None:
    found = read({"use_presence": False}, {"presence": {"enabled": True}}, {"use_presence": True})
    assert (found["mode"], found["key"], found["path"]) == ("enabled", "presence.enabled", "/2")
    reason = "Synapse uses use_presence only if presence.enabled is not set, but /2 sets it."
    assert found["ignored"] == [
        {"key": "use_presence", "path": "/1", "reason": reason},
        {"key": "use_presence", "path": "/3", "reason": reason},
    ]


def test_an_old_key_of_a_later_file() -> None:
    found = read({"use_presence": True}, {"use_presence": False})
    assert (found["mode"], found["path"]) == ("disabled", "/2")
    assert found["ignored"] == [
        {"key": "use_presence", "path": "/1", "reason": "It is replaced by /2, which is read later."}
    ]


def test_a_block_that_is_replaced() -> None:
    found = read({"presence": {"enabled": False}}, {"presence": {"idle_timeout": "5m"}}, {"presence": None})
    assert (found["mode"], found["key"], "path" in found) == ("enabled", "default", False)
    assert found["ignored"] == [
        {
            "key": "presence.enabled",
            "path": "/1",
            "reason": "The whole setting presence is replaced by /3, which is read later.",
        }
    ]
    # The old key is used again.
    assert read({"presence": {"enabled": True}, "use_presence": False}, {"presence": {}})["mode"] == "disabled"


def test_a_file_that_is_read_twice() -> None:
    file = ConfigurationFile("/1", {"presence": {"enabled": False}})
    assert presence_settings(Configuration((file, file)))["ignored"] == []


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("false", 'the text "false", which Synapse takes for true: write false without quotes.'),
        ("No", 'the text "No", which Synapse takes for true: write false without quotes.'),
        ("disabled", 'the text "disabled", which Synapse takes for true: write false without quotes.'),
        ("Untracked", 'the text "Untracked", which Synapse takes for true: write "untracked".'),
        ("a\nb", 'the text "a\\nb", which Synapse takes for true: write true or false without quotes.'),
        ("x" * 90, f'the text "{"x" * 40}...", which Synapse takes for true: write true or false without quotes.'),
    ],
)
def test_a_text_that_is_taken_for_true(value: str, problem: str) -> None:
    found = read({"presence": {"enabled": value}})
    assert (found["mode"], found["problem"]) == ("enabled", f"/1 sets presence.enabled to {problem}")
    assert read({"use_presence": value})["problem"] == f"/1 sets use_presence to {problem}"

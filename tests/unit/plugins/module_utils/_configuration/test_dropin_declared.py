# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.dropin_declared import DeclaredDropin
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput


def made(settings: dict[str, t.Any], secrets: dict[str, t.Any] | None = None, **options: t.Any) -> DeclaredDropin:
    return DeclaredDropin("/etc/synapse/conf.d/own.yaml", settings, secrets or {}, **options)


def test_its_own_settings_are_those_of_the_task() -> None:
    declared = made({"a": {"b": 1}}, {"a": {"c": "hush"}}, merge=True)
    assert declared.own == {"a": {"b": 1, "c": "hush"}}
    assert declared.secret == {("a", "c")}
    assert made({"a": 1}, present=False).own == {}


def test_merge_adds_what_earlier_files_have_under_the_same_key() -> None:
    earlier = {"a": {"b": 0, "d": 2}, "e": 3}
    assert made({"a": {"b": 1}}, merge=True).content(earlier) == {"a": {"b": 1, "d": 2}}
    assert made({"a": {"b": 1}}).content(earlier) == {"a": {"b": 1}}


def test_its_attributes_come_from_the_model_unless_they_are_declared() -> None:
    model = Attributes(0o600, 11, 12)
    assert made({"a": 1}).attributes(model) == Attributes(0o640, 11, 12)
    assert made({"a": 1}, owner="13", group="14", mode="0600").attributes(model) == Attributes(0o600, 13, 14)


def test_what_can_never_work_is_refused() -> None:
    with pytest.raises(InvalidInput, match="both empty"):
        made({}).check()
    made({}, present=False).check()

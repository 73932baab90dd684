# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.conditions import unmet_conditions
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.unit_files import UnitNow

CONDITION = {"ConditionResult": "no", "ConditionTimestamp": "Mon", "AssertResult": "no", "AssertTimestamp": ""}
ASSERT = {"ConditionResult": "yes", "ConditionTimestamp": "Mon", "AssertResult": "no", "AssertTimestamp": "Mon"}


def unmet(directory: pathlib.Path, shown: dict[str, str], text: str) -> str:
    path = directory / "u.conf"
    path.write_text(text)
    return unmet_conditions(shown, lambda: UnitNow("u.service", None, (str(path),), True))


@pytest.mark.parametrize(("shown", "kind"), [(CONDITION, "Condition"), (ASSERT, "Assert")])
def test_a_path_that_does_not_exist(tmp_path: pathlib.Path, shown: dict[str, str], kind: str) -> None:
    text = f"[Unit]\n{kind}PathExists={tmp_path}\n{kind}PathExists=/gone/x\n{kind}PathExists=!/gone/y\n"
    assert unmet(tmp_path, shown, text) == (
        f"one of its lines {kind}...= is not fulfilled: {kind}PathExists=/gone/x ({tmp_path}/u.conf, line 3)"
    )
    assert f"PathExists=!{tmp_path} (" in unmet(tmp_path, shown, f"[Unit]\n{kind}PathExists=!{tmp_path}\n")


def test_conditions_that_cannot_be_tried(tmp_path: pathlib.Path) -> None:
    text = "[Unit]\nConditionHost=a\nConditionPathExists=\nConditionHost=b\nAssertPathExists=/c\n[Service]\n"
    text += "ConditionHost=d\n"
    found = unmet(tmp_path, CONDITION, text)
    assert found.endswith(f"is not fulfilled: ConditionHost=b ({tmp_path}/u.conf, line 4)")
    # Another file of systemd sets it.
    assert "systemctl cat u.service" in unmet(tmp_path, CONDITION, "")


@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"ConditionResult": "yes", "AssertResult": "yes", "ConditionTimestamp": "Mon", "AssertTimestamp": "Mon"},
        # It has never been started.
        {"ConditionResult": "no", "AssertResult": "no", "ConditionTimestamp": "", "AssertTimestamp": "n/a"},
    ],
)
def test_no_condition_is_to_blame(tmp_path: pathlib.Path, shown: dict[str, str]) -> None:
    assert unmet(tmp_path, shown, "[Unit]\nConditionPathExists=/gone\nAssertPathExists=/gone\n") == ""

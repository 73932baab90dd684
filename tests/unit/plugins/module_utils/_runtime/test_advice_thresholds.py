# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import inspect
import re
import typing as t

import pytest
import yaml

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.advice_thresholds import (
    Thresholds,
    parse_version,
)
from ansible_collections.matrix_ops.synapse.plugins.modules import synapse_runtime_info


def test_defaults_and_given_thresholds() -> None:
    assert Thresholds.read({}) == Thresholds()
    given = Thresholds.read(
        {"oldest_version": "1.170.0", "cache_lookups": 5, "open_files_share": 1, "uptime_seconds": 0}
    )
    assert given == Thresholds(oldest_version="1.170.0", cache_lookups=5, open_files_share=1, uptime_seconds=0)
    assert Thresholds.read({"memory_without_jemalloc_bytes": 10**400}).memory_without_jemalloc_bytes == float("inf")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"cache_hit_ration": 1}, "'cache_hit_ration', which is not a threshold. Did you mean cache_hit_ratio"),
        ({"x": 1}, "'x', which is not a threshold. Use one of oldest_version, cache_lookups, "),
        ({1: 1}, "'1', which is not a threshold"),
        ({"cache_lookups": "5"}, "cache_lookups is '5': set a number"),
        ({"cache_lookups": None}, "cache_lookups is None: set a number"),
        ({"cache_lookups": True}, "cache_lookups is True: set a number"),
        ({"cache_lookups": -1}, "cache_lookups is -1: set a number that is 0 or greater"),
        ({"cache_lookups": float("nan")}, "cache_lookups is nan: set a number"),
        ({"open_files_share": 1.5}, "open_files_share is 1.5, but it is a part of a whole"),
        ({"cache_hit_ratio": 90}, "cache_hit_ratio is 90, but it is a part of a whole"),
        ({"oldest_version": 1.163}, "oldest_version is 1.163, which is not a version: set text"),
        ({"oldest_version": "newest"}, "oldest_version is 'newest', which is not a version"),
    ],
)
def test_wrong_thresholds(given: dict[t.Any, t.Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(words)):
        Thresholds.read(given)


def test_every_threshold_and_its_default_is_documented() -> None:
    text = Thresholds.__doc__ or ""
    for field in dataclasses.fields(Thresholds):
        default = field.default if isinstance(field.default, str) else f"{field.default:.10g}"
        line = text.partition(f"- `{field.name}`")[2].partition("- `")[0]
        assert f"Default {default}." in " ".join(line.split()), field.name


def test_the_documentation_of_the_module_agrees() -> None:
    described = yaml.safe_load(synapse_runtime_info.DOCUMENTATION)["options"]["advice_thresholds"]["description"]
    ours = [" ".join(item.split()) for item in inspect.cleandoc(Thresholds.__doc__ or "").split("\n- ")[1:]]
    theirs = [re.sub(r"V\((.*?)\)", r"\1", line).replace(" - ", ": ", 1) for line in described if " - " in line]
    assert [item.replace("`", "").lower() for item in ours] == [
        item.replace("The default is ", "Default ").lower() for item in theirs
    ]


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.163.2", (1, 163, 2, True)),
        ("1.163", (1, 163, 0, True)),
        ("1.163.0rc2", (1, 163, 0, False)),
        ("1.163.2 (b=develop,123abc)", (1, 163, 2, True)),
        ("1.163.2+x", (1, 163, 2, True)),
        ("1.163.x", None),
        ("v1.2", None),
        ("", None),
        (1.163, None),
        (None, None),
    ],
)
def test_versions(text: t.Any, version: tuple[int, int, int, bool] | None) -> None:
    assert parse_version(text) == version

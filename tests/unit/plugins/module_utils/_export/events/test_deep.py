# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.events.deep import decode_shortened
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.events.objects import read_objects

LEFT_OUT = "It is nested too deeply to be shown: see the files of the export."
# Deeper than any Python decodes. A server with a newer Python accepts some of it.
DEEP = 20_000


def deep(depth: int, inner: str = '{"end": "]}\\\\\\""}') -> str:
    """Return an object of this depth, with brackets in its strings."""
    opening, closing = '{"a}": ["]\\"[", ', "]}"
    return opening * (depth // 2) + inner + closing * (depth // 2)


def test_shallow_value_does_not_change() -> None:
    value = {"a": ["]\\", {"b": '"}{'}, [], {}, 1.5, None], "\N{SNOWMAN}": {}}
    text = json.dumps(value)
    assert decode_shortened(f"12{text}{text}", 2) == (value, 2 + len(text))


@pytest.mark.parametrize("levels", [98, 100])
def test_as_deep_as_is_kept(levels: int) -> None:
    text = deep(levels, "0")
    assert decode_shortened(text, 0) == (json.loads(text), len(text))


def test_what_is_deeper_is_left_out() -> None:
    value, end = decode_shortened(deep(DEEP) + "{}", 0)
    assert end == len(deep(DEEP))
    found = value
    for _level in range(50):
        assert list(found) == ["a}"] and found["a}"][0] == ']"['
        found = found["a}"][1]
    assert found == LEFT_OUT


@pytest.mark.parametrize("text", ["{", '{"a', '{"a"', "[[]", '["\\\\', '["\\"', deep(200)[:-1], deep(200)[:700]])
def test_text_that_ends_too_early(text: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        decode_shortened(text, 0)


@pytest.mark.parametrize("chunk", [1, 1000, 1 << 20])
def test_file_with_deep_objects_is_read_to_its_end(tmp_path: pathlib.Path, chunk: int) -> None:
    path = tmp_path / "events"
    path.write_text('{"first": 1}' + deep(DEEP) + '{"last": 1}')
    first, middle, last = read_objects(str(path), chunk)
    assert (first, list(middle), last) == ({"first": 1}, ["a}"], {"last": 1})


def test_deep_object_that_is_cut_off(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "events"
    path.write_text(deep(DEEP)[:-1])
    with pytest.raises(SynapseError, match="ends in the middle of a JSON object"):
        list(read_objects(str(path)))


def test_every_page_shows_what_was_shortened() -> None:
    value: t.Any = decode_shortened(deep(DEEP), 0)[0]
    assert LEFT_OUT in json.dumps(value, indent=2)

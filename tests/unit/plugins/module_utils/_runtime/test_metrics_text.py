# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import math
import time

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import UnexpectedAnswer
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics_text import Sample, parse


@pytest.mark.parametrize(
    ("line", "sample"),
    [
        ("up 1", Sample("up", {}, 1.0)),
        ("up 1.5e+06 1700000000000", Sample("up", {}, 1500000.0)),
        ('up{a="b"} 1.5e+06 1700000000000', Sample("up", {"a": "b"}, 1500000.0)),
        ("a:b_c{} +Inf", Sample("a:b_c", {}, math.inf)),
        ('a{b="c"} -Inf', Sample("a", {"b": "c"}, -math.inf)),
        (
            'a{name="*getEvent*",server_name="x:8448"} 5120.0',
            Sample("a", {"name": "*getEvent*", "server_name": "x:8448"}, 5120),
        ),
        ('a { b = "1" , c = "2" , } 3', Sample("a", {"b": "1", "c": "2"}, 3)),
        ('a{b="1",} 3', Sample("a", {"b": "1"}, 3)),
        (r'a{b="q\"q\\n\nn\\"} 4', Sample("a", {"b": 'q"q\\n\nn\\'}, 4)),
        (r'a{b="\"} 9"} 4', Sample("a", {"b": '"} 9'}, 4)),
        (r'a{b="\n\\"} 4', Sample("a", {"b": "\n\\"}, 4)),
        ('a{b="} 9",c=","} 5', Sample("a", {"b": "} 9", "c": ","}, 5)),
        ('a{b=",c=",d="="} 5', Sample("a", {"b": ",c=", "d": "="}, 5)),
        ('a{b=""} 6', Sample("a", {"b": ""}, 6)),
        ('a{b="é\u2028"} 7', Sample("a", {"b": "é\u2028"}, 7)),
        ("  a\t8", Sample("a", {}, 8)),
        ('a{b="c"} 9\r', Sample("a", {"b": "c"}, 9)),
        ('a_bucket{le="+Inf"} 9 # {trace="} 1"} 0.5 1700000000.1', Sample("a_bucket", {"le": "+Inf"}, 9)),
    ],
)
def test_parse_a_sample(line: str, sample: Sample) -> None:
    assert parse(f"# HELP x y\n# TYPE x gauge\n\n  # a comment\n{line}\n# EOF\n") == [sample]
    assert parse(line) == [sample]


def test_parse_a_value_that_is_not_a_number() -> None:
    assert math.isnan(parse("a NaN")[0].value)
    assert math.isnan(parse('a{b="c"} NaN')[0].value)


def test_lines_of_all_kinds_after_each_other() -> None:
    text = 'a{b="1",c="2"} 1\na{c="3",b="4"} 2\na {b="5"} 3\na 4'
    assert [(sample.labels, sample.value) for sample in parse(text)] == [
        ({"b": "1", "c": "2"}, 1),
        ({"c": "3", "b": "4"}, 2),
        ({"b": "5"}, 3),
        ({}, 4),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "<html>",
        "a",
        "a{b=1} 1",
        'a{b="1" 1',
        'a{b="1"',
        "1a 1",
        "a one",
        "a+1",
        "a.5",
        'a"b" 1',
        'a{b="1"c="2"} 1',
        "{}",
        'a{b="} 1',
        'a{,b="1"} 1',
        'a{b="1",,c="2"} 1',
        'a{b="1",=" "} 1',
        'a{b:c="1"} 1',
        "a 1 2 3",
        'a{b="1"} 1 later',
    ],
)
def test_another_format_is_refused(line: str) -> None:
    with pytest.raises(UnexpectedAnswer, match="The response is not in the text format of Prometheus"):
        parse(f"up 1\n{line}\n")


def test_too_many_lines_are_refused() -> None:
    with pytest.raises(UnexpectedAnswer, match="more than 200000 lines"):
        parse("a 1\n" * 200_001)


@pytest.mark.parametrize("line", ["a{" + 'b="1" ,' * 200_000 + "} 1", "a{" + " " * 1_000_000 + "1", "a{" * 1_000_000])
def test_the_time_for_a_line_grows_with_its_length_only(line: str) -> None:
    begin = time.process_time()
    with contextlib.suppress(UnexpectedAnswer):
        parse(line)
    assert time.process_time() - begin < 5

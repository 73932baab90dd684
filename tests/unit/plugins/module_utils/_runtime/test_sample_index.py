# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import math

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics import parse
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.sample_index import SampleIndex, valid_sum

TEXT = """
synapse_a_total{type="x",server_name="example.org"} 1.0
synapse_a_total{type="y",server_name="example.org"} 2.0
python_b 4.0
"""


def test_a_figure_is_the_sum_over_labels_that_are_not_asked_for() -> None:
    index = SampleIndex(parse(TEXT))
    assert index.counter("synapse_a_total") == 3
    assert index.counter("synapse_a_total", type="y") == 2
    assert index.gauge("python_b") == 4


def test_a_missing_counter_is_0_and_a_missing_gauge_is_unknown() -> None:
    index = SampleIndex(parse(TEXT))
    assert index.counter("synapse_missing_total") == 0
    assert index.counter("synapse_a_total", type="z") == 0
    assert index.gauge("synapse_missing") is None
    assert index.gauge("synapse_a_total", type="z") is None


def test_without_metrics_of_synapse_a_missing_counter_is_unknown() -> None:
    index = SampleIndex(parse("python_b 4.0"))
    assert not index.is_synapse
    assert index.counter("synapse_missing_total") is None
    assert index.counter("python_b") == 4


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "-1", "1e300"])
def test_an_impossible_value_is_unknown(value: str) -> None:
    index = SampleIndex(parse(f'synapse_a_total{{type="x"}} 1.0\nsynapse_a_total{{type="y"}} {value}'))
    assert index.counter("synapse_a_total") is None
    assert index.gauge("synapse_a_total", type="y") is None
    assert index.counter("synapse_a_total", type="x") == 1


def test_a_sum_that_is_too_large_is_unknown() -> None:
    assert valid_sum([2.0**62, 2.0**62]) == 2**63
    assert valid_sum([2.0**63, 2.0**63]) is None
    assert valid_sum([math.nan]) is None
    assert valid_sum([]) == 0

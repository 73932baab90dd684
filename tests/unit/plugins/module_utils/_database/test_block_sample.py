# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import functools
import random
import statistics
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.block_sample import (
    BlockSample,
    choose_blocks,
)

# For each block of a table, the number of rows of one room.
Layout = list[int]


@functools.cache
def shuffled() -> Layout:
    chance = random.Random(7)
    return [sum(chance.random() < 0.02 for _row in range(50)) for _block in range(20_000)]


@functools.cache
def together() -> Layout:
    return [50 if 4321 <= block < 4921 else 0 for block in range(20_000)]


@functools.cache
def in_groups() -> Layout:
    chance = random.Random(7)
    groups = [50 if chance.random() < 0.03 else 0 for _group in range(2000)]
    return [rows for rows in groups for _block in range(10)]


def look(layout: Layout, sample: BlockSample) -> tuple[int, int]:
    """Return the estimate from the sample of the layout, and the standard error."""
    rows = sum(layout[block] for block in sample.blocks)
    noted = zip(sample.blocks, sample.noted)
    positions = [position for block, position in noted if position is not None for _row in range(layout[block])]
    return sample.estimate(rows), sample.standard_error(rows, positions, 50.0)


@pytest.mark.parametrize(
    ("make", "wanted", "at_most"),
    # If a group is about as long as a range, the error is smaller than the differences of neighbours show.
    [(shuffled, 1000, 1.2), (shuffled, 4000, 1.2), (in_groups, 1000, 1.6)],
)
def test_standard_error_is_right(make: t.Callable[[], Layout], wanted: int, at_most: float) -> None:
    layout = make()
    looks = [look(layout, choose_blocks(len(layout), wanted, seed)) for seed in range(100)]
    truth = sum(layout)
    spread = statistics.pstdev(estimate for estimate, _error in looks)
    reported = statistics.fmean(error for _estimate, error in looks)
    assert 0.8 * spread <= reported <= at_most * spread
    assert abs(statistics.fmean(estimate for estimate, _error in looks) - truth) <= 3 * spread / 10
    near = sum(abs(estimate - truth) <= 2 * error for estimate, error in looks)
    assert near >= 90


def test_rows_that_are_stored_together_are_counted_almost_exactly() -> None:
    layout = together()
    truth = sum(layout)
    for seed in range(50):
        estimate, error = look(layout, choose_blocks(len(layout), 1000, seed))
        assert estimate == pytest.approx(truth, rel=0.05)
        # Scattered rows would have a much larger error.
        assert 0 < error < 0.12 * truth
        assert abs(estimate - truth) <= 3 * error


def test_groups_have_a_larger_error_than_scattered_rows() -> None:
    sample = choose_blocks(20_000, 1000, 1)
    scattered, grouped = (look(layout, sample) for layout in (shuffled(), in_groups()))
    assert grouped[1] / grouped[0] > 4 * scattered[1] / scattered[0]


def test_four_times_the_blocks_halve_the_error() -> None:
    layout = shuffled()
    few, many = (look(layout, choose_blocks(len(layout), wanted, 1))[1] for wanted in (500, 2000))
    assert many / few == pytest.approx(0.5, rel=0.2)


def test_same_seed_same_blocks() -> None:
    assert choose_blocks(10_000, 100, 1) == choose_blocks(10_000, 100, 1)
    assert choose_blocks(10_000, 100, 1) != choose_blocks(10_000, 100, 2)


@pytest.mark.parametrize(("total", "wanted"), [(10_000, 100), (101, 100), (150, 100), (3, 2)])
def test_one_block_of_each_range(total: int, wanted: int) -> None:
    sample = choose_blocks(total, wanted, 1)
    assert len(sample.blocks) == wanted
    assert list(sample.blocks) == sorted(sample.blocks)
    assert all(
        int(number * total / wanted) <= block <= (number + 1) * total / wanted
        for number, block in enumerate(sample.blocks)
    )
    assert 0 <= sample.blocks[0] <= sample.blocks[-1] < total


def test_each_block_is_as_likely_as_any_other() -> None:
    seen = [0] * 30
    for seed in range(6000):
        for block in choose_blocks(30, 20, seed).blocks:
            seen[block] += 1
    assert min(seen) > 3600
    assert max(seen) < 4400


@pytest.mark.parametrize(("total", "wanted"), [(100, 100), (100, 5000), (1, 2), (0, 2)])
def test_whole_table_has_no_error(total: int, wanted: int) -> None:
    sample = choose_blocks(total, wanted, 1)
    assert sample.blocks == tuple(range(total))
    assert sample.estimate(7) == 7
    assert sample.standard_error(7, [0, 0], 50.0) == 0


@pytest.mark.parametrize("wanted", [2, 3, 500, 501, 502, 5000])
def test_pairs_are_neighbours_all_over_the_sample(wanted: int) -> None:
    sample = choose_blocks(100_000, wanted, 1)
    pairs = sample.pairs
    assert len(pairs) == len(set(pairs)) == min(wanted - 1, 500)
    assert pairs[0] == 0
    assert wanted - 12 <= pairs[-1] + 1 <= wanted - 1
    noted = [position for position in sample.noted if position is not None]
    assert set(noted) == {position for first in pairs for position in (first, first + 1)}
    assert len(sample.noted) == wanted


@pytest.mark.parametrize("positions", [[], [0] * 50, [0, 1, 2, 3]])
def test_error_is_never_zero(positions: t.Sequence[int]) -> None:
    assert choose_blocks(100_000, 5000, 1).standard_error(50, positions, 50.0) > 0


def test_without_rows_there_is_no_error() -> None:
    assert choose_blocks(100_000, 5000, 1).standard_error(0, [], 50.0) == 0


def test_rows_of_the_sample_are_certain() -> None:
    blocks, positions = tuple(range(100)), [number * number % 100 for number in range(1000)]
    half, little = (BlockSample(total, blocks) for total in (200, 1_000_000))
    of_half, of_little = (sample.standard_error(1000, positions, 50.0) / sample.weight for sample in (half, little))
    assert of_half / of_little == pytest.approx(0.5**0.5, rel=0.01)

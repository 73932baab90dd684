# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Which blocks of a table to read, and the error of an estimate from them.

The table is divided into as many ranges of equal length as blocks are wanted, and one block is chosen at random in each
range. So the sample follows the layout of the table: rows of a room that are stored together are counted almost
exactly, and rows that are scattered are counted as by any other random sample. As whole blocks are chosen, the error is
computed between blocks and not between rows, from the differences of neighbours in the sample (Wolter, Introduction to
Variance Estimation, successive differences).
"""

from __future__ import annotations

import collections
import dataclasses
import math
import random
import typing as t

# For how many pairs of neighbours the rows of each block are kept: enough for the error, and it limits the memory.
_PAIRS = 500


@dataclasses.dataclass(frozen=True)
class BlockSample:
    """The sample: `blocks` are the numbers of its blocks, in ascending order. `total`: how many the table has."""

    total: int
    blocks: tuple[int, ...]

    @property
    def weight(self) -> float:
        """How many blocks of the table each block of the sample represents."""
        return self.total / len(self.blocks) if self.blocks else 1.0

    @property
    def pairs(self) -> list[int]:
        """The positions in the sample of the blocks that are compared with the next one."""
        neighbours = len(self.blocks) - 1
        count = min(neighbours, _PAIRS)
        return [number * neighbours // count for number in range(count)]

    @property
    def noted(self) -> list[int | None]:
        """For each block its position in the sample if it is one of a pair, else None."""
        compared = {position for first in self.pairs for position in (first, first + 1)}
        return [position if position in compared else None for position in range(len(self.blocks))]

    def estimate(self, rows: int) -> int:
        """Return how many rows the table has if the sample has `rows`."""
        return round(rows * self.weight)

    def standard_error(self, rows: int, positions: t.Iterable[int], rows_per_block: float) -> int:
        """Return the standard error of `estimate`, in rows of the table.

        `positions`: for each of the `rows` that is in a noted block, the position of that block in the sample.
        `rows_per_block`: the average number of rows of any room in a block of the sample.
        """
        missing = 1 - len(self.blocks) / self.total if self.total else 0.0
        if not missing or not rows:
            return 0
        counts = collections.Counter(positions)
        pairs = self.pairs
        squares = sum((counts[first] - counts[first + 1]) ** 2 for first in pairs)
        variance = len(self.blocks) * squares / (2 * len(pairs)) if pairs else float(rows * rows)
        # Rows that are all stored together have two ends, each of them anywhere in its range.
        density = sum(counts.values()) / len(counts) if counts else rows_per_block
        return math.ceil(self.weight * math.sqrt(missing * max(variance, density * density / 6)))


def choose_blocks(total: int, wanted: int, seed: int) -> BlockSample:
    """Return `wanted` of the `total` blocks of a table, or all if there are fewer; the same ones for the same seed."""
    if wanted >= total:
        return BlockSample(total, tuple(range(total)))
    # Each block is as likely as any other, even if a range ends within a block.
    chance = random.Random(seed)
    return BlockSample(total, tuple(int((number + chance.random()) * total / wanted) for number in range(wanted)))

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a benchmark has measured, beside what it is compared with. The examples are checked before each run.

>>> ours, theirs = Figure((1.0, 1.1, 1.3)), Figure((2.2, 2.0, 2.6))
>>> Measurement("read", ours, theirs, ">=", 1.5, inverted=True).words()
'1.100 s (1.000 to 1.300) against 2.200 s (2.000 to 2.600), ratio 2.00 (1.82 to 2.20) (>= 1.5): met'
>>> Measurement("read", ours, theirs, "<=", 0.4).words().rpartition(" (0.45 to 0.55) ")[2]
'(<= 0.4): NOT MET'

Where the work itself takes no longer than chance, there is no ratio, and what is demanded is met if chance alone is
good enough:

>>> little = difference([2.0, 2.3, 2.1], [2.1, 2.0, 2.2])
>>> Measurement("copy", little, theirs, ">=", 4, inverted=True).words()
'below the noise of 0.500 s against 2.200 s (2.000 to 2.600), no ratio (>= 4): met'
>>> Measurement("copy", little, theirs, ">=", 5, inverted=True).words().rpartition(": ")[2]
'TOO NOISY'
>>> Measurement("copy", theirs, little, ">=", 5, inverted=True).words().rpartition(": ")[2]
'TOO NOISY'
"""

from __future__ import annotations

import dataclasses
import itertools
import operator
import statistics
import typing as t

_COMPARISONS: dict[str, t.Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge}


@dataclasses.dataclass(frozen=True)
class Figure:
    """What was measured in each round. It says nothing if it is not greater than its `noise`."""

    rounds: tuple[float, ...]
    noise: float | None = None

    @property
    def median(self) -> float:
        """The figure that counts."""
        return statistics.median(self.rounds)

    @property
    def spread(self) -> float:
        """How far the rounds are apart."""
        return max(self.rounds) - min(self.rounds)

    @property
    def says_something(self) -> bool:
        """Whether it is more than chance."""
        return self.noise is None or self.median > self.noise

    @property
    def at_most(self) -> float:
        """What it certainly does not exceed, if chance decides."""
        return self.median if self.noise is None or self.says_something else max(self.median, 0) + self.noise

    def words(self, unit: str) -> str:
        """The figure with its range."""
        if not self.says_something:
            return f"below the noise of {self.noise:.3f} {unit}"
        return f"{self.median:.3f} {unit}{_range(self.rounds, 3)}"

    def as_result(self) -> dict[str, t.Any]:
        """The figure as it stands in .bench/results.json."""
        found = {"minimum": min(self.rounds), "median": self.median, "maximum": max(self.rounds)}
        return {name: round(value, 4) for name, value in found.items()} | {
            "rounds": len(self.rounds),
            "noise": None if self.noise is None else round(self.noise, 4),
        }


def figure(rounds: t.Iterable[float], scale: float = 1.0) -> Figure:
    """Return what the rounds have measured, each multiplied by `scale`."""
    return Figure(tuple(value * scale for value in rounds))


def difference(more: t.Sequence[float], less: t.Sequence[float], scale: float = 1.0) -> Figure:
    """Return what one run takes more than another, round by round, each multiplied by `scale`.

    The spreads of both are its noise: what exceeds them is the same way round whichever rounds are compared.

    >>> difference([5.0, 5.5, 5.25], [1.0, 1.5, 1.0], 1000)
    Figure(rounds=(4000.0, 4000.0, 4250.0), noise=1000.0)
    """
    noise = (Figure(tuple(more)).spread + Figure(tuple(less)).spread) * scale
    return Figure(tuple((one - other) * scale for one, other in zip(more, less, strict=True)), noise)


@dataclasses.dataclass(frozen=True)
class Measurement:
    """A figure of ours and of the alternative, both in `unit`, and what their ratio must be, such as "<=" 1.5.

    Both are of the same rounds, taken by turns; a limit has just one.
    `inverted`: the ratio is that of the alternative to ours, as when it says how many times faster something is.
    """

    name: str
    ours: Figure
    alternative: Figure
    comparison: str
    limit: float
    unit: str = "s"
    inverted: bool = False

    @property
    def ratio(self) -> float | None:
        """The ratio of both medians; None if one of the figures says nothing."""
        if not (self.ours.says_something and self.alternative.says_something):
            return None
        return self._divide(self.ours.median, self.alternative.median)

    @property
    def met(self) -> bool:
        """Whether the ratio is as good as it must be; in the noise, whether it certainly is."""
        bound = self._divide(self.ours.at_most, self.alternative.median) if self.alternative.says_something else None
        return bound is not None and _COMPARISONS[self.comparison](bound, self.limit)

    @property
    def verdict(self) -> str:
        """What has come of it, in a word or two."""
        return "met" if self.met else "TOO NOISY" if self.ratio is None else "NOT MET"

    def words(self) -> str:
        """The measurement in a line."""
        return (
            f"{self.ours.words(self.unit)} against {self.alternative.words(self.unit)},"
            f" {'no ratio' if self.ratio is None else f'ratio {self.ratio_words()}'}"
            f" ({self.comparison} {self.limit:g}): {self.verdict}"
        )

    def ratio_words(self) -> str:
        """The ratio with its range, if there is one."""
        return "" if self.ratio is None else f"{self.ratio:.2f}{_range(self._ratios(), 2)}"

    def as_result(self) -> dict[str, t.Any]:
        """The measurement as it stands in .bench/results.json."""
        ratios = [] if self.ratio is None else [min(self._ratios()), self.ratio, max(self._ratios())]
        return {
            "name": self.name,
            "ours": self.ours.as_result(),
            "alternative": self.alternative.as_result(),
            "unit": self.unit,
            "ratio": dict(zip(("minimum", "median", "maximum"), (round(ratio, 3) for ratio in ratios), strict=False)),
            "comparison": self.comparison,
            "bar": self.limit,
            "met": self.met,
        }

    def _ratios(self) -> list[float]:
        """The ratio of each round; of every pair if both do not have the same rounds."""
        ours, theirs = self.ours.rounds, self.alternative.rounds
        pairs = zip(ours, theirs, strict=True) if len(ours) == len(theirs) else itertools.product(ours, theirs)
        return [self._divide(one, other) for one, other in pairs]

    def _divide(self, ours: float, alternative: float) -> float:
        return alternative / ours if self.inverted else ours / alternative


def table(measurements: t.Sequence[Measurement]) -> str:
    """Return the measurements as a table to print."""
    rows = [("", "ours: median (range)", "alternative", "ratio", "bar", "")]
    rows += [
        (
            one.name,
            one.ours.words(one.unit),
            one.alternative.words(one.unit),
            one.ratio_words(),
            f"{one.comparison} {one.limit:g}",
            one.verdict,
        )
        for one in measurements
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) if column in (0, 5) else cell.rjust(width) for column, (cell, width) in cells)
        for cells in (list(enumerate(zip(row, widths, strict=True))) for row in rows)
    )


def _range(values: t.Sequence[float], digits: int) -> str:
    return f" ({min(values):.{digits}f} to {max(values):.{digits}f})" if len(values) > 1 else ""

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a benchmark has measured, beside what it is compared with."""

from __future__ import annotations

import dataclasses
import operator
import typing as t

_COMPARISONS: dict[str, t.Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge}


@dataclasses.dataclass(frozen=True)
class Measurement:
    """A figure of ours and of the alternative, both in `unit`, and what their ratio must be, such as "<=" 1.5.

    `inverted`: the ratio is that of the alternative to ours, as when it says how many times faster something is.
    """

    name: str
    ours: float
    alternative: float
    comparison: str
    limit: float
    unit: str = "s"
    inverted: bool = False

    @property
    def ratio(self) -> float:
        """The figure that must be good enough."""
        return self.alternative / self.ours if self.inverted else self.ours / self.alternative

    @property
    def met(self) -> bool:
        """Whether the ratio is as good as it must be."""
        return _COMPARISONS[self.comparison](self.ratio, self.limit)

    def words(self) -> str:
        """The measurement in a line."""
        return (
            f"{self.ours:.3f} {self.unit} against {self.alternative:.3f} {self.unit}, ratio {self.ratio:.2f}"
            f" ({self.comparison} {self.limit:g}): {'met' if self.met else 'NOT MET'}"
        )

    def as_result(self) -> dict[str, t.Any]:
        """The measurement as it stands in .bench/results.json."""
        return {
            "name": self.name,
            "ours": round(self.ours, 4),
            "alternative": round(self.alternative, 4),
            "unit": self.unit,
            "ratio": round(self.ratio, 3),
            "comparison": self.comparison,
            "bar": self.limit,
            "met": self.met,
        }


def table(measurements: t.Sequence[Measurement]) -> str:
    """Return the measurements as a table to print."""
    rows = [("", "ours", "alternative", "ratio", "bar", "")]
    rows += [
        (
            one.name,
            f"{one.ours:.3f} {one.unit}",
            f"{one.alternative:.3f} {one.unit}",
            f"{one.ratio:.2f}",
            f"{one.comparison} {one.limit:g}",
            "met" if one.met else "NOT MET",
        )
        for one in measurements
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) if column in (0, 5) else cell.rjust(width) for column, (cell, width) in cells)
        for cells in (list(enumerate(zip(row, widths, strict=True))) for row in rows)
    )

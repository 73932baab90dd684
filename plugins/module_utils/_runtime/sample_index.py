# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The figures of a process in its metrics, found by name without a second walk over all samples.

Relies on the library prometheus_client that Synapse 1.163 uses: a counter with labels appears when it is used for the
first time, so a missing counter is 0. A gauge that is missing is unknown. Since Synapse 1.136 most metrics have the
label `server_name`; figures are sums over all labels, so they are the same with and without it.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.metrics import Sample

# No real figure is larger. An answer can contain anything, and NaN and infinity do not exist in JSON.
LARGEST = float(2**63)


class SampleIndex:
    """The samples of one answer by name. `is_synapse`: there is at least one metric of Synapse."""

    def __init__(self, samples: t.Iterable[Sample]) -> None:
        self._by_name: dict[str, list[Sample]] = {}
        for sample in samples:
            self._by_name.setdefault(sample.name, []).append(sample)
        self.is_synapse = any(name.startswith("synapse_") for name in self._by_name)

    def named(self, name: str) -> t.Sequence[Sample]:
        """Return the samples with this name, in the order of the answer."""
        return self._by_name.get(name, ())

    def gauge(self, name: str, **labels: str) -> float | None:
        """Return the sum of the samples with this name and these labels.

        None if there are none, or if a value is negative, not a number or infinite.
        """
        values = [sample.value for sample in self.named(name) if _has(sample, labels)]
        return valid_sum(values) if values else None

    def counter(self, name: str, **labels: str) -> float | None:
        """Return what `gauge` returns, but 0 for a counter of Synapse that was not used yet."""
        if self.is_synapse and not any(_has(sample, labels) for sample in self.named(name)):
            return 0.0
        return self.gauge(name, **labels)


def valid_sum(values: t.Iterable[float]) -> float | None:
    """Return the sum of `values`, or None if a value or the sum is negative, not a number or too large for a figure."""
    result = 0.0
    for value in values:
        if value < 0:
            return None
        result += value
    # This comparison is false for NaN.
    return result if result <= LARGEST else None


def _has(sample: Sample, labels: t.Mapping[str, str]) -> bool:
    return all(sample.labels.get(name) == value for name, value in labels.items())

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.size import parse_size


@pytest.mark.parametrize(("value", "size"), [(5, 5), ("5", 5), ("2K", 2048), ("1G", 1024**3), ("1T", 1024**4)])
def test_a_size_is_read_as_synapse_reads_it(value: t.Any, size: int) -> None:
    assert parse_size(value) == size


@pytest.mark.parametrize("value", ["", "K", "1k", "1.5G", 1.5, True, None, []])
def test_a_size_that_synapse_refuses(value: t.Any) -> None:
    with pytest.raises(ValueError):
        parse_size(value)

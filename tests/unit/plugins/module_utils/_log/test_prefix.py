# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a container or a journal puts before a line."""

from __future__ import annotations

import re

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.prefix import prefixes

PREFIXES = [
    "synapse-1  | ",
    "worker1 | ",
    "Nov  9 09:52:14 host matrix-synapse[123]: ",
    "Nov 29 09:52:14 host matrix-synapse: ",
    "Nov 29 09:52:14.123456 host python3[1]: ",
    "Sun 2026-11-29 09:52:14 UTC host python3[1]: ",
    "2026-11-29T09:52:14.123456+00:00 host ident[1]: ",
    "2026-11-29T09:52:14+0000 host ident[1]: ",
    "1764409934.123456 host ident[1]: ",
    "2026-11-29T09:52:14.123456789Z ",
    "2026-11-29T09:52:14.123456789Z stdout F ",
    "2026-11-29T09:52:14.123456789+01:00 stderr P ",
    "synapse-1  | 2026-11-29T09:52:14.123456789Z ",
    "<30>",
    "/var/log/matrix-synapse/homeserver.log:",
    "/var/log/matrix-synapse/homeserver.log.1:17:",
    "",
]


@pytest.mark.parametrize("text", PREFIXES)
def test_the_first_that_matches_takes_all_of_it(text: str) -> None:
    line = text + "synapse.app.homeserver - 1 - INFO - main - text"
    match = next(filter(None, (re.match(prefix.expression, line.encode()) for prefix in prefixes())))
    assert match.group().decode() == text


@pytest.mark.parametrize(
    "line", ["INFO | synapse", "11:01:31 | synapse", "2026-05-20 11:01:31,265 - x - 1 - INFO", "/run/x - 8"]
)
def test_the_beginning_of_a_record_is_not_a_prefix(line: str) -> None:
    match = next(filter(None, (re.match(prefix.expression, line.encode()) for prefix in prefixes())))
    assert match.group() == b""

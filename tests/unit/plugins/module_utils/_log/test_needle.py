# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The texts that are searched in a log."""

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.container_layout import ContainerLayout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.layout import JsonLayout, Layout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_format import SYNAPSE_FORMAT
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.needle import Needle, hits, needles_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.tagged import START_MESSAGE

PLAIN = Layout(SYNAPSE_FORMAT)


def test_needles() -> None:
    start = Needle(START_MESSAGE)
    assert needles_of("GET-37", [PLAIN]) == [Needle(b" - GET-37", before=False), start]
    assert needles_of("GET-37", [JsonLayout()]) == [Needle(b"GET-37"), start]
    assert needles_of("GET-37", [PLAIN, JsonLayout()]) == [Needle(b"GET-37", before=False), start]
    assert set(needles_of('GET-"', [PLAIN, JsonLayout()])) == {
        Needle(b' - GET-"', before=False),
        Needle(b'GET-\\"'),
        start,
    }
    glued = Layout("%(levelname)s%(request)sx%(message)s")
    assert needles_of("GET-37", [glued]) == [Needle(b"GET-37", before=False, after=False), start]
    assert needles_of("GET-37", [PLAIN, glued]) == [Needle(b"GET-37", before=False, after=False), start]
    assert needles_of("GET-37", [Layout("%(request)s %(message)s")]) == [Needle(b"GET-37"), start]
    assert needles_of("GET-37", [ContainerLayout(PLAIN)]) == [Needle(b"GET-37", before=False, after=False), start]
    assert needles_of("GET-a&bcdefg", [ContainerLayout(PLAIN)]) == [Needle(b"bcdefg", before=False, after=False), start]
    assert needles_of("GET-37", [Layout("%(message)s")]) == [Needle(b"GET-37"), start]


@pytest.mark.parametrize(
    ("needle", "expected"),
    [
        (Needle(b"GET-1"), [1, 27]),
        (Needle(b"GET-1", before=False), [1, 15, 27]),
        (Needle(b"GET-1", after=False), [1, 7, 27]),
        (Needle(b"GET-1", before=False, after=False), [1, 7, 15, 27]),
        (Needle(b"GET-2"), []),
    ],
)
def test_hits(needle: Needle, expected: list[int]) -> None:
    assert list(hits(b"\nGET-1 GET-11 xGET-1 #####-GET-1\n", needle)) == expected

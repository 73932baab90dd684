# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of Docker's driver json-file."""

from __future__ import annotations

import json

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.container_layout import (
    ContainerLayout,
    stored_line,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.json_layout import JsonLayout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.plain_layout import Layout

TERSE = json.dumps({"log": "text", "namespace": "synapse.x", "level": "INFO", "time": 1.5})


def stored(text: str) -> bytes:
    return json.dumps({"log": text, "stream": "stderr", "time": "2026-11-29T09:52:14.123456789Z"}).encode()


@pytest.mark.parametrize(
    ("inner", "text", "time"),
    [
        (Layout("%(asctime)s - %(name)s - %(message)s"), "2026-05-20 11:01:31Z - synapse.x - text\n", 1779274891.0),
        (Layout("%(name)s: %(message)s"), "synapse.x: text\n", 1795945934.123457),
        (JsonLayout(), TERSE + "\n", 1.5),
    ],
)
def test_the_record_is_that_of_the_program(inner: Layout | JsonLayout, text: str, time: float) -> None:
    record = ContainerLayout(inner).record(stored(text))
    assert record is not None
    assert (record.logger, record.message) == ("synapse.x", b"text")
    assert record.time == pytest.approx(time, abs=1e-5)


@pytest.mark.parametrize(
    "line", [TERSE.encode(), b"{}", b"[1]", b'{"log":1,"stream":"x"}', b'{"log":"x"', b'{"log":"x"}']
)
def test_another_object_is_not_a_line_of_docker(line: bytes) -> None:
    assert stored_line(line) is None
    assert ContainerLayout(JsonLayout()).record(line) is None


def test_a_line_that_docker_has_split_has_no_line_feed() -> None:
    assert stored_line(stored("a part")) == b"a part"
    assert stored_line(stored("\n")) == b""


def test_a_container_with_a_terminal_ends_its_lines_in_another_way() -> None:
    assert stored_line(stored("text\r\n")) == b"text"
    assert stored_line(stored("a part\r")) == b"a part\r"

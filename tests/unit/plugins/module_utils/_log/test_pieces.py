# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines that a container engine has divided."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log import pieces as pieces_module
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.container_layout import ContainerLayout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.json_layout import JsonLayout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_file import LogFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_format import SYNAPSE_FORMAT
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.plain_layout import Layout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.prefix import NO_PREFIX, prefixes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.processed import parse_processed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.recognition import AnyLayout, record_of

CRI = prefixes()[0]
INNER = Layout(SYNAPSE_FORMAT)
LAYOUTS: dict[str, AnyLayout] = {"docker": ContainerLayout(INNER), "cri": Layout(SYNAPSE_FORMAT, prefix=CRI)}
KINDS = pytest.mark.parametrize("kind", list(LAYOUTS))
TIME = "2026-11-29T10:30:00.123456789Z"


def request(number: int, agent: str = "ua") -> str:
    return (
        f"2026-11-29 10:30:00,000 - synapse.access.http.8008 - 643 - INFO - GET-{number} - 9.9.9.9 - 8008 - {{None}}"
        " Processed request: 0.010sec/0.000sec ru=(0.001sec, 0.000sec) db=(0.000sec/0.000sec/0) 5B 200"
        f' "GET /_matrix/client/versions HTTP/1.1" "{agent}" [0 dbevts]'
    )


FORGED = request(666)[: -len('" [0 dbevts]')]


def piece(kind: str, text: str, stream: str = "stderr", *, is_last: bool = True) -> str:
    if kind == "cri":
        return f"{TIME} {stream} {'F' if is_last else 'P'} {text}\n"
    event = {"log": text + ("\n" if is_last else ""), "stream": stream, "time": TIME}
    return json.dumps(event, separators=(",", ":")) + "\n"


def divided(kind: str, text: str, *places: int) -> list[str]:
    """The lines of a text that is divided at `places`."""
    ends = [*places, len(text)]
    starts = [0, *places]
    return [piece(kind, text[start:end], is_last=end == ends[-1]) for start, end in zip(starts, ends)]


def attack(kind: str) -> list[str]:
    """The lines of a request of which the user agent is divided before a forged record."""
    text = request(20, "u" * 100 + FORGED)
    return divided(kind, text, text.index(FORGED))


def log_file(directory: Path, kind: str, lines: t.Iterable[str], name: str = "c.log") -> LogFile:
    path = directory / name
    path.write_text("".join(lines))
    file = LogFile(str(path), path.stat())
    layout: AnyLayout = LAYOUTS[kind]
    file.layouts = (layout,)
    return file


def requests(file: LogFile, start: int = 0, end: int | None = None, size: int = 1 << 20) -> list[str]:
    """The tags of the requests in a part of a file."""
    found = []
    for _offset, block in file.blocks(start, end, size):
        assert (block[:1], block[-1:]) == (b"\n", b"\n")
        for line in block[1:-1].split(b"\n"):
            record = record_of(line, file.layouts)
            if record is not None and parse_processed(record.message) is not None:
                found.append(record.request)
    return found


@KINDS
def test_a_piece_is_not_a_request(kind: str, tmp_path: Path) -> None:
    file = log_file(tmp_path, kind, [piece(kind, request(1)), *attack(kind), piece(kind, request(2))])
    assert requests(file) == ["GET-1", "GET-20", "GET-2"]


@KINDS
def test_a_joined_line_is_what_was_written(kind: str, tmp_path: Path) -> None:
    text = request(5, 'a"\u00fc\\n' * 30)
    file = log_file(tmp_path, kind, divided(kind, text, 290, 291, 320))
    ((_offset, line),) = file.lines()
    record = record_of(line, file.layouts)
    assert record is not None
    assert text.encode().endswith(record.message)
    assert record.message.startswith(b"9.9.9.9")


@KINDS
def test_the_pieces_of_two_streams(kind: str, tmp_path: Path) -> None:
    first, second = attack(kind)
    others = [piece(kind, request(1), "stdout"), piece(kind, FORGED, "stdout", is_last=False)]
    file = log_file(tmp_path, kind, [first, *others, second, piece(kind, '" [0 dbevts]', "stdout")])
    assert requests(file) == ["GET-1", "GET-20", "GET-666"]


@KINDS
def test_a_line_belongs_to_the_part_in_which_it_begins(kind: str, tmp_path: Path) -> None:
    text = request(3, "u" * 40 + FORGED)
    long = divided(kind, text, text.index(FORGED), text.index(FORGED) + 20)
    lines = [piece(kind, request(1)), *attack(kind), *long, piece(kind, request(4))]
    file = log_file(tmp_path, kind, lines)
    everything = ["GET-1", "GET-20", "GET-3", "GET-4"]
    for place in range(1, file.size, 7):
        assert requests(file, 0, place) + requests(file, place) == everything
    assert requests(file, size=50) == everything


@KINDS
def test_far_from_the_beginning(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces_module, "DISTANCE", 1500)
    lines = [*(piece(kind, request(number)) for number in range(100, 110)), *attack(kind), piece(kind, request(4))]
    file = log_file(tmp_path, kind, lines)
    start = sum(map(len, lines[:11]))
    assert requests(file, start) == ["GET-4"]
    assert requests(file, start - len(lines[10])) == ["GET-20", "GET-4"]
    assert requests(file, 0, start)[-1] == "GET-20"


@KINDS
def test_a_line_without_its_end_is_not_a_request(kind: str, tmp_path: Path) -> None:
    whole = request(1)
    file = log_file(tmp_path, kind, [piece(kind, request(2)), piece(kind, whole, is_last=False)])
    assert requests(file) == ["GET-2"]
    assert [b"GET-1 " in line for _offset, line in file.lines()] == [False, True]


@KINDS
def test_a_line_that_is_too_long_is_not_a_request(kind: str, tmp_path: Path) -> None:
    text = request(1, "u" * (pieces_module.LONGEST + 100))
    file = log_file(tmp_path, kind, [*divided(kind, text, 400, 500_000), piece(kind, request(2))])
    assert requests(file) == ["GET-2"]
    lines = [line for _offset, line in file.lines()]
    assert pieces_module.CUT_OFF in lines[0]
    assert len(lines[0]) < pieces_module.LONGEST + 1000


@KINDS
@pytest.mark.parametrize("is_there", [True, False])
def test_a_line_that_a_rotation_has_divided(kind: str, is_there: bool, tmp_path: Path) -> None:
    first, second = attack(kind)
    if is_there:
        older = log_file(tmp_path, kind, [piece(kind, request(1)), first], "c.log.1")
        older.stream = str(tmp_path / "c.log")
        os.utime(older.path, (1, 1))
    name = "c.log" if is_there else "c.log.3"
    file = log_file(tmp_path, kind, [second, piece(kind, request(2)), piece(kind, request(3))], name)
    file.stream = str(tmp_path / "c.log")
    assert requests(file) == ["GET-2", "GET-3"]
    # Its beginning is unread where it is: as a line without its end, or not known.
    assert any(b"GET-666" in line for _offset, line in file.lines()) != is_there


@KINDS
def test_the_first_line_after_a_rotation_is_read(kind: str, tmp_path: Path) -> None:
    older = log_file(tmp_path, kind, [*attack(kind)], "c.log.1")
    os.utime(older.path, (1, 1))
    assert requests(log_file(tmp_path, kind, [piece(kind, request(2))])) == ["GET-2"]
    (tmp_path / "c.log.license").write_text("text\n")
    os.utime(tmp_path / "c.log.license", (0, 0))
    assert requests(log_file(tmp_path, kind, [piece(kind, request(2))])) == ["GET-2"]


def test_a_backslash_that_was_logged_is_not_a_line_feed(tmp_path: Path) -> None:
    text = request(20, "u\\n" + FORGED)
    lines = divided("docker", text, text.index(FORGED))
    assert r'u\\n","stream":"' in lines[0]
    assert requests(log_file(tmp_path, "docker", lines)) == ["GET-20"]


def test_which_layouts_have_pieces() -> None:
    kind_of = pieces_module.kind_of
    assert kind_of([INNER, ContainerLayout(JsonLayout())]) == "docker"
    assert kind_of([INNER, JsonLayout(CRI)]) == "cri"
    assert kind_of([]) == kind_of([INNER, JsonLayout(NO_PREFIX)]) == ""
    assert not any(kind_of([Layout(SYNAPSE_FORMAT, prefix=prefix)]) for prefix in prefixes()[1:])

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Questions about the request log of a day, against grep and awk."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import typing as t
from pathlib import Path

from commands import Failed, execute
from log_lines import BUSIEST_HOUR, DAY
from machine import CannotRun
from measurement import Figure, Measurement, figure
from stage import staged
from virtual_environments import ENVIRONMENTS

_ROUNDS = 5
_MEGABYTE = 1_000_000
_MEGABYTES = 1000
_NAME = f"request log of {_MEGABYTES} MB"
# More than the log and the output of grep need.
_FREE = 1300 * _MEGABYTE
_MOST_MEMORY = 200
_LONGEST_WINDOW = 0.3
_HERE = Path(__file__).resolve().parent


def measure() -> t.Iterator[Measurement]:
    """Yield the measurements of this group, in about three minutes. They need 1.3 GB for temporary files."""
    if not shutil.which("mawk"):
        raise CannotRun("mawk is missing. Install the package mawk")
    with staged() as collection, tempfile.TemporaryDirectory(prefix="matrix_ops_synapse_bench_") as directory:
        if shutil.disk_usage(directory).free < _FREE:
            raise CannotRun(f"{directory} has less than {_FREE // _MEGABYTE} MB. Choose another place with TMPDIR")
        log = _Log(Path(directory), collection)
        memory: list[float] = []
        # One number has few digits, so that many others begin with it.
        for name, tag in (("a number like many others", log.tag(0, 2)), ("a rare number", log.tag(0.5))):
            ours, theirs = _compared(log, ("request", tag), ("grep", tag), "lines", memory)
            yield Measurement(f"{_NAME}: one request, {name}, against grep", ours, theirs, "<=", 1.2)
        ours, theirs = _compared(log, ("summary",), ("mawk",), "requests", memory)
        yield Measurement(f"{_NAME}: summary, against mawk that adds up one time", ours, theirs, ">=", 2, inverted=True)
        window = [f"{DAY} {BUSIEST_HOUR}:{minute}" for minute in ("30", "35")]
        rounds = [log.ask("summary", *window) for _round in range(_ROUNDS)]
        memory += [found["memory"] for found in rounds]
        five_minutes = figure(found["seconds"] for found in rounds)
        yield Measurement(f"{_NAME}: summary of five minutes", five_minutes, Figure((_LONGEST_WINDOW,)), "<=", 1)
        # No round may take more.
        allowed = Figure((_MOST_MEMORY,))
        yield Measurement(f"{_NAME}: most memory", figure([max(memory)], 1 / _MEGABYTE), allowed, "<=", 1, "MB")
        log.cut(_MEGABYTES // 4)
        memory = [log.ask(*question)["memory"] for question in (("summary",), ("request", log.tag(0, 2)))]
        name = f"request log of {_MEGABYTES // 4} MB: most memory"
        yield Measurement(name, figure([max(memory)], 1 / _MEGABYTE), allowed, "<=", 1, "MB")


def _compared(
    log: _Log, question: t.Sequence[str], tool: t.Sequence[str], counted: str, memory: list[float]
) -> tuple[Figure, Figure]:
    """Return the seconds of this collection and of a tool, by turns; `memory` gets what each round has needed.

    Raises Failed if both have not `counted` the same.
    """
    # The log is in memory for both.
    log.ask_tool(*tool)
    rounds = [(log.ask(*question), log.ask_tool(*tool)) for _round in range(_ROUNDS)]
    if len({found[counted] for pair in rounds for found in pair}) != 1:
        raise Failed(f"Both did not find the same number of {counted}: {rounds[0]}")
    memory += [ours["memory"] for ours, _theirs in rounds]
    ours, theirs = zip(*rounds, strict=True)
    return figure(found["seconds"] for found in ours), figure(found["seconds"] for found in theirs)


class _Log:
    """A log in a directory, and what is asked about it."""

    def __init__(self, directory: Path, collection: Path) -> None:
        self._python = ENVIRONMENTS["synapse"].build() / "bin" / "python"
        self._directory = directory
        self._environment = {"PYTHONPATH": str(collection.parents[2])}
        self._path = directory / "homeserver.log"
        self._run(_HERE / "log_lines.py", self._path, str(_MEGABYTES))

    def ask(self, question: str, *further: str) -> dict[str, float]:
        """Ask this collection."""
        return self._run(_HERE / "log_answers.py", question, self._path, *further)

    def ask_tool(self, tool: str, *further: str) -> dict[str, float]:
        """Ask one of the tools that each host has."""
        return self._run(_HERE / "alternatives" / "log_tools.py", tool, self._path, *further)

    def tag(self, share: float, digits: int = 7) -> str:
        """Return the tag of the first GET request behind this share of the log, with at most so many digits."""
        with self._path.open("rb") as file:
            file.seek(int(self._path.stat().st_size * share))
            found = re.search(rb" - (GET-[1-9][0-9]{1,%d}) - " % (digits - 1), file.read(_MEGABYTE))
        if found is None:
            raise Failed("There is no request of the method GET in a whole megabyte of the log.")
        return found[1].decode()

    def cut(self, megabytes: int) -> None:
        """Leave only the beginning."""
        os.truncate(self._path, megabytes * _MEGABYTE)

    def _run(self, *command: str | Path) -> dict[str, float]:
        printed = execute([self._python, *command], self._directory, self._environment)
        return t.cast("dict[str, float]", json.loads(printed))

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The move of a big server to PostgreSQL: its outage, what is there afterwards, and moves that were killed."""

from __future__ import annotations

import json
import os
import random
import tempfile
import typing as t
from pathlib import Path

import big_server
from commands import Failed, execute
from machine import REPOSITORY, postgresql_bin, redis_server
from measurement import Figure, Measurement, figure
from stage import staged
from virtual_environments import ENVIRONMENTS

_HERE = Path(__file__).resolve().parent
_SETUP = REPOSITORY / "tests" / "integration" / "targets" / "setup_synapse" / "files"
_PROGRAM = _HERE / "database_rounds.py"
_LONGEST = 1.3
_KILLS = 10


def measure() -> t.Iterator[Measurement]:
    """Yield the measurements of this group, in an hour, and in some minutes more if it is the first time.

    They need 3 GB for temporary files. Raises CannotRun, InstallationFailed, or Failed.
    """
    server = big_server.built()
    moved = _run("move", server)
    outage, bare = figure(moved["outage"]), figure(moved["bare"])
    name = "move of 200,000 events to PostgreSQL"
    yield Measurement(f"{name}: outage, against the last pass of synapse_port_db", outage, bare, "<=", _LONGEST)
    same, objects = Figure((moved["same"],)), Figure((moved["objects"],))
    yield Measurement(f"{name}: the same through the API", same, objects, ">=", 1, "objects")
    # One in each tenth of the move.
    moments = [moved["seconds"] * (number + random.random()) / _KILLS for number in range(_KILLS)]
    finished = [_run("kill", server, str(moment))["finished"] for moment in moments]
    name = "moves of 200,000 events that were killed: complete after the next run"
    yield Measurement(name, Figure((sum(finished),)), Figure((_KILLS,)), ">=", 1, "moves")


def _run(command: str, server: Path, *arguments: str) -> dict[str, t.Any]:
    """Run one of the commands of the program with the rounds, and return what it prints as JSON. Raises Failed."""
    with staged() as collection, tempfile.TemporaryDirectory(prefix="matrix_ops_synapse_bench_") as directory:
        environment = {
            "PYTHONPATH": f"{collection.parents[2]}:{_HERE}:{_SETUP}",
            "SETUP_SYNAPSE_OWNER": str(os.getpid()),
            "CONTRACT_SYNAPSE_PYTHON": str(ENVIRONMENTS["synapse"].build() / "bin" / "python"),
            "CONTRACT_POSTGRESQL_BIN": str(postgresql_bin()),
            "CONTRACT_REDIS_SERVER": str(redis_server()),
        }
        python = ENVIRONMENTS["contract"].build() / "bin" / "python"
        printed = execute([python, _PROGRAM, command, server, *arguments], Path(directory), environment, lasting=True)
    found: dict[str, t.Any] = json.loads(printed.splitlines()[-1])
    if problems := found["problems"]:
        raise Failed("\n".join(problems))
    return found

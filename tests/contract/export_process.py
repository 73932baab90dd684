# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run of synapse_export in a separate process, which can be stopped in the middle.

It reads as JSON the parameters, and how many media it may fetch before it hangs (null for all). It prints its result.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import typing as t
from pathlib import Path
from unittest import mock

from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Parameters, Result
from ansible_collections.matrix_ops.synapse.tests.contract.modules import run_module
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until

# The directory of the Python module that lets Synapse's command hang.
HANGING = Path(__file__).resolve().parent / "hanging_export"


@contextlib.contextmanager
def exporting(
    place: Place, parameters: Parameters, *, hangs: bool = False, media: int | None = None
) -> t.Iterator[subprocess.Popen[str]]:
    """Start an export in a separate process. `hangs`: before it is written; `media`: after this number of media.

    If it still runs at the end of the block, it is killed.
    """
    given = {"base_url": place.server.base_url, "access_token": place.server.token, **parameters}
    process = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(hanging_environment() if hangs else {})},
    )
    with process:
        assert process.stdin is not None
        process.stdin.write(json.dumps([{key: value for key, value in given.items() if value is not None}, media]))
        process.stdin.close()
        try:
            yield process
        finally:
            process.kill()


def hanging_environment() -> dict[str, str]:
    """Return the environment in which Synapse's command hangs before it writes the profile."""
    return {"PYTHONPATH": os.pathsep.join([str(HANGING), os.environ.get("PYTHONPATH", "")])}


def result_of(process: subprocess.Popen[str]) -> Result:
    """Wait until the module has ended, and return what it printed."""
    assert process.stdout is not None
    return t.cast("Result", json.loads(process.stdout.read()))


def command_of(process: subprocess.Popen[str]) -> int:
    """Wait until the module has started Synapse's command, and return the id of its process."""

    def command() -> int:
        assert process.poll() is None, result_of(process)
        return next(_commands_of(process.pid), 0)

    return until(command, bool)


def is_running(number: int) -> bool:
    """Return whether a process runs. A zombie does not run.

    It keeps its files open until the last of its threads has ended, which may be after the first one.
    """
    try:
        threads = os.listdir(f"/proc/{number}/task")
    except FileNotFoundError:
        return False
    return any(_state_and_parent(int(thread), f"{number}/task")[0] not in ("Z", "X", "") for thread in threads)


def _commands_of(number: int) -> t.Iterator[int]:
    for child in filter(str.isdigit, os.listdir("/proc")):
        if _state_and_parent(int(child))[1] == number:
            with contextlib.suppress(OSError):
                if b"export-data" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
                    yield int(child)


def _state_and_parent(number: int, place: str = "") -> tuple[str, int]:
    try:
        state, parent = (
            Path("/proc", place, str(number), "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
        )
    except (FileNotFoundError, ProcessLookupError):
        return "", 0
    return state, int(parent)


def _hang_after(number: int) -> None:
    """Let this process hang when this number of media have their names."""
    replace, count = os.replace, itertools.count(1)

    def replace_some(source: t.Any, target: t.Any, **options: t.Any) -> None:
        if os.path.basename(os.path.dirname(str(target))) == "media" and next(count) > number:
            threading.Event().wait()
        replace(source, target, **options)

    mock.patch.object(os, "replace", replace_some).start()


def _main() -> None:
    # The parent process of the tests may ignore this signal.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parameters, media = json.load(sys.stdin)
    if media is not None:
        _hang_after(media)
    print(json.dumps(run_module("synapse_export", parameters)))


if __name__ == "__main__":
    _main()

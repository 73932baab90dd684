# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A move in a separate process, which can be killed in the middle.

It reads its parameters as JSON, and prints its result.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

from ansible_collections.matrix_ops.synapse.tests.contract.modules import run_module
from ansible_collections.matrix_ops.synapse.tests.contract.moving import MODULE, Moving


@contextlib.contextmanager
def running(moved: Moving) -> t.Iterator[subprocess.Popen[str]]:
    """Start the move. If it still runs at the end of the block, it is killed."""
    given = {"base_url": moved.server.base_url, "access_token": moved.server.token, **moved.parameters}
    process = subprocess.Popen(
        [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(given))
        process.stdin.close()
        try:
            yield process
        finally:
            process.kill()


def copying(moved: Moving) -> list[int]:
    """Return the processes of Synapse's program that copy to the target of this move."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{name}/cmdline").read_bytes()
            if b"--postgres-config" in command and moved.server.directory.encode() in command:
                found.append(int(name))
    return found


def _main() -> None:
    print(json.dumps(run_module(MODULE, json.load(sys.stdin))))


if __name__ == "__main__":
    _main()

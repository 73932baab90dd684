# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an administrator has without this collection: grep and awk.

log_tools.py grep LOG TEXT
    Finds all lines with a text. Prints how many of them are of the request TEXT, and the seconds, as JSON.
log_tools.py mawk LOG
    Counts the requests of each endpoint, and adds up their times. Prints the number of requests, their processing time,
    and the seconds, as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

_SCRIPT = Path(__file__).resolve().with_name("endpoints.awk")


def run(command: t.Sequence[str | Path]) -> tuple[bytes, float]:
    """Run a command, and return its output and the seconds that it took."""
    # To /dev/null, grep would not read more than the first line that it finds.
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        subprocess.run(command, stdout=output, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}, check=True)
        seconds = time.perf_counter() - start
        output.seek(0)
        return output.read(), seconds


def main(tool: str, log: str, *further: str) -> None:
    """Run one of the commands above."""
    if tool == "grep":
        found, seconds = run(["grep", "-F", further[0], log])
        print(json.dumps({"lines": found.count(f" - {further[0]} - ".encode()), "seconds": seconds}))
        return
    found, seconds = run(["mawk", "-f", _SCRIPT, log])
    rows = [line.split(b" ", 2) for line in found.splitlines()]
    count, processing = sum(int(row[0]) for row in rows), sum(float(row[1]) for row in rows)
    print(json.dumps({"requests": count, "processing": processing, "seconds": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])

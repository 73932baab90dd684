# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask a log one question, as the module synapse_request_log_info does.

log_answers.py request LOG TAG
log_answers.py summary LOG [SINCE UNTIL]
    Prints what was found, the seconds without the start of Python, and the most memory of this process and of all
    others that it has started, together (bytes), as JSON.

Runs with the collection on its path.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.counting import Wanted, count_files
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.files import open_files
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.occurrence import returned
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.parallel import processors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.request import find_request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.summary import returned_summary
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.window import Window, parse_window

_SLOWEST, _REQUESTERS = 20, 50


def request(log: str, tag: str) -> dict[str, t.Any]:
    """Return how many lines belong to the request."""
    found = find_request(tag, open_files([log]), Window())
    lines = [line for occurrence in found.occurrences for line in returned(occurrence)["lines"]]
    return {"lines": sum(f" - {tag} - " in line for line in lines)}


def summary(log: str, since: str | None = None, until: str | None = None) -> dict[str, t.Any]:
    """Return how many requests there are, and their processing time."""
    window = parse_window(since, until, time.time())
    files = open_files([log])
    counts = count_files(files, Wanted(window, _SLOWEST))
    found = returned_summary(counts.tally, lambda _path: files[0].layouts, _REQUESTERS)
    return {
        "requests": found["count"],
        "processing": found["processing_seconds"]["total"],
        "unread": counts.unread.count,
    }


def main(question: str, *arguments: str) -> None:
    """Ask one of the questions above."""
    start = time.perf_counter()
    found = request(*arguments) if question == "request" else summary(*arguments)
    seconds = time.perf_counter() - start
    own, largest = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    # The kernel tells only the largest of the others, and counts what they share with this one each time.
    memory = (own + largest * processors()) * 1024
    print(json.dumps({**found, "seconds": seconds, "memory": memory}))


if __name__ == "__main__":
    main(*sys.argv[1:])

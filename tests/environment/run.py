# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the test suites: run.py [quick|check|units|integration|contract|hosts|browser|readme ...] [--target NAME ...]

Every suite runs, also after one that failed. Each prints a line, a failed one its output too. A suite that cannot run
on this machine says why and counts as skipped. Exit status 0 means that none failed.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import os
import re
import signal
import sys
import threading
import time
import traceback
import typing as t

import commands
import suites
from leavings import own_directory
from machine import CannotRun, InstallationFailed
from stage import staged
from suite import Suite

# A suite in each of these lanes at a time keeps two processors busy; with a third one all take more of them.
_LANES = 2
_SHOWN_LINES = 200
_SLOWEST = 10
# How tools report at the start of a line that something has failed, and how Ansible reports why, rescued or not.
_FAILURE = re.compile("FAILED |ERROR:? |failed +[a-z_]+ \\(|-> ")
_REASON = re.compile("fatal: ")
_REPEATED_LINES, _REPEATED_CHARACTERS = 10, 400


class Took(t.NamedTuple):
    """How long something took: seconds on the clock, and seconds of processor time of all that it has started."""

    seconds: float
    processor_seconds: float

    def __str__(self) -> str:
        return f"{self.seconds:.0f} s, {self.processor_seconds:.0f} s of processor time"


class Report:
    """What came of the suites: printed as they end, and counted."""

    def __init__(self) -> None:
        self.counts = collections.Counter[str]()
        self.failed: dict[str, t.Sequence[str]] = {}
        self._took: dict[str, Took] = {}
        self._lock = threading.Lock()

    def add(self, outcome: str, name: str, took: Took, lines: t.Sequence[str]) -> None:
        """Print one suite's line, and `lines` below it."""
        with self._lock:
            self.counts[outcome] += 1
            self._took[name] = took
            if outcome == "failed":
                self.failed[name] = list(_failures(lines))
            shown = {"passed": "ok", "failed": "FAILED", "skipped": "SKIPPED"}[outcome]
            print(f"{shown:8}{name} ({took})", *lines, sep="\n", flush=True)

    def summary(self, seconds: float) -> t.Iterator[str]:
        """Yield the lines for the end: the slowest suites, what it took in all, and what failed."""
        if len(self._took) > 1:
            yield "\nThe slowest:"
            slowest = sorted(self._took.items(), key=lambda item: -item[1].seconds)[:_SLOWEST]
            yield from (f"{took.seconds:8.0f} s  {name}" for name, took in slowest)
        total = Took(seconds, sum(took.processor_seconds for took in self._took.values()))
        yield f"\nFinished in {total}."
        for name, failures in self.failed.items():
            yield f"Failed: {name}"
            # Again here: of a long output, only the end may be kept.
            yield from (f"    {line[:_REPEATED_CHARACTERS]}" for line in failures[-_REPEATED_LINES:])
        yield ", ".join(f"{self.counts[outcome]} {outcome}" for outcome in ("passed", "failed", "skipped"))


def main() -> int:
    """Run what the command line names, and return the exit status."""
    parser = argparse.ArgumentParser(description="Run the test suites.")
    parser.add_argument("groups", nargs="*", help=f"which of {', '.join(suites.GROUPS)} (default: all)")
    parser.add_argument("--target", action="append", default=[], help="only this integration target or host scenario")
    arguments = parser.parse_args()
    if unknown := set(arguments.groups) - suites.GROUPS.keys():
        parser.error(f"there is no group {', '.join(sorted(unknown))}")
    # Whoever reads it no more wants it to end.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.umask(0o022)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: commands.stop())
    report = Report()
    start = time.monotonic()
    groups = arguments.groups or [name for name in suites.GROUPS if name not in suites.IN_OTHERS]
    try:
        with own_directory(), concurrent.futures.ThreadPoolExecutor(_LANES) as pool:
            chosen = [
                (f"{group}: {suite.name}", suite)
                for group in sorted(groups, key=list(suites.GROUPS).index)
                for suite in suites.GROUPS[group](arguments.target)
            ]
            for job in [pool.submit(_run, name, suite, report) for name, suite in chosen]:
                job.result()
    except commands.Stopped:
        print("Stopped.")
        return 130
    print(*report.summary(time.monotonic() - start), sep="\n", flush=True)
    return 1 if report.failed else 0


def _shortened(lines: t.Sequence[str]) -> list[str]:
    """Return the last lines of a failed suite's output, and what failed before them."""
    return [*_failures(lines[:-_SHOWN_LINES]), *lines[-_SHOWN_LINES:]]


def _failures(lines: t.Iterable[str]) -> t.Iterator[str]:
    """Yield the lines that report a failure, each after what Ansible last gave as the reason for one."""
    reason = ""
    for line in (line.strip() for line in lines):
        if _REASON.match(line):
            reason = line
        elif _FAILURE.match(line):
            yield from filter(None, (reason, line))
            reason = ""


def _run(name: str, suite: Suite, report: Report) -> None:
    start, used = time.monotonic(), commands.processor_seconds()
    outcome, lines = _run_suite(suite)
    took = Took(time.monotonic() - start, commands.processor_seconds() - used)
    report.add(outcome, name, took, lines)


def _run_suite(suite: Suite) -> tuple[str, t.Sequence[str]]:
    """Run a suite and return what came of it, with the lines to show. Raises Stopped."""
    try:
        # A copy of its own: ansible-test leaves its output in the tree that it tests.
        with staged() as collection:
            return "passed", suite.run(collection)
    except CannotRun as error:
        return "skipped", [f"    {error}"]
    except InstallationFailed as error:
        return "failed", [str(error)]
    except commands.Failed as error:
        return "failed", _shortened(error.output.rstrip().splitlines())
    except commands.Stopped:
        raise
    except Exception:
        # A defect of this suite must not keep the others from running.
        return "failed", traceback.format_exc().splitlines()


if __name__ == "__main__":
    sys.exit(main())

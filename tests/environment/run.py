# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the test suites: run.py [check|units|integration|contract|hosts|browser|readme ...] [--target NAME ...]

Every suite runs, also after one that failed. Each prints a line, a failed one its output too. A suite that cannot run
on this machine says why and counts as skipped. Exit status 0 means that none failed.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import signal
import sys
import threading
import time
import traceback
import typing as t

import commands
import suites
from machine import REPOSITORY, CannotRun, InstallationFailed
from stage import staged

# What takes longest comes first. A job in each of these lanes at a time keeps two processors busy to the end.
_ORDER = ("hosts", "readme", "contract", "check", "units", "integration", "browser")
_LANES = 3
_SHOWN_LINES = 200


class Report:
    """What came of the suites: printed as they end, and counted."""

    def __init__(self) -> None:
        self.counts = collections.Counter[str]()
        self.failed: list[str] = []
        self._lock = threading.Lock()

    def add(self, outcome: str, name: str, seconds: float, lines: t.Sequence[str]) -> None:
        """Print one suite's line, and `lines` below it."""
        with self._lock:
            self.counts[outcome] += 1
            if outcome == "failed":
                self.failed.append(name)
            shown = {"passed": "ok", "failed": "FAILED", "skipped": "SKIPPED"}[outcome]
            print(f"{shown:8}{name} ({seconds:.0f} s)", *lines, sep="\n", flush=True)


def main() -> int:
    """Run what the command line names, and return the exit status."""
    parser = argparse.ArgumentParser(description="Run the test suites.")
    parser.add_argument("groups", nargs="*", help=f"which of {', '.join(suites.GROUPS)} (default: all)")
    parser.add_argument("--target", action="append", default=[], help="only this integration target or host scenario")
    arguments = parser.parse_args()
    if unknown := set(arguments.groups) - suites.GROUPS.keys():
        parser.error(f"there is no group {', '.join(sorted(unknown))}")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: commands.stop())
    report = Report()
    start = time.monotonic()
    groups = arguments.groups or list(suites.GROUPS)
    try:
        with concurrent.futures.ThreadPoolExecutor(_LANES) as pool:
            jobs = _jobs(sorted(groups, key=_ORDER.index), arguments.target)
            for job in [pool.submit(_run_job, group, targets, report) for group, targets in jobs]:
                job.result()
    except commands.Stopped:
        print("Stopped.")
        return 130
    print(f"\nFinished in {time.monotonic() - start:.0f} s.", *(f"Failed: {name}" for name in report.failed), sep="\n")
    print(", ".join(f"{report.counts[outcome]} {outcome}" for outcome in ("passed", "failed", "skipped")), flush=True)
    return 1 if report.failed else 0


def _jobs(groups: t.Sequence[str], targets: t.Sequence[str]) -> t.Iterator[tuple[str, t.Sequence[str]]]:
    """Yield what can run side by side: a group with its targets. Those of the integration tests are a job each."""
    for group in groups:
        if group == "integration":
            yield from ((group, [target]) for target in targets or suites.integration_targets(REPOSITORY))
        else:
            yield group, targets


def _run_job(group: str, targets: t.Sequence[str], report: Report) -> None:
    # A copy of its own for each job: ansible-test leaves its output in the tree that it tests.
    with staged() as collection:
        for suite in suites.GROUPS[group](collection, targets):
            start = time.monotonic()
            outcome, lines = _run_suite(suite)
            report.add(outcome, f"{group}: {suite.name}", time.monotonic() - start, lines)


def _run_suite(suite: suites.Suite) -> tuple[str, t.Sequence[str]]:
    """Run a suite and return what came of it, with the lines to show. Raises Stopped."""
    try:
        return "passed", suite.run()
    except CannotRun as error:
        return "skipped", [f"    {error}"]
    except InstallationFailed as error:
        return "failed", [str(error)]
    except commands.Failed as error:
        return "failed", error.output.rstrip().splitlines()[-_SHOWN_LINES:]
    except commands.Stopped:
        raise
    except Exception:
        # A defect of this suite must not keep the others from running.
        return "failed", traceback.format_exc().splitlines()


if __name__ == "__main__":
    sys.exit(main())

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the benchmarks: run.py [GROUP ...]

Every figure is compared with an alternative that is measured in the same run, against the same real Synapse. Prints a
table and writes .bench/results.json. Exit status 0 means that every bar was certainly met: one that is lost in the
noise is not, and neither are those of a group that cannot run on this machine.
"""

from __future__ import annotations

import argparse
import doctest
import json
import signal
import sys
import typing as t

import backup
import bulk
import database
import events
import measurement
import media
import proxy
import request_log
import rooms
import runtime
from commands import Failed
from machine import REPOSITORY, CannotRun, InstallationFailed
from measurement import Measurement, table

import roles

GROUPS: dict[str, t.Callable[[], t.Iterator[Measurement]]] = {
    "backup": backup.measure,
    "bulk": bulk.measure,
    "rooms": rooms.measure,
    "media": media.measure,
    "events": events.measure,
    "log": request_log.measure,
    "runtime": runtime.measure,
    "proxy": proxy.measure,
    "database": database.measure,
    "site": roles.measure,
}
_RESULTS = REPOSITORY / ".bench" / "results.json"


def main() -> int:
    """Run what the command line names, and return the exit status."""
    parser = argparse.ArgumentParser(description="Run the benchmarks.")
    parser.add_argument("groups", nargs="*", help=f"which of {', '.join(GROUPS)} (default: all)")
    arguments = parser.parse_args()
    if unknown := set(arguments.groups) - GROUPS.keys():
        parser.error(f"there is no group {', '.join(sorted(unknown))}: there are {', '.join(GROUPS)}")
    # Whoever reckons wrong does not get to measure.
    doctest.testmod(measurement, raise_on_error=True)
    signal.signal(signal.SIGTERM, _stop_once)
    measurements: list[Measurement] = []
    left_out: list[str] = []
    for group in arguments.groups or GROUPS:
        try:
            for measured in GROUPS[group]():
                print(f"{measured.name}: {measured.words()}", file=sys.stderr, flush=True)
                measurements.append(measured)
        except CannotRun as error:
            left_out.append(f"The benchmarks of {group} cannot run: {error}.")
    # What the other groups have measured in the meantime is not lost.
    if not measurements:
        sys.exit("\n".join(left_out))
    _RESULTS.parent.mkdir(exist_ok=True)
    _RESULTS.write_text(json.dumps([measured.as_result() for measured in measurements], indent=2) + "\n")
    print(table(measurements), *left_out, sep="\n")
    return 0 if all(measured.met for measured in measurements) and not left_out else 1


def _stop_once(*_arguments: object) -> t.NoReturn:
    """Stop, and let nobody who says so again keep servers and hosts from being removed."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(143)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InstallationFailed as error:
        sys.exit(str(error))
    except Failed as error:
        sys.exit(error.output)

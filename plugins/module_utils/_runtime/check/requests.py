# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""How many requests are in flight in each process, and what they wait for if there are more than declared.

Relies on the metrics of a process (synapse/http/request_metrics.py and storage/database.py, 1.163), as RuntimeReader
returns them, and on `cp_max` in the configuration of the database (synapse/config/database.py).
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    read_configuration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.declared import (
    Declared,
    Mapping,
    identified,
    names_of,
    unknown_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.verdict import Need, Verdict
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.long_polls import LONG_POLLS

_MOST_ENDPOINTS = 3
_LONGEST_LABEL = 60
_RAISE = ": raise it if PostgreSQL is not busy, or look for slow queries."
# Seconds that one request has waited on average. A connection that is free is given out within a millisecond.
_LONG_WAIT = 0.1
# Seconds. A turn of the event loop that is longer delays every request.
_LONG_TICK, _LONG_AGO = 0.1, 5.0


def judge_requests(declared: Declared, processes: t.Sequence[Mapping], verdict: Verdict) -> None:
    """Compare the requests in flight of each process, without long polls, with `in_flight_requests`."""
    if declared.in_flight_requests is None:
        return
    option, most = declared.called("in_flight_requests"), declared.in_flight_requests
    for process in processes:
        requests = process.get("requests", {})
        if "in_flight" not in requests:
            doubt = unknown_of(process["unknown"], ("requests", "activity", "metrics"))
            doubt = doubt or "Its metrics cannot be read. Add a listener for metrics, and restart it."
            reason = f"Whether {identified(process)} has at most the declared {option} is unknown. {doubt}"
            verdict.fail("in_flight_requests", reason, process, need=Need.ANSWER)
        elif requests["in_flight"] > most:
            reason = (
                f"{identified(process)} has {_counted(requests['in_flight'])} in flight, but {option} is {most}."
                f" {_endpoints(requests)}{_cause(process)}"
            )
            verdict.fail("in_flight_requests", reason, process)
    if not verdict.failed("in_flight_requests"):
        numbers = dict.fromkeys(str(process["requests"]["in_flight"]) for process in processes)
        verdict.proofs["in_flight_requests"] = (
            f"Requests: {' or '.join(numbers)} in flight in {names_of(processes)}. At most {most} are allowed."
        )


def _endpoints(requests: Mapping) -> str:
    shown = [one for one in requests.get("endpoints", ()) if one["servlet"] not in LONG_POLLS][:_MOST_ENDPOINTS]
    if not shown:
        return ""
    named = ", ".join(f"{one['in_flight']} of {_label(one['method'])} {_label(one['servlet'])}" for one in shown)
    return f"Most of them are {named}. "


def _counted(number: int) -> str:
    return "1 request" if number == 1 else f"{number} requests"


def _label(text: str) -> str:
    """Return a label of a metric on one line, and not longer than any of Synapse's."""
    return "".join(character if character.isprintable() else "?" for character in text[:_LONGEST_LABEL])


def _cause(process: Mapping) -> str:
    """Return what the requests wait for, as sentences."""
    requests = process["requests"]
    connections = process.get("database", {}).get("connections", {})
    waited = requests.get("database_wait_seconds", 0)
    working, highest = connections.get("working", 0), connections.get("max", 0)
    if highest and working >= highest:
        used = f"All {highest} connections to the database are in use"
        return f"{used}, and the requests have waited {waited:.1f} seconds for one so far. {_pool(process)}"
    if waited >= _LONG_WAIT * max(1, requests["in_flight"]):
        return f"They have waited {waited:.1f} seconds for a connection to the database so far. {_pool(process)}"
    loop = process.get("event_loop", {})
    average, ago = loop.get("average_tick_seconds", 0), loop.get("last_tick_seconds_ago", 0)
    if average >= _LONG_TICK or ago >= _LONG_AGO:
        now = f", and the present one has lasted {ago:.1f} seconds" if ago >= _LONG_AGO else ""
        return (
            f"They wait for the event loop of the process: one of its turns takes {average:.2f} seconds on average"
            f"{now}. Give the process more CPU time, or move requests to workers."
        )
    return "They wait neither for a connection to the database nor for the event loop: see the log for slow requests."


def _pool(process: Mapping) -> str:
    """Return which file sets the number of connections to the database, as sentences with a fix."""
    try:
        configuration = read_configuration(process["config_path"])
    except SynapseError as error:
        return f"Which file sets their number (cp_max) is unknown. {error.message}"
    pools = list(_pools(configuration))
    if not pools:
        return "Check whether the database is slow."
    return " ".join(pools)


def _pools(configuration: Configuration) -> t.Iterator[str]:
    settings = configuration.settings
    if settings.get("database_path") and not settings.get("database"):
        yield f"{configuration.source_of('database_path')} sets an SQLite database, which has only one: use PostgreSQL."
    several = settings.get("databases")
    databases = [("database", settings.get("database"))]
    if isinstance(several, dict):
        databases += [("databases", each) for each in several.values()]
    for key, database in databases:
        if not isinstance(database, dict):
            continue
        path = configuration.source_of(key)
        arguments = database.get("args")
        highest = arguments.get("cp_max") if isinstance(arguments, dict) else None
        if database.get("name", "sqlite3") == "sqlite3":
            yield f"{path} sets an SQLite database, which has only one: use PostgreSQL."
        elif isinstance(highest, int) and not isinstance(highest, bool):
            yield f"{path} sets cp_max to {highest}{_RAISE}"
        else:
            yield f"{path} does not set cp_max, so it is 5{_RAISE} {configuration.replacement(key)}".rstrip()

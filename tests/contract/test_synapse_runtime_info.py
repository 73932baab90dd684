# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_runtime_info returns for a server that runs with the current content of its files."""

from __future__ import annotations

import datetime
import functools
import json
import os
import pwd
import re
import resource
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import runtime_cases as runtime
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    Refusal,
    named,
    prove,
    prove_refusal,
)

# The values of gather, and the key in the result for each.
_GATHERED = {
    "advice": "advice",
    "caches": "cache_settings",
    "freshness": "restart_record",
    "memory": "host",
    "presence": "presence_settings",
    "server": "server",
}


def _use(place: Place) -> None:
    runtime.use(place.server, place.unique)


def _empty(place: Place) -> None:
    (place.directory / "more.d").mkdir()


def _look(**more: t.Any) -> t.Callable[[Place], dict[str, t.Any]]:
    return lambda place: runtime.parameters(place, **more)


def _with_more(place: Place, **more: t.Any) -> dict[str, t.Any]:
    paths = [*place.server.config_path, str(place.directory / "more.d")]
    return runtime.parameters(place, config_path=paths, **more)


def _unknown(name: str, reason: str, fix: str = "") -> t.Callable[[list[dict[str, str]]], bool]:
    """Match one unknown value, with its reason and its fix."""
    return lambda found: (
        [one["name"] for one in found] == [name]
        and bool(re.search(reason, found[0]["reason"]))
        and bool(re.search(fix, found[0]["fix"]))
    )


def _without(*keys: str) -> t.Callable[[list[dict[str, t.Any]]], bool]:
    """Match the one process if it has none of these keys."""
    return lambda processes: not set(keys) & processes[0].keys()


def _as_it_is(place: Place, processes: list[dict[str, t.Any]]) -> bool:
    [main] = processes
    limits = dict(zip(("soft", "hard"), resource.prlimit(main["pid"], resource.RLIMIT_NOFILE), strict=True))
    assert main["pid"] == runtime.pid(place.server)
    assert (main["name"], main["app"]) == ("main", "synapse.app.homeserver")
    assert main["user"] == pwd.getpwuid(os.geteuid()).pw_name
    assert main["config_path"] == place.server.config_path
    assert main["file_limits"] == {name: limit for name, limit in limits.items() if limit != resource.RLIM_INFINITY}
    assert main["open_files"] > 10
    assert main["jemalloc"].keys() == ({"loaded", "library"} if main["jemalloc"]["loaded"] else {"loaded"})
    assert main["environment"].keys() <= {"LD_PRELOAD", "PYTHONMALLOC"}
    assert re.match(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z$", main["started"])
    started = datetime.datetime.strptime(main["started"], "%Y-%m-%dT%H:%M:%S%z").timestamp()
    assert main["started_ts"] // 1000 == started
    assert main["unknown"] == []
    assert None not in main.values()
    return True


def _with_all_gathered(place: Place, processes: list[dict[str, t.Any]]) -> bool:
    [main] = processes
    assert main["metrics_url"] == re.sub("/metrics$", "/_synapse/metrics", place.server.metrics_url)
    assert (main["outdated_by"], main["changed_for_reload"], main["restart_required"]) == ([], [], False)
    return _as_it_is(place, processes)


def _answers(place: Place, server: dict[str, str]) -> bool:
    version = place.server.get("/_synapse/admin/v1/server_version")["server_version"]
    assert re.match("1[.][0-9]+[.]", version)
    return server == {"name": place.server.name, "version": version}


def _topics(place: Place) -> list[str]:
    return ["database_engine"] if place.server.engine == "sqlite" else []


def _sized_as_configured(processes: list[dict[str, t.Any]]) -> bool:
    caches = runtime.sized({"processes": processes}).values()
    assert len(caches) > 40
    assert not [cache["name"] for cache in caches if "base_size" not in cache]
    assert {cache["as_configured"] for cache in caches} == {True}
    assert {cache["factor"] for cache in caches} == {0.5}
    without = [cache for cache in processes[0]["caches"] if "max_size" not in cache]
    assert without
    assert all(cache.keys() <= {"name", "size", "lookups", "hits", "hit_ratio", "evicted"} for cache in without)
    return True


def _what_it_starts_with(place: Place, record: dict[str, t.Any]) -> bool:
    places = record["places"]
    assert len([path for path in places if re.search(r"/matrix_synapse-.*[.]dist-info/RECORD$", path)]) == 1
    assert places.keys() >= {*place.server.config_path, str(Path(place.server.directory, "log_config.yaml"))}
    return True


def _nothing_but_processes(place: Place, processes: list[dict[str, t.Any]]) -> bool:
    left_out = _without("caches", "metrics_url", "outdated_by", "changed_for_reload", "restart_required")
    return left_out(processes) and _as_it_is(place, processes)


def _none_judged(processes: list[dict[str, t.Any]]) -> bool:
    caches = processes[0]["caches"]
    return bool(caches) and not any("as_configured" in cache for cache in caches)


# Between two runs a server opens files and fills its caches.
_sees = functools.partial(
    Expectation,
    module=runtime.MODULE,
    prepare=_use,
    state=runtime.shown,
    changes=False,
    token=False,
    # Other Synapses can run in containers on the same machine.
    unpredictable=("processes", "restart_record", "host", "in_containers"),
)

EXPECTATIONS = (
    _sees(
        "a server as it was started",
        parameters=_look(),
        returns=lambda place: {
            "unknown": [],
            "server": functools.partial(_answers, place),
            "processes": functools.partial(_with_all_gathered, place),
            "advice": lambda advice: [one["topic"] for one in advice] == _topics(place),
            "restart_record": functools.partial(_what_it_starts_with, place),
            "cache_settings": {
                "global_factor": 0.5,
                "per_cache_factors": {},
                "event_cache_size": 10240,
                "cache_autotuning": {},
            },
        },
    ),
    _sees(
        "every cache with a size of its own, and that it is the configured one",
        parameters=_look(gather=["caches"]),
        returns=lambda place: {"unknown": [], "processes": _sized_as_configured},
    ),
    _sees(
        "only processes",
        parameters=_look(gather=[]),
        returns=lambda place: {
            "unknown": [],
            "processes": functools.partial(_nothing_but_processes, place),
        },
    ),
    _sees(
        "only freshness",
        parameters=_look(gather=["freshness"], synapse_python="/nonexistent/python"),
        returns=lambda place: {
            "unknown": [],
            "processes": lambda processes: (
                processes[0]["outdated_by"] == [] and _without("caches", "metrics_url")(processes)
            ),
        },
    ),
    _sees(
        "a server before its first recorded restart",
        parameters=lambda place: runtime.parameters(
            place, gather=["freshness"], restart_record=str(place.directory / "missing.json")
        ),
        returns=lambda place: {"unknown": [], "processes": lambda processes: processes[0]["outdated_by"] == []},
    ),
    _sees(
        "a Python that does not run",
        parameters=_look(synapse_python="/usr/bin/false"),
        returns=lambda place: {"unknown": _unknown("base_size", "/usr/bin/false"), "processes": _none_judged},
    ),
    _sees(
        "a Python that does not exist",
        parameters=_look(synapse_python="/nonexistent/python"),
        returns=lambda place: {
            "processes": _none_judged,
            "unknown": _unknown(
                "base_size",
                "/nonexistent/python cannot be run. No such file",
                f"synapse_python to the Python of Synapse. Process {runtime.pid(place.server)} ",
            ),
        },
    ),
    _sees(
        "a directory that the server was not started with",
        prepare=_empty,
        parameters=lambda place: _with_more(place, gather=[]),
        returns=lambda place: {
            "unknown": _unknown("config_path", "without --config-path .*/more[.]d"),
            "processes": lambda processes: (
                [each["name"] for each in processes[0]["unknown"]] == ["config_path"]
                and processes[0]["config_path"] == place.server.config_path
            ),
        },
    ),
    _sees(
        "another Synapse, which does not run",
        parameters=lambda place: runtime.parameters(
            place, config_path=[str(place.directory / "other.yaml")], gather=[]
        ),
        returns=lambda place: {"processes": [], "unknown": []},
    ),
    _sees(
        "only the server that answers",
        parameters=_look(gather=["server"]),
        returns=lambda place: {
            "unknown": [],
            "server": functools.partial(_answers, place),
            "processes": functools.partial(_nothing_but_processes, place),
        },
    ),
    _sees(
        "the server that answers, although there is no token",
        parameters=_look(gather=["server"], access_token_path="/nonexistent/token"),
        returns=lambda place: {"unknown": [], "server": functools.partial(_answers, place)},
    ),
    _sees(
        "the server that answers, although the token is not valid",
        parameters=_look(gather=["server"], access_token="no-token"),
        returns=lambda place: {"unknown": [], "server": functools.partial(_answers, place)},
    ),
    _sees(
        "the processes of a server that does not answer",
        parameters=_look(gather=["server"], base_url="http://127.0.0.1:1"),
        returns=lambda place: {
            "unknown": _unknown(
                "server", "GET http://127.0.0.1:1/.* failed: Connection refused", "Start Synapse, or set"
            ),
            "processes": functools.partial(_nothing_but_processes, place),
        },
    ),
)

_refused = functools.partial(Refusal, module=runtime.MODULE, state=runtime.shown, token=False)

REFUSALS = (
    _refused("a directory that does not exist", parameters=_with_more, message="/more[.]d does not exist"),
    _refused("no configuration", parameters=_look(config_path=[]), message="config_path is empty"),
    _refused("no time for the metrics", parameters=_look(metrics_timeout=0), message="^metrics_timeout is 0"),
    _refused("no time for the server", parameters=_look(timeout=0), message="^timeout is 0"),
    _refused(
        "what is not a URL", parameters=_look(base_url="ftp://example.org"), message="^base_url 'ftp://example.org'"
    ),
    _refused(
        "a value of gather that does not exist",
        parameters=_look(gather=["threads"]),
        message="value of gather must be one or more of: activity, .*, server[.] Got no match for: threads",
    ),
    _refused(
        "an interval that is too long",
        parameters=_look(rate_interval=61),
        message="^rate_interval is 61[.] Set it to a number from 1 to 60[.]$",
    ),
    _refused(
        "a threshold with a typing error",
        parameters=_look(advice_thresholds={"open_file_share": 0.5}),
        message="^advice_thresholds contains 'open_file_share', which is not a threshold[.] Did you mean open_files_",
    ),
    _refused(
        "a threshold that is text",
        parameters=_look(advice_thresholds={"open_files_share": "much"}),
        message="advice_thresholds.*open_files_share",
    ),
)


@pytest.mark.parametrize("case", named(EXPECTATIONS))
def test_seen(place: Place, case: Expectation) -> None:
    seen = prove(place, case)
    unknown = {one["name"] for one in seen["unknown"]}
    gathered = case.parameters(place).get("gather", [*_GATHERED])
    expected = {_GATHERED[word] for word in gathered} - unknown
    assert {*_GATHERED.values(), "processes"} & seen.keys() == expected | {"processes"}
    assert "null" not in re.findall(r"\w+", json.dumps(seen))


@pytest.mark.parametrize("case", named(REFUSALS))
def test_refused(place: Place, case: Refusal) -> None:
    prove_refusal(place, case)

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_runtime_info sees of a server that runs with the configuration that it has."""

from __future__ import annotations

import functools
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


def _use(place: Place) -> None:
    runtime.use(place.server, place.unique)


def _empty(place: Place) -> None:
    (place.directory / "more.d").mkdir()


def _look(**more: t.Any) -> t.Callable[[Place], dict[str, t.Any]]:
    return lambda place: runtime.parameters(place, **more)


def _with_more(place: Place, **more: t.Any) -> dict[str, t.Any]:
    paths = [*place.server.config_path, str(place.directory / "more.d")]
    return runtime.parameters(place, config_path=paths, **more)


def _unseen(what: str, why: str, mend: str = "") -> t.Callable[[list[dict[str, str]]], bool]:
    """Hold of what could not be found out if it is one thing, with a reason and its mend."""
    return lambda found: (
        [one["what"] for one in found] == [what]
        and bool(re.search(why, found[0]["why"]))
        and bool(re.search(mend, found[0]["mend"]))
    )


def _as_it_is(place: Place, processes: list[dict[str, t.Any]]) -> bool:
    [main] = processes
    limits = dict(zip(("soft", "hard"), resource.prlimit(main["pid"], resource.RLIMIT_NOFILE), strict=True))
    assert main["pid"] == runtime.pid(place.server)
    assert (main["name"], main["app"]) == ("main", "synapse.app.homeserver")
    assert main["user"] == pwd.getpwuid(os.geteuid()).pw_name
    assert main["config_path"] == place.server.config_path
    assert main["file_limits"] == {
        name: None if limit == resource.RLIM_INFINITY else limit for name, limit in limits.items()
    }
    assert main["open_files"] > 10
    assert isinstance(main["jemalloc"]["loaded"], bool)
    assert main["environment"].keys() <= {"LD_PRELOAD", "PYTHONMALLOC"}
    assert re.match(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z$", main["started_at"])
    assert main["unseen"] == []
    return True


def _with_all_gathered(place: Place, processes: list[dict[str, t.Any]]) -> bool:
    [main] = processes
    assert main["metrics_url"] == re.sub("/metrics$", "/_synapse/metrics", place.server.metrics_url)
    assert main["outdated_by"] == []
    return _as_it_is(place, processes)


def _sized_as_demanded(processes: list[dict[str, t.Any]]) -> bool:
    caches = runtime.sized({"processes": processes}).values()
    assert len(caches) > 40
    assert not [cache["name"] for cache in caches if cache["base_size"] is None]
    assert {cache["as_configured"] for cache in caches} == {True}
    assert {cache["factor"] for cache in caches} == {0.5}
    assert {cache["as_configured"] for cache in processes[0]["caches"] if cache["max_size"] is None} == {None}
    return True


def _what_it_starts_with(place: Place, record: dict[str, t.Any]) -> bool:
    places = record["places"]
    assert len([path for path in places if re.search(r"/matrix_synapse-.*[.]dist-info/RECORD$", path)]) == 1
    assert places.keys() >= {*place.server.config_path, str(Path(place.server.directory, "log_config.yaml"))}
    return True


def _nothing_but_processes(place: Place, processes: list[dict[str, t.Any]]) -> bool:
    gathered = {processes[0][name] for name in ("caches", "metrics_url", "outdated_by")}
    return gathered == {None} and _as_it_is(place, processes)


def _none_judged(processes: list[dict[str, t.Any]]) -> bool:
    return {cache["as_configured"] for cache in processes[0]["caches"]} == {None}


# Between two looks a server opens files and fills its caches.
_sees = functools.partial(
    Expectation,
    module=runtime.MODULE,
    prepare=_use,
    state=runtime.shown,
    changes=False,
    token=False,
    unpredictable=("processes", "started_with"),
)

EXPECTATIONS = (
    _sees(
        "a server as it was started",
        parameters=_look(),
        returns=lambda place: {
            "unseen": [],
            "processes": functools.partial(_with_all_gathered, place),
            "started_with": functools.partial(_what_it_starts_with, place),
            "settings": lambda settings: (
                (settings["global_factor"], settings["event_cache_size"]) == (0.5, 10240)
                and settings["per_cache_factors"] == {}
            ),
        },
    ),
    _sees(
        "every cache with a size of its own, and that it is the one that is demanded",
        parameters=_look(gather=["caches"]),
        returns=lambda place: {"unseen": [], "processes": _sized_as_demanded, "started_with": None},
    ),
    _sees(
        "processes alone",
        parameters=_look(gather=["processes"]),
        returns=lambda place: {
            "unseen": [],
            "processes": functools.partial(_nothing_but_processes, place),
            "settings": None,
            "started_with": None,
        },
    ),
    _sees(
        "freshness alone",
        parameters=_look(gather=["freshness"], synapse_python="/nonexistent/python"),
        returns=lambda place: {
            "unseen": [],
            "processes": lambda processes: (processes[0]["outdated_by"], processes[0]["caches"]) == ([], None),
            "settings": None,
        },
    ),
    _sees(
        "a server before its first restart that is noted",
        parameters=lambda place: runtime.parameters(
            place, gather=["freshness"], restart_record=str(place.directory / "missing.json")
        ),
        returns=lambda place: {"unseen": [], "processes": lambda processes: processes[0]["outdated_by"] == []},
    ),
    _sees(
        "a Python that does not run",
        parameters=_look(synapse_python="/usr/bin/false"),
        returns=lambda place: {"unseen": _unseen("base_size", "/usr/bin/false"), "processes": _none_judged},
    ),
    _sees(
        "a Python that is not there",
        parameters=_look(synapse_python="/nonexistent/python"),
        returns=lambda place: {
            "processes": _none_judged,
            "unseen": _unseen(
                "base_size",
                "/nonexistent/python cannot be run. No such file",
                f"synapse_python to the Python of Synapse. process {runtime.pid(place.server)} ",
            ),
        },
    ),
    _sees(
        "a directory that the server was not started with",
        prepare=_empty,
        parameters=lambda place: _with_more(place, gather=["processes"]),
        returns=lambda place: {
            "unseen": _unseen("config_path", "without --config-path .*/more[.]d"),
            "processes": lambda processes: (
                [each["what"] for each in processes[0]["unseen"]] == ["config_path"]
                and processes[0]["config_path"] == place.server.config_path
            ),
        },
    ),
    _sees(
        "another Synapse, which does not run",
        parameters=lambda place: runtime.parameters(
            place, config_path=[str(place.directory / "other.yaml")], gather=["processes"]
        ),
        returns=lambda place: {"processes": [], "unseen": [], "settings": None, "started_with": None},
    ),
)

_refused = functools.partial(Refusal, module=runtime.MODULE, state=runtime.shown, token=False)

REFUSALS = (
    _refused("a directory that is not there", parameters=_with_more, message="/more[.]d does not exist"),
    _refused("no configuration", parameters=_look(config_path=[]), message="config_path is empty"),
    _refused("no time", parameters=_look(timeout=0), message="timeout is 0"),
    _refused(
        "something that is not gathered",
        parameters=_look(gather=["memory"]),
        message="value of gather must be one or more of: .*processes.* Got no match for: memory",
    ),
)


@pytest.mark.parametrize("case", named(EXPECTATIONS))
def test_seen(place: Place, case: Expectation) -> None:
    prove(place, case)


@pytest.mark.parametrize("case", named(REFUSALS))
def test_refused(place: Place, case: Refusal) -> None:
    prove_refusal(place, case)

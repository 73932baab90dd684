# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_service_info returns for a running server that no unit has started, and for a bare host."""

from __future__ import annotations

import functools
import typing as t

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

MODULE = "synapse_service_info"
_KEYS = {
    "base_url",
    "unix_socket",
    "config_path",
    "database",
    "systemd",
    "has_python",
    "has_config",
    "has_config_directory",
    "installed",
    "units",
    "workers",
    "processes",
    "restart_record",
    "server",
    "paths",
    "unknown",
}
_UNIT, _WORKERS = "no-such-synapse.service", "no-such-worker@.service"


def _look(**more: t.Any) -> t.Callable[[Place], dict[str, t.Any]]:
    def parameters(place: Place) -> dict[str, t.Any]:
        where = {"working_directory": place.server.directory, "environment_files": []}
        return runtime.parameters(place, **{"unit": _UNIT, "worker_unit": _WORKERS, **where, **more})

    return parameters


def _service(**expected: t.Any) -> t.Callable[[Place], dict[str, t.Any]]:
    """Match these values of the service. A function must hold of the place and the value."""

    def found(place: Place, service: dict[str, t.Any]) -> bool:
        for name, value in expected.items():
            if callable(value):
                assert value(place, service[name]), (name, service[name])
            else:
                assert service[name] == value, (name, service[name])
        return True

    return lambda place: {"service": functools.partial(found, place)}


def _none_loaded(place: Place, units: list[dict[str, t.Any]]) -> bool:
    return [(unit["name"], unit["exists"]) for unit in units] == [(_UNIT, False), (_WORKERS, False)]


def _runs(place: Place, processes: list[dict[str, t.Any]]) -> bool:
    [main] = processes
    assert (main["name"], main["pid"]) == ("main", runtime.pid(place.server))
    assert (main["outdated_by"], main["restart_required"]) == ([], False)
    return "caches" not in main


def _starts_with(place: Place, record: dict[str, t.Any]) -> bool:
    return bool(record["places"].keys() >= {*place.server.config_path})


def _answers(place: Place, server: dict[str, str]) -> bool:
    version = place.server.get("/_synapse/admin/v1/server_version")["server_version"]
    return server == {"name": place.server.name, "version": version}


def _has_data(place: Place, database: dict[str, str]) -> bool:
    engine = "psycopg2" if place.server.engine == "postgresql" else "sqlite3"
    return database["engine"] == engine and bool(database["database"]) and "password" not in database


def _below(place: Place, paths: list[dict[str, t.Any]]) -> bool:
    written = [path["path"] for path in paths if path["written"]]
    return bool(written) and all(path.startswith("/") for path in written)


def _named(*names: str) -> t.Callable[[Place, list[dict[str, str]]], bool]:
    return lambda _place, unknown: [one["name"] for one in unknown] == [*names]


# Between two runs a server opens files, and the clock goes on.
_sees = functools.partial(
    Expectation,
    module=MODULE,
    prepare=lambda place: runtime.use(place.server, place.unique),
    state=runtime.shown,
    changes=False,
    token=False,
    unpredictable=("service.processes", "service.restart_record"),
)

EXPECTATIONS = (
    _sees(
        "a running server",
        parameters=_look(),
        returns=_service(
            has_python=True,
            has_config=True,
            has_config_directory=False,
            installed=True,
            units=_none_loaded,
            workers=[],
            processes=_runs,
            restart_record=_starts_with,
            server=_answers,
            database=_has_data,
            paths=_below,
            unknown=[],
        ),
    ),
    _sees(
        "a daemon",
        parameters=_look(manager="daemon"),
        returns=_service(units=[], workers=[], processes=_runs, unknown=[]),
    ),
    _sees(
        "a server without workers, with a directory of drop-ins",
        parameters=lambda place: _look(worker_unit="", config_directory=place.server.directory)(place),
        returns=_service(has_config_directory=True, units=lambda _place, units: len(units) == 1),
    ),
    _sees(
        "nothing is asked of the server with a token that cannot be read",
        parameters=_look(access_token_path="/nonexistent/token"),
        returns=_service(server=_answers, unknown=[]),
    ),
    _sees(
        "a server that does not answer",
        parameters=_look(base_url="http://127.0.0.1:1"),
        returns=_service(processes=_runs, server={}, unknown=_named("server")),
    ),
    _sees(
        "a bare host",
        parameters=_look(config_path=["/nonexistent/homeserver.yaml"], synapse_python="/nonexistent/python"),
        returns=_service(
            has_python=False,
            has_config=False,
            installed=False,
            processes=[],
            restart_record={},
            server={},
            database={},
            paths=[],
            unknown=[],
        ),
    ),
    _sees(
        "a directory that does not exist",
        parameters=lambda place: _look(
            config_path=[place.server.config_path[0], str(place.directory / "more.d")],
        )(place),
        returns=_service(
            paths=[], unknown=lambda _place, unknown: {"paths", "config_path"} <= {one["name"] for one in unknown}
        ),
    ),
    _sees(
        "a name that is not that of a unit",
        parameters=_look(manager="systemd", unit="*"),
        returns=_service(units=lambda _place, units: [unit["exists"] for unit in units] == [False, False]),
    ),
)

_refused = functools.partial(Refusal, module=MODULE, state=runtime.shown, token=False)

REFUSALS = (
    _refused("no configuration", parameters=_look(config_path=[]), message="config_path is empty"),
    _refused("no time for systemd", parameters=_look(metrics_timeout=0), message="^metrics_timeout is 0"),
    _refused("no time for the server", parameters=_look(timeout=0), message="^timeout is 0"),
    _refused(
        "what is not a URL", parameters=_look(base_url="ftp://example.org"), message="^base_url 'ftp://example.org'"
    ),
    _refused("another manager", parameters=_look(manager="runit"), message="value of manager must be one of: systemd"),
)


@pytest.mark.parametrize("case", named(EXPECTATIONS))
def test_seen(place: Place, case: Expectation) -> None:
    seen = prove(place, case)
    assert seen["service"].keys() == _KEYS


@pytest.mark.parametrize("case", named(REFUSALS))
def test_refused(place: Place, case: Refusal) -> None:
    prove_refusal(place, case)

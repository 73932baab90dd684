# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which destinations synapse_federation_info returns from the Admin API and from the database, and what it refuses."""

from __future__ import annotations

import dataclasses
import functools
import json
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.matrix_ops.synapse.tests.contract import meeting
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place, State
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    Parameters,
    Refusal,
    Result,
    named,
    prove,
    prove_refusal,
)
from ansible_collections.matrix_ops.synapse.tests.contract.server import Json, Server
from ansible_collections.matrix_ops.synapse.tests.contract.servers import ENGINES

_MODULE = "synapse_federation_info"
_SOURCES = ("admin_api", "database")
_HOUR = 3_600_000
# In 2096, and in the year 10000.
_LATER, _NEVER = 4_000_000_000_000, 253_402_300_800_000


def _fail(place: Place) -> None:
    meeting.fail_to_reach(place.server)


def _show_all(place: Place) -> State:
    return {"destinations": meeting.destinations(place.server)}


@dataclasses.dataclass(frozen=True)
class _Query:
    """The parameters, and the names of the destinations that must be returned."""

    name: str
    asked: t.Callable[[Place], Parameters]
    finds: t.Callable[[Place], t.Sequence[str]] = lambda place: ()


_QUERIES = (
    _Query("all", lambda place: {}, lambda place: (*meeting.DEAD, place.ids["other"])),
    _Query(
        "all with their rooms", lambda place: {"gather": ["rooms"]}, lambda place: (*meeting.DEAD, place.ids["other"])
    ),
    _Query("one", lambda place: {"destination": place.ids["other"]}, lambda place: (place.ids["other"],)),
    _Query(
        "one with its rooms",
        lambda place: {"destination": place.ids["other"], "gather": ["rooms"]},
        lambda place: (place.ids["other"],),
    ),
    _Query("a part of a name", lambda place: {"destination": "localhost"}),
    _Query("a name in other letters", lambda place: {"destination": "LOCALHOST:1"}),
    _Query("a pattern", lambda place: {"destination": "%"}),
    _Query("the server itself", lambda place: {"destination": place.server.name}),
    _Query("those that cannot be reached", lambda place: {"failing": True}, lambda place: meeting.DEAD),
    _Query("the others", lambda place: {"failing": False}, lambda place: (place.ids["other"],)),
    _Query(
        "one that cannot be reached",
        lambda place: {"destination": meeting.DEAD[0], "failing": True},
        lambda place: (meeting.DEAD[0],),
    ),
    _Query(
        "one that cannot be reached, among the others",
        lambda place: {"destination": meeting.DEAD[0], "failing": False},
    ),
    _Query(
        "one that can be reached, among those that cannot",
        lambda place: {"destination": place.ids["other"], "failing": True},
    ),
    _Query(
        "rooms of those that cannot be reached",
        lambda place: {"failing": True, "gather": ["rooms"]},
        lambda place: meeting.DEAD,
    ),
)


def _noted(place: Place) -> str:
    return f"{place.unique}.dead.test"


def _describe(retry_state: str, **shown: t.Any) -> t.Callable[[Place], Json]:
    """What is returned for the destination of a case; nothing was delivered to it."""
    return lambda place: {"destination": _noted(place), "retry_state": retry_state, **shown}


@dataclasses.dataclass(frozen=True)
class _Row:
    """What the database contains for a destination, and how it is returned."""

    name: str
    tried: int
    interval: int
    failing_since: int | None
    shown: t.Callable[[Place], Json]


_ROWS = (
    _Row(
        "a destination whose backoff is over",
        2 * _HOUR,
        _HOUR,
        _HOUR,
        _describe(
            "retry_due",
            failing_since="1970-01-01T01:00:00Z",
            failing_since_ts=_HOUR,
            last_attempt="1970-01-01T02:00:00Z",
            last_attempt_ts=2 * _HOUR,
            next_attempt="1970-01-01T03:00:00Z",
            next_attempt_ts=3 * _HOUR,
            retry_interval_ms=_HOUR,
        ),
    ),
    _Row(
        "a destination that is tried again after the year 9999",
        _LATER,
        _NEVER,
        None,
        _describe(
            "backing_off",
            last_attempt="2096-10-02T07:06:40Z",
            last_attempt_ts=_LATER,
            next_attempt_ts=_LATER + _NEVER,
            retry_interval_ms=_NEVER,
        ),
    ),
    _Row(
        "a destination that was reached again",
        0,
        0,
        None,
        _describe("ok"),
    ),
)


def _configuration(name: str, content: t.Callable[[Place], Json], place: Place, *, alone: bool = False) -> list[str]:
    """Write a configuration and return the paths for config_path: after those of the server, or `alone`."""
    path = place.directory / f"{name}.yaml"
    path.write_text(json.dumps(content(place)))
    return [str(path)] if alone else [*place.server.config_path, str(path)]


def _unreachable(_place: Place) -> Json:
    return {"database": {"name": "psycopg2", "args": {"host": "127.0.0.1", "port": 1, "dbname": "x"}}}


def _ask(**asked: t.Any) -> t.Callable[[Place], Parameters]:
    return lambda place: asked


_refusal = functools.partial(Refusal, module=_MODULE, state=_show_all)

_REFUSALS = (
    _refusal(
        "an unreachable server",
        parameters=_ask(base_url="http://127.0.0.1:1"),
        message=r"failed: Connection refused\. Check that Synapse runs",
    ),
    _refusal(
        "a wrong token",
        parameters=_ask(access_token="not_a_token"),
        message="401 M_UNKNOWN_TOKEN.*synapse_access_token",
    ),
    _refusal(
        "the token of a user who is not an admin",
        parameters=lambda place: {"access_token": place.server.user_token},
        message="not a server admin.*token of a server admin",
    ),
    _refusal(
        "the database, without a configuration at the default path",
        parameters=_ask(source="database"),
        message=r"/etc/matrix-synapse/homeserver\.yaml does not exist on this host",
    ),
    _refusal(
        "a configuration that does not exist",
        parameters=lambda place: {"source": "database", "config_path": [str(place.directory / "missing.yaml")]},
        message=r"missing\.yaml does not exist on this host",
    ),
    _refusal(
        "a configuration that names no database",
        parameters=lambda place: {
            "source": "database",
            "config_path": _configuration(
                "nothing", lambda place: {"server_name": place.server.name}, place, alone=True
            ),
        },
        message=r"No database is set in .*nothing\.yaml",
    ),
    _refusal(
        "a configuration that names no server",
        parameters=lambda place: {
            "source": "database",
            "config_path": _configuration("nameless", _unreachable, place, alone=True),
        },
        message=r"server_name is not set in .*nameless\.yaml: is this Synapse.s configuration",
    ),
    _refusal(
        "an unknown source",
        parameters=_ask(source="api"),
        message="value of source must be one of: admin_api, database, got: api",
    ),
    _refusal(
        "something unknown to gather",
        parameters=_ask(gather=["talking_to", "everything"]),
        message="value of gather must be one or more of: rooms, talking_to, ever_federated.*everything",
    ),
    _refusal(
        "a database that does not answer",
        parameters=lambda place: {
            "source": "database",
            "config_path": _configuration("unreachable", _unreachable, place),
        },
        message=r"PostgreSQL database x at 127\.0\.0\.1 cannot be reached",
    ),
    _refusal("a value that is not a boolean", parameters=_ask(failing="perhaps"), message="failing.*bool"),
)


def _database_of(server: Server) -> Json:
    configuration = yaml.safe_load(Path(server.config_path[0]).read_text())
    return t.cast("Json", configuration["database"])


def _make_powerless(place: Place) -> None:
    """Create a PostgreSQL role without any privileges."""
    place.server.write(f"CREATE ROLE {place.unique} LOGIN PASSWORD '{place.unique}'")


def _as_powerless(place: Place) -> Json:
    database = _database_of(place.server)
    reached = {name: database["args"][name] for name in ("host", "port")}
    named_in = {key: database["args"][key] for key in ("dbname", "database") if key in database["args"]}
    return {
        "database": {**database, "args": {**reached, **named_in, "user": place.unique, "password": place.unique}},
    }


_POWERLESS = _refusal(
    "a role without privileges",
    prepare=_make_powerless,
    parameters=lambda place: {"source": "database", "config_path": _configuration("powerless", _as_powerless, place)},
    message="refused a query: permission denied for table destinations",
)


@pytest.mark.parametrize("source", _SOURCES)
@pytest.mark.parametrize("query", [pytest.param(query, id=query.name) for query in _QUERIES])
def test_found(met: Place, query: _Query, source: str) -> None:
    asked = {"source": source, "config_path": met.server.config_path, **query.asked(met)}
    expected = sorted(query.finds(met))
    found = prove(
        met,
        Expectation(
            query.name,
            _MODULE,
            prepare=_fail,
            parameters=lambda place: asked,
            changes=False,
            state=_show_all,
            returns=lambda place: {"summary": {"total": len(expected)}, "unknown": [], "source": source},
        ),
    )
    assert [row["destination"] for row in found["destinations"]] == expected
    assert not {"talking_to", "ever_federated"} & set(found)
    assert [row for row in found["destinations"] if "rooms" in row] == (
        found["destinations"] if "gather" in asked else []
    )


@pytest.mark.parametrize("source", _SOURCES)
@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in _ROWS])
def test_described(place: Place, row: _Row, source: str) -> None:
    columns = {"retry_last_ts": row.tried, "retry_interval": row.interval, "failure_ts": row.failing_since}
    meeting.note(place.server, _noted(place), **columns)
    asked = {
        "source": source,
        "config_path": place.server.config_path,
        "destination": _noted(place),
        "gather": ["rooms"],
    }
    found = prove(
        place,
        Expectation(
            row.name,
            _MODULE,
            parameters=lambda place: asked,
            changes=False,
            state=lambda place: meeting.destination(place.server, _noted(place)),
        ),
    )
    assert found["destinations"] == [{**row.shown(place), "rooms": []}]


def test_relative_path(pair: list[Server], tmp_path: Path) -> None:
    """The path of an SQLite database may be relative to the working directory of Synapse."""
    place = meeting.at_met(pair, ENGINES.index("sqlite"), tmp_path)
    database = _database_of(place.server)
    relative = {"name": "sqlite3", "args": {"database": Path(database["args"]["database"]).name}}
    paths = _configuration("relative", lambda place: {"database": relative}, place)
    asked: Parameters = {"source": "database", "config_path": paths, "destination": place.ids["other"]}

    def ask(**more: t.Any) -> Result:
        case = Expectation("relative", _MODULE, parameters=lambda place: {**asked, **more}, changes=False)
        return prove(place, case)

    assert ask(working_directory=place.server.directory)["summary"] == {"total": 1}
    prove_refusal(
        place,
        _refusal(
            "elsewhere",
            parameters=lambda place: {**asked, "working_directory": str(tmp_path)},
            message=r"homeserver\.db does not exist\. Check that Synapse uses",
        ),
    )


@pytest.mark.parametrize("case", named(_REFUSALS))
def test_refused(met: Place, case: Refusal) -> None:
    args = _database_of(met.server)["args"]
    prove_refusal(met, dataclasses.replace(case, secrets=(args["password"],) if "password" in args else ()))


def test_powerless(pair: list[Server], tmp_path: Path) -> None:
    """Only PostgreSQL has roles."""
    place = meeting.at_met(pair, ENGINES.index("postgresql"), tmp_path)
    password = _database_of(place.server)["args"]["password"]
    prove_refusal(place, dataclasses.replace(_POWERLESS, secrets=(password,)))

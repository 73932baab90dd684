# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_database_info refuses."""

from __future__ import annotations

import dataclasses
import json
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.database_rows import make_stranger
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Parameters, Refusal, named, prove_refusal
from ansible_collections.matrix_ops.synapse.tests.contract.server import Json

_MODULE = "synapse_database_info"
_API = {"source": "admin_api"}
_NO_PRIVILEGES = (
    r"permission denied for table state_groups_state\. Grant the database user in .*/stranger\.yaml the priv"
)


def _password(place: Place) -> str:
    """A wrong password, or that of the user with few privileges."""
    return f"{place.unique}-password"


def _sqlite(path: str) -> Json:
    return {"database": {"name": "sqlite3", "args": {"database": path}}}


def _postgresql(place: Place, **changed: t.Any) -> Json:
    arguments = {key: value for key, value in place.server.database.items() if key != "name"}
    return {"database": {"name": "psycopg2", "args": {**arguments, **changed}}}


# Additional configuration files, each with a different database.
_CONFIGURATIONS: dict[str, t.Callable[[Place], Json]] = {
    "relative": lambda place: _sqlite("homeserver.db"),
    "missing": lambda place: _sqlite("/nonexistent.db"),
    "empty": lambda place: _sqlite(str(place.directory / "empty.db")),
    "unreachable": lambda place: {
        "database": {"name": "psycopg2", "args": {"host": "127.0.0.1", "port": 1, "dbname": "x"}}
    },
    "strange": lambda place: {"database": {"name": "mysql", "args": {}}},
    "stranger": lambda place: _postgresql(place, user=place.unique, password=_password(place)),
    "pool": lambda place: {"database": {"args": {"cp_max": 30}}},
    "wrong_password": lambda place: _postgresql(place, password=_password(place)),
}


def _prepare(place: Place) -> None:
    for name, content in _CONFIGURATIONS.items():
        (place.directory / f"{name}.yaml").write_text(json.dumps(content(place)))
    (place.directory / "empty.db").touch()


def _with_stranger(place: Place) -> None:
    _prepare(place)
    make_stranger(place.server, place.unique, _password(place))


def _refusal(
    name: str,
    message: str,
    *,
    configuration: str | None = None,
    prepare: t.Callable[[Place], None] = _prepare,
    asked: t.Callable[[Place], Parameters] | None = None,
    **parameters: t.Any,
) -> Refusal:
    def given(place: Place) -> Parameters:
        own = [str(place.directory / f"{configuration}.yaml")] if configuration else []
        return {
            "config_path": [*place.server.config_path, *own],
            **parameters,
            **(asked(place) if asked else {}),
        }

    return Refusal(name, _MODULE, given, message, prepare=prepare)


REFUSALS = (
    _refusal("no tables", "table_limit must be greater than 0, not 0", table_limit=0),
    _refusal("no indexes", "index_limit must be greater than 0, not -1", index_limit=-1),
    _refusal(
        "no rooms",
        r"biggest_rooms\.limit must be greater than 0, not 0",
        biggest_rooms={"mode": "exact", "limit": 0},
    ),
    _refusal("no time", "statement_timeout must be greater than 0", statement_timeout=0),
    _refusal(
        "a sample of one block",
        "sample_blocks must be between 2 and 100000, not 1",
        biggest_rooms={"mode": "estimate", "sample_blocks": 1},
    ),
    _refusal(
        "a sample of too many blocks",
        "sample_blocks must be between 2 and 100000, not 100001",
        biggest_rooms={"mode": "estimate", "sample_blocks": 100_001},
    ),
    _refusal(
        "the biggest rooms without a mode",
        "source is database but all of the following are missing: mode found in biggest_rooms",
        biggest_rooms={"seed": 1},
    ),
    _refusal(
        "an unknown mode",
        "must be one of: exact, estimate, got: guess",
        biggest_rooms={"mode": "guess"},
    ),
    _refusal(
        "an unknown source",
        "must be one of: database, admin_api, got: api",
        biggest_rooms={"source": "api"},
    ),
    _refusal(
        "a mode for the Admin API",
        r"biggest_rooms\.mode cannot be used with source: admin_api\. Remove it",
        biggest_rooms={"source": "admin_api", "mode": "exact"},
    ),
    _refusal("a wrong token", "401 M_UNKNOWN_TOKEN", access_token="not_a_token", biggest_rooms=_API),
    _refusal(
        "the token of a user who is not an admin",
        "not a server admin.*token of a server admin",
        asked=lambda place: {"access_token": place.server.user_token, "biggest_rooms": _API},
    ),
    _refusal(
        "a server that does not answer",
        r"failed: Connection refused\. Check that Synapse runs",
        base_url="http://127.0.0.1:1",
        biggest_rooms=_API,
    ),
    _refusal("a database that does not exist", "/nonexistent.db does not exist", configuration="missing"),
    _refusal(
        "a database that is not the one of Synapse",
        "/empty.db refused a query: no such table: schema_version",
        configuration="empty",
    ),
    _refusal(
        "a database at a relative path",
        r"homeserver\.db in .*/relative\.yaml has a relative path\. Set working_directory",
        configuration="relative",
    ),
    _refusal(
        "a database that is not in the working directory",
        r"homeserver\.db does not exist\. Check that Synapse uses the configuration .*/relative\.yaml",
        configuration="relative",
        asked=lambda place: {"working_directory": str(place.directory)},
    ),
    _refusal(
        "a file that replaces the whole database",
        r"database in .*/pool\.yaml has no name, without which Synapse does not start\. .*/pool\.yaml replaces the"
        r" whole database block of .*/homeserver\.yaml, so that database\..* of it have no effect\. Write the complete"
        r" block in .*/pool\.yaml, or remove database there\.",
        configuration="pool",
    ),
    _refusal(
        "a database without a server",
        "database x at 127.0.0.1 cannot be reached: .*Connection refused.*Check that PostgreSQL runs",
        configuration="unreachable",
    ),
    _refusal(
        "a database that Synapse does not support",
        "has the name 'mysql', but Synapse only supports sqlite3 and psycopg2",
        configuration="strange",
    ),
    _refusal(
        "a configuration that does not exist",
        "nonexistent.yaml does not exist",
        asked=lambda place: {"config_path": ["/nonexistent.yaml"]},
    ),
)

SQLITE_REFUSALS = (
    _refusal(
        "an estimate",
        r"needs PostgreSQL, but Synapse uses the SQLite database .*/homeserver\.db\. Set biggest_rooms\.mode",
        biggest_rooms={"mode": "estimate"},
    ),
)

POSTGRESQL_REFUSALS = (
    _refusal(
        "a count by a user without privileges",
        _NO_PRIVILEGES,
        configuration="stranger",
        prepare=_with_stranger,
        biggest_rooms={"mode": "exact"},
    ),
    _refusal(
        "an estimate by a user without privileges",
        _NO_PRIVILEGES,
        configuration="stranger",
        prepare=_with_stranger,
        biggest_rooms={"mode": "estimate"},
    ),
    _refusal(
        "a wrong password",
        "cannot be reached: .*password authentication failed.*Check the password in .*/wrong_password.yaml",
        configuration="wrong_password",
    ),
)


def _prove_without_passwords(place: Place, case: Refusal) -> None:
    passwords = (
        _password(place),
        *([place.server.database["password"]] if place.server.engine == "postgresql" else []),
    )
    prove_refusal(place, dataclasses.replace(case, secrets=passwords))


@pytest.mark.parametrize("case", named(REFUSALS))
def test_refused(place: Place, case: Refusal) -> None:
    _prove_without_passwords(place, case)


@pytest.mark.parametrize("server", ["sqlite"], indirect=True)
@pytest.mark.parametrize("case", named(SQLITE_REFUSALS))
def test_refused_with_sqlite(place: Place, case: Refusal) -> None:
    _prove_without_passwords(place, case)


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
@pytest.mark.parametrize("case", named(POSTGRESQL_REFUSALS))
def test_refused_with_postgresql(place: Place, case: Refusal) -> None:
    _prove_without_passwords(place, case)

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_admin_user_info refuses, and a database with a relative path."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import re
import tempfile
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    Parameters,
    Refusal,
    named,
    prove,
    prove_refusal,
)

# Configurations that do not work. {directory} is the directory of the case.
_CONFIGURATIONS = {
    "nameless": "database: {name: sqlite3, args: {database: /nonexistent.db}}\n",
    "broken": "server_name: [\n",
    "relative": "database: {name: sqlite3, args: {database: homeserver.db}}\n",
    "unreachable": "database: {name: psycopg2, args: {host: 127.0.0.1, port: 1, dbname: x}}\n",
    "empty": "database: {name: sqlite3, args: {database: '{directory}/empty.db'}}\n",
}
_NOBODY = 65534


def _path(place: Place, name: str) -> str:
    return str(place.directory / f"{name}.yaml")


def _write(name: str) -> t.Callable[[Place], None]:
    def write(place: Place) -> None:
        text = _CONFIGURATIONS[name].replace("{directory}", str(place.directory))
        (place.directory / f"{name}.yaml").write_text(text)
        (place.directory / "empty.db").touch()

    return write


def _reading(name: str, **more: t.Any) -> t.Callable[[Place], Parameters]:
    """Read the database of this configuration only."""
    return lambda place: {"source": "database", "config_path": [_path(place, name)], **more}


def _reading_after_the_servers(name: str, **more: t.Any) -> t.Callable[[Place], Parameters]:
    """Read the database of this configuration, which replaces the database of the server's configuration."""
    return lambda place: {"source": "database", "config_path": [*place.server.config_path, _path(place, name)], **more}


def _of_another_server(place: Place) -> str:
    return rf"of the server other\.test, but this server is {re.escape(place.server.name)}"


_refusal = functools.partial(Refusal, module="synapse_admin_user_info")

REFUSALS = (
    _refusal(
        "a wrong token",
        parameters=lambda place: {"access_token": "not_a_token"},
        message="401 M_UNKNOWN_TOKEN.*synapse_access_token",
    ),
    _refusal(
        "the token of an account that is not an admin",
        parameters=lambda place: {"access_token": place.server.user_token},
        message="not a server admin.*token of a server admin",
    ),
    _refusal(
        "no token",
        parameters=lambda place: {},
        token=False,
        message="401 M_MISSING_TOKEN.*Set access_token or access_token_path",
    ),
    _refusal(
        "an account of another server",
        parameters=lambda place: {"user_id": "@alice:other.test"},
        message=_of_another_server,
    ),
    _refusal(
        "an account of another server, in the database",
        parameters=lambda place: {
            "user_id": "@alice:other.test",
            "source": "database",
            "config_path": place.server.config_path,
        },
        message=_of_another_server,
    ),
    _refusal(
        "an unreachable server",
        parameters=lambda place: {"base_url": "http://127.0.0.1:1"},
        message=r"failed: Connection refused\. Check that Synapse runs",
    ),
    _refusal(
        "a user ID that is not valid",
        parameters=lambda place: {"user_id": "al ice"},
        message="white space",
    ),
    _refusal(
        "a user ID that is not valid, in the database",
        parameters=lambda place: {"user_id": "al ice", "source": "database", "config_path": place.server.config_path},
        message="white space",
    ),
    _refusal(
        "an empty user ID",
        parameters=lambda place: {"user_id": ""},
        message="is not a user ID",
    ),
    _refusal(
        "a configuration that does not exist",
        parameters=_reading("missing"),
        message="/missing.yaml does not exist",
    ),
    _refusal(
        "a configuration that is not YAML",
        prepare=_write("broken"),
        parameters=_reading("broken"),
        message="/broken.yaml is not valid YAML",
    ),
    _refusal(
        "a configuration without a database",
        parameters=lambda place: {"source": "database", "config_path": [place.server.config_path[1]]},
        message="No database is set in .*conf.d/",
    ),
    _refusal(
        "a configuration without the server's name",
        prepare=_write("empty"),
        parameters=_reading("empty"),
        message="server_name is not set in .*/empty.yaml",
    ),
    _refusal(
        "a database that does not exist",
        prepare=_write("nameless"),
        parameters=_reading("nameless"),
        message="/nonexistent.db does not exist",
    ),
    _refusal(
        "a database that is not Synapse's",
        prepare=_write("empty"),
        parameters=_reading_after_the_servers("empty"),
        message="/empty.db refused a query: no such table: users",
    ),
    _refusal(
        "a database at a relative path",
        prepare=_write("relative"),
        parameters=_reading_after_the_servers("relative"),
        message="homeserver.db in .*/relative.yaml has a relative path.*working_directory",
    ),
    _refusal(
        "a database at a relative path, in a directory where it is not",
        prepare=_write("relative"),
        parameters=lambda place: _reading_after_the_servers("relative", working_directory=str(place.directory))(place),
        message="/homeserver.db does not exist",
    ),
    _refusal(
        "a database that is not reachable",
        prepare=_write("unreachable"),
        parameters=_reading_after_the_servers("unreachable"),
        message="database x at 127.0.0.1 cannot be reached: .*Connection refused.*Check that PostgreSQL runs",
    ),
)


@pytest.mark.parametrize("case", named(REFUSALS))
def test_refused(place: Place, case: Refusal) -> None:
    homeserver = yaml.safe_load(Path(place.server.config_path[0]).read_text())
    passwords = [str(value) for name, value in homeserver["database"]["args"].items() if name == "password"]
    prove_refusal(place, dataclasses.replace(case, secrets=tuple(passwords)))


@contextlib.contextmanager
def _without_rights() -> t.Iterator[None]:
    """Run as another user than root, who cannot read every file. Other users stay the same."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_configuration_that_cannot_be_read(place: Place) -> None:
    with tempfile.TemporaryDirectory() as directory:
        # Only root can enter the directory of the case.
        Path(directory).chmod(0o711)
        closed = Path(directory) / "closed.yaml"
        closed.write_text("server_name: closed.test\n")
        closed.chmod(0)
        case = _refusal(
            "a configuration that cannot be read",
            parameters=lambda place: {"source": "database", "config_path": [str(closed)]},
            message="/closed.yaml cannot be read by this user.*become",
        )
        with _without_rights():
            prove_refusal(place, case)


@pytest.mark.parametrize("server", ["sqlite"], indirect=True)
def test_a_database_by_the_directory_that_the_server_runs_in(place: Place) -> None:
    """PostgreSQL has no such path."""
    case = Expectation(
        "by a relative path",
        "synapse_admin_user_info",
        lambda place: {
            **_reading_after_the_servers("relative")(place),
            "working_directory": place.server.directory,
            "user_id": f"{place.unique}-alice",
        },
        prepare=_write_and_make_alice,
        changes=False,
        token=False,
        returns=lambda place: {
            "users": lambda rows: [row["display_name"] for row in rows] == ["Alice"],
            "summary": {"total": 1},
        },
    )
    found = prove(place, case)["users"][0]
    [listed] = place.server.get(f"/_synapse/admin/v3/users?user_id={place.user('alice')}")["users"]
    assert {name: found[name] for name in ("user_id", "created_ts", "admin", "deactivated")} == {
        "user_id": listed["name"],
        "created_ts": listed["creation_ts"],
        **{name: listed[name] for name in ("admin", "deactivated")},
    }


def _write_and_make_alice(place: Place) -> None:
    _write("relative")(place)
    place.server.make_account(f"{place.unique}-alice", displayname="Alice")

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import DatabaseSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.postgresql_programs import (
    connection_string,
    creation_command,
    environment_of,
    find_program,
    without_password,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError, InvalidInput


def _settings(**arguments: t.Any) -> DatabaseSettings:
    return DatabaseSettings("psycopg2", arguments, "/etc/homeserver.yaml")


@pytest.fixture(name="directories")
def install(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for version in (14, 15, 17):
        directory = tmp_path / str(version) / "bin"
        directory.mkdir(parents=True)
        (directory / "pg_dump").write_text("")
        (directory / "pg_dump").chmod(0o700)
    monkeypatch.setenv("PATH", "/nowhere")
    return str(tmp_path / "*" / "bin")


def _version(arguments: t.Sequence[str], _timeout: float) -> Completed:
    version = arguments[0].split("/")[-3]
    return Completed(0, f"pg_dump (PostgreSQL) {version}.2 (Debian {version}.2-1)\n", "")


@pytest.mark.parametrize(("server", "chosen"), [(9, 14), (14, 14), (15, 15), (16, 17), (17, 17)])
def test_the_oldest_that_is_new_enough(directories: str, server: int, chosen: int) -> None:
    found = find_program("pg_dump", server, directories=directories, run=_version)
    assert found.major == chosen
    assert f"/{chosen}/bin/pg_dump" in found.path


def test_all_are_too_old(directories: str) -> None:
    with pytest.raises(InvalidInput, match="is of PostgreSQL 17, and too old for the server, .* postgresql-client-18"):
        find_program("pg_dump", 18, directories=directories, run=_version)


def test_none_is_installed(directories: str) -> None:
    with pytest.raises(InvalidInput, match="pg_restore of PostgreSQL is not installed.* postgresql-client-15"):
        find_program("pg_restore", 15, directories=directories, run=_version)


def test_a_program_that_does_not_tell_its_version_is_left_out(directories: str) -> None:
    with pytest.raises(InvalidInput, match="is not installed"):
        find_program("pg_dump", 14, directories=directories, run=lambda _arguments, _timeout: Completed(1, "", "x"))


def test_the_password_is_only_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "elsewhere")
    settings = _settings(
        database="syn'apse", user="synapse", password="secret word", host="/run", port=5433, sslmode=None
    )
    text = connection_string(settings)
    assert text == r"dbname='syn\'apse' user='synapse' host='/run' port='5433'"
    environment = environment_of(settings)
    assert environment["PGPASSWORD"] == "secret word"
    assert not {"PGHOST", "HOME"} & set(environment)
    assert "PGPASSWORD" not in environment_of(_settings(user="synapse"))
    assert connection_string(settings, dbname="other").startswith("dbname='other'")
    assert without_password("no secret word here", settings) == "no ******** here"


def test_a_secret_that_cannot_be_hidden_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="sslpassword"):
        connection_string(_settings(sslpassword="x"))


def test_names_of_a_database_and_its_owner_decide_no_command() -> None:
    options = "createdb --encoding=UTF8 --locale=C --template=template0"
    assert creation_command("synapse", "synapse_user") == f"{options} --owner=synapse_user synapse"
    assert creation_command("a b", "o'c; rm") == f"""{options} --owner='o'"'"'c; rm' 'a b'"""

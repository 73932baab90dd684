# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import stat
import typing as t

import pytest
import yaml

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import DatabaseSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.declared import DeclaredMigration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.switch import (
    Switch,
    is_target,
    port_configuration,
    read_present,
    trusted_users,
)


@pytest.fixture
def declared(tmp_path: pathlib.Path) -> DeclaredMigration:
    main = {
        "server_name": "example.org",
        "database": {"name": "sqlite3", "args": {"database": str(tmp_path / "homeserver.db")}},
        "signing_key_path": str(tmp_path / "signing.key"),
    }
    (tmp_path / "homeserver.yaml").write_text(yaml.safe_dump(main))
    (tmp_path / "conf.d").mkdir(mode=0o755)
    tmp_path.chmod(0o755)
    return DeclaredMigration(
        config_path=(str(tmp_path / "homeserver.yaml"), str(tmp_path / "conf.d")),
        synapse_python="/usr/bin/python3",
        login_host="localhost",
        login_port=5432,
        login_db="synapse",
        login_user="matrix",
        login_password="a secret",
        cp_min=5,
        cp_max=10,
        working_directory=str(tmp_path),
    )


def changed(declared: DeclaredMigration, **settings: t.Any) -> DeclaredMigration:
    path = pathlib.Path(declared.config_path[0])
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **settings}))
    return declared


def test_the_present_database(declared: DeclaredMigration, tmp_path: pathlib.Path) -> None:
    found = read_present(declared)
    assert found.uses_sqlite
    assert found.database.arguments == {"database": str(tmp_path / "homeserver.db")}


def test_several_databases_are_refused(declared: DeclaredMigration) -> None:
    with pytest.raises(ConfigurationError, match=r"sets databases, and .* only supports one database"):
        read_present(changed(declared, database=None, databases={"main": {"name": "sqlite3"}}))


def test_the_configuration_of_a_worker_is_refused(declared: DeclaredMigration) -> None:
    with pytest.raises(ConfigurationError, match="is the configuration of a worker"):
        read_present(changed(declared, worker_app="synapse.app.generic_worker"))


@pytest.mark.parametrize(
    ("arguments", "same"),
    [
        ({"host": "localhost", "port": 5432, "dbname": "synapse", "user": "other"}, True),
        ({"host": "localhost", "port": "5432", "database": "synapse"}, True),
        ({"host": "localhost", "dbname": "synapse"}, True),
        ({"host": "localhost", "port": 5433, "dbname": "synapse"}, False),
        ({"host": "localhost", "port": "5432,5433", "dbname": "synapse"}, False),
        ({"dbname": "synapse"}, False),
        ({"host": "localhost", "dbname": "other"}, False),
    ],
)
def test_which_database_is_the_target(declared: DeclaredMigration, arguments: dict[str, t.Any], same: bool) -> None:
    assert is_target(DatabaseSettings("psycopg2", arguments, "homeserver.yaml"), declared) is same


def test_the_configuration_of_the_program(declared: DeclaredMigration) -> None:
    settings = {
        "server_name": "example.org",
        "database_path": "/old",
        "database": {"name": "sqlite3"},
        "background_updates": {"sleep_enabled": True, "sleep_duration_ms": 1000},
    }
    found = port_configuration(Configuration((ConfigurationFile("/etc/synapse/homeserver.yaml", settings),)), declared)
    assert found["database"]["args"]["password"] == "a secret"
    # The next run ends what is left of it if it is killed.
    assert found["database"]["args"]["application_name"] == declared.target.arguments["application_name"]
    assert found["database"]["name"] == "psycopg2"
    assert "database_path" not in found
    # Synapse would look for it in the directory of its last file.
    assert found["signing_key_path"] == "/etc/synapse/example.org.signing.key"
    assert found["background_updates"] == {"sleep_enabled": True, "sleep_duration_ms": 1}
    assert settings["background_updates"] == {"sleep_enabled": True, "sleep_duration_ms": 1000}


@pytest.mark.parametrize("before", [None, "# Written by hand.\ndatabase: {}\n"])
def test_the_drop_in_is_restored(declared: DeclaredMigration, before: str | None) -> None:
    path = pathlib.Path(declared.dropin)
    if before:
        path.write_text(before)
        path.chmod(0o640)
    switch = Switch(declared, os.geteuid(), trusted_users(declared, os.geteuid()))
    present = switch.present()
    assert bool(present) is bool(before)
    path.write_text("database: {name: psycopg2}\n")
    switch.restore(present)
    if before:
        assert path.read_text() == before
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    else:
        assert not path.exists()
    switch.restore(present)

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import pathlib
import shlex
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._migration.declared import (
    APPLICATION,
    DeclaredMigration,
)


def declared(**changed: t.Any) -> DeclaredMigration:
    values: dict[str, t.Any] = {
        "config_path": ("/etc/matrix-synapse/homeserver.yaml",),
        "synapse_python": "/usr/bin/python3",
        "login_host": "localhost",
        "login_port": 5432,
        "login_db": "synapse",
        "login_user": "matrix",
        "login_password": "a secret",
        "cp_min": 5,
        "cp_max": 10,
    }
    return DeclaredMigration(**{**values, **changed})


def test_the_settings_of_the_drop_in_are_those_of_the_role() -> None:
    database = declared().settings["database"]
    assert list(database) == ["name", "args"]
    assert list(database["args"].items()) == [
        ("host", "localhost"),
        ("port", 5432),
        ("dbname", "synapse"),
        ("user", "matrix"),
        ("cp_min", 5),
        ("cp_max", 10),
    ]
    assert declared().secrets == {"database": {"args": {"password": "a secret"}}}


def test_without_a_password_there_is_no_secret() -> None:
    without = declared(login_password="")
    assert without.secrets == {}
    connected = {"host": "localhost", "port": 5432, "dbname": "synapse", "user": "matrix"}
    assert without.target.arguments == {**connected, "application_name": APPLICATION}
    # Synapse's own sessions do not have this name: they are never ended.
    assert "application_name" not in without.settings["database"]["args"]


def test_no_text_contains_the_password() -> None:
    complete = declared()
    assert "a secret" not in complete.target_name + complete.createdb + complete.target.shown
    # As a shell reads it.
    odd = declared(login_db="my database", login_user="o'brien")
    assert shlex.split(odd.createdb)[-2:] == ["--owner=o'brien", "my database"]


def test_the_drop_in_is_in_the_first_directory(tmp_path: pathlib.Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "more").mkdir()
    paths = tuple(str(tmp_path / name) for name in ("homeserver.yaml", "conf.d", "more"))
    assert declared(config_path=paths).dropin == str(tmp_path / "conf.d" / "60-matrix_ops-database.yaml")
    assert declared(config_path=paths, dropin_path="/etc/database.yaml").dropin == "/etc/database.yaml"
    assert declared(config_path=paths).state_path == str(tmp_path / ".matrix_ops-migration.json")


def test_a_configuration_without_a_directory_is_refused() -> None:
    with pytest.raises(InvalidInput, match="contains only files"):
        _path = declared().dropin


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"config_path": ()}, "config_path is empty"),
        ({"login_host": ""}, "login_host is empty"),
        ({"login_user": "a\0"}, "login_user is empty or no text"),
        ({"login_port": 65536}, "login_port is 65536"),
        ({"cp_min": 0}, "cp_min is 0"),
        ({"cp_min": 11}, "cp_max to at least cp_min"),
        ({"batch_size": 0}, "batch_size must be 1"),
        ({"sample_size": -1}, "sample_size must not be negative"),
    ],
)
def test_what_can_never_work_is_refused(changed: dict[str, t.Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        declared(**changed).check()
    dataclasses.replace(declared()).check()

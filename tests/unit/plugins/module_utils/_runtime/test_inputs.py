# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.inputs import (
    Input,
    configuration_inputs,
    package_inputs,
)


class Files:
    """A configuration in a directory of the test."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self.main, self.folder = directory / "homeserver.yaml", directory / "conf.d"
        self.folder.mkdir()
        self.write("homeserver.yaml", {"signing_key": "a"})

    def write(self, name: str, settings: t.Any) -> None:
        """Write a file; JSON is YAML too."""
        (self.directory / name).write_text(settings if isinstance(settings, str) else json.dumps(settings))

    def read(self, worker: bool = False) -> list[Input]:
        paths = [str(self.main), f"{self.folder}/"]
        inputs, unknown = configuration_inputs(paths, worker=worker, directory=lambda: "/started/here")
        assert unknown == []
        return inputs

    def named(self, settings: dict[str, t.Any], worker: bool = False) -> list[tuple[str, str]]:
        """Return the paths and kinds of the files in a configuration with these settings."""
        self.write("homeserver.yaml", {"signing_key": "a", **settings})
        return [(place.path, place.kind) for place in self.read(worker)[2:]]


@pytest.fixture
def files(tmp_path: pathlib.Path) -> Files:
    return Files(tmp_path)


def test_the_files_of_a_configuration_and_their_folder(files: Files) -> None:
    files.write("conf.d/b.yaml", {"a": 1})
    files.write("conf.d/a.yaml", "")
    files.write("conf.d/c.yml", {"a": 1})
    assert files.read() == [
        Input(str(files.folder), "configuration", suffix=".yaml"),
        Input(str(files.main), "configuration"),
        Input(f"{files.folder}/a.yaml", "configuration"),
        Input(f"{files.folder}/b.yaml", "configuration"),
    ]


@pytest.mark.parametrize(
    ("settings", "reloaded"),
    [
        ({"caches": {"global_factor": 1, "per_cache_factors": {"a": 2}}}, True),
        ({"caches": {"global_factor": 1}}, True),
        ({"caches": {"global_factor": 1, "cache_autotuning": {}}}, False),
        ({"caches": {"global_factor": 1}, "event_cache_size": "1K"}, False),
        ({"caches": None}, False),
        ({}, False),
        ("- a", False),
    ],
)
def test_a_file_that_contains_only_settings_that_a_reload_applies(
    files: Files, settings: t.Any, reloaded: bool
) -> None:
    files.write("conf.d/a.yaml", settings)
    assert [place.reloaded for place in files.read()] == [False, False, reloaded]


@pytest.mark.parametrize(
    ("settings", "path", "kind"),
    [
        ({"log_config": "/l"}, "/l", "log_configuration"),
        ({"log_config": "l"}, "/started/here/l", "log_configuration"),
        ({"app_service_config_files": ["/s", 5]}, "/s", "configuration"),
        ({"signing_key_path": "/s"}, "/s", "secret"),
        ({"registration_shared_secret_path": "/s"}, "/s", "secret"),
        ({"macaroon_secret_key_path": "s"}, "/started/here/s", "secret"),
        ({"key_server_signing_keys_path": "/s"}, "/s", "secret"),
        ({"redis": {"enabled": True, "password_path": "/s"}}, "/s", "secret"),
        ({"oidc_providers": [{"client_secret_path": "/s"}]}, "/s", "secret"),
        ({"oidc_providers": [{"client_secret_jwt_key": {"key_file": "/s"}}]}, "/s", "secret"),
        ({"matrix_authentication_service": {"secret_path": "/s"}}, "/s", "secret"),
        ({"experimental_features": {"msc3861": {"admin_token_path": "/s"}}}, "/s", "secret"),
    ],
)
def test_files_that_the_configuration_names(files: Files, settings: dict[str, t.Any], path: str, kind: str) -> None:
    assert files.named(settings) == [(path, kind)]


@pytest.mark.parametrize(
    "settings",
    [
        {"log_config": None, "app_service_config_files": None, "registration_shared_secret_path": ""},
        {"tls_certificate_path": "/c", "tls_private_key_path": "/k"},
        {"media_store_path": "/m", "pid_file": "/p", "templates": {"custom_template_directory": "/t"}},
        {"modules": [{"module": "a.b", "config": {"api_token_path": "/a"}}]},
        {"redis": {"private_key_file": "/k"}},
        {"worker_log_config": "/l"},
    ],
)
def test_files_that_are_read_again_or_not_at_all(files: Files, settings: dict[str, t.Any]) -> None:
    assert files.named(settings) == []


def test_the_log_configuration_of_a_worker_is_its_own(files: Files) -> None:
    settings = {"log_config": "/main", "worker_log_config": "/worker"}
    assert files.named(settings, worker=True) == [("/worker", "log_configuration")]


def test_the_default_signing_key_is_next_to_the_last_file(files: Files) -> None:
    files.write("homeserver.yaml", {"server_name": "example.org"})
    assert files.read()[-1] == Input(f"{files.directory}/example.org.signing.key", "secret")
    files.write("conf.d/a.yaml", {})
    assert files.read()[-1] == Input(f"{files.folder}/example.org.signing.key", "secret")


def hidden() -> str:
    raise PermissionError


def test_a_relative_path_with_a_hidden_working_directory(files: Files) -> None:
    files.write("homeserver.yaml", {"signing_key": "a", "log_config": "l"})
    inputs, unknown = configuration_inputs([str(files.main)], worker=False, directory=hidden)
    assert inputs == [Input(str(files.main), "configuration")]
    assert [(item.name, item.fix) for item in unknown] == [("outdated_by", "Run the task with become, as root.")]
    assert configuration_inputs([str(files.main)], worker=False) == (inputs, [])


def test_all_files_of_a_configuration_that_cannot_be_parsed_count(files: Files) -> None:
    files.write("homeserver.yaml", "a: [")
    files.write("conf.d/a.yaml", {"caches": {"global_factor": 1}})
    inputs, unknown = configuration_inputs([str(files.main), str(files.folder)], worker=False)
    assert inputs == [
        Input(str(files.folder), "configuration", suffix=".yaml"),
        Input(str(files.main), "configuration"),
        Input(f"{files.folder}/a.yaml", "configuration"),
    ]
    assert [item.name for item in unknown] == ["outdated_by"]
    assert "is not valid YAML" in unknown[0].reason


def test_a_configuration_that_does_not_exist(files: Files) -> None:
    files.main.unlink()
    inputs, unknown = configuration_inputs([str(files.main)], worker=False)
    assert inputs == [Input(str(files.main), "configuration")]
    assert "does not exist" in unknown[0].reason


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("lib/python3.13/site-packages/matrix_synapse-1.163.2.dist-info", "RECORD"),
        ("lib/python3/dist-packages/matrix_synapse-1.78.0.egg-info", "PKG-INFO"),
        ("local/lib/python3.11/dist-packages/matrix_synapse-1.9.dist-info", "METADATA"),
        ("lib64/pypy3.10/site-packages/matrix_synapse-1.9.dist-info", "RECORD"),
    ],
)
def test_the_package_of_an_interpreter(tmp_path: pathlib.Path, place: str, name: str) -> None:
    information = tmp_path / "[v]" / place
    information.mkdir(parents=True)
    (information / name).touch()
    (tmp_path / "[v]" / "bin").mkdir()
    (tmp_path / "[v]" / "bin" / "python").symlink_to("/usr/bin/python3")
    (tmp_path / "link").symlink_to(tmp_path / "[v]" / "bin" / "python")
    assert package_inputs(f"{tmp_path}/[v]/bin/python") == [Input(f"{information}/{name}", "package")]
    assert package_inputs(f"{tmp_path}/bin/python") == []


def test_a_package_is_found_once_where_two_names_lead_to_it(tmp_path: pathlib.Path) -> None:
    (tmp_path / "lib" / "python3.13" / "site-packages" / "matrix_synapse-1.dist-info").mkdir(parents=True)
    (tmp_path / "lib64").symlink_to("lib")
    assert len(package_inputs(f"{tmp_path}/bin/python")) == 1


def test_an_interpreter_without_a_path_has_no_package(tmp_path: pathlib.Path) -> None:
    here = os.getcwd()
    try:
        (tmp_path / "lib" / "python3" / "site-packages" / "matrix_synapse-1.dist-info").mkdir(parents=True)
        os.chdir(tmp_path)
        assert package_inputs("python3") == []
        assert package_inputs("bin/python3") == []
    finally:
        os.chdir(here)

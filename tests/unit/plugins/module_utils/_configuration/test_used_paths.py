# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The paths that Synapse uses, so that a systemd unit can allow access to them."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import read_configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.used_paths import find_used_paths
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError

POSTGRESQL = {"database": {"name": "psycopg2", "args": {"host": "/tmp"}}, "media_store_path": "/m"}


def written(tmp_path: Path, *files: dict[str, t.Any]) -> set[tuple[str, str]]:
    return {(used.path, used.setting) for used in used_paths(tmp_path, *files) if used.written}


def used_paths(tmp_path: Path, *files: dict[str, t.Any]) -> list[t.Any]:
    paths = []
    for number, settings in enumerate(files):
        path = tmp_path / f"{number}.yaml"
        path.write_text(json.dumps(settings))
        paths.append(str(path))
    return find_used_paths(read_configuration(paths), "/srv/synapse")


def test_without_the_working_directory_relative_paths_stay_relative(tmp_path: Path) -> None:
    path = tmp_path / "homeserver.yaml"
    path.write_text("log_config: log.yaml\nmedia_store_path: /srv/media\ndatabase: {name: sqlite3}\n")
    found = {
        (used.setting, used.path) for used in find_used_paths(read_configuration([str(path)]), None) if used.written
    }
    assert found == {("log_config", "log.yaml"), ("media_store_path", "/srv/media"), ("database", ".")}


def test_where_nothing_is_said_synapse_uses_its_working_directory(tmp_path: Path) -> None:
    assert written(tmp_path, {}) == {("/srv/synapse/media_store", "media_store_path")}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"media_store_path": "media"}, ("/srv/synapse/media", "media_store_path")),
        ({"media_store_path": "/srv/media/"}, ("/srv/media", "media_store_path")),
        ({"media_store_path": "../media"}, ("/srv/media", "media_store_path")),
        ({"backup_media_store_path": "/mnt/copy"}, ("/mnt/copy", "backup_media_store_path")),
        (
            {"media_storage_providers": [{"module": "file_system", "config": {"directory": "/mnt/copy"}}]},
            ("/mnt/copy", "media_storage_providers"),
        ),
        ({"database": {"name": "sqlite3", "args": {"database": "/var/db/h.db"}}}, ("/var/db", "database")),
        ({"database": {"name": "sqlite3"}}, ("/srv/synapse", "database")),
        ({"databases": {"main": {"name": "sqlite3", "args": {"database": "x/h.db"}}}}, ("/srv/synapse/x", "databases")),
        ({"listeners": [{"path": "/run/synapse/main.sock", "type": "http"}]}, ("/run/synapse", "listeners")),
    ],
)
def test_what_is_written_follows_from_the_settings(
    tmp_path: Path, settings: dict[str, t.Any], expected: tuple[str, str]
) -> None:
    assert expected in written(tmp_path, settings)


@pytest.mark.parametrize(
    "settings",
    [
        POSTGRESQL,
        {**POSTGRESQL, "database": {"name": "sqlite3", "args": {"database": ":memory:"}}},
        {**POSTGRESQL, "media_storage_providers": [{"module": "s3_storage_provider.S3", "config": {"bucket": "b"}}]},
        {**POSTGRESQL, "media_storage_providers": "none", "listeners": None, "database": "odd"},
        {**POSTGRESQL, "listeners": [{"port": 8008, "type": "http"}, "odd"]},
    ],
)
def test_nothing_else_is_taken_for_written(tmp_path: Path, settings: dict[str, t.Any]) -> None:
    assert written(tmp_path, settings) == {("/m", "media_store_path")}


def test_a_process_without_media_has_no_store(tmp_path: Path) -> None:
    assert written(tmp_path, {"enable_media_repo": False}) == set()


def test_a_later_file_decides(tmp_path: Path) -> None:
    assert written(tmp_path, {"media_store_path": "/one"}, {"media_store_path": "/two"}) == {
        ("/two", "media_store_path")
    }


def test_logs_are_written_where_their_handlers_say(tmp_path: Path) -> None:
    handlers = {
        "file": {"class": "logging.handlers.TimedRotatingFileHandler", "filename": "/var/log/own/homeserver.log"},
        "relative": {"class": "logging.FileHandler", "filename": "log/all.log"},
        "console": {"class": "logging.StreamHandler"},
        "odd": None,
    }
    (tmp_path / "log.config").write_text(json.dumps({"version": 1, "handlers": handlers}))
    found = written(tmp_path, {**POSTGRESQL, "log_config": str(tmp_path / "log.config")})
    assert found == {
        ("/m", "media_store_path"),
        ("/var/log/own", "log_config"),
        ("/srv/synapse/log", "log_config"),
    }


def test_a_log_configuration_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="gone"):
        used_paths(tmp_path, {"log_config": str(tmp_path / "gone")})


def test_all_other_absolute_paths_are_read(tmp_path: Path) -> None:
    settings = {
        **POSTGRESQL,
        "modules": [{"module": "x.Y", "config": {"lists": ["/home/admin/words.txt", 3]}}],
        "app_service_config_files": ["/root/irc.yaml"],
        "public_baseurl": "https://example.org/",
        "user_consent": {"template_dir": "res/templates"},
    }
    read = {(used.path, used.setting) for used in used_paths(tmp_path, settings) if not used.written}
    assert read == {
        ("/tmp", "database.args.host"),
        ("/m", "media_store_path"),
        ("/home/admin/words.txt", "modules.config.lists"),
        ("/root/irc.yaml", "app_service_config_files"),
    }

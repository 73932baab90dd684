# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The configuration in an archive, before it is on the host: where the database is, and how Synapse connects to it."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings_text import parse_settings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import (
    DatabaseSettings,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.only_database import find_only_database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError, InvalidInput

Json = dict[str, t.Any]

_SEVERAL = "of which a backup has only one. Use another backup."


def archived_configuration(config_path: t.Sequence[str], contents: t.Mapping[str, bytes]) -> Configuration:
    """Return the configuration that Synapse reads when it is started with `config_path`.

    `contents`: the archived files by their paths. Raises ConfigurationError for a file that is not YAML, and
    MissingLibrary without PyYAML.
    """
    paths: list[str] = []
    for path in config_path:
        inside = sorted(name for name in contents if os.path.dirname(name) == path and name.endswith(".yaml"))
        paths += [path] if path in contents else inside
    return Configuration(tuple(_parsed(path, contents[path]) for path in paths))


def archived_database(manifest: Json, contents: t.Mapping[str, bytes]) -> DatabaseSettings:
    """Return where the restored Synapse will look for its database.

    Raises InvalidInput if that is not the database of the manifest, and the same errors as archived_configuration.
    """
    service, described = manifest["service"], manifest["database"]
    if described["engine"] == "sqlite":
        return DatabaseSettings("sqlite3", {"database": str(described["path"])}, str(service["config_path"][0]))
    configuration = archived_configuration(service["config_path"], contents)
    settings = find_only_database(configuration, _SEVERAL, service.get("working_directory") or None)
    if settings.engine != "psycopg2":
        raise InvalidInput(
            f"The archive contains a PostgreSQL database, but its configuration ({settings.source}) sets"
            f" {settings.shown}. Use another backup."
        )
    return settings


def archived_name(manifest: Json, contents: t.Mapping[str, bytes]) -> str:
    """Return the server name that the archived configuration sets. Raises the same errors as above."""
    return archived_configuration(manifest["service"]["config_path"], contents).server_name


def _parsed(path: str, content: bytes) -> ConfigurationFile:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} in the archive is not text in UTF-8. Use another backup.") from error
    return ConfigurationFile(path, *parse_settings(text, path))

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The files and directories that Synapse uses with a configuration, so that a systemd unit can allow access to them.

Relies on synapse/config of Synapse 1.163 (repository.py, database.py, logger.py, server.py) and on the handlers of
Python's logging.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    read_configuration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import KeyPath, leaves

# The names of Synapse's own storage provider that stores media in a directory.
_LOCAL_PROVIDERS = ("file_system", "synapse.media.storage_provider.FileStorageProviderBackend")
# The default paths of Synapse.
_MEDIA_STORE, _DATABASE = "media_store", "homeserver.db"


class UsedPath(t.NamedTuple):
    """A path in a setting. `written`: it is a directory in which Synapse creates and changes files.

    `setting` is the setting, with dots between the keys. `path` is absolute, unless the working directory is not known.
    """

    path: str
    setting: str
    written: bool


def find_used_paths(configuration: Configuration, working_directory: str | None) -> list[UsedPath]:
    """Return the paths in the configuration: first the directories that Synapse writes to, then the other paths.

    Relative paths start in `working_directory`, the directory that Synapse runs in; without it they stay relative. The
    other paths are all absolute paths in the settings, because third-party modules can have theirs anywhere. Raises
    ConfigurationError if the file in log_config is not YAML or cannot be read.
    """
    settings, directory = configuration.settings, working_directory or ""
    found = dict.fromkeys(_written(settings, directory))
    log_config = settings.get("log_config")
    if isinstance(log_config, str):
        path = os.path.join(directory, log_config)
        # Without the working directory, nobody knows where a relative one is.
        named = named_log_files(path) if os.path.isabs(path) else None
        directories = [path] if named is None else [os.path.dirname(os.path.join(directory, name)) for name in named]
        found.update(dict.fromkeys((each, "log_config") for each in directories))
    written = [UsedPath(os.path.normpath(path), setting, True) for path, setting in found]
    read = [
        UsedPath(os.path.normpath(value), ".".join(keys), False)
        for keys, value in _texts(settings)
        if os.path.isabs(value) and "\n" not in value and "\0" not in value
    ]
    return written + read


def named_log_files(path: str) -> list[str]:
    """Return the file names in the log configuration at `path`, as they are written there.

    Raises ConfigurationError if it is not YAML or cannot be read.
    """
    handlers = read_configuration([path]).settings.get("handlers")
    found = [each.get("filename") for each in _mappings(list(handlers.values()) if isinstance(handlers, dict) else [])]
    return [name for name in found if isinstance(name, str) and name]


def _written(settings: dict[str, t.Any], directory: str) -> t.Iterator[tuple[str, str]]:
    def absolute(value: t.Any) -> str:
        return os.path.join(directory, str(value))

    if settings.get("enable_media_repo", True) is not False:
        yield absolute(settings.get("media_store_path") or _MEDIA_STORE), "media_store_path"
    if settings.get("backup_media_store_path"):
        yield absolute(settings["backup_media_store_path"]), "backup_media_store_path"
    for provider in _mappings(settings.get("media_storage_providers")):
        place = provider.get("config")
        if provider.get("module") in _LOCAL_PROVIDERS and isinstance(place, dict) and place.get("directory"):
            yield absolute(place["directory"]), "media_storage_providers"
    databases = settings.get("databases")
    for key, database in (
        [("database", settings.get("database"))]
        if not isinstance(databases, dict)
        else [("databases", each) for each in databases.values()]
    ):
        if not isinstance(database, dict) or database.get("name", "sqlite3") != "sqlite3":
            continue
        arguments = database.get("args")
        name = str(arguments.get("database") or _DATABASE) if isinstance(arguments, dict) else _DATABASE
        if name != ":memory:":
            yield os.path.dirname(absolute(name)), key
    for listener in _mappings(settings.get("listeners")):
        if isinstance(listener.get("path"), str):
            yield os.path.dirname(absolute(listener["path"])), "listeners"


def _texts(settings: dict[str, t.Any]) -> t.Iterator[tuple[KeyPath, str]]:
    for keys, value in leaves(settings).items():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str):
                yield keys, text
            elif isinstance(text, dict):
                yield from (((*keys, *inner), found) for inner, found in _texts(text))


def _mappings(value: t.Any) -> list[dict[str, t.Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []

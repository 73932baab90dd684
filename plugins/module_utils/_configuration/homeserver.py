# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The configuration of a Synapse, read as Synapse itself reads it (synapse/config/_base.py, 1.163)."""

from __future__ import annotations

import dataclasses
import os
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.replaced_block import find_replacements
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.secret_text import (
    QUOTES,
    described,
    find_unquoted,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings_text import (
    Repeated,
    parse_settings,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._debian_package import DEFAULT_CONFIG_PATH
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError, MissingLibrary

# In bytes. A configuration or a secret has some kilobytes.
_LARGEST = 16 * 1024 * 1024


@dataclasses.dataclass(frozen=True)
class ConfigurationFile:
    """One file of the configuration and its settings. `instead` and `repeated`: see SettingsText."""

    path: str
    settings: dict[str, t.Any]
    instead: str = ""
    repeated: tuple[Repeated, ...] = ()


@dataclasses.dataclass(frozen=True)
class Configuration:
    """The settings of all files: a top-level key in a later file replaces the whole key of an earlier file."""

    files: tuple[ConfigurationFile, ...]

    @property
    def settings(self) -> dict[str, t.Any]:
        """The settings in force."""
        merged: dict[str, t.Any] = {}
        for file in self.files:
            merged.update(file.settings)
        return merged

    @property
    def server_name(self) -> str:
        """The server name, with its port if it has one. Raises ConfigurationError if it is not set."""
        name = self.settings.get("server_name")
        if not isinstance(name, str) or not name:
            raise ConfigurationError(
                f"server_name is not set in {self._named_files()}: is this Synapse's configuration? Set config_path to"
                " the files that Synapse is started with."
            )
        return name

    @property
    def worker_app(self) -> str | None:
        """The program of the worker whose configuration it is; None if it is that of the main process (1.163)."""
        app = self.settings.get("worker_app")
        return None if not app or app == "synapse.app.homeserver" else str(app)

    def is_of_worker(self, config_path: t.Sequence[str]) -> bool:
        """Return whether this is the configuration of one worker, which is started with `config_path`.

        Each worker has its own file with worker_app, beside shared ones. It must be named itself: the main process
        reads the shared directories too, and does not start with a file with worker_app in them.
        """
        file = self.source_of("worker_app") if self.worker_app else None
        return file is not None and any(_same_path(path, file) for path in config_path)

    def block(self, key: str) -> dict[str, t.Any]:
        """Return the mapping at a top-level key, {} if it is not set. Raises ConfigurationError if it is no mapping."""
        found = self.settings.get(key) or {}
        if not isinstance(found, dict):
            raise ConfigurationError(
                f"{key} in {self.source_of(key)} is not a mapping. Correct it, because Synapse does not accept it."
            )
        return found

    def source_of(self, key: str) -> str | None:
        """Return the path of the file whose value of the top-level `key` is in force, or None if no file sets it."""
        for file in reversed(self.files):
            if key in file.settings:
                return file.path
        return None

    def replacement(self, key: str) -> str:
        """Return which files replace the whole block `key` of earlier files, what is lost by that, and what to do.

        Errors about a missing part of a block append it. "" if nothing of an earlier file is lost.
        """
        found = find_replacements([(file.path, file.settings) for file in self.files], key)
        return " ".join(replaced.sentence() for replaced in found)

    def without(self, path: str) -> Configuration:
        """Return the configuration as it would be if the file `path` did not exist."""
        return Configuration(tuple(file for file in self.files if not _same_path(file.path, path)))

    def before(self, path: str) -> Configuration:
        """Return the configuration of the files that are read before `path`."""
        kept: list[ConfigurationFile] = []
        for file in self.files:
            if _same_path(file.path, path):
                break
            kept.append(file)
        return Configuration(tuple(kept))

    def secret(self, key: str) -> str | None:
        """Return the secret `key`, or the content of the file `<key>_path` if that is set; None if neither is set.

        Raises ConfigurationError if that file cannot be read, if both are set (Synapse then refuses to start), or if
        YAML does not read the secret as text: Synapse cannot use it then.
        """
        settings = self.settings
        value, path = settings.get(key), settings.get(f"{key}_path")
        if value and path:
            raise ConfigurationError(f"{key} and {key}_path are both set in {self._named_files()}: remove one of them.")
        if path:
            return _read_text(str(path), f"{key}_path").strip()
        self.require_text(key)
        if value is not None and not isinstance(value, str):
            raise ConfigurationError(
                f"{key} in {self.source_of(key)} is {described(value)} for YAML, not text. {QUOTES}"
            )
        return value or None

    def require_text(self, *key: str) -> None:
        """Raise ConfigurationError if the secret at this path is not text for YAML, and Synapse cannot use it then."""
        for unquoted in find_unquoted(self.settings):
            if unquoted.key == key:
                raise ConfigurationError(unquoted.sentence(str(self.source_of(key[0]))))

    def _named_files(self) -> str:
        return ", ".join(file.path for file in self.files) or "no file"


def read_configuration(paths: t.Sequence[str]) -> Configuration:
    """Return the configuration in `paths`: files, and directories whose `*.yaml` files are read in alphabetical order.

    The rules are the same as for Synapse's `--config-path`, which is given once for each path. Raises
    ConfigurationError if one of them does not exist, cannot be read or is not YAML, and MissingLibrary without PyYAML.
    """
    return Configuration(tuple(_read_file(path) for path in find_files(paths)))


def read_configuration_if_there(paths: t.Sequence[str]) -> Configuration | None:
    """Return the configuration in `paths`, or None if they are the default and cannot be used on this host.

    That means that a file or directory of it does not exist or cannot be read, or that PyYAML is missing. In all other
    cases this is the same as read_configuration, which raises ConfigurationError and MissingLibrary.
    """
    is_default = tuple(paths) == DEFAULT_CONFIG_PATH
    if is_default and not _is_readable(paths[0]):
        return None
    try:
        return read_configuration(paths)
    except (ConfigurationError, MissingLibrary) as error:
        if is_default and (isinstance(error, MissingLibrary) or isinstance(error.__cause__, OSError)):
            return None
        raise


def find_files(paths: t.Sequence[str]) -> list[str]:
    """Return the files that Synapse reads when it is started with `paths`, in the order in which it reads them.

    Raises ConfigurationError if a path does not exist, cannot be listed or is not a path.
    """
    files: list[str] = []
    for path in paths:
        _require_path(path, "config_path")
        if not os.path.isdir(path):
            files.append(path)
            continue
        try:
            names = os.listdir(path)
        except OSError as error:
            raise _unreadable(path, error) from error
        inside = (os.path.join(path, name) for name in names if name.endswith(".yaml"))
        files.extend(sorted(file for file in inside if os.path.isfile(file)))
    return files


def _is_readable(path: str) -> bool:
    try:
        os.close(_open_at_once(path, os.O_RDONLY))
    except OSError:
        return False
    return True


def _read_file(path: str) -> ConfigurationFile:
    return ConfigurationFile(path, *parse_settings(_read_text(path, "config_path"), path))


def _require_path(path: str, option: str) -> None:
    if "\0" in path:
        raise ConfigurationError(f"{path!r} ({option}) is not a path: remove the NUL character from it.")


def _read_text(path: str, option: str) -> str:
    _require_path(path, option)
    try:
        with open(path, encoding="utf-8", opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ConfigurationError(f"{path} ({option}) is not a regular file: set it to a text file.")
            # The file may grow while it is read.
            text = "" if status.st_size > _LARGEST else file.read(_LARGEST + 1)
            if status.st_size > _LARGEST or len(text) > _LARGEST:
                raise ConfigurationError(
                    f"{path} ({option}) is larger than {_LARGEST // 1024 // 1024} MiB: check whether it is the right"
                    " file, and move it away otherwise."
                )
            return text
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{path} ({option}) is not text in UTF-8: save it in UTF-8 if it is the right file, and move it away"
            " otherwise."
        ) from error
    except OSError as error:
        raise _unreadable(path, error) from error


def _open_at_once(path: str, flags: int) -> int:
    # Without O_NONBLOCK, opening a pipe waits until a process writes to it.
    return os.open(path, flags | os.O_NONBLOCK)


def _unreadable(path: str, error: OSError) -> ConfigurationError:
    if isinstance(error, FileNotFoundError):
        return ConfigurationError(
            f"{path} does not exist on this host: set config_path to Synapse's own configuration."
        )
    if isinstance(error, PermissionError):
        return ConfigurationError(
            f"{path} cannot be read by this user: run the task with become, as root or as the user of Synapse."
        )
    return ConfigurationError(f"{path} cannot be read: {error.strerror}.")


def _same_path(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)

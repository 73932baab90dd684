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

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError, MissingLibrary

# What PyYAML raises, beside its own errors, for a text that has the form or the tag of a type but is no value of it.
_NO_VALUE = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError)
# Deeper than any setting of Synapse, and far from where Python gives up.
_DEEPEST = 100


@dataclasses.dataclass(frozen=True)
class ConfigurationFile:
    """One file of the configuration and what it says."""

    path: str
    settings: dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Configuration:
    """What all files together say: a top-level key of a later file replaces that of an earlier one whole."""

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
        """The name of the server, with its port if it has one. Raises ConfigurationError if it is not set."""
        name = self.settings.get("server_name")
        if not isinstance(name, str) or not name:
            raise ConfigurationError(
                f"server_name is not set in {self._named_files()}: is this Synapse's configuration?"
            )
        return name

    def source_of(self, key: str) -> str | None:
        """Return the path of the file whose value of the top-level `key` is in force, or None if no file sets it."""
        for file in reversed(self.files):
            if key in file.settings:
                return file.path
        return None

    def without(self, path: str) -> Configuration:
        """Return the configuration as it would be if the file `path` did not exist."""
        return Configuration(tuple(file for file in self.files if not _same_path(file.path, path)))

    def before(self, path: str) -> Configuration:
        """Return the configuration that the files read before `path` make."""
        kept: list[ConfigurationFile] = []
        for file in self.files:
            if _same_path(file.path, path):
                break
            kept.append(file)
        return Configuration(tuple(kept))

    def secret(self, key: str) -> str | None:
        """Return the secret `key`, from the file that `<key>_path` names if it is set; None if neither is set.

        Raises ConfigurationError if that file cannot be read, or if both are set (Synapse then refuses to start).
        """
        settings = self.settings
        value, path = settings.get(key), settings.get(f"{key}_path")
        if value and path:
            raise ConfigurationError(
                f"{key} and {key}_path are both set in {self._named_files()}: Synapse allows only one."
            )
        if path:
            return _read_text(str(path), f"{key}_path").strip()
        return str(value) if value else None

    def _named_files(self) -> str:
        return ", ".join(file.path for file in self.files) or "no file"


def read_configuration(paths: t.Sequence[str]) -> Configuration:
    """Return the configuration in `paths`: files, and directories of which the `*.yaml` files are read in their order.

    The same rules as Synapse's `--config-path`, given once for each path. Raises ConfigurationError if one of them does
    not exist, cannot be read or is not YAML, and MissingLibrary without PyYAML.
    """
    return Configuration(tuple(_read_file(path) for path in find_files(paths)))


def find_files(paths: t.Sequence[str]) -> list[str]:
    """Return the files that Synapse reads when it is started with `paths`, in the order in which it reads them.

    Raises ConfigurationError if a path does not exist, cannot be listed or is none.
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


def parse_settings(text: str, path: str) -> dict[str, t.Any]:
    """Return the settings in the text of a file; `path` is named by errors.

    Raises ConfigurationError if it is not YAML or has no end, and MissingLibrary without PyYAML.
    """
    try:
        import yaml
    except ImportError as error:
        raise MissingLibrary("PyYAML", "to read the configuration of Synapse") from error
    try:
        settings = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        # The parser's own words quote the file, and with it perhaps a secret.
        raise ConfigurationError(
            f"{path} is not valid YAML{where}: mend it first, Synapse cannot start with it."
        ) from error
    except _NO_VALUE as error:
        raise ConfigurationError(
            f"{path} is not valid YAML: something in it looks like a number, a date or the like, but is none."
            " Put it in quotes if it is text, Synapse cannot start with it."
        ) from error
    except RecursionError as error:
        raise _too_deep(path) from error
    if _is_deeper(settings, _DEEPEST):
        raise _too_deep(path)
    # Synapse ignores a file that holds no mapping (an empty drop-in, for one) with a warning.
    return settings if isinstance(settings, dict) else {}


def _read_file(path: str) -> ConfigurationFile:
    return ConfigurationFile(path, parse_settings(_read_text(path, "config_path"), path))


def _is_deeper(value: t.Any, levels: int) -> bool:
    """Return whether something lies more than that many levels deep, as it does in what contains itself."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return levels < 0 or any(_is_deeper(each, levels - 1) for each in inner)


def _too_deep(path: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path} has something that is nested more than {_DEEPEST} deep, or contains itself by an alias (*): mend it"
        " first."
    )


def _require_path(path: str, option: str) -> None:
    if "\0" in path:
        raise ConfigurationError(f"{path!r} ({option}) is not a path: it holds a NUL character.")


def _read_text(path: str, option: str) -> str:
    _require_path(path, option)
    try:
        with open(path, encoding="utf-8", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigurationError(f"{path} ({option}) is not a regular file: name one that holds text.")
            return file.read()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} ({option}) is not text in UTF-8.") from error
    except OSError as error:
        raise _unreadable(path, error) from error


def _open_at_once(path: str, flags: int) -> int:
    # A pipe that nobody writes to would be waited for.
    return os.open(path, flags | os.O_NONBLOCK)


def _unreadable(path: str, error: OSError) -> ConfigurationError:
    if isinstance(error, FileNotFoundError):
        return ConfigurationError(
            f"{path} does not exist on this host: config_path must name Synapse's own configuration."
        )
    if isinstance(error, PermissionError):
        return ConfigurationError(
            f"{path} cannot be read by this user: run the task with become, as root or as the user of Synapse."
        )
    return ConfigurationError(f"{path} cannot be read: {error.strerror}.")


def _same_path(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)

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

from ansible_collections.matrix_ops.synapse.plugins.module_utils._debian_package import DEFAULT_CONFIG_PATH
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError, MissingLibrary

# The errors of PyYAML, in addition to its own classes, for a text that looks like a type but is not a valid value.
_NO_VALUE = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError)
# Deeper than any setting of Synapse, and far below the recursion limit of Python.
_DEEPEST = 100
# In bytes. A configuration or a secret has some kilobytes.
_LARGEST = 16 * 1024 * 1024
# Far more than any configuration has. A few hundred bytes of aliases can stand for billions of values.
_MOST_VALUES = 1_000_000
# Text counts as one more value for each of these characters, because an alias can repeat a long one.
_CHARACTERS_OF_A_VALUE = 16


@dataclasses.dataclass(frozen=True)
class ConfigurationFile:
    """One file of the configuration and its settings."""

    path: str
    settings: dict[str, t.Any]


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
        """Return the configuration of the files that are read before `path`."""
        kept: list[ConfigurationFile] = []
        for file in self.files:
            if _same_path(file.path, path):
                break
            kept.append(file)
        return Configuration(tuple(kept))

    def secret(self, key: str) -> str | None:
        """Return the secret `key`, or the content of the file `<key>_path` if that is set; None if neither is set.

        Raises ConfigurationError if that file cannot be read, or if both are set (Synapse then refuses to start).
        """
        settings = self.settings
        value, path = settings.get(key), settings.get(f"{key}_path")
        if value and path:
            raise ConfigurationError(f"{key} and {key}_path are both set in {self._named_files()}: remove one of them.")
        if path:
            return _read_text(str(path), f"{key}_path").strip()
        return str(value) if value else None

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


def parse_settings(text: str, path: str) -> dict[str, t.Any]:
    """Return the settings in the text of a file. Errors name it as `path`.

    Raises ConfigurationError if it is not YAML, is nested too deeply or has too many values, and MissingLibrary without
    PyYAML.
    """
    try:
        import yaml
    except ImportError as error:
        raise MissingLibrary("PyYAML", "to read the configuration of Synapse") from error
    try:
        settings = yaml.load(text, Loader=_loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader), path))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        # The message of the parser quotes the file, which may contain a secret.
        raise ConfigurationError(
            f"{path} is not valid YAML{where}: fix it first, because Synapse cannot start with it."
        ) from error
    except _NO_VALUE as error:
        raise ConfigurationError(
            f"{path} is not valid YAML: a value in it has the form of a number, a date or another type, but is not"
            " valid. Put it in quotes if it is text, because Synapse cannot start with it."
        ) from error
    except RecursionError as error:
        raise _too_deep(path) from error
    _Measure(path).require_moderate(settings)
    # Synapse ignores a file without a mapping (for example an empty one) with a warning.
    return settings if isinstance(settings, dict) else {}


def _is_readable(path: str) -> bool:
    try:
        os.close(_open_at_once(path, os.O_RDONLY))
    except OSError:
        return False
    return True


def _read_file(path: str) -> ConfigurationFile:
    return ConfigurationFile(path, parse_settings(_read_text(path, "config_path"), path))


def _loader(base: t.Any, path: str) -> t.Any:
    """Return the loader `base` of PyYAML with a limit for merge keys (<<), each of which copies whole mappings."""
    pairs = 0

    def flatten_mapping(loader: t.Any, node: t.Any) -> None:
        nonlocal pairs
        base.flatten_mapping(loader, node)
        pairs += len(node.value)
        if pairs > _MOST_VALUES:
            raise _too_many(path)

    return type("Loader", (base,), {"flatten_mapping": flatten_mapping})


class _Measure:
    """The depth and the number of values of settings, with each alias (*) counted but followed only once."""

    def __init__(self, path: str) -> None:
        self._path = path
        # By the identity of a list or mapping, which exists as long as the settings.
        self._known: dict[int, tuple[int, int]] = {}

    def require_moderate(self, settings: t.Any) -> None:
        """Raise ConfigurationError if settings are nested too deeply, contain themselves or have too many values."""
        self._measure(settings, _DEEPEST)

    def _measure(self, value: t.Any, levels: int) -> tuple[int, int]:
        """Return how deep `value` is and how many values it has. `levels`: how deep it may be."""
        known = self._known.get(id(value))
        if known is None:
            known = self._measure_anew(value, levels)
        depth, values = known
        if depth > levels:
            raise _too_deep(self._path)
        if values > _MOST_VALUES:
            raise _too_many(self._path)
        return known

    def _measure_anew(self, value: t.Any, levels: int) -> tuple[int, int]:
        if levels < 0:
            raise _too_deep(self._path)
        if isinstance(value, (str, bytes)):
            return 0, 1 + len(value) // _CHARACTERS_OF_A_VALUE
        if not isinstance(value, (dict, list, tuple, set)):
            return 0, 1
        depth, values = 0, 1
        for inner in (*value, *value.values()) if isinstance(value, dict) else value:
            inner_depth, inner_values = self._measure(inner, levels - 1)
            depth, values = max(depth, inner_depth + 1), values + inner_values
        self._known[id(value)] = depth, values
        return depth, values


def _too_deep(path: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path} has a value that is nested more than {_DEEPEST} levels deep, or contains itself through an alias (*):"
        " fix it first."
    )


def _too_many(path: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path} has more than {_MOST_VALUES} values if its aliases (*) are followed, which no configuration of Synapse"
        " needs: fix it first."
    )


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
                    f"{path} ({option}) is larger than {_LARGEST // 1024 // 1024} MiB: set it to the right file."
                )
            return text
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} ({option}) is not text in UTF-8: set it to a text file.") from error
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

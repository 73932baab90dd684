# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The text of one file of Synapse's configuration, read as Synapse 1.163 does it (synapse/config/_base.py)."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.secret_text import described
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import KeyPath
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError, MissingLibrary

# The errors of PyYAML, in addition to its own classes, for a text that looks like a type but is not a valid value.
_NO_VALUE = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError)
# Deeper than any setting of Synapse, and far below the recursion limit of Python.
_DEEPEST = 100
# Far more than any configuration has. A few hundred bytes of aliases can stand for billions of values.
_MOST_VALUES = 1_000_000
# Text counts as one more value for each of these characters, because an alias can repeat a long one.
_CHARACTERS_OF_A_VALUE = 16
_MERGE = "tag:yaml.org,2002:merge"


class Repeated(t.NamedTuple):
    """A key that a mapping has more than once, with different values. `lines`: where it is; the last one counts."""

    key: KeyPath
    lines: tuple[int, ...]


class SettingsText(t.NamedTuple):
    """What is in the text of a file.

    `settings`: nothing if Synapse ignores the file. `instead`: what it then is, such as "a list"; "" for a mapping, and
    for a file without any content. `repeated`: keys that are more than once in it.
    """

    settings: dict[str, t.Any]
    instead: str = ""
    repeated: tuple[Repeated, ...] = ()


def parse_settings(text: str, path: str) -> SettingsText:
    """Return what is in the text of a file. Errors name it as `path`.

    Raises ConfigurationError if it is not YAML, is nested too deeply or has too many values, and MissingLibrary without
    PyYAML.
    """
    try:
        import yaml
    except ImportError as error:
        raise MissingLibrary("PyYAML", "to read the configuration of Synapse") from error
    try:
        repeated: list[Repeated] = []
        settings = yaml.load(text, Loader=_loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader), path, repeated))
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
    if isinstance(settings, dict):
        return SettingsText(settings, repeated=tuple(repeated))
    # Synapse ignores a file without a mapping (for example an empty one) with a warning.
    return SettingsText({}, "" if settings is None else described(settings))


def _loader(base: t.Any, path: str, repeated: list[Repeated]) -> t.Any:
    """Return the loader `base` of PyYAML with a limit for merge keys (<<), each of which copies whole mappings.

    It adds the keys that are more than once in a mapping to `repeated`.
    """
    pairs = 0

    def flatten_mapping(loader: t.Any, node: t.Any) -> None:
        nonlocal pairs
        base.flatten_mapping(loader, node)
        pairs += len(node.value)
        if pairs > _MOST_VALUES:
            raise _too_many(path)

    def construct_document(loader: t.Any, node: t.Any) -> t.Any:
        repeated.extend(sorted(_find_repeated(node), key=lambda one: one.lines))
        return base.construct_document(loader, node)

    return type("Loader", (base,), {"flatten_mapping": flatten_mapping, "construct_document": construct_document})


def _find_repeated(root: t.Any) -> t.Iterator[Repeated]:
    """Yield the keys that are more than once in a mapping, in the nodes of PyYAML. Each node is visited once."""
    waiting: list[tuple[KeyPath, t.Any]] = [((), root)]
    visited: set[int] = set()
    while waiting:
        where, node = waiting.pop()
        if id(node) in visited:
            continue
        visited.add(id(node))
        if node.id == "sequence":
            waiting.extend(((*where, str(number)), inner) for number, inner in enumerate(node.value))
        elif node.id == "mapping":
            for entries in _entries(node):
                name = str(entries[0][0].value)
                values = [value for _key, value in entries]
                if not all(_is_same(value, values[-1]) for value in values):
                    yield Repeated((*where, name), tuple(key.start_mark.line + 1 for key, _value in entries))
                waiting.append(((*where, name), values[-1]))


def _entries(node: t.Any) -> t.Iterable[list[tuple[t.Any, t.Any]]]:
    """Return the pairs of a mapping that have the same key. A merge (<<) may be there several times."""
    found: dict[tuple[str, str], list[tuple[t.Any, t.Any]]] = {}
    for key, value in node.value:
        if key.id == "scalar" and key.tag != _MERGE:
            found.setdefault((key.tag, key.value), []).append((key, value))
    return found.values()


def _is_same(one: t.Any, other: t.Any) -> bool:
    return one is other or (one.id == other.id == "scalar" and (one.tag, one.value) == (other.tag, other.value))


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

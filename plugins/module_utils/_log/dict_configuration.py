# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""A configuration of Python's logging, evaluated without running it: where the messages of a logger are written.

Relies on the dictionary schema of logging.config (Python 3.9 to 3.14), and on the handlers of logging and of Synapse
1.163. Nothing is imported or opened that the configuration names. A configuration that Python refuses, so that Synapse
cannot start with it, raises ConfigurationError.
"""

from __future__ import annotations

import logging
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import Settings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_format import Format, read_format
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.logging_settings import LoggingSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.sink import Sink, read_place

# The root logger has this level and name if nothing sets them.
_LEVEL_OF_ROOT, ROOT = logging.WARNING, "root"
_LEVELS = {
    "CRITICAL": logging.CRITICAL,
    "FATAL": logging.CRITICAL,
    "ERROR": logging.ERROR,
    "WARN": logging.WARNING,
    "WARNING": logging.WARNING,
    "INFO": logging.INFO,
    "DEBUG": logging.DEBUG,
    "NOTSET": logging.NOTSET,
}


class Level(t.NamedTuple):
    """The effective level of a logger, and the name of the logger that sets it."""

    level: int
    logger: str


class DictConfiguration:
    """A configuration for logging.config.dictConfig. Every method raises ConfigurationError for what Python refuses."""

    def __init__(self, settings: Settings, path: str, directory: str | None) -> None:
        """`settings`: the content of the file `path`. `directory`: the directory of Synapse, for relative paths.

        Without it, relative paths stay relative.
        """
        self._read = read = LoggingSettings(settings, path)
        self._directory = directory
        if read.value(settings, "version") != 1:
            raise read.wrong("version", "is not 1")
        self.disables_existing = bool(settings.get("disable_existing_loggers", True))
        self._formatters = read.mappings("formatters")
        self._filters = read.mappings("filters")
        self._handlers = read.mappings("handlers")
        self._loggers = read.mappings("loggers")
        self._require_valid(settings)

    def level(self, logger: str) -> Level:
        """Return the effective level of a logger."""
        for name in _upwards(logger):
            level = self._level_of(self._loggers.get(name, {}), f"loggers.{name}")
            # Except at root, a level of 0 is as good as none.
            if level:
                return Level(level, name)
        unset = self._read.value(self._loggers[ROOT], "level") is None
        return Level(_LEVEL_OF_ROOT if unset else logging.NOTSET, ROOT)

    def sinks(self, logger: str) -> list[Sink]:
        """Return where the messages of a logger are written, in the order of its handlers."""
        found: list[Sink] = []
        for name in _upwards(logger):
            settings = self._loggers.get(name, {})
            for handler in self._names(settings, "handlers", f"loggers.{name}"):
                level = self._level_of(self._handler(handler), f"handlers.{handler}")
                found += self._ends(handler, logger, level)
            propagate = self._read.value(settings, "propagate")
            if propagate is not None and not propagate:
                break
        return list(dict.fromkeys(found))

    def kept_from_handlers(self, logger: str) -> str:
        """Return what keeps the messages of a logger from every handler, a sentence with the fix; empty if nothing."""
        filtered: list[str] = []
        if self.sinks(logger):
            return ""
        for name in _upwards(logger):
            settings = self._loggers.get(name, {})
            for handler in self._names(settings, "handlers", f"loggers.{name}"):
                if not self._lets_pass(handler, logger):
                    filters = ", ".join(self._names(self._handler(handler), "filters", f"handlers.{handler}"))
                    filtered.append(f"the handler {handler} has the filter {filters}")
            propagate = self._read.value(settings, "propagate")
            if propagate is not None and not propagate and name != ROOT:
                return f"the logger {name} has propagate: false and no handler that gets them. Set it to true."
        if not filtered:
            return ""
        return f"{' and '.join(filtered)}, which does not let them pass. Remove the filter, or add another handler."

    def names_ancestor_of(self, logger: str) -> bool:
        """Return whether the configuration names this logger or one above it, except the root logger."""
        return any(name in self._loggers for name in _upwards(logger) if name != ROOT)

    def unused(self) -> list[Sink]:
        """Return the handlers that no logger uses. Python opens their files, but nothing is written to them."""
        used: set[str] = set()
        waiting = [
            handler
            for name, settings in self._loggers.items()
            for handler in self._names(settings, "handlers", f"loggers.{name}")
        ]
        while waiting:
            name = waiting.pop()
            if name not in used:
                used.add(name)
                waiting += self._following(name)
        return [self._sink(name, name, logging.NOTSET) for name in self._handlers if name not in used]

    def _require_valid(self, settings: Settings) -> None:
        """Evaluate everything once, so that a mistake is found wherever it is."""
        root = self._read.value(settings, "root")
        # Both of these names are the root logger too, and `root` replaces what they set.
        merged = {**self._loggers.pop("", {}), **self._loggers.pop(ROOT, {})}
        if root:
            merged = {**{key: merged[key] for key in ("level",) if key in merged}, **self._read.mapping(root, ROOT)}
        self._loggers[ROOT] = merged
        for name, logger in self._loggers.items():
            self._level_of(logger, f"loggers.{name}")
            for handler in self._names(logger, "handlers", f"loggers.{name}"):
                self._handler(handler)
        for name, formatter in self._formatters.items():
            read_format(formatter, f"formatters.{name}", self._read)
        self._require_order()
        for name in self._handlers:
            list(self._ends(name, ROOT, logging.NOTSET))
            self._sink(name, name, logging.NOTSET)

    def _require_order(self) -> None:
        """Raise ConfigurationError for a handler that Python cannot make, because it waits for another handler.

        Python goes through the sorted names, and then once more through those that were waiting.
        """
        made: set[str] = set()
        for _passage in range(2):
            for name in sorted(set(self._handlers) - made):
                if made.issuperset(self._following(name)):
                    made.add(name)
        for name in sorted(set(self._handlers) - made):
            raise self._read.wrong(
                f"handlers.{name}",
                "hands its messages on to itself, or to a handler behind it in the alphabet that also waits for one",
            )

    def _ends(self, entry: str, logger: str, level: int) -> t.Iterator[Sink]:
        """Yield where a handler that gets messages writes them in the end: itself, or the handlers behind it."""
        seen: set[str] = set()
        waiting = [entry]
        while waiting:
            name = waiting.pop()
            if name in seen or not self._lets_pass(name, logger):
                continue
            seen.add(name)
            following = self._following(name)
            if not following:
                yield self._sink(name, entry, level)
            # The levels of these handlers do not count, because only a logger compares levels.
            waiting += reversed(following)

    def _following(self, name: str) -> list[str]:
        """Return the handlers to which a handler hands its messages on."""
        settings, where = self._handler(name), f"handlers.{name}"
        factory = str(self._read.factory(settings))
        names = self._names(settings, "handlers", where) if factory.endswith("QueueHandler") else []
        target = self._read.value(settings, "target")
        if factory.endswith("MemoryHandler") and target is not None:
            if not isinstance(target, str):
                raise self._read.wrong(f"{where}.target", "is not the name of a handler")
            names.append(target)
        for handler in names:
            self._handler(handler)
        return names

    def _lets_pass(self, name: str, logger: str) -> bool:
        """Return whether the filters of a handler let the messages of a logger pass. Other code decides in others."""
        for filter_name in self._names(self._handler(name), "filters", f"handlers.{name}"):
            if filter_name not in self._filters:
                raise self._read.wrong(f"handlers.{name}.filters", f"contains {filter_name}, which is not defined")
            settings = self._filters[filter_name]
            wanted = self._read.value(settings, "name", "")
            # Python's own filter lets one logger pass, with those below it.
            if "()" not in settings and wanted and not f"{logger}.".startswith(f"{wanted}."):
                return False
        return True

    def _sink(self, name: str, entry: str, level: int) -> Sink:
        settings = self._handler(name)
        kind, path = read_place(name, settings, self._read, self._directory)
        return Sink(kind, path, name, level, self._format(settings, name), entry)

    def _format(self, settings: Settings, handler: str) -> Format:
        name = self._read.value(settings, "formatter")
        if not name:
            return Format()
        if not isinstance(name, str) or name not in self._formatters:
            raise self._read.wrong(f"handlers.{handler}.formatter", "is not the name of a formatter")
        return read_format(self._formatters[name], f"formatters.{name}", self._read)

    def _handler(self, name: str) -> Settings:
        if name not in self._handlers:
            raise self._read.wrong("handlers", f"does not define {name}, which is used")
        return self._handlers[name]

    def _names(self, settings: Settings, key: str, where: str) -> list[str]:
        names = self._read.value(settings, key) or []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise self._read.wrong(f"{where}.{key}", "is not a list of names")
        return list(names)

    def _level_of(self, settings: Settings, where: str) -> int:
        level = self._read.value(settings, "level")
        if level is None:
            return logging.NOTSET
        if isinstance(level, int):
            return int(level)
        if not isinstance(level, str) or level not in _LEVELS:
            raise self._read.wrong(f"{where}.level", f"is not one of {', '.join(_LEVELS)}, in capitals")
        return _LEVELS[level]


def level_name(level: int) -> str:
    """Return the name of a level, or its number."""
    return logging.getLevelName(level) if level in _LEVELS.values() else str(level)


def _upwards(logger: str) -> list[str]:
    """Return the names of a logger and of those above it, the root logger last."""
    parts = logger.split(".")
    return [".".join(parts[:length]) for length in range(len(parts), 0, -1)] + [ROOT]

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Where Synapse writes its request log, as its own log configuration sets it.

Relies on synapse/config/logger.py, synapse/config/workers.py and synapse/app/_base.py of Synapse 1.163: requests are
logged by `synapse.access.<http or https>.<tag or port of the listener>`, at INFO when they are processed and at DEBUG
when they are received.
"""

from __future__ import annotations

import logging
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    read_configuration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import Settings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.dict_configuration import (
    ROOT,
    DictConfiguration,
    Level,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_format import SYNAPSE_FORMAT, Format
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.sink import NONE, STREAM, Sink

ACCESS = "synapse.access"


class LogSinks(t.NamedTuple):
    """Where the requests of one process are logged.

    `path`: the log configuration, empty if there is none. `setting`: the setting with its path, and `source` the file
    in which it is. `level`: the effective level of the logger of requests, the lowest if there are several listeners,
    and the logger that sets it. `unused`: the handlers that no logger uses. `raised`: the loggers whose level must be
    DEBUG so that it applies to requests. `refused`: why Synapse does not start with this configuration, a sentence, or
    empty. `disables_existing`: disable_existing_loggers is not false. `reload_silences`: a reload therefore ends the
    log of requests. `kept_back`: what keeps requests from every handler, a sentence with the fix, or empty.
    """

    sinks: tuple[Sink, ...]
    level: Level
    path: str = ""
    setting: str = "log_config"
    source: str = ""
    unused: tuple[Sink, ...] = ()
    raised: tuple[str, ...] = (ACCESS,)
    refused: str = ""
    disables_existing: bool = False
    reload_silences: bool = False
    kept_back: str = ""

    def keeping(self, level: int) -> tuple[Sink, ...]:
        """Return the sinks in which messages of a level can be read on this host."""
        if self.refused or self.level.level > level:
            return ()
        return tuple(sink for sink in self.sinks if sink.is_readable and sink.level <= level)


def read_log_sinks(
    configuration: Configuration, working_directory: str | None, *, daemonized: bool = False
) -> LogSinks:
    """Return where a process of Synapse with this configuration logs its requests.

    `working_directory`: that of Synapse at its start, for relative paths; without it, paths of log files stay relative.
    `daemonized`: it was started with -D. Raises ConfigurationError if the log configuration cannot be read, if Python's
    logging refuses it, or if its own path is relative and the directory is not known.
    """
    settings = configuration.settings
    worker = bool(settings.get("worker_app"))
    setting = "worker_log_config" if worker else "log_config"
    source = configuration.source_of(setting) or ""
    daemonized = daemonized or bool(settings.get("worker_daemonize" if worker else "daemonize"))
    path = settings.get(setting)
    refused = LogSinks((), Level(logging.WARNING, ROOT), setting=setting, source=source)
    if settings.get("log_file"):
        reason = f"log_file in {configuration.source_of('log_file')} is a setting that Synapse refuses since 1.3.0"
        return refused._replace(refused=f"{reason}: remove it, and set the path in the log configuration.")
    if path is None:
        handler = Sink(STREAM, "stderr", "", logging.NOTSET, Format(SYNAPSE_FORMAT))
        return _without_streams(LogSinks((handler,), Level(logging.INFO, ROOT), setting=setting), daemonized)
    place = _place(path, setting, source, working_directory)
    content = _read(place, setting, source)
    refusal = _refusal(content)
    if refusal:
        return refused._replace(path=place, refused=f"The log configuration {place} {refusal}")
    evaluated = DictConfiguration(content, place, working_directory)
    loggers = _loggers(settings.get("worker_listeners" if worker else "listeners"))
    levels = [evaluated.level(logger) for logger in loggers]
    found = LogSinks(
        tuple(dict.fromkeys(sink for logger in loggers for sink in evaluated.sinks(logger))),
        min(levels, key=lambda level: level.level),
        place,
        setting,
        source,
        tuple(evaluated.unused()),
        tuple(dict.fromkeys(level.logger if level.logger.startswith(ACCESS) else ACCESS for level in levels)),
        disables_existing=evaluated.disables_existing,
        reload_silences=evaluated.disables_existing
        and not all(evaluated.names_ancestor_of(logger) for logger in loggers),
        kept_back=next(filter(None, map(evaluated.kept_from_handlers, loggers)), ""),
    )
    return _without_streams(found, daemonized)


def _without_streams(found: LogSinks, daemonized: bool) -> LogSinks:
    """Return it as it is for a daemon, whose standard output and error go to /dev/null."""
    if not daemonized:
        return found
    return found._replace(
        sinks=tuple(sink._replace(kind=NONE) if sink.kind == STREAM else sink for sink in found.sinks)
    )


def _place(path: t.Any, setting: str, source: str, working_directory: str | None) -> str:
    if not isinstance(path, str) or not path or "\0" in path:
        raise ConfigurationError(
            f"{setting} in {source} is not a path: set it to the log configuration of Synapse, or remove it."
        )
    if os.path.isabs(path):
        return os.path.normpath(path)
    if working_directory is None:
        raise ConfigurationError(
            f"{setting} in {source} is the relative path {path}, and the directory that Synapse is started in is not"
            " known, because no process of it was found: start Synapse, run the task with become, or set the option"
            " path to the log."
        )
    return os.path.normpath(os.path.join(working_directory, path))


def _read(place: str, setting: str, source: str) -> Settings:
    named = f"{setting} in {source} is set to {place}"
    if os.path.isdir(place):
        raise ConfigurationError(f"{named}, which is a directory: set it to the log configuration of Synapse.")
    try:
        return read_configuration([place]).settings
    except ConfigurationError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise ConfigurationError(
                f"{named}, which does not exist on this host: correct it, because Synapse cannot start with it."
            ) from error
        error.explain(f"It is the {setting} of {source}.")
        raise


def _refusal(content: Settings) -> str:
    """Return why Synapse does not log with this content, as the end of a sentence, or an empty text."""
    if not content:
        return "is empty, or not a mapping, and Synapse cannot start with it: write a valid one."
    if content.get("structured"):
        return (
            "has structured: true, which Synapse refuses since 1.54.0: use the formatter"
            " synapse.logging.TerseJsonFormatter instead."
        )
    if content.get("incremental"):
        return "has incremental: true, with which Synapse has no handler at all: remove that line."
    return ""


def _loggers(listeners: t.Any) -> list[str]:
    """Return the names of the loggers of requests: one for each HTTP listener."""
    names = []
    for listener in listeners if isinstance(listeners, list) else ():
        if isinstance(listener, dict) and listener.get("type") == "http":
            tag = listener.get("tag")
            if tag is None:
                tag = "unix" if listener.get("path") is not None else listener.get("port")
            names.append(f"{ACCESS}.{'https' if listener.get('tls') else 'http'}.{tag}")
    # The default of Synapse, where nothing else is known.
    return list(dict.fromkeys(names)) or [f"{ACCESS}.http.8008"]

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Where the request log is read: in files, or in the journal, and which of them Synapse itself writes."""

from __future__ import annotations

import glob
import logging
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    read_configuration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.files import open_files
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.journal import full_unit_name
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_advice import (
    absence,
    stopped_by_reload,
    unused_files,
    why_nothing,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_configuration import LogSinks, read_log_sinks
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_file import LogFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_format import Format, given_format
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.rotation import stream_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.running import started_processes, units_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.sink import FILE, Sink
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import Unknown

_NOT_READ = (
    "The process with the configuration {path} writes its requests to the journal only, and others to files, which were"
    " read: set unit to read the journal instead."
)


class Places(t.NamedTuple):
    """Where the user wants the log to be read: `path` or `unit`, or neither to follow the configuration of Synapse.

    `log_format`: the format of the records in the style of Python's logging, with the `log_datefmt` of its time; None
    to recognise it.
    """

    path: t.Sequence[str] | None
    unit: t.Sequence[str] | None
    config_path: t.Sequence[str]
    log_format: str | None
    log_datefmt: str | None = None


class Sources(t.NamedTuple):
    """What is read: `files`, or the journal of `units`, whose messages have the format `known`.

    `free_tags`: whether clients choose the tags of requests. `sinks`: where the log configuration makes Synapse write,
    one for each process, if it was followed. `warnings`: sentences about what the log may lack. `is_live`: whether a
    process was found that writes it now. `not_read`: files that get the same requests a second time. `unknown`:
    processes that cannot be seen, whose log may be a different one.
    """

    files: list[LogFile]
    units: list[str]
    known: Format | None
    free_tags: bool
    sinks: t.Sequence[LogSinks] = ()
    warnings: t.Sequence[str] = ()
    is_live: bool = False
    not_read: t.Sequence[str] = ()
    unknown: t.Sequence[Unknown] = ()


def find_sources(places: Places) -> Sources:
    """Return what to read. Files are opened, and their formats recognised.

    Raises InvalidInput and SynapseError if there is nothing to read, with the reason and the fix.
    """
    if places.path is not None and places.unit is not None:
        raise InvalidInput("path and unit are both set: set only one of them.")
    if places.path is None and places.unit is None:
        return _followed(places)
    known = given_format(places.log_format, places.log_datefmt)
    free_tags = _clients_choose_tags(places.config_path)
    if places.path is not None:
        return Sources(open_files(places.path, known, free_tags=free_tags), [], known, free_tags)
    if not places.unit:
        raise InvalidInput("unit is empty: set it to the systemd units that run Synapse.")
    return Sources([], [full_unit_name(unit) for unit in places.unit], known, free_tags)


def _followed(places: Places) -> Sources:
    if not places.config_path:
        raise InvalidInput("config_path is empty. Set it to the files and directories that Synapse is started with.")
    found: list[LogSinks] = []
    formats: dict[str, Format] = {}
    free_tags = False
    in_journal: dict[str, Format] = {}
    others: list[str] = []
    processes, hidden = started_processes(places.config_path)
    is_live = any(process.pid is not None for process in processes)
    for process in processes:
        configuration = read_configuration(process.config_path)
        sinks = read_log_sinks(configuration, process.directory, daemonized=process.daemonized)
        found.append(sinks)
        free_tags = free_tags or _has_request_id_header(configuration)
        kept = sinks.keeping(logging.INFO)
        # A file keeps more than a journal, which drops entries when there are many. Another file has the same requests.
        there = sorted((sink for sink in kept if sink.kind == FILE and not absence(sink.path)), key=_use)
        for sink in there[:1]:
            formats.setdefault(sink.path, sink.format)
        others += [sink.path for sink in there[1:]]
        journals = [sink.format for sink in kept if sink.is_in_journal]
        if journals and not there:
            in_journal.setdefault(process.config_path[-1], journals[0])
    reasons = list(dict.fromkeys(filter(None, map(why_nothing, found))))
    if not formats and not in_journal:
        raise SynapseError(reasons[0] if reasons else "Synapse writes its requests nowhere.")
    warnings = [*reasons, *dict.fromkeys(filter(None, map(stopped_by_reload, found)))]
    given = given_format(places.log_format, places.log_datefmt)
    files: list[LogFile] = []
    units: list[str] = []
    if formats:
        files = _configured_files(formats, given, places.log_datefmt, free_tags=free_tags)
        warnings += [_NOT_READ.format(path=path) for path in in_journal]
    else:
        given = given or _configured(next(iter(in_journal.values())), places.log_datefmt)
        unused = list(dict.fromkeys(filter(None, map(unused_files, found))))
        # People look for the requests in these files.
        warnings += [text.strip() for text in unused]
        try:
            units = units_of(processes, hidden)
        except SynapseError as error:
            if unused:
                error.explain(unused[0].strip())
            raise
    not_read = [path for path in dict.fromkeys(others) if path not in formats]
    return Sources(files, units, given, free_tags, found, warnings, is_live, not_read, hidden)


def _configured(known: Format, datefmt: str | None) -> Format:
    """The format of a log configuration, where a user may know better which time is in the log."""
    return known._replace(datefmt=datefmt or known.datefmt)


def _use(sink: Sink) -> tuple[int, bool]:
    """Of two files with the same requests, the one with more levels is more useful, and the one with their tags."""
    return sink.level, not sink.format.is_json and "request" not in sink.format.text


def _configured_files(
    formats: t.Mapping[str, Format], given: Format | None, datefmt: str | None, *, free_tags: bool
) -> list[LogFile]:
    """The files that Synapse writes, with those that a rotation has renamed."""
    files: list[LogFile] = []
    all_paths = {path: _rotated(path) for path in formats}
    # Empty files are an error if there are no others.
    some = {path: paths for path, paths in all_paths.items() if any(map(_has_content, paths))} or all_paths
    for known in dict.fromkeys(formats[path] for path in some):
        paths = [rotated for path, found in some.items() if formats[path] == known for rotated in found]
        files += open_files(paths, given or _configured(known, datefmt), free_tags=free_tags, option="log_config")
    return files


def _rotated(path: str) -> list[str]:
    beside = glob.glob(os.path.join(glob.escape(os.path.dirname(path)), "*"))
    others = [other for other in beside if stream_of(other) == stream_of(path)]
    return list(dict.fromkeys([path, *sorted(others)]))


def _has_content(path: str) -> bool:
    try:
        return os.stat(path).st_size > 0
    except OSError:
        # Why it cannot be read is told where it is opened.
        return True


def _clients_choose_tags(config_path: t.Sequence[str]) -> bool:
    """Whether the configuration has a listener with request_id_header; where there is none, the log must show it."""
    try:
        return _has_request_id_header(read_configuration(config_path))
    except SynapseError:
        return False


def _has_request_id_header(configuration: Configuration) -> bool:
    settings = configuration.settings
    for key in ("listeners", "worker_listeners"):
        listeners = settings.get(key)
        for listener in listeners if isinstance(listeners, list) else ():
            if isinstance(listener, dict) and listener.get("request_id_header"):
                return True
    return False

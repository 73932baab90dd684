# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Why a log contains no requests, and how to change the log configuration of Synapse so that it contains them."""

from __future__ import annotations

import logging
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.dict_configuration import ROOT, level_name
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_configuration import LogSinks
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.sink import FILE, NONE, OTHER, REMOTE, SYSLOG

_APPLY = "A reload of the unit applies it (systemctl reload, or SIGHUP to each process of Synapse)."


class Advice(t.NamedTuple):
    """How to change the log configuration: what to do, one or more sentences, and the lines in YAML, if any."""

    text: str
    lines: str


def why_nothing(log: LogSinks) -> str:
    """Return in a sentence why no processed requests can be read on this host, or an empty text if they can.

    Files are looked for, but not read. Whether the journal contains anything is not checked.
    """
    if log.refused:
        return log.refused
    if log.level.level > logging.INFO:
        return (
            f"Synapse does not log requests, which have the level INFO: in {log.path}, {_named(log.level.logger)} is at"
            f" {level_name(log.level.level)}. Set its level to INFO. {_APPLY}"
        )
    kept = log.keeping(logging.INFO)
    if not kept:
        return f"{_why_unreadable(log)}{unused_files(log)}"
    absent = [absence(sink.path) for sink in kept if sink.kind == FILE]
    # One that exists is enough.
    if len(absent) < len(kept) or not all(absent):
        return ""
    return f"The log that {log.path} sets cannot be read: {'; '.join(absent)}.{unused_files(log)}"


def stopped_by_reload(log: LogSinks) -> str:
    """Return in a sentence that a reload ends the request log, or an empty text if it does not.

    Python disables the loggers that exist at a reload, unless the configuration names them or one above them.
    """
    if not log.reload_silences:
        return ""
    return (
        f"Each reload of the log configuration ends the request log until the next restart, because {log.path} does not"
        " set disable_existing_loggers to false: add that line, and restart Synapse."
    )


def keeps_received(log: LogSinks) -> bool:
    """Return whether lines of received requests can be read, which have the level DEBUG."""
    return bool(log.keeping(logging.DEBUG))


def how_to_keep_received(log: LogSinks) -> Advice:
    """Return how to make Synapse log received requests too, or an empty advice if it does."""
    if keeps_received(log) or log.refused:
        return Advice(log.refused, "")
    if not log.path:
        text = (
            "Received requests have the level DEBUG, and Synapse has no log configuration: create one, set"
            f" {log.setting} to its path, and restart Synapse. The log configuration needs the lines below."
        )
        return Advice(text, _lines(log))
    text = (
        f"Received requests have the level DEBUG: set it in {log.path} with the lines below, merged into what the file"
        f" sets already. {_APPLY} The log then has about twice as many lines of requests."
    )
    if log.disables_existing:
        text += " Without disable_existing_loggers: false, a reload silences all loggers that the file does not name."
    if not any(sink.is_readable for sink in log.sinks):
        text += f" {_why_unreadable(log)}"
    return Advice(text, _lines(log))


def _lines(log: LogSinks) -> str:
    lines = ["disable_existing_loggers: false"] if log.disables_existing else []
    lines.append("loggers:")
    for logger in log.raised:
        lines += [f"    {logger}:", "        level: DEBUG"]
    readable = [sink for sink in log.sinks if sink.is_readable]
    if readable and all(sink.level > logging.DEBUG for sink in readable):
        # The handler at the logger has the level, and the one behind it has the name of the sink.
        lines += ["handlers:", f"    {readable[0].entry}:", "        level: DEBUG"]
    return "\n".join(lines) + "\n"


def _named(logger: str) -> str:
    return "the root logger (root)" if logger == ROOT else f"the logger {logger}"


def _why_unreadable(log: LogSinks) -> str:
    where = f"in {log.path}" if log.path else "without a log configuration"
    if not log.sinks and log.kept_back:
        return f"Synapse writes its requests nowhere: {where}, {log.kept_back} {_APPLY}"
    if not log.sinks:
        return (
            f"Synapse writes its requests nowhere: {where}, no handler gets them. Add one without"
            " a filter to the handlers of root."
        )
    high = [sink for sink in log.sinks if sink.is_readable]
    if high:
        return (
            f"Synapse does not write requests, which have the level INFO: {where}, the handler {high[0].entry} is at"
            f" {level_name(high[0].level)}. Set its level to INFO. {_APPLY}"
        )
    remote = [sink.path for sink in log.sinks if sink.kind in (REMOTE, SYSLOG)]
    if remote:
        return (
            f"Synapse sends its requests to {', '.join(remote)} only ({where}): read them there, or add a handler that"
            " writes a file."
        )
    streams = [sink.path for sink in log.sinks if sink.kind == NONE and sink.path]
    if streams:
        return (
            f"Synapse runs as a daemon (-D or daemonize), which discards {', '.join(streams)}, where its requests are"
            f" written ({where}): add a handler that writes a file."
        )
    other = [sink.path for sink in log.sinks if sink.kind == OTHER]
    if other:
        return (
            f"Synapse hands its requests to {', '.join(other)} ({where}), and where that writes them is not known: set"
            " the option path or unit."
        )
    return f"Synapse discards its requests ({where}): add a handler that writes a file to the handlers of root."


def unused_files(log: LogSinks) -> str:
    """Return in a sentence, after a space, which files stay empty because no logger uses their handlers, if any."""
    files = [f"{sink.handler} ({sink.path})" for sink in log.unused if sink.kind == FILE]
    if not files:
        return ""
    return (
        f" No logger uses the handler {', '.join(files)}, so that its file stays empty: add it to the handlers of root."
    )


def absence(path: str) -> str:
    """Return why a log file cannot be found, or an empty text if it can."""
    if not os.path.isabs(path):
        return (
            f"{path} is relative to the directory that Synapse is started in, which is not known (set the option path)"
        )
    try:
        os.stat(path)
    except FileNotFoundError:
        return f"{path} does not exist on this host"
    except OSError as error:
        return f"{path} cannot be reached by this user ({error.strerror}; run the task with become)"
    return ""

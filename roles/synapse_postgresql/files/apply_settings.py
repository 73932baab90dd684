# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes or removes the file with the settings of this role, and makes PostgreSQL use it.

If PostgreSQL does not start with it, the file is as before afterwards, and PostgreSQL runs again.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files import child_process, look_at_postgresql

# After a reload, the main process needs a moment to read its files.
_ROUNDS, _PAUSE = 20, 0.1

Row = dict[str, t.Any]


def answer(question: Row) -> Row:
    """Return the plan afterwards, with nothing left to do; raises `OSError` if that is not so.

    The question is that of look_at_postgresql.py, with `settings` of its answer.
    """
    settings = question["settings"]
    _write(question, settings["text"])
    try:
        _put_in_force(settings)
    except OSError as error:
        raise OSError(_taken_back(question, settings, error)) from error
    for _round in range(_ROUNDS):
        plan = look_at_postgresql.look(question)
        if not plan.settings or plan.wrong:
            break
        time.sleep(_PAUSE)
    if plan.settings and not plan.wrong:
        raise OSError(
            f"PostgreSQL does not use all of {settings['path']}. The reason is in its log (journalctl --unit"
            f" {settings['unit']}, /var/log/postgresql)."
        )
    return plan.shown()


def _taken_back(question: Row, settings: Row, error: OSError) -> str:
    """Make PostgreSQL run as before, and return what has happened; raises `OSError` if it does not."""
    # An interrupted run may have left this same file.
    earlier = "" if settings["present"] == settings["text"] else settings["present"] or ""
    reason = f"{str(error).rstrip('.')}. {_log_of(settings['unit'])}"
    _write(question, earlier)
    try:
        _put_in_force(settings)
    except OSError as second:
        raise OSError(
            f"{reason}. It does not start without these settings either: {str(second).rstrip('.')}. Correct that first"
            f" (journalctl --unit {settings['unit']}, /var/log/postgresql)."
        ) from second
    return (
        f"{reason}. {settings['path']} is {'as before' if earlier or not settings['present'] else 'removed'}, and"
        " PostgreSQL runs again. If it needs too much memory, reduce synapse_postgresql_memory_share, or set"
        " synapse_postgresql_tune to false."
    )


def _log_of(unit: str) -> str:
    """Return the last fatal words of PostgreSQL, or nothing."""
    said = child_process.run(["journalctl", "--unit", unit, "--since", "-5min", "--output", "cat", "--no-pager"]).stdout
    lines = [line.partition("FATAL:")[2].strip() for line in said.splitlines() if "FATAL:" in line]
    return f"PostgreSQL reports: {lines[-1].rstrip('.')}" if lines else "The reason is in its log (/var/log/postgresql)"


def _put_in_force(settings: Row) -> None:
    if not settings["runs"]:
        return
    action = "restart" if settings["restarts"] else "reload"
    child_process.require(["systemctl", action, settings["unit"]])


def _write(question: Row, text: str) -> None:
    """The directory belongs to the owner of the cluster, so only he writes there."""
    settings = question["settings"]
    asked = {"path": settings["path"], "text": text}
    child_process.ask(question, "write_file.py", asked, settings["owner"], "python3")

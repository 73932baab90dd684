# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether Synapse has completed the background updates of its databases.

Until then some of its statements fail, because they need an index that an update builds: on a new SQLite database that
of the profiles, without which an account cannot be reactivated (synapse/storage/databases/main/profile.py, 1.163).
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import read_configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.background_updates import (
    find_databases,
    read_pending_updates,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConfigurationError,
    MissingLibrary,
    SynapseError,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.declared import Declared, Mapping
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.verdict import Verdict

_OPTION = "pending_background_updates"
_MOST, _LONGEST_NAME = 10, 100


class BackgroundUpdates(t.NamedTuple):
    """The `pending` updates, or the `problem`: why they cannot be read, as sentences.

    `lasting`: only another configuration solves the problem.
    """

    pending: tuple[Mapping, ...] = ()
    problem: str = ""
    lasting: bool = False


class ReadUpdates(t.Protocol):
    """Reads the background updates: read_background_updates."""

    def __call__(self, declared: Declared, timeout: float) -> BackgroundUpdates:
        """Return them, or why they cannot be read."""


def read_background_updates(declared: Declared, timeout: float) -> BackgroundUpdates:
    """Return the updates in all databases of the configuration, which change nothing. `timeout`: in seconds.

    Raises MissingLibrary without the library for the database.
    """
    try:
        databases = find_databases(read_configuration(declared.config_path), declared.working_directory)
    except ConfigurationError as error:
        return BackgroundUpdates(problem=error.message, lasting=True)
    try:
        return BackgroundUpdates(tuple(read_pending_updates(databases, statement_timeout=timeout)))
    except MissingLibrary:
        raise
    except SynapseError as error:
        # Synapse may not have created it yet.
        return BackgroundUpdates(problem=error.message)


def are_as_declared(declared: Declared, updates: BackgroundUpdates) -> bool:
    """Return whether not more updates are pending than declared."""
    most = declared.pending_background_updates
    return most is None or (not updates.problem and len(updates.pending) <= most)


def judge_background_updates(
    declared: Declared, updates: BackgroundUpdates | None, waited: float, verdict: Verdict
) -> None:
    """Compare the number of updates with `pending_background_updates`. None: they were not read.

    `waited`: for how many seconds the check has waited for them.
    """
    most = declared.pending_background_updates
    if most is None or updates is None:
        return
    option, count = declared.called(_OPTION), len(updates.pending)
    if updates.problem:
        verdict.fail(_OPTION, f"Whether at most the declared {option} are left is unknown. {updates.problem}")
    elif count > most:
        after = f" after {round(waited)} seconds" if declared.wait_timeout else ""
        timeout = declared.called("wait_timeout")
        subject = "1 background update is" if count == 1 else f"{count} background updates are"
        verdict.fail(
            _OPTION,
            f"{subject} not complete{after}, but {option} is {most}: {_names(updates)}. Synapse works, but until they"
            " are complete, some requests fail with status 500, such as the reactivation of an account on SQLite, and"
            f" others are slow. Run the task again later, or raise {timeout}. If the same ones remain,"
            f" {declared.log_hint[0].lower()}{declared.log_hint[1:]} for lines with background_updates.",
        )
    else:
        left = f"{count} left: {_names(updates)}. At most {most} are allowed." if count else "all are complete."
        verdict.proofs[_OPTION] = f"Background updates: {left}"


def _names(updates: BackgroundUpdates) -> str:
    names = [_printable(str(update["name"])) for update in updates.pending]
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more


def _printable(name: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in name[:_LONGEST_NAME])

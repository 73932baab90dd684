# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The state of a move, kept in a file, so that a run that was killed can be continued or begun anew."""

from __future__ import annotations

import dataclasses
import enum
import json
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import open_directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError

_FORMAT = 1


class Phase(enum.Enum):
    """How far a move is. Each is written before the work of its description begins."""

    # The target gets our marker, the snapshot is made.
    BEGUN = "begun"
    # There is a complete snapshot, and the target contains nothing else than rows of it.
    FIRST_PASS = "first_pass"
    # All rows of the snapshot are copied. Synapse is being stopped, or has been.
    STOPPING = "stopping"
    # Rows are copied that the snapshot does not have: from now on, the target belongs to one state of the file.
    LAST_PASS = "last_pass"
    # Everything is copied and compared. The drop-in is written and Synapse started.
    SWITCHING = "switching"
    DONE = "done"
    # It failed. Synapse uses SQLite, and a new move begins anew.
    FAILED = "failed"
    # Synapse is being stopped to go back to SQLite, or was.
    RETURNING = "returning"
    # Synapse went back to SQLite.
    BACK = "back"


@dataclasses.dataclass
class MoveState:
    """What a later run has to know. Nothing in it is secret.

    `move`: the name of this move, which is also in the target. `source`: the path of the SQLite database. `target`: in
    words. `rowids`: for each table, the first rowid after those that the first pass has copied, and the last one before
    them. `file`: the identity of the SQLite database during the last pass. `running`: what ran before the stop.
    `dropin`: what the drop-in was before ({} for no file). `counts`, `transaction` and `identities`: of the target at
    the switch (see _migration.written).
    `sample`: objects that have to be there afterwards, and `before`: how the server differed from it before. `result`:
    what the module returns.
    """

    move: str
    source: str
    target: str
    phase: Phase = Phase.BEGUN
    rowids: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    file: list[int] = dataclasses.field(default_factory=list)
    running: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    dropin: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    transaction: str = ""
    identities: dict[str, str] = dataclasses.field(default_factory=dict)
    sample: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    before: list[str] = dataclasses.field(default_factory=list)
    result: dict[str, t.Any] = dataclasses.field(default_factory=dict)


class StateFile:
    """The file with the state. It is replaced atomically, and only its owner can read it."""

    def __init__(self, path: str, trusted: t.Collection[int]) -> None:
        """`trusted`: the IDs of the users who may write to the directories in the path, in addition to root."""
        self.path = path
        self._trusted = trusted

    def read(self) -> MoveState | None:
        """Return the state, or None if there is no file. Raises SynapseError if it is not one of this collection."""
        directory, name = os.path.split(self.path)
        with open_directory(directory, trusted=self._trusted) as opened:
            content = opened.read(name)
        if content is None:
            return None
        try:
            read = json.loads(content)
            if read.pop("format") != _FORMAT:
                raise ValueError
            state, empty = MoveState(**{**read, "phase": Phase(read["phase"])}), MoveState("", "", "")
            if any(type(value) is not type(getattr(empty, name)) for name, value in vars(state).items()):
                raise ValueError
            return state
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise SynapseError(
                f"{self.path} is not the state of a move that this collection can continue. Move the file away. If"
                " Synapse uses SQLite, empty the PostgreSQL database, and run the task again."
            ) from error

    def write(self, state: MoveState) -> None:
        """Replace the file. Raises SynapseError if that fails."""
        text = json.dumps({"format": _FORMAT, **dataclasses.asdict(state), "phase": state.phase.value}, indent=1)
        directory, name = os.path.split(self.path)
        with open_directory(directory, trusted=self._trusted) as opened:
            opened.replace(name, f"{text}\n".encode(), Attributes(0o600, os.geteuid(), os.getegid()))

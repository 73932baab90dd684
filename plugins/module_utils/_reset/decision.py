# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether the database of a Synapse may be dropped. There are two cases, those of the Synapse Admin FAQ.

Other servers remember a server that has federated: which rooms it is in, its members and its keys. They do not accept
the same server name with an empty database as the same server. So the database is only dropped if there is no evidence
that the server has ever federated, or if its server name changes, which makes it another server for all others.
"""

from __future__ import annotations

import dataclasses
import enum
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import JsonObject
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.contents import Contents
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.refusal import refuse_federated


class Case(enum.Enum):
    """Why the database may be dropped, or that there is nothing to drop. The values are those of the result."""

    UNUSED = "unused"
    NEVER_FEDERATED = "never_federated"
    SERVER_NAME_CHANGES = "server_name_changes"
    # An earlier run of the module has dropped it, and was interrupted.
    UNFINISHED = "unfinished"


@dataclasses.dataclass(frozen=True)
class Decision:
    """The `case`, and the server name that the accounts in the database have, if it is not the configured one."""

    case: Case
    old_server_name: str = ""


def require_confirmation(server_name: str, confirm: str, server_names: t.Sequence[str] = ()) -> None:
    """Raise InvalidInput unless `confirm` is the configured server name, with its port and in its upper and lower case.

    `server_names`: those of the accounts in the database.
    """
    if confirm == server_name:
        return
    if confirm in server_names:
        raise InvalidInput(
            f"confirm is {confirm}, which is the old server name. The configuration sets server_name to {server_name}:"
            " set confirm to that one, if the database really is to be dropped."
        )
    if not confirm:
        raise InvalidInput(
            f"confirm is empty. Set it to the server name, {server_name}, if the database of that server really is to"
            " be dropped."
        )
    raise InvalidInput(
        # Two names may differ only in a space, or in a letter of another script.
        f"confirm is {confirm!a}, but the configuration on this host is that of {server_name}. Check that this is the"
        " right host. The two must be exactly the same, with the port if there is one."
    )


def decide(server_name: str, contents: Contents, read_evidence: t.Callable[[], list[JsonObject]]) -> Decision:
    """Return whether there is something to drop, and why that is allowed. Raises InvalidInput if it is not.

    `read_evidence` returns the evidence that the server has ever federated; it is only called if it matters. Raises
    what it raises.
    """
    if contents.is_unused(server_name):
        return Decision(Case.UNUSED)
    others = [name for name in contents.server_names if name != server_name]
    if others and len(contents.server_names) > 1:
        raise InvalidInput(
            f"The accounts in the database have the server names {', '.join(contents.server_names)}, but the database"
            " of a Synapse has one. So it cannot be said which server it belongs to, and it is not dropped. Check the"
            " table users, and what has written to it."
        )
    if others:
        return Decision(Case.SERVER_NAME_CHANGES, others[0])
    evidence = read_evidence()
    if evidence:
        raise refuse_federated(server_name, evidence)
    return Decision(Case.NEVER_FEDERATED)

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What a result says in sentences: why a database may be dropped, and what to do after a reset."""

from __future__ import annotations

from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.decision import Case, Decision


def reason_of(decision: Decision, server_name: str) -> str:
    """Return the decision as a sentence."""
    if decision.case is Case.UNUSED:
        return "The database is empty or new: it has no accounts and no rooms, so there is nothing to reset."
    if decision.case is Case.NEVER_FEDERATED:
        return (
            f"There is no evidence that {server_name} has ever federated. That is not a proof, because Synapse deletes"
            " old data."
        )
    if decision.case is Case.SERVER_NAME_CHANGES:
        return (
            f"The server name changes from {decision.old_server_name} to {server_name}. Synapse does not start on a"
            " database with accounts of another server name."
        )
    return "An earlier reset dropped the database and was interrupted."


def next_steps(decision: Decision, *, keeps_key: bool, keeps_media: bool) -> list[str]:
    """Return what is left to do after a reset, as sentences. Nothing if the database was not dropped.

    `keeps_key`: whether the server still has the signing key of its old name. `keeps_media`: whether the media stay.
    """
    if decision.case is Case.UNUSED:
        return []
    steps = [
        "All accounts and access tokens are gone. Create a server admin and a token for this collection:"
        " ansible-playbook -i INVENTORY matrix_ops.synapse.site, or matrix_ops.synapse.grant_admin.",
    ]
    if decision.old_server_name and keeps_key:
        steps.append(
            f"The server still signs with the key that it had as {decision.old_server_name}. Under its new name it"
            " should have a new one. Only this reset itself can make it, with new_signing_key: true. After the reset,"
            " stop Synapse, move the file of the key away, run Synapse once with --generate-keys, and start it."
        )
    if keeps_media:
        steps.append("The media of the old server are still in the media store, and no account can reach them.")
    return steps

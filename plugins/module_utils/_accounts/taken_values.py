# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Declared e-mail addresses, telephone numbers and external IDs that another account has already.

Relies on GET /_synapse/admin/v1/threepid/<medium>/users/<address> and v1/auth_providers/<provider>/users/<external_id>
of Synapse 1.163.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.declared import Address
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.entry import Entry
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, NotFound
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import State

_THREEPIDS, _EXTERNAL_IDS = "threepids", "external_ids"
_BY_ADDRESS = "/_synapse/admin/v1/threepid/{medium}/users/{address}"
_BY_IDENTITY = "/_synapse/admin/v1/auth_providers/{auth_provider}/users/{external_id}"
_FREED_LATER = "This list removes it from that account: run the task again afterwards."
_NOT_FREED = (
    "This list deactivates that account, but not while another account of the list fails: deactivate it in an earlier"
    " task."
)


class ValueTaken(InvalidInput):
    """The `entry` of the attribute `name`, threepids or external_ids, belongs to another account, the `owner`."""

    def __init__(self, message: str, owner: str, name: str, entry: Address) -> None:
        super().__init__(message)
        self.owner, self.name, self.entry = owner, name, entry


def require_free_values(client: Client, user_id: str, current: State, after: State, *, takeover: bool) -> None:
    """Raise ValueTaken if the account would get a value that another account has, or what the client raises.

    `takeover`: whether an e-mail address or telephone number may be removed from another account.
    """
    for entry in _added(_EXTERNAL_IDS, current, after):
        owner = _owner(client, _BY_IDENTITY, entry)
        if owner not in (None, user_id):
            raise ValueTaken(
                f"{entry['external_id']} at {entry['auth_provider']} is already an external ID of {owner}."
                f" Remove it from that account before you add it to {user_id}.",
                str(owner),
                _EXTERNAL_IDS,
                entry,
            )
    for entry in () if takeover else _added(_THREEPIDS, current, after):
        owner = _owner(client, _BY_ADDRESS, entry)
        if owner not in (None, user_id):
            raise ValueTaken(
                f"{entry['address']} already belongs to {owner}, and would be removed from that account. Set"
                " allow_threepid_takeover to true to allow this.",
                str(owner),
                _THREEPIDS,
                entry,
            )


def explain_moves(entries: t.Sequence[Entry]) -> None:
    """Add to each ValueTaken of a list whose value the list removes from its owner, when the value is free."""
    by_name = {entry.name: entry for entry in entries}
    for taken in [entry.error for entry in entries if isinstance(entry.error, ValueTaken)]:
        owner = by_name.get(taken.owner)
        if owner is not None and not owner.error and owner.after and taken.entry not in owner.after[taken.name]:
            taken.explain(_FREED_LATER if owner.declared.present else _NOT_FREED)


def _added(name: str, current: State, after: State) -> list[Address]:
    before = (current or {}).get(name) or []
    return [entry for entry in (after or {}).get(name) or [] if entry not in before]


def _owner(client: Client, template: str, entry: Address) -> str | None:
    values: dict[str, t.Any] = dict(entry)
    try:
        return str(client.get(template, **values)["user_id"])
    except NotFound:
        return None

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Addresses and identities that more than one account of a list declares: they would go to the last one."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.declared import DeclaredAccount


def shared_addresses(declared: t.Mapping[str, DeclaredAccount]) -> dict[str, str]:
    """Return, for each account that shares an address or an identity with another one, in words what they share.

    `declared`: what is declared, by user id; each must be valid. They are compared in their normal form.
    """
    owners: dict[tuple[str, ...], list[str]] = {}
    for name, account in declared.items():
        if not account.present:
            continue
        attributes = account.attributes()
        for address in attributes.get("threepids", ()):
            owners.setdefault(("address", address["medium"], address["address"]), []).append(name)
        for identity in attributes.get("external_ids", ()):
            owners.setdefault(("identity", identity["auth_provider"], identity["external_id"]), []).append(name)
    found: dict[str, str] = {}
    for (kind, where, what), names in owners.items():
        for name in names if len(names) > 1 else ():
            others = ", ".join(other for other in names if other != name)
            shown = what if kind == "address" else f"{what} of {where}"
            found.setdefault(name, f"{shown} is declared as an {kind} of {others} too: only one account can have it")
    return found

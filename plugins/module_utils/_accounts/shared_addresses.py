# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""E-mail addresses, telephone numbers and external IDs that several accounts of a list declare.

The last account would get them.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.declared import DeclaredAccount

_KINDS = {"email": "e-mail address", "msisdn": "telephone number", "external_id": "external ID"}


def shared_addresses(declared: t.Mapping[str, DeclaredAccount]) -> dict[str, str]:
    """Return, for each account that declares the same value as another account, the reason why this is not possible.

    `declared`: the declared accounts by user ID, each of them valid. The values are compared in their normal form.
    """
    owners: dict[tuple[str, ...], list[str]] = {}
    for name, account in declared.items():
        if not account.present:
            continue
        attributes = account.attributes()
        for address in attributes.get("threepids", ()):
            owners.setdefault((address["medium"], "", address["address"]), []).append(name)
        for identity in attributes.get("external_ids", ()):
            owners.setdefault(("external_id", identity["auth_provider"], identity["external_id"]), []).append(name)
    found: dict[str, str] = {}
    for (kind, provider, value), names in owners.items():
        for name in names if len(names) > 1 else ():
            others = ", ".join(other for other in names if other != name)
            shown = f"{_KINDS[kind]} {value}" + (f" at {provider}" if provider else "")
            found.setdefault(name, f"The {shown} is also declared for {others}, but only one account can have it")
    return found

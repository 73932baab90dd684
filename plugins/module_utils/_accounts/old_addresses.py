# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""E-mail addresses that old versions of Synapse stored as they were typed, and that no API can remove.

AuthHandler.delete_local_threepid of Synapse 1.163 converts an e-mail address (util.threepids.canonicalise_email)
before it deletes the row. So it never finds a row such as Alice@Example.org, but it finds the row alice@example.org
of the same account, and deletes that instead. It refuses an address that it cannot convert, and with it the whole
request, also a deactivation. Addresses of every other medium, such as email_old, are deleted as they are.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput

Address = dict[str, str]


def is_removable(stored: Address) -> bool:
    """Return whether the API can remove an address (`medium`, `address`) as the database contains it."""
    return stored["medium"] != "email" or _canonical(stored["address"]) == stored["address"]


def kept_beside(declared: t.Sequence[Address], stored: t.Iterable[Address]) -> list[Address]:
    """Return the stored addresses that cannot be removed, and that are declared ones in another spelling.

    They belong into the request that sets the declared addresses: an address that is not in it would be removed.
    """
    return [old for old in stored if not is_removable(old) and _in_new_spelling(old) in declared]


def require_removable(user_id: str, declared: t.Sequence[Address], stored: t.Iterable[Address]) -> None:
    """Raise InvalidInput if a stored address must be removed that cannot be removed."""
    for old in stored:
        new = _in_new_spelling(old)
        if is_removable(old) or new in declared:
            continue
        fix = f" Or add {_shown(new)} to threepids." if new else ""
        raise InvalidInput(
            f"{user_id} has the e-mail address {_shown(old)}, which {_reason(new)}. threepids does not contain it, but"
            f" no API of Synapse can remove it. Nothing was changed. {_removal(user_id, old)}.{fix}"
        )


def require_deactivatable(user_id: str, stored: t.Iterable[Address]) -> None:
    """Raise InvalidInput if a stored address prevents the deactivation of its account."""
    for old in stored:
        if not is_removable(old) and _in_new_spelling(old) is None:
            raise InvalidInput(
                f"{user_id} cannot be deactivated: it has the e-mail address {_shown(old)}, which {_reason(None)}."
                f" Nothing was changed. {_removal(user_id, old)}."
            )


def left_after_deactivation(stored: t.Iterable[Address]) -> list[Address]:
    """Return the addresses that an account still has after its deactivation."""
    return [old for old in stored if not is_removable(old)]


def warning_of_left(user_id: str, left: t.Sequence[Address]) -> str:
    """Return the warning for addresses that a deactivated account still has."""
    named = ", ".join(_shown(old) for old in left)
    removals = " ".join(f"{_removal(user_id, old)}." for old in left)
    return (
        f"{user_id} keeps {named} after its deactivation, because no API of Synapse can remove an e-mail address that"
        f" an old version stored in this form. {removals}"
    )


def _canonical(address: str) -> str | None:
    """Return the address as Synapse converts it (util.threepids.canonicalise_email), None if Synapse refuses it."""
    localpart, at, domain = address.strip().partition("@")
    return f"{localpart.casefold()}@{domain.lower()}" if at and "@" not in domain else None


def _in_new_spelling(old: Address) -> Address | None:
    address = _canonical(old["address"])
    return None if address is None else {"medium": old["medium"], "address": address}


def _reason(new: Address | None) -> str:
    if new is None:
        return "an old version of Synapse stored, and which newer versions do not take for an e-mail address"
    return f"an old version of Synapse stored in this form instead of as {_shown(new)}"


def _removal(user_id: str, old: Address) -> str:
    if not f"{user_id}{old['address']}".isprintable():
        return "Remove its row from the table user_threepids of Synapse's database"
    where = {"user_id": user_id, **old}
    conditions = " AND ".join(f"{column} = {_literal(value)}" for column, value in where.items())
    return (
        "Remove its row from Synapse's database, which may run meanwhile:"
        f" DELETE FROM user_threepids WHERE {conditions}"
    )


def _literal(value: str) -> str:
    doubled = value.replace("'", "''")
    return f"'{doubled}'"


def _shown(old: Address) -> str:
    address = old["address"]
    return address if address and address.isprintable() else ascii(address)

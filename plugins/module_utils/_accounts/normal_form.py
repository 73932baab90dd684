# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The form in which Synapse shows what is declared of an account, once it has been changed to it.

Synapse changes some values before it stores them, and others when it makes an account than when it changes one. A
declared value is compared, and sent, in its normal form: then both come to the same. What the server shows stays as it
is, so that a value stored otherwise is seen and mended.

Relies on the functions of Synapse 1.163 that are named below.
"""

from __future__ import annotations

import typing as t
import unicodedata

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput

MAXIMUM_DISPLAYNAME = 256
MAXIMUM_AVATAR_URL = 1000
MAXIMUM_EMAIL = 500


def normal_form(name: str, value: str | None) -> str | None:
    """Return a value that is declared of an account as Synapse shows it afterwards.

    `name` is a key of NORMAL_FORMS; None stands for what is not set. It is stable: the normal form of a normal form is
    itself. Raises InvalidInput for a value that Synapse would refuse, could not store, or that nobody can mean.
    """
    if value is not None:
        _require_storable(name, value)
    return NORMAL_FORMS[name](value)


def normal_address(address: t.Mapping[str, str]) -> dict[str, str]:
    """Return an address (`medium`, `address`) in its normal form. Raises InvalidInput if it is none, as normal_form.

    What Synapse compares in PUT v2/users/<id> is what was sent, before it folds it: an address that is not sent in its
    normal form is removed and added again each time, and with it the notices that go to it.
    """
    medium = address["medium"]
    return {"medium": medium, "address": t.cast(str, normal_form(medium, address["address"]))}


def normal_external_id(entry: t.Mapping[str, str]) -> dict[str, str]:
    """Return an id at a provider (`auth_provider`, `external_id`) in its normal form. Raises as normal_form."""
    return {name: t.cast(str, normal_form(name, entry[name])) for name in ("auth_provider", "external_id")}


def _displayname(value: str | None) -> str:
    """Return the name without white space around it, "" for none.

    ProfileHandler.set_displayname strips it, after having counted; RegistrationHandler.register_user neither strips
    nor counts, and stores no name for "".
    """
    name = (value or "").strip()
    _require_length("displayname", name, MAXIMUM_DISPLAYNAME)
    return name


def _avatar_url(value: str | None) -> str:
    """Return the address as it is, "" for none: ProfileHandler.set_avatar_url only counts it, and makes none of ""."""
    address = value or ""
    if address and not address.startswith("mxc://"):
        raise InvalidInput(
            f"avatar_url {address!r} is not the address of uploaded media: it begins with mxc://."
            " Upload the picture first; an empty avatar_url removes it."
        )
    if _has_gap(address):
        raise InvalidInput(f"avatar_url {address!r} holds white space or a control character: write it without.")
    _require_length("avatar_url", address, MAXIMUM_AVATAR_URL)
    return address


def _user_type(value: str | None) -> str | None:
    """Return the type as it is, None for none: UserRestServletV2.on_PUT knows exactly those configured, never ""."""
    return value or None


def _email(value: str | None) -> str:
    """Return the address as util.threepids.canonicalise_email folds it: the localpart's case, the domain in lower case.

    Synapse calls that from AuthHandler.add_threepid and delete_local_threepid; it only asks for one "@".
    """
    text = (value or "").strip()
    localpart, at, domain = text.partition("@")
    if not localpart or not at or not domain or "@" in domain or _has_gap(text):
        raise InvalidInput(f"{text!r} is not an e-mail address.")
    address = f"{localpart.casefold()}@{domain.lower()}"
    _require_length("the e-mail address", address, MAXIMUM_EMAIL)
    return address


def _msisdn(value: str | None) -> str:
    """Return the telephone number as digits alone, which begin with those of the country.

    AuthHandler.add_threepid stores any text; but where people log in with a number, Synapse looks for what
    util.msisdn.phone_number_to_msisdn makes of it, which is this.
    """
    text = (value or "").strip()
    # As people write it: "+44 20 7946 0000".
    digits = "".join((text[1:] if text.startswith("+") else text).split())
    if not digits.isascii() or not digits.isdigit():
        raise InvalidInput(f"{text!r} is not a telephone number: write it with its country code, as digits alone.")
    return digits


def _unchanged(value: str | None) -> str:
    """Return the text as it is; case and white space count.

    RegistrationWorkerStore.record_user_external_id and replace_user_external_id store it so.
    """
    return value or ""


NORMAL_FORMS: t.Mapping[str, t.Callable[[str | None], str | None]] = {
    "displayname": _displayname,
    "avatar_url": _avatar_url,
    "user_type": _user_type,
    "email": _email,
    "msisdn": _msisdn,
    "auth_provider": _unchanged,
    "external_id": _unchanged,
}


def _require_storable(name: str, value: str) -> None:
    """Raise InvalidInput for text that a database of Synapse cannot hold: it answers with an error of its own then."""
    if "\0" in value:
        raise InvalidInput(
            f"{name} {value!a} holds the character NUL, which PostgreSQL cannot store: write it without."
        )
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{name} {value!a} holds bytes that are not UTF-8: write it in UTF-8.") from None


def _require_length(what: str, value: str, maximum: int) -> None:
    if len(value) > maximum:
        raise InvalidInput(f"{what} is longer than the {maximum} characters that Synapse accepts.")


def _has_gap(text: str) -> bool:
    return any(character.isspace() or unicodedata.category(character) == "Cc" for character in text)

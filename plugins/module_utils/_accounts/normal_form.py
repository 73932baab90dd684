# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The normal form of declared values: the form in which Synapse shows them after it has stored them.

Synapse changes some values before it stores them, and it changes other values when it creates an account than when it
changes one. A declared value is compared and sent in its normal form, so that both have the same result. The values
that the server shows are not converted, so that a value which is stored in another form is found and corrected.

Relies on the functions of Synapse 1.163 that are named below.
"""

from __future__ import annotations

import re
import typing as t
import unicodedata

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput

MAXIMUM_DISPLAY_NAME = 256
MAXIMUM_AVATAR_URL = 1000
MAXIMUM_EMAIL = 500
# No real number has more than 15 digits, and PostgreSQL stores no long one in its index.
MAXIMUM_MSISDN = 100
# In bytes, for both parts together: PostgreSQL stores no more than about 2700 bytes in the index of these columns.
MAXIMUM_EXTERNAL_ID = 2000
# The characters that Synapse accepts in a new localpart (synapse/types, contains_invalid_mxid_characters).
LOCALPART = re.compile(r"[a-z0-9._=/+-]+")
LOCALPART_CHARACTERS = "a-z, 0-9 and . _ = / + -"
# The form of the URI in synapse/util/stringutils.py, which has to be right if the server limits avatars.
_MXC = re.compile(r"mxc://[^/]+/[^/#?]+")


def normal_form(name: str, value: str | None) -> str:
    """Return a declared value as Synapse shows it afterwards.

    `name` is a key of NORMAL_FORMS. None means that the value is not set. The normal form of a normal form is the same.
    Raises InvalidInput for a value that Synapse refuses or cannot store, or that makes no sense.
    """
    if value is not None:
        require_storable(name, value)
    return NORMAL_FORMS[name](value)


def normal_address(address: t.Mapping[str, str]) -> dict[str, str]:
    """Return an e-mail address or telephone number (`medium`, `address`) in its normal form. Raises as normal_form.

    PUT v2/users/<id> compares the value that was sent before Synapse converts it. A value that is not sent in its
    normal form is removed and added again each time, together with the notifications that are sent to it.
    """
    medium = address["medium"]
    return {"medium": medium, "address": normal_form(medium, address["address"])}


def normal_external_id(entry: t.Mapping[str, str]) -> dict[str, str]:
    """Return an external ID (`auth_provider`, `external_id`) in its normal form. Raises as normal_form."""
    normal = {name: normal_form(name, entry[name]) for name in ("auth_provider", "external_id")}
    for name, value in normal.items():
        if not value:
            raise InvalidInput(f"external_ids contains an empty {name}. Set it, or remove the entry.")
    if sum(len(value.encode()) for value in normal.values()) > MAXIMUM_EXTERNAL_ID:
        raise InvalidInput(
            f"The external ID at {normal['auth_provider'][:100]} is longer than {MAXIMUM_EXTERNAL_ID} bytes, which"
            " Synapse cannot store in every database."
        )
    return normal


def _display_name(value: str | None) -> str:
    """Return the name without leading and trailing white space, "" if it is not set.

    ProfileHandler.set_displayname counts the characters and then strips them. RegistrationHandler.register_user does
    neither, and stores no name for "".
    """
    name = (value or "").strip()
    _require_length("display_name", name, MAXIMUM_DISPLAY_NAME)
    return name


def _avatar_url(value: str | None) -> str:
    """Return the URI unchanged, "" if it is not set. ProfileHandler.set_avatar_url checks only its length."""
    uri = value or ""
    if uri and not uri.startswith("mxc://"):
        raise InvalidInput(
            f"avatar_url {uri!r} is not a URI of uploaded media. Upload the picture and set avatar_url to its URI,"
            " which starts with mxc://, or to an empty string to remove the avatar."
        )
    if _has_gap(uri):
        raise InvalidInput(f"avatar_url {uri!r} contains white space or a control character. Remove it.")
    _require_length("avatar_url", uri, MAXIMUM_AVATAR_URL)
    if uri and not _MXC.fullmatch(uri):
        raise InvalidInput(
            f"avatar_url {uri!r} is not a URI of uploaded media. It consists of the server name and the ID of the"
            " media, such as mxc://example.org/abc."
        )
    return uri


def _user_type(value: str | None) -> str:
    """Return the type unchanged, "" if it is not set: UserRestServletV2.on_PUT accepts only configured types."""
    return value or ""


def _email(value: str | None) -> str:
    """Return the e-mail address as util.threepids.canonicalise_email converts it: casefold and lower-case domain.

    AuthHandler.add_threepid and delete_local_threepid call that function. It only requires one "@".
    """
    text = (value or "").strip()
    localpart, at, domain = text.partition("@")
    if not localpart or not at or not domain or "@" in domain or _has_gap(text):
        raise InvalidInput(f"{text!r} is not a valid e-mail address.")
    address = f"{localpart.casefold()}@{domain.lower()}"
    _require_length("the e-mail address", address, MAXIMUM_EMAIL)
    return address


def _msisdn(value: str | None) -> str:
    """Return the telephone number as digits only, which start with the country code.

    AuthHandler.add_threepid stores any text. But if a user logs in with a telephone number, Synapse looks for the form
    that util.msisdn.phone_number_to_msisdn returns, which is this one.
    """
    text = (value or "").strip()
    # The usual form is "+44 20 7946 0000".
    digits = "".join((text[1:] if text.startswith("+") else text).split())
    if not digits.isascii() or not digits.isdigit():
        raise InvalidInput(f"{text!r} is not a valid telephone number. Write it with its country code, as digits only.")
    if len(digits) > MAXIMUM_MSISDN:
        raise InvalidInput(
            f"{text!r} is not a valid telephone number, because it has more than {MAXIMUM_MSISDN} digits."
        )
    return digits


def _unchanged(value: str | None) -> str:
    """Return the text unchanged, with its case and white space.

    RegistrationWorkerStore.record_user_external_id and replace_user_external_id store it unchanged.
    """
    return value or ""


NORMAL_FORMS: t.Mapping[str, t.Callable[[str | None], str]] = {
    "display_name": _display_name,
    "avatar_url": _avatar_url,
    "user_type": _user_type,
    "email": _email,
    "msisdn": _msisdn,
    "auth_provider": _unchanged,
    "external_id": _unchanged,
}


def require_storable(name: str, value: str) -> None:
    """Raise InvalidInput for text that a database of Synapse cannot store. Synapse has an internal error then."""
    if "\0" in value:
        raise InvalidInput(f"{name} {value!a} contains the character NUL, which PostgreSQL cannot store. Remove it.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{name} {value!a} contains bytes that are not UTF-8. Write it in UTF-8.") from None


def _require_length(what: str, value: str, maximum: int) -> None:
    if len(value) > maximum:
        raise InvalidInput(f"{what} is longer than {maximum} characters, the maximum of Synapse.")


def _has_gap(text: str) -> bool:
    return any(character.isspace() or unicodedata.category(character) == "Cc" for character in text)

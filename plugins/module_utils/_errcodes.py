# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What Synapse's error codes mean for an operator, and what to do: the one table for all refused requests.

Relies on `Codes` in synapse/api/errors.py, 1.163, and on where its endpoints use them. A sentence stands after the
words of Synapse, so it does not repeat them. It has to be true wherever the collection can meet the code.
"""

from __future__ import annotations

import typing as t


class Meaning(t.NamedTuple):
    """`meaning`: what the code says of the server or of the account, as a sentence. `fix`: what to do, as sentences.

    Either is "" where the words of Synapse, or the caller, say all that there is to say.
    """

    meaning: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.meaning} {self.fix}".strip()


# In the name of whom a request is made is not always the account of the option access_token.
_SENDER = "The account that makes the request"
_POLICY = Meaning(
    "The password does not fulfil the policy of this server (password_config.policy in its configuration).",
    "Choose another password.",
)
_LOWER_CASE = (
    "A new user ID has only the characters a-z, 0-9 and ._=-/+, does not begin with _, is not a number, and has at most"
    " 255 characters with the server name."
)
_INVALID = Meaning("Synapse does not accept a value.", "Correct the option that its words are about.")
_NOT_OWN_NAMESPACE = Meaning(
    "The access token is that of an application service, which may only use names in its own namespaces.",
    "Use the access token of a server admin.",
)
_VERSION = Meaning("This version of Synapse does not support the version of the room.", "Upgrade Synapse.")
_NOTHING_MORE = Meaning("")
# Where one code with one status has several meanings: the code, a part of Synapse's words, and the meaning.
_BY_WORDS = (
    (
        "M_FORBIDDEN",
        "not a server admin",
        Meaning("", "Use the access token of a server admin, or make its account a server admin."),
    ),
    (
        "M_EXCLUSIVE",
        "for this application service",
        _NOT_OWN_NAMESPACE,
    ),
    (
        "M_EXCLUSIVE",
        "application service has not reserved",
        _NOT_OWN_NAMESPACE,
    ),
    (
        "M_EXCLUSIVE",
        "This user ID is reserved.",
        Meaning("It is the account with which the server sends notices (server_notices).", "Choose another user ID."),
    ),
    (
        "M_INVALID_USERNAME",
        "begin with _",
        Meaning(
            "This server does not allow that (allow_underscore_prefixed_localpart in its configuration).",
            "Choose another user ID, or set that to true and restart Synapse.",
        ),
    ),
    (
        "M_FORBIDDEN",
        "avatar is not allowed",
        Meaning(
            "This server limits avatars (max_avatar_size and allowed_avatar_mimetypes in its configuration).",
            "Upload a picture to this server that complies with both, and set avatar_url to its URI.",
        ),
    ),
    (
        "M_UNKNOWN",
        "to introspect the access token",
        Meaning(
            "The Matrix Authentication Service, which manages the accounts of this server, does not answer Synapse.",
            "Check that it runs. For changes that only it can make, use mas-cli.",
        ),
    ),
)

# By the code alone, where it has one meaning, or with the HTTP status.
MEANINGS: t.Mapping[str | tuple[str, int], Meaning] = {
    # Tokens, and the account that makes the request.
    "M_MISSING_TOKEN": Meaning("The request needs an access token.", "Set access_token or access_token_path."),
    "M_UNKNOWN_TOKEN": Meaning("The access token is not valid.", "Use synapse_access_token to get a new one."),
    "M_UNAUTHORIZED": Meaning("The access token is not valid here.", "Use synapse_access_token to get a new one."),
    "M_GUEST_ACCESS_FORBIDDEN": Meaning("The access token is that of a guest.", "Use the one of a server admin."),
    "M_USER_LOCKED": Meaning(
        f"{_SENDER} is locked.", "Use another account, or unlock it with synapse_admin_user (locked: false)."
    ),
    "M_USER_SUSPENDED": Meaning(
        f"{_SENDER} is suspended.", "Use another account, or end that with synapse_admin_user (suspended: false)."
    ),
    "M_USER_DEACTIVATED": Meaning(
        "The account is deactivated.", "Use another account, or reactivate it with synapse_admin_user (state: present)."
    ),
    "ORG_MATRIX_EXPIRED_ACCOUNT": Meaning(
        f"{_SENDER} has expired (account_validity in the configuration).", "Use another account, or renew it."
    ),
    "ORG.MATRIX.MSC3866_USER_AWAITING_APPROVAL": Meaning(
        "A server admin has to approve the account before it can be used.", "Use another account, or approve it."
    ),
    "M_CONSENT_NOT_GIVEN": Meaning(
        f"{_SENDER} has not agreed to the terms of this server (user_consent in its configuration).",
        "Open the address in the words of Synapse as that account and agree, or use another account.",
    ),
    "M_FORBIDDEN": _NOTHING_MORE,
    # Names that are taken or reserved.
    "M_EXCLUSIVE": Meaning(
        "The name is in a namespace that an application service has reserved for itself.",
        "Choose another name, or remove the namespace from the registration file of that service and restart Synapse.",
    ),
    "M_USER_IN_USE": Meaning("An account has this user ID, or had it.", "Choose another user ID."),
    "M_INVALID_USERNAME": Meaning(_LOWER_CASE, "Choose another user ID."),
    "M_ROOM_IN_USE": Meaning("The alias belongs to another room.", "Choose another alias, or free it first."),
    "M_BAD_ALIAS": Meaning(
        "A room can only publish an alias that exists and points to it.",
        "Create the alias first, or do not publish it.",
    ),
    "M_THREEPID_IN_USE": Meaning(
        "Another account has this email address or telephone number.", "Remove it there first."
    ),
    "M_THREEPID_NOT_FOUND": Meaning("The account does not have this email address or telephone number."),
    "M_THREEPID_DENIED": Meaning(
        "This server does not allow this email address or telephone number (allowed_local_3pids in its configuration).",
        "Use another one, or allow it there.",
    ),
    # Values.
    "M_INVALID_PARAM": _INVALID,
    "M_BAD_JSON": _INVALID,
    "M_MISSING_PARAM": Meaning(
        "This version of Synapse needs a value that the collection does not send.",
        "Check that the collection supports the version.",
    ),
    "M_NOT_JSON": Meaning("The request did not arrive as it was sent.", "Check the proxies in front of Synapse."),
    ("M_TOO_LARGE", 400): Meaning("A value is too long.", "Shorten it."),
    "M_TOO_LARGE": Meaning(
        "The request, or what it would become, is larger than Synapse accepts.", "Declare less at once."
    ),
    "M_PROFILE_TOO_LARGE": Meaning(
        "The profile of an account has at most 64 KiB.", "Shorten the display name, or remove fields of the profile."
    ),
    "M_WEAK_PASSWORD": _POLICY,
    "M_PASSWORD_TOO_SHORT": _POLICY,
    "M_PASSWORD_NO_DIGIT": _POLICY,
    "M_PASSWORD_NO_UPPERCASE": _POLICY,
    "M_PASSWORD_NO_LOWERCASE": _POLICY,
    "M_PASSWORD_NO_SYMBOL": _POLICY,
    "M_PASSWORD_IN_DICTIONARY": _POLICY,
    # Rooms.
    "M_UNSUPPORTED_ROOM_VERSION": _VERSION,
    "M_INCOMPATIBLE_ROOM_VERSION": _VERSION,
    "M_INVALID_ROOM_STATE": Meaning("The room would not be valid with this.", "Correct what is declared of the room."),
    "M_BAD_STATE": Meaning("The membership of an account in the room does not allow this.", "Change that first."),
    "M_INVITE_BLOCKED": Meaning(
        "The account does not accept invitations.", "Let its user change that, or choose another account."
    ),
    "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM": Meaning(
        "An account cannot leave or reject the room for notices of its server (server_notices in the configuration).",
    ),
    # Media.
    "M_NOT_YET_UPLOADED": Meaning("The file was announced, but never uploaded.", "Upload it again."),
    # Limits of the server.
    "M_LIMIT_EXCEEDED": Meaning("", "Run the task later, or set rate_limit_retry_timeout to more seconds."),
    ("M_RESOURCE_LIMIT_EXCEEDED", 400): Meaning(
        "The room is larger than this server allows for a room of another server (limit_remote_rooms in its"
        " configuration)."
    ),
    "M_RESOURCE_LIMIT_EXCEEDED": Meaning(
        "Either this server is blocked (hs_disabled in its configuration), or it has as many active users in this month"
        " as it may have (max_mau_value).",
        "Change that there and restart Synapse.",
    ),
    "M_USER_LIMIT_EXCEEDED": Meaning(
        "The account has uploaded as much as it may (media_upload_limits in the configuration).",
        "Run the task later, or change the limit and restart Synapse.",
    ),
    # The rest.
    "M_NOT_FOUND": _NOTHING_MORE,
    "M_UNKNOWN": _NOTHING_MORE,
    ("M_UNKNOWN", 502): Meaning("Another server did not answer as it should.", "Run the task again later."),
    ("M_UNRECOGNIZED", 400): Meaning("This version of Synapse does not know a value of the request."),
    # What to do depends on the connection: see _faults.
    "M_UNRECOGNIZED": Meaning("This server does not serve that endpoint."),
}


def explain(status: int, errcode: str, words: str) -> str:
    """Return what a refusal means and what to do, as sentences; "" if nothing is known beside the `words` of Synapse.

    `status`: the HTTP status. Unknown codes have the meaning of their status.
    """
    for code, part, meaning in _BY_WORDS:
        if code == errcode and part in words:
            return str(meaning)
    found = str(MEANINGS.get((errcode, status), MEANINGS.get(errcode, _NOTHING_MORE)))
    return found or _of_status(status)


def _of_status(status: int) -> str:
    if status == 401:
        return str(MEANINGS["M_UNKNOWN_TOKEN"])
    if status == 429:
        return str(MEANINGS["M_LIMIT_EXCEEDED"])
    return "Check the log of Synapse for the reason." if status >= 500 else ""

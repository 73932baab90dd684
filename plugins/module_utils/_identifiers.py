# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Matrix identifiers. They are opaque: they are only split at the first colon."""

from __future__ import annotations

import re
import typing as t
import unicodedata

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput

# A host name, an IPv4 address or an IPv6 literal, with or without a port (Matrix specification, "Server name").
_SERVER_NAME = re.compile(r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z.-]{1,255})(?::[0-9]{1,5})?")
# A room ID since room version 12, without its sigil.
_HASH = re.compile(r"[0-9A-Za-z_-]{43}")
# With sigil and server name: what a user ID has at most in bytes, a room ID and a new room alias in characters.
_LONGEST = 255
# Synapse gives no room or alias a name with the first six. PostgreSQL stores no text with the last one.
_FORBIDDEN = frozenset(" \t\n\r\v\f\0")


class Identifier(t.NamedTuple):
    """The parts of an identifier. `str(identifier)` joins them again."""

    sigil: str
    localpart: str
    server_name: str

    def __str__(self) -> str:
        return f"{self.sigil}{self.localpart}:{self.server_name}"


def _parse(text: str, sigil: str, kind: str, example: str) -> Identifier:
    localpart, colon, server_name = text[1:].partition(":")
    if not text.startswith(sigil) or not colon or not _SERVER_NAME.fullmatch(server_name):
        raise InvalidInput(f"{text!r} is not a {kind}. Write it in full, for example {example}.")
    # It must be text.
    _size(text)
    if not _FORBIDDEN.isdisjoint(localpart):
        raise InvalidInput(f"{text!r} is not a {kind}, because it contains white space or a NUL character.")
    return Identifier(sigil, localpart, server_name)


def parse_user_id(text: str, own_server_name: str) -> Identifier:
    """Return the user ID in `text`, which may be a bare localpart of the server `own_server_name`.

    Raises InvalidInput if it is not a user ID, or belongs to another server.
    """
    if not text.startswith("@"):
        if ":" in text:
            raise InvalidInput(f"{text!r} is not a user ID. Write @{text}, or only the part before the colon.")
        text = f"@{text}:{own_server_name}"
    identifier = _parse(text, "@", "user ID", f"@alice:{own_server_name}")
    if not identifier.localpart:
        raise InvalidInput(f"{text!r} is not a user ID. Write it in full, for example @alice:{own_server_name}.")
    if any(character.isspace() or unicodedata.category(character) == "Cc" for character in identifier.localpart):
        raise InvalidInput(f"{text!r} is not a user ID, because it contains white space or a control character.")
    if _size(text) > _LONGEST:
        raise InvalidInput(f"{text!r} is not a user ID, because it is longer than {_LONGEST} bytes.")
    _require_local(identifier, own_server_name, "account")
    return identifier


def parse_room_alias(text: str, own_server_name: str) -> Identifier:
    """Return the room alias in `text`, which may be a bare `#localpart` of the server `own_server_name`.

    Raises InvalidInput if it is not a room alias, or belongs to another server.
    """
    identifier = parse_any_room_alias(text, own_server_name)
    _require_local(identifier, own_server_name, "room alias")
    return identifier


def parse_any_room_alias(text: str, own_server_name: str) -> Identifier:
    """Return the room alias in `text`, of any server. A bare `#localpart` is of the server `own_server_name`.

    It may be one that Synapse 1.163 would not create, but that exists. Raises InvalidInput if it is not a room alias.
    """
    if text.startswith("#") and len(text) > 1 and ":" not in text:
        text = f"{text}:{own_server_name}"
    return _parse(text, "#", "room alias", f"#lobby:{own_server_name}")


def require_new_alias(alias: str) -> None:
    """Raise InvalidInput if the room alias is longer than one that Synapse 1.163 points to a room."""
    if len(alias) > _LONGEST:
        raise InvalidInput(
            f"{alias!r} cannot be pointed to a room, because it is longer than {_LONGEST} characters with the server"
            " name. Nothing was changed. Choose a shorter alias."
        )


def parse_room_id(text: str) -> str:
    """Return the room ID in `text` unchanged. Since room version 12 it has no server name: only its sigil is certain.

    Raises InvalidInput if it is not a room ID.
    """
    _size(text)
    if not text.startswith("!") or not 1 < len(text) <= _LONGEST or not _FORBIDDEN.isdisjoint(text):
        raise InvalidInput(
            f"{text!r} is not a room ID. A room ID begins with '!', for example '!abcdefgh:example.org'."
        )
    return text


def require_legal_room_id(text: str) -> None:
    """Raise InvalidInput if Synapse would block or delete no room with this ID.

    Synapse 1.163 accepts an ID with a server name, or one of room version 12, which is the hash of an event.
    """
    _localpart, colon, server_name = parse_room_id(text)[1:].partition(":")
    if not (_SERVER_NAME.fullmatch(server_name) if colon else _HASH.fullmatch(text[1:])):
        raise InvalidInput(
            f"{text!r} is not a room ID that Synapse accepts. A room ID ends with a colon and a server name, or has 43"
            " characters after '!'. Check that it is complete."
        )


def server_name_of(user_id: str) -> str:
    """Return the server name in `user_id`, with its port."""
    return user_id.partition(":")[2]


def _size(text: str) -> int:
    """The number of bytes of the text in UTF-8. Raises InvalidInput if it came from bytes that are not UTF-8."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise InvalidInput(f"{text!a} is not an identifier, because it contains bytes that are not UTF-8.") from None


def _require_local(identifier: Identifier, own_server_name: str, kind: str) -> None:
    if identifier.server_name != own_server_name:
        raise InvalidInput(
            f"{identifier} is a{'n' if kind == 'account' else ''} {kind} of the server {identifier.server_name},"
            f" but this server is {own_server_name}. It can only be changed on its own server."
        )

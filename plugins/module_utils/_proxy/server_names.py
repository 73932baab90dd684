# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Matrix server names: a host name, an IPv4 address or an IPv6 address in brackets, with or without a port.

Relies on the grammar of the Matrix specification ("Server name"), and on parse_and_validate_server_name of Synapse
1.163, which is stricter: no empty labels, and no dot at the end.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput

_LABEL = r"[0-9A-Za-z-]{1,63}"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LONGEST = 255
_LONGEST_SHOWN = 100


class ServerName(t.NamedTuple):
    """A server name. `host`: in lower case, without brackets. `port`: None without one. `is_literal`: an IP address."""

    text: str
    host: str
    port: int | None
    is_literal: bool


def parse_server_name(text: str) -> ServerName:
    """Return the parts of a server name. Raises InvalidInput, with the reason."""
    try:
        return read_server_name(text)
    except ValueError as error:
        raise InvalidInput(f"{shown(text)} is not a Matrix server name, because {error}.") from None


def read_server_name(text: str) -> ServerName:
    """Return the parts of a server name. Raises ValueError: the reason as a piece of a sentence."""
    if not text:
        raise ValueError("it is empty")
    if "://" in text:
        raise ValueError(f"it contains {text.partition('://')[0][:20]}://: remove that")
    if "/" in text or "?" in text or "#" in text:
        raise ValueError("it contains a path: remove everything after the name and the port")
    if not text.isascii():
        raise ValueError(f"it contains characters that are not ASCII{_international(text)}")
    if not text.isprintable() or " " in text:
        raise ValueError("it contains white space or a control character")
    if len(text) > _LONGEST:
        raise ValueError(f"it is longer than {_LONGEST} characters")
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::(.*))?", text)
    host, port = bracketed.groups() if bracketed else _at_colon(text)
    is_literal = _is_address(host, 6) if bracketed else _is_address(host, 4)
    if bracketed and not is_literal:
        raise ValueError(f"{shown(host)} is not an IPv6 address")
    if not bracketed and not _HOST.fullmatch(host):
        raise ValueError(f"{shown(host)} is not a host name")
    return ServerName(text, host.lower(), None if port is None else _port(port), is_literal)


def is_address(host: str) -> bool:
    """Return whether a host is an IP address, without brackets."""
    return _is_address(host, 4) or _is_address(host, 6)


def joined(host: str, port: int) -> str:
    """Return a host and a port as one text, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def shown(value: object) -> str:
    """Return a value as it is shown in a sentence: in quotation marks, without control characters, and not too long."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _at_colon(text: str) -> tuple[str, str | None]:
    if _is_address(text.strip("[]"), 6):
        raise ValueError(f"an IPv6 address needs brackets: [{text.strip('[]')}]")
    host, colon, port = text.partition(":")
    return host, port if colon else None


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise ValueError(f"{shown(text)} is not a port")
    return int(text)


def _is_address(host: str, version: int) -> bool:
    try:
        return "%" not in host and ipaddress.ip_address(host).version == version
    except ValueError:
        return False


def _international(text: str) -> str:
    """How an international name is written."""
    try:
        written = text.encode("idna").decode("ascii")
    except UnicodeError:
        return ""
    return f": an international name is written in its ASCII form, here {written}"

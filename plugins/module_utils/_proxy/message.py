# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""How a request is written, byte for byte, and what of it must not be shown."""

from __future__ import annotations

import re

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._version import COLLECTION_VERSION

_SECRETS = re.compile(r"Bearer +(\S+)|sig=\"([^\"]+)\"")
_WITH_BODY = {"POST", "PUT", "PATCH"}
_UNSENDABLE = re.compile(r"[\x00-\x20\x7f]")
_UNSENDABLE_IN_HEADER = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def message_of(request: Request, tag: str, host: str, client_address: str = "") -> bytes | None:
    """Return a request as it is sent, None if it would be another request. `tag`: for the header User-Agent.

    `client_address`: for a Unix socket, which does not show one. A request with an X-Forwarded-For keeps its own.
    """
    headers = {
        "host": ("Host", host),
        "user-agent": ("User-Agent", f"matrix_ops.synapse/{COLLECTION_VERSION} (synapse_proxy_info; {tag})"),
        "connection": ("Connection", "keep-alive"),
    }
    if request.body or request.method in _WITH_BODY:
        headers["content-length"] = ("Content-Length", str(len(request.body)))
    if client_address and not any(name.lower() == "x-forwarded-for" for name, _value in request.headers):
        # Without them, Synapse fails where it needs an address, see _unix_socket.
        headers["x-forwarded-for"] = ("X-Forwarded-For", client_address)
        headers["x-forwarded-proto"] = ("X-Forwarded-Proto", "http")
    for name, _value in request.headers:
        headers.pop(name.lower(), None)
    lines = [*headers.values(), *request.headers]
    if _UNSENDABLE.search(f"{request.method}{request.target}{''.join(name for name, _value in lines)}"):
        return None
    if any(_UNSENDABLE_IN_HEADER.search(value) for _name, value in lines):
        return None
    head = [f"{request.method} {request.target} HTTP/1.1", *(f"{name}: {value}" for name, value in lines), "", ""]
    return "\r\n".join(head).encode("utf-8", "surrogatepass") + request.body


def secrets_of(request: Request) -> list[str]:
    """Return the access tokens and the signatures in a request."""
    values = [value for name, value in request.headers if name.lower() == "authorization"]
    return [secret for value in values for found in _SECRETS.findall(value) for secret in found if secret]


def without(text: str, hidden: list[str]) -> str:
    """Return a text in which each of the secrets is replaced."""
    for secret in hidden:
        text = text.replace(secret, "<redacted>")
    return text

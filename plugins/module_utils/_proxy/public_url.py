# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The URL that clients use, as a place: from the task, the configuration, the well-known file, or the server name."""

from __future__ import annotations

import contextlib
import re
import typing as t
import urllib.parse

from ansible_collections.matrix_ops.synapse.plugins.module_utils._connection_options import checked_base_url
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import DEFAULT_PORTS, Place, text_of

# Names of containers can have an underscore. An IPv6 address is checked before.
_HOST = re.compile(r"[0-9A-Za-z._-]+|[0-9A-Fa-f:.]+")


def place_of(url: str, option: str) -> Place:
    """Return the place of a URL. Raises InvalidInput, which names the option, if it is none or contains a path."""
    checked = checked_base_url(url, option)
    parts = urllib.parse.urlsplit(checked)
    if parts.path:
        raise InvalidInput(
            f"{option} {url!r} contains a path. Set it to the part before the path, because Matrix servers are asked"
            " below /_matrix."
        )
    # In the header Host, an international name is written in its ASCII form.
    host = (parts.hostname or "").encode("idna").decode("ascii")
    if not _HOST.fullmatch(host):
        raise InvalidInput(f"{option} {url!r} is not the URL of a server, because {host!r} is not a host name.")
    return Place(parts.scheme, host, parts.port or DEFAULT_PORTS[parts.scheme])


def client_place(
    public_url: str | None, public_baseurl: str | None, well_known: dict[str, t.Any] | None, host: str
) -> Place:
    """Return where clients ask: the first that is known of the task's URL, the configuration, and the well-known file.

    Without any of them it is https on `host`, the host of the server name. Raises InvalidInput for a URL that cannot be
    used.
    """
    if public_url:
        return place_of(public_url, "public_url")
    if public_baseurl:
        return place_of(public_baseurl, "public_baseurl in the configuration")
    homeserver = (well_known or {}).get("m.homeserver")
    advertised = text_of(homeserver.get("base_url")) if isinstance(homeserver, dict) else ""
    if advertised:
        # The check of the well-known file reports a URL that cannot be used.
        with contextlib.suppress(InvalidInput):
            return place_of(advertised, "base_url in the well-known file")
    return Place("https", host, DEFAULT_PORTS["https"])

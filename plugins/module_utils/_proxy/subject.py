# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What is examined: the public sites of a server, Synapse itself, and what is known of both."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Place, Request

CLIENT, FEDERATION = "client", "federation"
# The groups of paths that a proxy may treat differently, by the site to which they belong.
GROUPS = {CLIENT: ("client", "media", "well_known"), FEDERATION: ("federation", "key")}


class Site(t.NamedTuple):
    """One public place, and the groups of paths that are asked there. `name`: client or federation."""

    name: str
    place: Place
    groups: tuple[str, ...]


class Sends(t.Protocol):
    """What sends requests. A mistake of the network is a NoAnswer, never an exception."""

    def send(self, place: Place, request: Request, timeout: float | None = None) -> Answer | NoAnswer:
        """Send one request. `timeout`: in seconds."""


class Signs(t.Protocol):
    """What signs requests with the signing key of the server."""

    def sign(self, requests: t.Sequence[tuple[str, str]]) -> list[str]:
        """Return the value of the Authorization header for each (method, URI). Raises SynapseError."""


class Settings(t.NamedTuple):
    """What the configuration of Synapse says. None: it is not known."""

    max_upload_size: int | None = None
    public_baseurl: str | None = None
    x_forwarded: bool | None = None
    single_sign_on: bool | None = None


class Subject(t.NamedTuple):
    """What is examined.

    `sites`: one (client, with all groups) if clients and servers use the same place, otherwise two. `direct`: where
    Synapse itself answers, None if it cannot be reached from here. `token`: an access token, "" without one.
    `is_federating`: False if Synapse does not serve other servers.
    """

    server_name: str
    sites: tuple[Site, ...]
    sender: Sends
    direct: Place | None = None
    settings: Settings = Settings()
    token: str = ""
    signer: Signs | None = None
    is_federating: bool = True

    def site_of(self, group: str) -> Site | None:
        """Return the site where the paths of a group are asked, None if that site is not examined."""
        return next((site for site in self.sites if group in site.groups), None)

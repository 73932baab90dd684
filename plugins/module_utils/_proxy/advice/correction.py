# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What the lines that correct a finding are made of, for all reverse proxies."""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.settings import DEFAULT_MAX_UPLOAD_SIZE

# Findings that have the same correction, because they have the same causes.
PATH_CHANGED = (
    "path_decoded",
    "path_encoded_twice",
    "path_merged",
    "path_slash_removed",
    "path_slash_added",
    "path_rewritten",
    "query_changed",
    "query_cut",
    "signature_broken",
)
NOT_FORWARDED = ("path_not_forwarded", "not_matrix", "redirected", "redirect_loop")
WRONG_BACKEND = ("proxy_error", "another_server")
WELL_KNOWN = (
    "well_known_missing",
    "well_known_invalid",
    "well_known_content_type",
    "well_known_cors",
    "well_known_redirect",
    # The file for clients is what names another URL.
    "public_url_differs",
)
CERTIFICATE = ("certificate_wrong_name", "certificate_not_trusted")
# The names of these corrections.
_COMMON = {
    "path_changed": PATH_CHANGED,
    "not_forwarded": NOT_FORWARDED,
    "wrong_backend": WRONG_BACKEND,
    "well_known": WELL_KNOWN,
    "certificate": CERTIFICATE,
}
# What is not forwarded because of a password, a rule on addresses, or a certificate of the client has the name of
# another finding, but needs another correction. So have characters that a rule refuses, and not a setting.
AUTHENTICATION, ACCESS, CLIENT_CERTIFICATE = "authentication", "access", "client_certificate"
CHARACTER_RULE = "character_rule"
# A proxy that has TLS, but does not agree on it, also has the finding of one without TLS.
TLS_REFUSED = "tls_refused"

# What a proxy must forward, as Synapse's documentation of reverse proxies recommends it.
FORWARDED = ("/_matrix", "/_synapse/client")
# In seconds. Clients wait for half a minute for new events, and other servers longer for the join of a large room.
READ_TIMEOUT = 600
SERVER, CLIENT = "server", "client"


class Correction(t.NamedTuple):
    """The lines that correct a finding.

    `place`: where they belong, in words. `instead_of`: what is usually there, "" if nothing is. `lines`: complete
    lines of the configuration, "" if `instead_of` only has to be removed.
    """

    place: str
    instead_of: str
    lines: str


class Wanted(t.NamedTuple):
    """What a proxy has to do.

    `scheme` and `address`: where Synapse listens, such as http and 127.0.0.1:8008, always with the port.
    `server_name`: the Matrix server name. `public_name`: the name of the public URL, with a port if it is not 443.
    `max_upload_size`: in bytes. `files`: which of the files server and client below /.well-known/matrix are wrong.
    `site`: the name of the site that has the finding, with a port if it is not 443, "" if it is that of the public URL.
    `unix_socket`: the path of the Unix socket where Synapse listens instead of at `address`, "" if there is none.
    """

    scheme: str
    address: str
    server_name: str
    public_name: str
    max_upload_size: int = DEFAULT_MAX_UPLOAD_SIZE
    files: tuple[str, ...] = (SERVER, CLIENT)
    site: str = ""
    unix_socket: str = ""

    @property
    def backend_url(self) -> str:
        """The URL of Synapse without a path."""
        return f"{self.scheme}://{self.address}"

    @property
    def host(self) -> str:
        """The name of the site that has the finding, without the port."""
        return without_port(self.site or self.public_name)

    @property
    def port(self) -> int:
        """The port of the site that has the finding."""
        found = re.search(r":(\d+)\Z", self.site or self.public_name)
        return int(found[1]) if found else 443

    @property
    def named(self) -> str:
        """The site that has the finding, in words: with the port if it is not 443."""
        return self.host if self.port == 443 else f"{self.host} with port {self.port}"

    @property
    def server_host(self) -> str:
        """The Matrix server name without the port."""
        return without_port(self.server_name)

    @property
    def client_url(self) -> str:
        """The public URL for clients."""
        return f"https://{self.public_name}"

    def well_known(self, file: str) -> str:
        """Return the JSON of /.well-known/matrix/server or of /.well-known/matrix/client, in one line."""
        if file == CLIENT:
            return json.dumps({"m.homeserver": {"base_url": self.client_url}})
        name = self.public_name if without_port(self.public_name) != self.public_name else f"{self.public_name}:443"
        return json.dumps({"m.server": name})


def without_port(name: str) -> str:
    """Return a name, or an IP address in brackets, without the port."""
    return re.sub(r":\d+\Z", "", name)


def size(number: int) -> str:
    """Return a number of bytes, in M if it is a whole number of mebibytes."""
    mebibytes, rest = divmod(number, 1024 * 1024)
    return f"{mebibytes}M" if mebibytes and not rest else str(number)


def by_finding(corrections: t.Mapping[str, Correction]) -> dict[str, Correction]:
    """Return the correction for each finding: its own one, or else that for all findings with the same causes.

    `corrections`: by the name of a finding, or of all with the same causes: path_changed, not_forwarded, wrong_backend,
    well_known, certificate.
    """
    common = {name: corrections[key] for key, names in _COMMON.items() if key in corrections for name in names}
    return {**common, **{name: one for name, one in corrections.items() if name not in _COMMON}}

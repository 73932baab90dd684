# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Where a server answers: a URL, and the Unix socket over which it is reached if there is one."""

from __future__ import annotations

import typing as t
import urllib.parse


class Address(t.NamedTuple):
    """`base_url`: without the path of an endpoint. `unix_socket`: an absolute path, "" for a connection with TCP."""

    base_url: str
    unix_socket: str = ""

    def __str__(self) -> str:
        return self.at("")

    def at(self, path: str) -> str:
        """Return the URL of a path as messages name it, with the socket."""
        over = f" over {self.unix_socket}" if self.unix_socket else ""
        return f"{self.base_url}{path}{over}"

    def url(self, path: str) -> str:
        """Return the URL of a path."""
        return f"{self.base_url}{path}"

    @property
    def option(self) -> str:
        """The name of the option that decides where the connection goes."""
        return "unix_socket" if self.unix_socket else "base_url"

    def leading_to(self, server: str) -> str:
        """Return the option and its right value for a server, such as "base_url to the URL of Synapse itself"."""
        if self.unix_socket:
            path = urllib.parse.urlsplit(self.base_url).path
            host = f"base_url to {self.base_url[: -len(path)]}, without the path {path}, and " if path else ""
            return f"{host}unix_socket to the path of a Unix socket of {server}"
        return f"base_url to the URL of {server}"

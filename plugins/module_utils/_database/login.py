# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The options with which a task declares how Synapse connects to PostgreSQL."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput


class Login(t.Protocol):
    """The options, with the same names."""

    @property
    def login_host(self) -> str:
        """The host, or the directory of the socket."""

    @property
    def login_port(self) -> int:
        """The port."""

    @property
    def login_db(self) -> str:
        """The database."""

    @property
    def login_user(self) -> str:
        """The user."""

    @property
    def cp_min(self) -> int:
        """How many connections a process keeps open."""

    @property
    def cp_max(self) -> int:
        """How many connections a process has at most."""


def require_possible(login: Login) -> None:
    """Raise InvalidInput for a connection that can never work."""
    for name in ("login_host", "login_db", "login_user"):
        if not getattr(login, name) or "\0" in getattr(login, name):
            raise InvalidInput(f"{name} is empty or no text. Set it to what Synapse connects to PostgreSQL with.")
    if not 0 < login.login_port < 65536:
        raise InvalidInput(f"login_port is {login.login_port}. Set it to a number from 1 to 65535.")
    if not 0 < login.cp_min <= login.cp_max:
        raise InvalidInput(
            f"cp_min is {login.cp_min} and cp_max is {login.cp_max}. Set cp_min to at least 1, and cp_max to at least"
            " cp_min."
        )

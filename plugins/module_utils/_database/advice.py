# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What to do if PostgreSQL cannot be connected to: that depends on what sets the connection."""

from __future__ import annotations

import typing as t

_REFUSALS = ("authentication failed", "no password supplied", "pg_hba.conf")


class Advice(t.NamedTuple):
    """What to do if PostgreSQL does not let the user in, and if it cannot be reached otherwise, as sentences."""

    refused: str
    unreachable: str

    def on(self, said: str) -> str:
        """Return the advice on the error `said` of libpq."""
        return self.refused if any(reason in said for reason in _REFUSALS) else self.unreachable


def advice_for(source: str) -> Advice:
    """Return the advice for a connection that the configuration file `source` sets."""
    return Advice(
        f"Check the password in {source}. If PostgreSQL lets the user of Synapse connect without a password, run the"
        " task as that user, with become_user.",
        f"Check that PostgreSQL runs, and that Synapse uses the configuration {source}.",
    )


def advice_for_options(createdb: str) -> Advice:
    """Return the advice for a connection of the options `login_*`. `createdb`: what creates its database."""
    return Advice(
        "Check login_user and login_password, and the lines of pg_hba.conf for this user.",
        "Check that PostgreSQL runs, and login_host, login_port, login_db and login_user. If there is no such database"
        f" yet, create it with {createdb}",
    )


def advice_for_archive(source: str, createdb: str) -> Advice:
    """Return the advice for a connection that the file `source` in an archive sets, which is not on the host yet."""
    other = "set login_host and the other options to connect in another way"
    return Advice(
        f"{source} in the archive sets the connection. Give that user the same password in PostgreSQL, or {other}.",
        f"{source} in the archive sets the connection. Check that PostgreSQL runs there. If there is no such database"
        f" yet, {other}, or create it with {createdb}",
    )

# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Passwords are hashed as PostgreSQL does it."""

from __future__ import annotations

import base64

import pytest

from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files import scram

# Stored by PostgreSQL 15 for the password pencil: the example of RFC 7677 has the same salt and keys.
_PENCIL = (
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
    ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)


def test_the_hash_of_the_standard() -> None:
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    assert scram.stored("pencil", salt) == _PENCIL
    assert scram.is_stored("pencil", _PENCIL, "user")
    assert not scram.is_stored("Pencil", _PENCIL, "user")


def test_each_hash_has_another_salt() -> None:
    first, second = scram.stored("pencil"), scram.stored("pencil")
    assert first != second
    assert scram.is_stored("pencil", first, "") and scram.is_stored("pencil", second, "")


@pytest.mark.parametrize("kept", ["", "pencil", "SCRAM-SHA-256$", "SCRAM-SHA-256$0:a$b:c", "md5"])
def test_what_is_no_hash_is_no_password(kept: str) -> None:
    assert not scram.is_stored("pencil", kept, "user")


def test_a_hash_of_an_older_version() -> None:
    kept = "md520eb1b22a92b5c573dc1eb4331fc49ee"
    assert scram.is_stored("secret", kept, "user")
    assert not scram.is_stored("secret", kept, "other")


@pytest.mark.parametrize(
    ("password", "prepared"),
    [
        ("secret", "secret"),
        # The examples of RFC 4013.
        ("I\u00adX", "IX"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        # Prohibited, so PostgreSQL hashes it as it is.
        ("\u00aa\x07", "\u00aa\x07"),
        ("\u06271", "\u06271"),
        ("a\u00a0b", "a b"),
    ],
)
def test_passwords_are_prepared(password: str, prepared: str) -> None:
    assert scram.prepared(password) == prepared

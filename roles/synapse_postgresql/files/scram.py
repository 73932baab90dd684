# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords as PostgreSQL stores them (RFC 5802), so that no statement contains one that could be logged."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import stringprep
import unicodedata

ITERATIONS = 4096
_STORED = re.compile(r"SCRAM-SHA-256\$([0-9]{1,7}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")
_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


def prepared(password: str) -> str:
    """Return a password as it is hashed (RFC 4013). One that must not be prepared is hashed as it is."""
    if password.isascii():
        return password
    mapped = "".join(
        " " if stringprep.in_table_c12(letter) else letter for letter in password if not stringprep.in_table_b1(letter)
    )
    normal = unicodedata.normalize("NFKC", mapped)
    right_to_left = [stringprep.in_table_d1(letter) for letter in normal]
    mixed = any(right_to_left) and (
        any(map(stringprep.in_table_d2, normal)) or not (right_to_left[0] and right_to_left[-1])
    )
    refused = any(prohibited(letter) for letter in normal for prohibited in _PROHIBITED)
    return password if not normal or mixed or refused else normal


def stored(password: str, salt: bytes = b"", iterations: int = ITERATIONS) -> str:
    """Return a password as PostgreSQL stores it."""
    salt = salt or os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", prepared(password).encode(), salt, iterations)
    client_key, server_key = (hmac.digest(salted, name, "sha256") for name in (b"Client Key", b"Server Key"))
    parts = [base64.b64encode(part).decode() for part in (salt, hashlib.sha256(client_key).digest(), server_key)]
    return "SCRAM-SHA-256${}:{}${}:{}".format(iterations, *parts)


def is_stored(password: str, kept: str, user: str) -> bool:
    """Return whether this is the password that is stored for a user."""
    found = _STORED.fullmatch(kept)
    if found:
        try:
            own = stored(password, base64.b64decode(found.group(2)), int(found.group(1)))
        except ValueError:
            return False
        return hmac.compare_digest(own, kept)
    # The hash of older versions of PostgreSQL, which many still have.
    old = hashlib.md5((password + user).encode(), usedforsecurity=False).hexdigest()
    return hmac.compare_digest(f"md5{old}", kept)
